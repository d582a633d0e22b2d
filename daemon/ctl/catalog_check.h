/* Is a manifest sound, and does its origin still look like it? Reads only. */
#ifndef CTL_CATALOG_CHECK_H
#define CTL_CATALOG_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "ctl/sheets.h"

struct catalog_check {
	const char *catalog, *name, *version;
	bool against_origin;   /* compare type, size and mtime of every shard */
	struct sheets *sheets; /* gets a SHARD row for each that differs */
};

/* *problems: how many shards differ. -errno with a sentence when the manifest is damaged, or the
 * origin cannot be looked at. */
int catalog_check_version(const struct catalog_check *check, uint64_t *problems,
			  struct larder_error *err);

#endif
