/*
 * The writing side of a catalog: manifests, aliases, their removal; each durable when it returns.
 * It must not scan, ask or print, and never touches an origin.
 * Called by publish.c and catalog.c.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/catalog_file.h"
#include "larder/cleanup.h"

#define SUFFIX ".manifest"
#define TRIES  16 /* names of drafts, before we give up */

void catalog_file_name(const char *version, char out[CATALOG_FILE_MAX])
{
	snprintf(out, CATALOG_FILE_MAX, "%s" SUFFIX, version);
}

static int sync_dir(int fd, const char *what, struct larder_error *err)
{
	if (fsync(fd) == 0)
		return 0;
	return larder_error_set(err, errno, "sync the catalog's directory after %s: %s", what,
				strerror(errno));
}

/* --- directories and files */

static int make_dir(int catalog, const char *dir, const char *name, struct larder_error *err)
{
	if (mkdirat(catalog, name, 0755) == 0)
		return sync_dir(catalog, "a new dataset", err);
	if (errno == EEXIST)
		return 0;
	return larder_error_set(err, errno, "make %s/%s: %s", dir, name, strerror(errno));
}

int catalog_file_dir(const char *dir, const char *name, bool make, int *fd,
		     struct larder_error *err)
{
	auto_fd int catalog = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = 0;

	if (catalog < 0)
		return larder_error_set(
			err, errno,
			"the catalog %s: %s. An admin makes it; --catalog or LARDER_CATALOG "
			"names another",
			dir, strerror(errno));
	if (make)
		rc = make_dir(catalog, dir, name, err);
	if (rc != 0)
		return rc;
	*fd = openat(catalog, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*fd >= 0)
		return 0;
	if (errno == ENOENT)
		return larder_error_set(err, ENOENT, "the catalog %s has no dataset '%s'", dir,
					name);
	return larder_error_set(err, errno, "open %s/%s: %s", dir, name, strerror(errno));
}

int catalog_file_open(int dir_fd, const char *version, int *out, struct larder_manifest_head *head,
		      struct larder_error *err)
{
	char name[CATALOG_FILE_MAX];
	auto_fd int fd = -1;
	int rc;

	catalog_file_name(version, name);
	fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return larder_error_set(err, errno, "open %s: %s", name, strerror(errno));
	rc = larder_manifest_head_read(fd, head, err);
	if (rc != 0)
		return larder_error_prefix(err, "%s", name);
	*out = take_fd(&fd);
	return 0;
}

/* --- drafts */

