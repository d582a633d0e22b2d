/*
 * A catalog is a directory: imagenet/v3.manifest is a version, a symlink
 * imagenet/latest.manifest -> v3.manifest is an alias. Reading only; may block (shared file
 * system).
 */
#ifndef LARDER_CATALOG_H
#define LARDER_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "larder/error.h"
#include "larder/manifest.h"
#include "larder/spec.h"

struct larder_catalog_entry {
	struct larder_manifest_head head; /* head.version is the real one, aliases followed */
	char *path;			  /* of the manifest's file; owned */
};

/*
 * Finds NAME[:VERSION][@DIGEST] ("" version: the alias `latest`) as user uid/gid sees it. A dataset
 * that users=/groups= or the origin's permissions (where the origin is a path that exists here)
 * close to that user reads exactly like an unknown one, and never shows among the nearest names.
 * The origin's permissions are asked only when uid is this process's effective one; a root daemon
 * asks again in a child with the user's ids.
 * 0, -ENOENT (with the nearest names, or the versions there are), -ESTALE (the digest asked for is
 * not the catalog's), -EINVAL (a manifest or alias is broken), -ENOTDIR (there is no catalog
 * there), -EACCES/-EIO/… when the catalog itself cannot be read.
 */
int larder_catalog_find(const char *catalog, const struct larder_spec *spec, uid_t uid, gid_t gid,
			struct larder_catalog_entry *entry, struct larder_error *err);
void larder_catalog_entry_fini(struct larder_catalog_entry *entry);

/* One row of a catalog's listing. alias_of is NULL for a version. All borrowed in the callback. */
struct larder_catalog_row {
	const char *name, *version, *alias_of;
	const struct larder_manifest_head *head; /* NULL: unreadable, see problem */
	const char *problem;
};
/* Calls fn for each that the user may use, sorted; stops when it answers non-zero and returns that.
 * name NULL: all; else -ENOENT with the nearest names when there is no row of it. */
int larder_catalog_each(const char *catalog, const char *name, uid_t uid, gid_t gid,
			int (*fn)(const struct larder_catalog_row *row, void *arg), void *arg,
			struct larder_error *err);

/* May this user, by their effective ids, read the origin? Lexical kinds other than paths: true. */
bool larder_origin_readable(const char *origin);

#endif
