/*
 * Dropping a tree's tail: the shards whose path hashes highest go first, so that any two trims of a
 * tree nest and a half that is kept is always the same half. Choosing changes nothing. Called by
 * the server's workers, which write down what will be missing between the two steps.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "store/inside.h"

#define BUCKETS	   65536 /* of the hash's first 16 bits */
#define STAT_BLOCK 512

struct trim {
	struct tree_open tree;
	uint64_t limit;		 /* shards by the head */
	uint8_t *bits;		 /* first: may go and frees something; in the end: goes */
	uint64_t bytes[BUCKETS]; /* that dropping all of a bucket frees */
};

static size_t bucket_of(const char *path)
{
	return (size_t)(digest_of(path, strlen(path)).hi >> 48);
}

static void set_bit(uint8_t *bits, uint64_t index, bool on)
{
	uint8_t mask = (uint8_t)(1u << (index % 8));

	bits[index / 8] = (uint8_t)(on ? bits[index / 8] | mask : bits[index / 8] & ~mask);
}

/* What unlinking would free: 0 for what another version is linked to, which may as well stay. */
static uint64_t frees(struct place *place, const char *path)
{
	const char *name;
	struct stat st;
	int dir = place_at(place, path, false, &name);

	if (dir < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_nlink != 1)
		return 0;
	return (uint64_t)st.st_blocks * STAT_BLOCK;
}

/* Pass one: the histogram. */
static int count(struct trim *trim, const uint8_t *present, struct larder_error *err)
{
	struct shard shard;
	int rc;

	while ((rc = manifest_reader_next(trim->tree.reader, &shard, err)) == 1) {
		uint64_t bytes;

		if (shard.index >= trim->limit)
			return larder_error_set(err, EINVAL,
						"the manifest has more lines than it says");
		if (shard.type != SHARD_FILE || !shard_bit(present, shard.index))
			continue;
		bytes = frees(&trim->tree.place, shard.path);
		if (bytes == 0)
			continue;
		trim->bytes[bucket_of(shard.path)] += bytes;
		set_bit(trim->bits, shard.index, true);
	}
	return rc;
}

/* The highest bucket from which on enough is freed. */
static size_t threshold(const struct trim *trim, uint64_t need, uint64_t *sum)
{
	size_t bucket = BUCKETS;

	*sum = 0;
	while (bucket > 0 && *sum < need)
		*sum += trim->bytes[--bucket];
	return bucket;
}

/* Pass two: what hashes lower stays. */
static int keep_below(struct trim *trim, size_t from, struct tree_tail *tail,
		      struct larder_error *err)
{
	struct shard shard;
	int rc = tree_open_rewind(&trim->tree, err);

	while (rc == 0 && (rc = manifest_reader_next(trim->tree.reader, &shard, err)) == 1) {
		rc = 0;
		if (shard.index >= trim->limit)
			return larder_error_set(err, EINVAL,
						"the manifest has more lines than it says");
		if (!shard_bit(trim->bits, shard.index))
			continue;
		if (bucket_of(shard.path) < from) {
			set_bit(trim->bits, shard.index, false);
			continue;
		}
		tail->shards++;
		tail->size_bytes += shard.size;
	}
	return rc;
}

static int choose(struct trim *trim, const uint8_t *present, uint64_t need, struct tree_tail *tail,
		  struct larder_error *err)
{
	int rc;

	trim->limit = manifest_reader_head(trim->tree.reader)->shards;
	trim->bits = calloc(1, trim->limit / 8 + 1);
	if (!trim->bits)
		return larder_error_set(err, ENOMEM, "out of memory");
	rc = count(trim, present, err);
	if (rc)
		return rc;
	return keep_below(trim, threshold(trim, need, &tail->freed_bytes), tail, err);
}

int tree_trim_choose(struct tier *tier, const struct tree_key *key, const uint8_t *present,
		     uint64_t bytes, struct tree_tail *tail, struct larder_error *err)
{
	struct trim *trim = calloc(1, sizeof(*trim));
	int rc;

	*tail = (struct tree_tail){0};
	if (!trim)
		return larder_error_set(err, ENOMEM, "out of memory");
	trim->tree = (struct tree_open)TREE_OPEN_NONE;
	rc = tree_open(tier, key, &trim->tree, err);
	if (rc == 0)
		rc = choose(trim, present, bytes, tail, err);
	if (rc == 0)
		tail->gone = take_ptr(&trim->bits);
	tree_open_fini(&trim->tree);
	free(trim->bits);
	free(trim);
	return rc;
}

static int drop(struct tree_open *tree, const uint8_t *gone, struct larder_error *err)
{
	uint64_t limit = manifest_reader_head(tree->reader)->shards;
	int first = 0;
	struct shard shard;
	int rc;

	while ((rc = manifest_reader_next(tree->reader, &shard, err)) == 1) {
		const char *name;
		int dir;

		if (shard.index >= limit || !shard_bit(gone, shard.index))
			continue;
		dir = place_at(&tree->place, shard.path, false, &name);
		if (dir >= 0 && unlinkat(dir, name, 0) < 0)
			dir = -errno;
		if (dir < 0 && dir != -ENOENT && first == 0)
			first = dir;
	}
	if (rc == 0 && first)
		return larder_error_set(err, first, "drop shards: %s", strerror(-first));
	return rc;
}

int tree_trim_drop(struct tier *tier, const struct tree_key *key, const uint8_t *gone,
		   struct larder_error *err)
{
	struct tree_open tree = TREE_OPEN_NONE;
	int rc = tree_open(tier, key, &tree, err);

	if (rc == 0)
		rc = drop(&tree, gone, err);
	tree_open_fini(&tree);
	return rc;
}
