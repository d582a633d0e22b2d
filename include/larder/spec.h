/*
 * What a user writes behind --dataset=: parsed here, in plugin, daemon and CLI alike.
 *
 *   SPEC = NAME[:VERSION][@DIGEST][/SUBSET]   from the catalog
 *   SPEC = NAME=ORIGIN[//SUBSET]              the user's own: an absolute path, https://…, s3://…
 *
 * A comma parts two specs; inside a spec a comma is written %2C and a percent sign %25 (no other
 * escapes). In an own spec the subset starts at a double slash (behind the scheme's own).
 */
#ifndef LARDER_SPEC_H
#define LARDER_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include "larder/error.h"
#include "larder/text.h"

#define LARDER_SPECS_MAX     32	   /* datasets of one job */
#define LARDER_SPEC_TEXT_MAX 16384 /* bytes of the whole option */
#define LARDER_OWN_VERSION   "own" /* what stands for a version in a user's own dataset */

enum larder_spec_kind {
	LARDER_SPEC_CATALOG,
	LARDER_SPEC_OWN,
};

struct larder_spec {
	enum larder_spec_kind kind;
	char name[LARDER_NAME_MAX + 1];
	char version[LARDER_VERSION_MAX + 1]; /* "": the catalog's latest */
	char digest[LARDER_DIGEST_HEX + 1];   /* "": not said; else 8 to 32 hex digits */
	char *origin;			      /* own only: path or URL; NULL otherwise. Owned. */
	char *subset;			      /* NULL: all of it. Relative prefix or glob. Owned. */
};

struct larder_spec_list {
	struct larder_spec *items;
	size_t count; /* 0 for "none" */
};

/* One spec. 0, or -EINVAL with a sentence that quotes the part at fault. */
int larder_spec_parse(const char *text, struct larder_spec *spec, struct larder_error *err);
void larder_spec_fini(struct larder_spec *spec);

/*
 * The whole option. "none" alone gives an empty list. Refused besides what larder_spec_parse
 * refuses: an empty option or element, too many, too long, the same dataset twice, two names that
 * give the same environment variable, bytes that are not printable UTF-8.
 */
int larder_spec_list_parse(const char *text, struct larder_spec_list *list,
			   struct larder_error *err);
void larder_spec_list_fini(struct larder_spec_list *list);

/* The spec as text again, canonical; parse(format(x)) = x. A string to free, NULL on ENOMEM. */
char *larder_spec_format(const struct larder_spec *spec);
char *larder_spec_list_format(const struct larder_spec_list *list);

/* imagenet-1k becomes IMAGENET_1K. out: at least LARDER_NAME_MAX + 1 bytes. */
void larder_spec_env_name(const char *name, char *out);

/* Is `shard` (decoded path) in the subset? NULL subset: always. Prefix: whole components. Glob:
 * fnmatch with FNM_PATHNAME, where a match of a directory takes what is below it. Pure. */
bool larder_subset_match(const char *subset, const char *shard);
/* Is all of `inner` surely inside `outer`? Says false where it cannot tell. */
bool larder_subset_covers(const char *outer, const char *inner);

#endif
