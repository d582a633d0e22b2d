/*
 * A tier's directory and the trees in it: files on disk, nothing else. Knows no rows and no jobs.
 *
 *   TIER/{CACHEDIR.TAG, larder-tier}
 *   TIER/trees/<domain>/<name>/<version>@<digest>/{manifest, data/}
 *   TIER/trash/<unique>
 *
 * Every path below the tier is opened with openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
 * RESOLVE_NO_XDEV). Everything is root's: directories 0555 in data/ and 0700 above
 * it, files 0444 or 0555; only the manifest's copy keeps its owner, who is the publisher.
 */
#ifndef STORE_TREE_H
#define STORE_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/manifest.h"
#include "core/sink.h"
#include "larder/error.h"

struct tier;

struct tier_space {
	uint64_t size, free;	      /* of the file system, bytes, as root sees it */
	uint64_t inodes, inodes_free; /* inodes 0: no limit */
};

/* Where a tree is, by its parts. All borrowed. */
struct tree_key {
	const char *domain, *name, *version, *digest;
};

/*
 * Opens, or makes, the tier at path (which must exist). Keeps a descriptor for syncfs from now on,
 * and starts its committer thread. id: 32 hex digits and a NUL, from larder-tier. Refused, with a
 * sentence: casefolding directories, one that belongs to another uid or that others may write
 * (-EPERM), one that holds anything but no id (-ENOTEMPTY), one in use by another larderd (-EBUSY),
 * a file system without O_TMPFILE (-EOPNOTSUPP), a read-only one (-EROFS).
 */
int tier_open(const char *path, struct tier **tier, char id[33], struct larder_error *err);
/* All sinks of the tier are destroyed before. */
void tier_close(struct tier *tier);
int tier_space(struct tier *tier, struct tier_space *space, struct larder_error *err);
/* st_dev of the tier: to choose an engine, and to see a tier that went away. */
dev_t tier_dev(const struct tier *tier);
/* Is what is mounted at its path still this tier? -ESTALE, -ENOENT. Cheap. */
int tier_alive(struct tier *tier, struct larder_error *err);

/*
 * Makes the tree's directories and puts a copy of the manifest (from manifest_fd, whole file)
 * there, durable, before returning. The copy is checked from end to end: -EINVAL, -EBADMSG. A copy
 * that is there already stays, or is replaced when head or owner changed. May block for O(shards).
 */
int tree_create(struct tier *tier, const struct tree_key *key, int manifest_fd,
		struct larder_error *err);
/* One fstatat-like check that data/ is there: 0 or -ENOENT. Made at every ACQUIRE. */
int tree_exists(struct tier *tier, const struct tree_key *key);
/* The same and tier_alive() in one call, by the tier's path; false may have many reasons. */
bool tree_is_there(const struct tier *tier, const struct tree_key *key);
/* O_PATH|O_DIRECTORY of data/ for open_tree(2); and the manifest, for reading. Descriptors to
 * close. */
int tree_open_data(struct tier *tier, const struct tree_key *key, int *fd,
		   struct larder_error *err);
int tree_open_manifest(struct tier *tier, const struct tree_key *key, int *fd,
		       struct larder_error *err);
/* The digests that a first use found (core/manifest.h), for reading: a descriptor to close, or -1:
 * the manifest has them all. */
int tree_open_digests(struct tier *tier, const struct tree_key *key);
/* Absolute path of data/, for binding by path and for people. */
char *tree_data_path(const struct tier *tier, const struct tree_key *key);

/*
 * A sink that fills the tree. base NULL: nothing to link from. durable is called on the committer's
 * thread with indices (rising, 4,096 at most) of shards whose bytes and names are on stable
 * storage, and the sum of their sizes: before the flush returns that waits for them. It must not
 * call the sink.
 *
 * The first error of a batch (-EIO from a sync, -ENOSPC from naming, …) stays with the sink: every
 * later create, commit and flush answers it. To try again make a new sink; names that are there
 * already are taken as present, because names are only made after verification.
 */
