/*
 * What is to be scanned of an origin when it is not all that is there: relative paths with what a
 * list says about each. From lists (scan/list.h) or from braces.
 */
#ifndef SCAN_PATHS_H
#define SCAN_PATHS_H

#include <stddef.h>
#include <stdint.h>

#include "core/source.h"
#include "larder/error.h"
#include "larder/text.h"
#include "scan/sums.h"

#define SCAN_PATHS_MAX	  10000000u
#define SCAN_SIZE_UNKNOWN UINT64_MAX

struct scan_path {
	uint64_t size;	   /* SCAN_SIZE_UNKNOWN: the list does not tell */
	uint32_t line;	   /* of the list, from 1; 0: none */
	uint16_t path_len; /* the sum stands behind the path's NUL */
	uint8_t sum;	   /* enum sum_kind */
	char path[];	   /* decoded, relative to the origin, checked */
};

struct scan_paths {
	struct scan_path **items; /* owned, as everything they point to */
	size_t count, room;
	const char *unit; /* what `line` counts, static: "line", "shard"; NULL: line */
};

static inline const unsigned char *scan_path_sum(const struct scan_path *path)
{
	return (const unsigned char *)path->path + path->path_len + 1;
}

void scan_paths_fini(struct scan_paths *paths);
/* Checks and copies one; sum may be NULL when kind is SUM_NONE. -EINVAL, -E2BIG, -ENOMEM. */
int scan_paths_add(struct scan_paths *paths, const char *path, uint32_t line, uint64_t size,
		   enum sum_kind kind, const unsigned char *sum, struct larder_error *err);
/* A URL's part as a path: %XX of any kind, but no NUL and no slash. -EINVAL, -ENAMETOOLONG. */
int scan_paths_decode(const char *part, char out[LARDER_PATH_BYTES + 1], struct larder_error *err);
/* No path twice, and none below another: -EINVAL with both lines. Puts them in order. */
int scan_paths_settle(struct scan_paths *paths, struct larder_error *err);
/*
 * "dir/{train,val}-{000..146}.tar" with the braces expanded, from the left: numbers with as many
 * digits on both sides or without zeros in front, or words with commas between. `text` is below an
 * origin. -EINVAL, -E2BIG when there are more than SCAN_PATHS_MAX.
 */
int scan_paths_expand(struct scan_paths *paths, const char *text, uint32_t line,
		      struct larder_error *err);
/* What stands behind an origin's root in a URL (larder_origin_form): many paths by braces, or one.
 * Settled. */
int scan_paths_named(struct scan_paths *paths, const char *rest, struct larder_error *err);
/* Looks at each one with several threads and tells it with what the list says, as source_ops.list
 * does. -ESTALE: another size than the list's. */
int scan_paths_look(struct source *source, const struct scan_paths *paths, unsigned int threads,
		    int (*found)(const struct source_entry *entry, const struct scan_path *listed,
				 void *arg),
		    void *arg, struct larder_error *err);

#endif
