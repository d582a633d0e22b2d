/*
 * Makes a manifest of what an origin holds: walks and digests in parallel. For `larder publish` and
 * for a user's own dataset (there in a child process that has become that user). Blocks; prints
 * nothing: progress is read from the counters.
 */
#ifndef SCAN_SCAN_H
#define SCAN_SCAN_H

#include <stdatomic.h>
#include <stdint.h>

#include "core/source.h"
#include "larder/error.h"
#include "larder/manifest.h"

struct scan_progress {
	_Atomic uint64_t found_shards, found_bytes;	/* grows while the walk runs */
	_Atomic uint64_t done_shards, done_bytes;	/* digested */
	_Atomic uint64_t trusted_shards;		/* without a digest */
	_Atomic uint64_t claimed_shards, claimed_bytes; /* of a list's digests, not read */
	_Atomic bool walked;				/* found_* are final */
};

struct scan_paths;

struct scan_params {
	const char *origin;
	/* These paths alone, with what a list says of them (scan/paths.h). NULL: all that is there.
	 */
	const struct scan_paths *paths;
	const struct source_options *options;	 /* of remote origins; NULL: defaults */
	const struct larder_manifest_head *head; /* name, version, access, origins, created_s */
	/* 0: from a local disk two a processor, at least 8, each with many reads in flight; else
	 * eight a processor, at least 32. No more than 64. */
	unsigned int threads;
	/* Digests of an earlier manifest are taken over where path, size and mtime are the same.
	 * -1: none. */
	int earlier_manifest_fd;
	/* No file is read: what no list or earlier manifest has a digest of gets none, and the
	 * manifest's head says that a first use is trusted. */
	bool first_use;
	const _Atomic bool *stop;	/* NULL: none */
	struct scan_progress *progress; /* NULL: none */
};

/*
 * Writes the manifest to out_fd (regular, empty). A file that changes while it is read (size or
 * mtime before and after differ) is an error that names it: -ESTALE. done gets the final head (fini
 * it).
 */
int scan_run(const struct scan_params *params, int out_fd, struct larder_manifest_head *done,
	     struct larder_error *err);

#endif
