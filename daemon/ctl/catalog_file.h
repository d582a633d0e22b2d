/*
 * The writing side of a catalog: DIR/NAME/VERSION.manifest made atomically and durably, aliases,
 * removal. Works as whoever may write the directory.
 */
#ifndef CTL_CATALOG_FILE_H
#define CTL_CATALOG_FILE_H

#include <stdbool.h>

#include "larder/error.h"
#include "larder/manifest.h"

#define CATALOG_FILE_MAX (LARDER_VERSION_MAX + 16) /* "VERSION.manifest" and a NUL */

/* "v3" becomes "v3.manifest". */
void catalog_file_name(const char *version, char out[CATALOG_FILE_MAX]);

/*
 * The directory of a dataset in the catalog `dir`; `make` makes it when it is not there (not the
 * catalog itself). Descriptor to close, or -ENOENT, -EACCES, ….
 */
int catalog_file_dir(const char *dir, const char *name, bool make, int *fd,
		     struct larder_error *err);
/* The manifest of a version in it, no alias. -ENOENT without a sentence when there is none. */
int catalog_file_open(int dir_fd, const char *version, int *fd, struct larder_manifest_head *head,
		      struct larder_error *err);

/* A manifest on its way: without a name where the file system can do that. */
struct catalog_draft {
	int fd;
	char name[CATALOG_FILE_MAX + 16]; /* "": it has none */
};
int catalog_draft_create(int dir_fd, struct catalog_draft *draft, struct larder_error *err);
/* Makes it durable under the version's name. -EEXIST when that version is there already. */
int catalog_draft_publish(int dir_fd, const struct catalog_draft *draft, const char *version,
			  struct larder_error *err);
void catalog_draft_destroy(int dir_fd, struct catalog_draft *draft);

/* What an alias stands for: 0 and the version, -ENOENT no such alias, -EEXIST it is a version. */
int catalog_alias_get(int dir_fd, const char *alias, char version[CATALOG_FILE_MAX]);
/* Makes or moves the alias, in one step. -EEXIST: that is a version's name. */
int catalog_alias_set(int dir_fd, const char *alias, const char *version, struct larder_error *err);
/* An alias that stands for `version`: 1 and its name, 0 none, -errno. */
int catalog_alias_of(int dir_fd, const char *version, char alias[CATALOG_FILE_MAX],
		     struct larder_error *err);
/* Removes the dataset's directory if nothing is in it; says nothing. */
void catalog_file_tidy(const char *dir, const char *name);
/* Removes a version or an alias, and the dataset's directory when that was the last. */
int catalog_file_remove(const char *dir, const char *name, int dir_fd, const char *version,
			struct larder_error *err);

#endif