/* NFS has no O_TMPFILE: a name with a dot in front is no version's. */
static int draft_named(int dir_fd, struct catalog_draft *draft, struct larder_error *err)
{
	for (int i = 0; i < TRIES; i++) {
		snprintf(draft->name, sizeof(draft->name), ".draft.%d.%d", (int)getpid(), i);
		draft->fd =
			openat(dir_fd, draft->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (draft->fd >= 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	draft->name[0] = '\0';
	return larder_error_set(err, errno, "write into the catalog: %s", strerror(errno));
}

int catalog_draft_create(int dir_fd, struct catalog_draft *draft, struct larder_error *err)
{
	int rc = 0;

	draft->name[0] = '\0';
	draft->fd = openat(dir_fd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0644);
	if (draft->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT))
		rc = draft_named(dir_fd, draft, err);
	else if (draft->fd < 0)
		rc = larder_error_set(err, errno, "write into the catalog: %s", strerror(errno));
	if (rc != 0)
		return rc;
	/* Everybody's plugin reads it, whatever the umask is. */
	if (fchmod(draft->fd, 0644) == 0)
		return 0;
	rc = larder_error_set(err, errno, "make the manifest readable: %s", strerror(errno));
	catalog_draft_destroy(dir_fd, draft);
	return rc;
}

static int draft_link(int dir_fd, const struct catalog_draft *draft, const char *name)
{
	char self[64];

	if (draft->name[0])
		return linkat(dir_fd, draft->name, dir_fd, name, 0);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", draft->fd);
	return linkat(AT_FDCWD, self, dir_fd, name, AT_SYMLINK_FOLLOW);
}

int catalog_draft_publish(int dir_fd, const struct catalog_draft *draft, const char *version,
			  struct larder_error *err)
{
	char name[CATALOG_FILE_MAX];

	catalog_file_name(version, name);
	/* Bytes first, then the name, then the name's directory. */
	if (fsync(draft->fd) != 0)
		return larder_error_set(err, errno, "sync the manifest: %s", strerror(errno));
	if (draft_link(dir_fd, draft, name) != 0)
		return larder_error_set(err, errno, "put %s into the catalog: %s", name,
					strerror(errno));
	return sync_dir(dir_fd, "a new version", err);
}

void catalog_draft_destroy(int dir_fd, struct catalog_draft *draft)
{
	if (draft->name[0])
		unlinkat(dir_fd, draft->name, 0);
	if (draft->fd >= 0)
		close(draft->fd);
	*draft = (struct catalog_draft){.fd = -1};
}

/* --- aliases */

/* The target of a link as a version. -EINVAL when it is nothing that a catalog has. */
static int target_version(int dir_fd, const char *file, char version[CATALOG_FILE_MAX])
{
	char target[CATALOG_FILE_MAX];
	ssize_t n = readlinkat(dir_fd, file, target, sizeof(target) - 1);
	size_t suffix = strlen(SUFFIX);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	if ((size_t)n <= suffix || strcmp(target + n - suffix, SUFFIX) != 0)
		return -EBADMSG;
	snprintf(version, CATALOG_FILE_MAX, "%.*s", (int)((size_t)n - suffix), target);
	return 0;
}

int catalog_alias_get(int dir_fd, const char *alias, char version[CATALOG_FILE_MAX])
{
	char name[CATALOG_FILE_MAX];
	int rc;

	catalog_file_name(alias, name);
	rc = target_version(dir_fd, name, version);
	return rc == -EINVAL ? -EEXIST : rc; /* EINVAL: no link, so a manifest */
}

int catalog_alias_set(int dir_fd, const char *alias, const char *version, struct larder_error *err)
{
	char name[CATALOG_FILE_MAX], target[CATALOG_FILE_MAX], old[CATALOG_FILE_MAX];
	char draft[CATALOG_FILE_MAX + 16];

	if (catalog_alias_get(dir_fd, alias, old) == -EEXIST)
		return larder_error_set(err, EEXIST, "'%s' is a version, it cannot be an alias too",
					alias);
	catalog_file_name(alias, name);
	catalog_file_name(version, target);
	snprintf(draft, sizeof(draft), ".alias.%d", (int)getpid());
	unlinkat(dir_fd, draft, 0);
	if (symlinkat(target, dir_fd, draft) != 0)
		return larder_error_set(err, errno, "make the alias %s: %s", alias,
					strerror(errno));
	if (renameat(dir_fd, draft, dir_fd, name) != 0) {
		int code = errno;

		unlinkat(dir_fd, draft, 0);
		return larder_error_set(err, code, "move the alias %s: %s", alias, strerror(code));
	}
	return sync_dir(dir_fd, "a moved alias", err);
}

static bool is_alias_of(int dir_fd, const char *file, const char *version,
			char alias[CATALOG_FILE_MAX])
{
	char target[CATALOG_FILE_MAX];
	size_t len = strlen(file), suffix = strlen(SUFFIX);

	if (file[0] == '.' || len <= suffix || len >= CATALOG_FILE_MAX ||
	    strcmp(file + len - suffix, SUFFIX) != 0 || target_version(dir_fd, file, target) != 0 ||
	    strcmp(target, version) != 0)
		return false;
	snprintf(alias, CATALOG_FILE_MAX, "%.*s", (int)(len - suffix), file);
	return true;
}

int catalog_alias_of(int dir_fd, const char *version, char alias[CATALOG_FILE_MAX],
		     struct larder_error *err)
{
	auto_fd int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_close_dir DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;

	if (!dir)
		return larder_error_set(err, errno, "list the dataset's versions: %s",
					strerror(errno));
	take_fd(&fd);
	while ((errno = 0, entry = readdir(dir)))
		if (is_alias_of(dir_fd, entry->d_name, version, alias))
			return 1;
	if (errno)
		return larder_error_set(err, errno, "list the dataset's versions: %s",
					strerror(errno));
	return 0;
}

void catalog_file_tidy(const char *dir, const char *name)
{
	auto_fd int catalog = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* Not empty, or not ours to remove: then it stays. */
	if (catalog >= 0 && *name && unlinkat(catalog, name, AT_REMOVEDIR) == 0)
		fsync(catalog);
}

int catalog_file_remove(const char *dir, const char *name, int dir_fd, const char *version,
			struct larder_error *err)
{
	char file[CATALOG_FILE_MAX];
	int rc;

	catalog_file_name(version, file);
	if (unlinkat(dir_fd, file, 0) != 0)
		return larder_error_set(err, errno, "remove %s/%s/%s: %s", dir, name, file,
					strerror(errno));
	rc = sync_dir(dir_fd, "a removal", err);
	catalog_file_tidy(dir, name);
	return rc;
}
