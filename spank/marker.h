/*
 * A job's marker: a small file of root's on the node that says, without the daemon, that the job
 * asked for data, and what is to happen when the daemon cannot be asked.
 */
#ifndef SPANK_MARKER_H
#define SPANK_MARKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "larder/error.h"
#include "larder/spec.h"
#include "larder/text.h"

/* Where a dataset's bytes are when it is not taken from the cache. */
struct marker_origin {
	char name[LARDER_NAME_MAX + 1];
	char version[LARDER_VERSION_MAX + 1];
	char digest[LARDER_DIGEST_HEX + 1]; /* "": a user's own */
	char *path;			    /* absolute; owned */
};

struct marker {
	uint32_t run;
	uint32_t on_fail; /* enum larder_on_fail, the site's default already applied */
	bool final;	  /* error was the daemon's verdict: on_fail does not change it any more */
	char error[LARDER_ERROR_MAX]; /* "": the daemon is to be asked */
	char *specs;		      /* canonical; owned */
	struct marker_origin origins[LARDER_SPECS_MAX];
	size_t n_origins;
};

/* `dir` is made when it is not there (0755, as is its parent). Replaces an earlier run's. 0 or
 * -errno. */
int marker_write(const char *dir, uint32_t job_id, const struct marker *marker,
		 struct larder_error *err);
/* 0, -ENOENT (the job asked for nothing), -EBADMSG or -errno. *marker is to be given to marker_fini
 * in any case. */
int marker_read(const char *dir, uint32_t job_id, struct marker *marker, struct larder_error *err);
/* Leaves a marker of a later run alone. 0 (also when there was none) or -errno. */
int marker_remove(const char *dir, uint32_t job_id, uint32_t run, struct larder_error *err);
void marker_fini(struct marker *marker);

/* An origin as one line, "NAME VERSION DIGEST PATH" ('-' for no digest), and back. 0, -EINVAL,
 * -ENOMEM. */
int marker_origin_parse(const char *line, struct marker *marker);
/* Adds it; a path with control bytes is refused. 0, -EINVAL, -ENOSPC, -ENOMEM. */
int marker_origin_add(struct marker *marker, const char *name, const char *version,
		      const char *digest, const char *path);

#endif
