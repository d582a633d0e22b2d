/*
 * What is to be published from an origin that cannot be listed: relative paths, from a plain list
 * or from the brace form that WebDataset has made common.
 */
#ifndef SCAN_PATHS_H
#define SCAN_PATHS_H

#include <stddef.h>

#include "core/source.h"
#include "larder/error.h"

#define SCAN_PATHS_MAX	    10000000u
#define SCAN_LIST_BYTES_MAX ((size_t)256 * 1024 * 1024)

struct scan_paths {
	char **items; /* owned, as everything they point to */
	size_t count, room;
};

void scan_paths_fini(struct scan_paths *paths);
/*
 * One path a line, as it is (not encoded); empty lines do not count. The text is changed. -EINVAL
 * names the line.
 */
int scan_paths_parse(char *text, struct scan_paths *paths, struct larder_error *err);
/* The same from a file, or from a URL. */
int scan_paths_read(const char *where, const struct source_options *options,
		    struct scan_paths *paths, struct larder_error *err);
/*
 * "https://h/dir/name-{000..146}.tar": origin, which is changed, becomes "https://h/dir", and the
 * paths are added. 1: it was such a form; 0: there is no brace in it. -EINVAL, -E2BIG.
 */
int scan_paths_brace(char *origin, struct scan_paths *paths, struct larder_error *err);
/* Looks at each one with several threads and tells it, as source_ops.list does. */
int scan_paths_look(struct source *source, const struct scan_paths *paths, unsigned int threads,
		    int (*found)(const struct source_entry *entry, void *arg), void *arg,
		    struct larder_error *err);

#endif
