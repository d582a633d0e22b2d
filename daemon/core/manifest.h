/*
 * The body of a manifest: read and written as a stream, never held whole.
 *
 * A line: TYPE DIGEST SIZE MTIME_NS MODE PATH[ TARGET]
 *   TYPE f (file), l (symlink), d (empty directory); DIGEST 32 hex digits, "-" for l and d, and for
 *   files whose first use is trusted (then the head says so);
 *   MODE octal; PATH and TARGET percent-encoded. Sorted by larder_path_compare.
 */
#ifndef CORE_MANIFEST_H
#define CORE_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/digest.h"
#include "larder/error.h"
#include "larder/manifest.h"

enum shard_type { SHARD_FILE = 'f', SHARD_SYMLINK = 'l', SHARD_DIR = 'd' };

/* One shard. Strings are borrowed from whoever gave it (a reader: until its next call). */
struct shard {
	uint64_t index; /* line number in the body, from 0 */
	enum shard_type type;
	struct digest digest;
	bool undigested; /* a file whose digest nobody knows yet: what comes is believed */
	uint64_t size;	 /* bytes */
	int64_t mtime_ns;
	uint32_t mode;	    /* permission bits as at the origin */
	const char *path;   /* decoded, relative */
	const char *target; /* symlinks only */
};

struct manifest_reader;

/* Takes no ownership of fd (pread is used, so one fd may serve several readers). Reads the head. */
int manifest_reader_open(int fd, struct manifest_reader **reader, struct larder_error *err);
const struct larder_manifest_head *manifest_reader_head(const struct manifest_reader *reader);
/*
 * 1 and a shard, 0 at the end, -EINVAL with line number and reason. Checked as it streams: syntax,
 * order, duplicates, a path both file and directory, symlinks that leave the tree, overflow; at the
 * end also totals and the body's digest against the head (-EBADMSG).
 */
int manifest_reader_next(struct manifest_reader *reader, struct shard *shard,
			 struct larder_error *err);
void manifest_reader_close(struct manifest_reader *reader);
/*
 * Digests that a first use found, for files that the manifest has none of: records of
 * MANIFEST_RECORD bytes by index, where only zeros mean none. Borrowed; 0 or less: none.
 */
#define MANIFEST_RECORD 16
void manifest_reader_digests(struct manifest_reader *reader, int fd);
/* A digest as such a record. */
void manifest_record_put(struct digest digest, unsigned char record[MANIFEST_RECORD]);

/* Reads to the end: is all of it sound? O(shards); not for the control thread. */
int manifest_check(int fd, struct larder_error *err);

struct manifest_writer;

/*
 * Writes to fd (regular, empty, at 0): the head is put in place at the end, when digest and totals
 * are known. `head`'s name, version, access, origins and created_s are used.
 */
int manifest_writer_create(int fd, const struct larder_manifest_head *head,
			   struct manifest_writer **writer, struct larder_error *err);
/* Shards must come in order; -EINVAL otherwise. shard->index is ignored. */
int manifest_writer_add(struct manifest_writer *writer, const struct shard *shard,
			struct larder_error *err);
/* Completes the file (no sync). *done, when not NULL, gets the final head; fini is the caller's. */
int manifest_writer_finish(struct manifest_writer *writer, struct larder_manifest_head *done,
			   struct larder_error *err);
void manifest_writer_destroy(struct manifest_writer *writer);

/* The same file content at the same path: may it be hard-linked between two versions? */
bool shard_same(const struct shard *a, const struct shard *b);

/*
 * Reads two manifests in step. Calls fn for every shard of `now` with the shard of `base` at the
 * same path or NULL. Stops on non-zero and returns that. base NULL: always NULL.
 */
int manifest_merge(struct manifest_reader *now, struct manifest_reader *base,
		   int (*fn)(const struct shard *shard, const struct shard *base, void *arg),
		   void *arg, struct larder_error *err);

#endif
