/*
 * Owns which shards a subset takes: a prefix of whole components, or a glob.
 * Must not touch the file system.
 * Called once a shard by scan, store and the CLI; by the daemon to compare subsets.
 */
#include <fnmatch.h>
#include <string.h>

#include "larder/spec.h"

static const char glob_bytes[] = "*?[\\";

static bool is_glob(const char *subset)
{
	return subset[strcspn(subset, glob_bytes)] != '\0';
}

/* Is `path` the directory `prefix` itself or below it? */
static bool is_below(const char *path, const char *prefix, size_t len)
{
	return strncmp(path, prefix, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

bool larder_subset_match(const char *subset, const char *shard)
{
	if (!subset)
		return true;
	if (!is_glob(subset))
		return is_below(shard, subset, strlen(subset));
	return fnmatch(subset, shard, FNM_PATHNAME | FNM_LEADING_DIR) == 0;
}

bool larder_subset_covers(const char *outer, const char *inner)
{
	size_t len;

	if (!outer)
		return true;
	if (!inner)
		return false;
	if (strcmp(outer, inner) == 0)
		return true;
	if (!is_glob(inner))
		return larder_subset_match(outer, inner);
	if (is_glob(outer))
		return false;
	/* all that a glob takes lies below the components before its first special byte */
	len = strlen(outer);
	return is_below(inner, outer, len) && strcspn(inner, glob_bytes) > len;
}
