/*
 * Owns what a catalog looks like on disk: NAME/VERSION.manifest, aliases as symlinks beside it.
 * Must not write, and must not follow a link out of a dataset's directory.
 * Called by catalog.c and catalog_list.c only.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "lib/catalog.h"

#define SUFFIX	   ".manifest"
#define SUFFIX_LEN (sizeof(SUFFIX) - 1)
#define FILE_MAX   (LARDER_VERSION_MAX + SUFFIX_LEN + 1) /* of a file's name, NUL included */

int larder_catalog_open(const char *catalog, struct larder_error *err)
{
	int fd = open(catalog, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ENOTDIR)
		return larder_error_set(err, ENOTDIR, "there is no catalog at %s", catalog);
	return larder_error_set(err, errno, "open the catalog %s: %m", catalog);
}

int larder_catalog_open_dataset(int catalog, const char *name, struct larder_error *err)
{
	int fd = openat(catalog, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	/* A directory that the user cannot enter reads like one that is not there. */
	if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EACCES)
		return larder_error_set(err, ENOENT, "no dataset \"%s\"", name);
	return larder_error_set(err, errno, "open \"%s\" in the catalog: %m", name);
}

/* "v3.manifest" is v3's. False for every file that is no version's and no alias's. */
static bool version_of(const char *file, char version[LARDER_VERSION_MAX + 1])
{
	size_t len = strlen(file);

	if (len <= SUFFIX_LEN || len >= FILE_MAX || strcmp(file + len - SUFFIX_LEN, SUFFIX) != 0)
		return false;
	memcpy(version, file, len - SUFFIX_LEN);
	version[len - SUFFIX_LEN] = '\0';
	return larder_version_check(version, NULL) == 0;
}

static void file_of(const char *version, char file[FILE_MAX])
{
	strcpy(stpcpy(file, version), SUFFIX);
}

static bool dataset_of(const char *file, char name[LARDER_VERSION_MAX + 1])
{
	if (larder_name_check(file, NULL))
		return false;
	strcpy(name, file);
	return true;
}

/* v9 before v10, as people count. */
static int compare(const void *a, const void *b)
{
	return strverscmp(*(char *const *)a, *(char *const *)b);
}

static int add_name(struct names *names, const char *name)
{
	/* room doubles at each power of two */
	if ((names->count & (names->count - 1)) == 0) {
		size_t room = names->count ? names->count * 2 : 1;
		char **grown = reallocarray(names->items, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		names->items = grown;
	}
	names->items[names->count] = strdup(name);
	if (!names->items[names->count])
		return -ENOMEM;
	names->count++;
	return 0;
}

/* Every entry that `take` finds to be one, as the name that it gives it, sorted. */
static int list(int dirfd, bool (*take)(const char *file, char name[LARDER_VERSION_MAX + 1]),
		struct names *names, struct larder_error *err)
{
	auto_close_dir DIR *dir = NULL;
	auto_fd int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[LARDER_VERSION_MAX + 1];
	struct dirent *entry;

	memset(names, 0, sizeof(*names));
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return larder_error_set(err, errno, "list the catalog: %m");
	take_fd(&fd);
	while ((errno = 0, entry = readdir(dir))) {
		if (!take(entry->d_name, name))
			continue;
		if (add_name(names, name)) {
			larder_names_fini(names);
			return larder_error_set(err, ENOMEM, "out of memory");
		}
	}
	if (errno) {
		int code = errno;

		larder_names_fini(names);
		return larder_error_set(err, code, "list the catalog: %s", strerror(code));
	}
	if (names->count)
		qsort(names->items, names->count, sizeof(*names->items), compare);
	return 0;
}

int larder_catalog_datasets(int catalog, struct names *names, struct larder_error *err)
{
	return list(catalog, dataset_of, names, err);
}

int larder_catalog_versions(int dataset, struct names *versions, struct larder_error *err)
{
	return list(dataset, version_of, versions, err);
}

void larder_names_fini(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->items[i]);
	free(names->items);
	memset(names, 0, sizeof(*names));
}

int larder_catalog_resolve(int dataset, const char *version, char real[LARDER_VERSION_MAX + 1],
			   struct larder_error *err)
{
	char file[FILE_MAX], target[FILE_MAX + 1];
	ssize_t n;

	file_of(version, file);
	n = readlinkat(dataset, file, target, sizeof(target) - 1);
	if (n < 0 && errno == EINVAL) { /* no symlink */
		strcpy(real, version);
		return 0;
	}
	if (n < 0)
		return larder_error_set(err, errno, "read %s: %m", file);
	target[n] = '\0';
	if (!version_of(target, real))
		return larder_error_set(err, EINVAL,
					"the alias %s must point at VERSION.manifest beside it, "
					"not at \"%s\"",
					file, larder_text_printable(target));
	return 1;
}

/* Do the origin's permissions shut this process out? Only told of a path that is seen from here. */
static bool origin_closed(const struct larder_manifest_head *head)
{
	for (unsigned int i = 0; i < head->n_origins; i++) {
		struct stat st;

		if (head->origins[i][0] != '/')
			continue;
		if (stat(head->origins[i], &st) < 0 ? errno == EACCES
						    : !larder_origin_readable(head->origins[i]))
			return true;
	}
	return false;
}

/*
 * The origin's permissions can be asked only for the ids that this process has. A root daemon that
 * looks on behalf of a user asks again in a child with that user's ids.
 */
static bool may_use(const struct larder_manifest_head *head, struct viewer viewer)
{
	if (!larder_access_allows(&head->access, viewer.uid, viewer.gid))
		return false;
	if (head->access.kind == LARDER_ACCESS_ORIGIN && viewer.uid == geteuid())
		return !origin_closed(head);
	return true;
}

static int check_place(const struct larder_manifest_head *head, const char *name,
		       const char *version, struct larder_error *err)
{
	if (strcmp(head->name, name) == 0 && strcmp(head->version, version) == 0)
		return 0;
	return larder_error_set(err, EINVAL,
				"the manifest %s/%s" SUFFIX " says that it is %s:%s; publish it "
				"under its own name",
				name, version, head->name, head->version);
}

int larder_catalog_read(int dataset, const char *name, const char *version, struct viewer viewer,
			struct larder_manifest_head *head, struct larder_error *err)
{
	char file[FILE_MAX];
	auto_fd int fd = -1;
	int rc;

	memset(head, 0, sizeof(*head));
	file_of(version, file);
	/* O_NONBLOCK: a FIFO of that name must not hold us; the head's reader refuses it */
	fd = openat(dataset, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == EACCES))
		return larder_error_set(err, ENOENT, "no version \"%s\"", version);
	if (fd < 0 && errno == ELOOP)
		return larder_error_set(err, EINVAL, "%s/%s is an alias of an alias", name, file);
	if (fd < 0)
		return larder_error_set(err, errno, "open %s/%s: %m", name, file);
	rc = larder_manifest_head_read(fd, head, err);
	if (rc) {
		larder_error_prefix(err, "%s:%s", name, version);
		return rc;
	}
	rc = check_place(head, name, version, err);
	if (rc == 0 && !may_use(head, viewer))
		rc = larder_error_set(err, ENOENT, "no version \"%s\"", version);
	if (rc)
		larder_manifest_head_fini(head);
	return rc;
}
