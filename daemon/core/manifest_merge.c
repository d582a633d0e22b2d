/*
 * Owns comparing two manifests in one pass: which shards of one does the other have too.
 * Must not hold more than a shard of each.
 * Called where a version is staged beside an earlier one, and for `publish`'s differences.
 */
#include <string.h>

#include "core/manifest.h"

bool shard_same(const struct shard *a, const struct shard *b)
{
	/* Empty files, symlinks and directories are made anew: cheaper, and no link count grows. */
	return a->type == SHARD_FILE && b->type == SHARD_FILE && a->size > 0 && !a->undigested &&
	       !b->undigested && a->size == b->size && digest_equal(a->digest, b->digest) &&
	       a->mode == b->mode && a->mtime_ns == b->mtime_ns && strcmp(a->path, b->path) == 0;
}

/* Moves base on until it is not before `path`. *more: is there a shard in it at all? */
static int catch_up(struct manifest_reader *base, struct shard *at, bool *more, const char *path,
		    struct larder_error *err)
{
	while (*more && (!at->path || larder_path_compare(at->path, path) < 0)) {
		int rc = manifest_reader_next(base, at, err);

		if (rc < 0)
			return rc;
		*more = rc > 0;
	}
	return 0;
}

int manifest_merge(struct manifest_reader *now, struct manifest_reader *base,
		   int (*fn)(const struct shard *shard, const struct shard *base, void *arg),
		   void *arg, struct larder_error *err)
{
	struct shard shard = {0}, other = {0};
	bool more = base != NULL;
	int rc;

	while ((rc = manifest_reader_next(now, &shard, err)) > 0) {
		rc = catch_up(base, &other, &more, shard.path, err);
		if (rc)
			return rc;
		rc = fn(&shard, more && strcmp(other.path, shard.path) == 0 ? &other : NULL, arg);
		if (rc)
			return rc;
	}
	return rc;
}