struct tree_sink_params {
	struct tier *tier;
	struct tree_key key;
	const struct tree_key *base;
	void (*durable)(const uint64_t *indices, size_t n, uint64_t bytes, void *arg);
	void *arg;
};
int tree_sink_create(const struct tree_sink_params *params, struct sink **sink,
		     struct larder_error *err);
/* After the last flush, when nobody calls it any more; whatever was not flushed is thrown away. */
void tree_sink_destroy(struct sink *sink);

/* Moves the tree into trash/: O(1), durable name change not awaited. It frees nothing yet.
 * -ENOENT: was not there. */
int tree_trash(struct tier *tier, const struct tree_key *key, struct larder_error *err);

/*
 * Unlinks what is in the trash, at most files_per_s (0: at full speed; read anew through the
 * pointer all the while, so that an admission can lift the limit). *stop ends it early. Blocks: a
 * worker's. *freed gets the bytes that statvfs shows more. What cannot be unlinked is left, and its
 * error returned when the rest is gone.
 */
int trash_empty(struct tier *tier, const _Atomic uint32_t *files_per_s, const _Atomic bool *stop,
		uint64_t *freed, struct larder_error *err);
/* Bytes (st_blocks) of files in the trash whose last link it is. O(files); a worker's. */
int trash_bytes(struct tier *tier, uint64_t *bytes, struct larder_error *err);
bool trash_is_empty(struct tier *tier);

/* Bytes and inodes that unlinking the tree would free: files with one link, directories. O(files);
 * a worker's. */
int tree_weight(struct tier *tier, const struct tree_key *key, uint64_t *bytes, uint64_t *inodes,
		struct larder_error *err);

/*
 * Drops shards from the tree's tail, in the order of their path's hash, until about `bytes` are
 * freed. Two steps, so that the inventory can claim less before bytes go: choose fills a struct
 * tree_tail; drop unlinks what its bitmap says. Shards that another version is linked to free
 * nothing and stay. freed_bytes may be less than asked (all that can go) or a little more. Blocks;
 * a worker's.
 */
struct tree_tail {
	uint8_t *gone; /* bits by index, to free() */
	uint64_t shards;
	uint64_t size_bytes;  /* by the manifest: what the tree holds less */
	uint64_t freed_bytes; /* on disk: what unlinking frees */
};
int tree_trim_choose(struct tier *tier, const struct tree_key *key, const uint8_t *present,
		     uint64_t bytes, struct tree_tail *tail, struct larder_error *err);
int tree_trim_drop(struct tier *tier, const struct tree_key *key, const uint8_t *gone,
		   struct larder_error *err);

/* Reads every shard present again with O_DIRECT where it can and compares. bad is called for each
 * that differs or is not there, and for a changed mode. 0 when all was looked at, -ECANCELED when
 * stopped. Blocks; a worker's. present NULL: all. done_bytes and stop may be NULL. */
int tree_verify(struct tier *tier, const struct tree_key *key, const uint8_t *present,
		void (*bad)(const struct shard *shard, const char *problem, void *arg), void *arg,
		_Atomic uint64_t *done_bytes, const _Atomic bool *stop, struct larder_error *err);
/* Takes away one shard that was found bad (before it is staged again): whatever has its name goes
 * to the trash. Nothing there: 0. */
int tree_drop_shard(struct tier *tier, const struct tree_key *key, const char *path,
		    struct larder_error *err);

/* Every tree directory found in the tier, with its manifest's head; those without a sound one are
 * told with head NULL. fn's non-zero answer ends it and is returned. For recover and gc. Strings
 * borrowed. */
int tier_each_tree(struct tier *tier,
		   int (*fn)(const struct tree_key *key, const struct larder_manifest_head *head,
			     void *arg),
		   void *arg, struct larder_error *err);
/* Which shards of the manifest are there with the right type and size (bits to free()): a claim by
 * name only; names are only made after verification. */
int tree_survey(struct tier *tier, const struct tree_key *key, uint8_t **bits, uint64_t *shards,
		uint64_t *bytes, struct larder_error *err);

#endif
