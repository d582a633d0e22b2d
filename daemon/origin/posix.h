/*
 * What the two files of the posix kind share. For origin/posix*.c alone.
 */
#ifndef ORIGIN_POSIX_H
#define ORIGIN_POSIX_H

#include <stdint.h>

#include "core/source.h"

struct posix_source {
	struct source base; /* first */
	char *root;	    /* as the origin is written */
	int fd;		    /* of that directory */
	struct source_as as;
	gid_t *groups; /* owned; as.groups points here */
};

/*
 * Opens `path` below the root, following symlinks that stay inside (flags may have O_NOFOLLOW).
 * A descriptor, or -errno without a sentence. The caller has taken on the ids.
 */
int posix_open_beneath(const struct posix_source *source, const char *path, int flags);

/* The path as people can read it: encoded, cut. Writes into buf and returns it. */
const char *posix_show(const char *path, char *buf, size_t len);

/* source_ops.list */
int posix_list(struct source *base, unsigned int threads,
	       int (*found)(const struct source_entry *entry, void *arg), void *arg,
	       struct larder_error *err);

#endif
