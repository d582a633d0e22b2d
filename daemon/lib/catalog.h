/*
 * Between the parts of the catalog: catalog.c (one dataset, and the sentences when there is none),
 * catalog_list.c (all of them), catalog_dir.c (directories and files). Nobody else includes it.
 */
#ifndef LIB_CATALOG_H
#define LIB_CATALOG_H

#include <sys/types.h>

#include "larder/catalog.h"

/* As whom the catalog is looked at. */
struct viewer {
	uid_t uid;
	gid_t gid;
};

/* A sorted list of strings; all owned. */
struct names {
	char **items;
	size_t count;
};

#define auto_names __attribute__((cleanup(larder_names_fini)))

/* What a search has at hand. Borrowed, all of it. */
struct catalog_finder {
	const char *catalog; /* its path */
	int fd;		     /* its directory */
	struct viewer viewer;
	struct larder_error *err;
};

/* The sentence for a name that is not there, or not for this viewer. -ENOENT. */
int larder_catalog_unknown(struct catalog_finder *f, const char *name);

/* The catalog's directory. fd, or -ENOTDIR (there is none), -EACCES, ….*/
int larder_catalog_open(const char *catalog, struct larder_error *err);
/* The directory of a dataset below it. fd, -ENOENT (also when it is closed to us), …. */
int larder_catalog_open_dataset(int catalog, const char *name, struct larder_error *err);

/* Names of datasets in the catalog, or (dataset's directory) of versions and aliases. */
int larder_catalog_datasets(int catalog, struct names *names, struct larder_error *err);
int larder_catalog_versions(int dataset, struct names *versions, struct larder_error *err);
void larder_names_fini(struct names *names);

/*
 * The real version behind a version or alias: follows one symlink to a file of the same directory.
 * 1 it was an alias, 0 it was none, -ENOENT, -EINVAL with a sentence.
 */
int larder_catalog_resolve(int dataset, const char *version, char real[LARDER_VERSION_MAX + 1],
			   struct larder_error *err);
/*
 * The head of a version (no alias), checked against its place, if the viewer may use it.
 * -ENOENT: there is none, or none for this viewer.
 */
int larder_catalog_read(int dataset, const char *name, const char *version, struct viewer viewer,
			struct larder_manifest_head *head, struct larder_error *err);

#endif
