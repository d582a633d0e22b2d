/*
 * Foreign lists: what others wrote down of an origin's files, as a collection of paths with sizes
 * and sums. Text is hostile: lengths, counts and paths are checked here.
 */
#ifndef SCAN_LIST_H
#define SCAN_LIST_H

#include "core/source.h"
#include "larder/error.h"
#include "scan/paths.h"

#define SCAN_LIST_BYTES_MAX ((size_t)256 * 1024 * 1024)
#define SCAN_JSON_BYTES_MAX                                                                        \
	((size_t)64 * 1024 * 1024) /* it is held as a whole, some 20 times that */

enum scan_list_form {
	SCAN_LIST_ANY,	 /* found out: '{' begins an index.json, a first line with a sum sums */
	SCAN_LIST_PLAIN, /* a path a line, as it is */
};

struct scan_list {
	const char *where;  /* the file or URL that it came from */
	const char *origin; /* what the paths are relative to */
	enum scan_list_form form;
	enum sum_kind sums; /* what sums without a tag are; SUM_NONE: their digits or the list's
			       name tell */
};

/*
 * The text (changed; a NUL behind its len bytes) into paths, in order, none twice. A list below its
 * origin has paths relative to its own directory, as sha256sum writes them; any other to the
 * origin. -EINVAL names the line.
 */
int scan_list_parse(const struct scan_list *list, char *text, size_t len, struct scan_paths *paths,
		    struct larder_error *err);
/* The same from its file or URL. */
int scan_list_read(const struct scan_list *list, const struct source_options *options,
		   struct scan_paths *paths, struct larder_error *err);

/*
 * list_mds.c: an index.json of MosaicML Streaming. prefix: "" or "dir/", before every path. self:
 * its own path below the origin, which belongs to the dataset; NULL: it is elsewhere.
 */
int scan_list_mds(const char *text, size_t len, const char *prefix, const char *self,
		  struct scan_paths *paths, struct larder_error *err);

#endif
