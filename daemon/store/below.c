/*
 * Opening, making and walking below a descriptor that we hold: nothing here follows a symlink or
 * leaves the mount. Knows no trees and no tiers. Called by every file of this room.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "store/inside.h"

#ifndef FS_CASEFOLD_FL
#define FS_CASEFOLD_FL 0x40000000
#endif

#define OPEN_PART 4000 /* bytes of a path in one call, under PATH_MAX */

int below_open(int dir, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned int)(flags | O_CLOEXEC),
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	long fd;

	do
		fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd < 0 ? -errno : (int)fd;
}

int below_make_dir(int dir, const char *name, mode_t mode)
{
	auto_fd int fd = -1;
	struct stat st;

	if (mkdirat(dir, name, mode) < 0 && errno != EEXIST)
		return -errno;
	fd = below_open(dir, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	/* the umask is the process's, a default ACL may have had its say, and a crash may have
	 * come before this correction */
	if (fstat(fd, &st) < 0 || ((st.st_mode & 07777) != mode && fchmod(fd, mode) < 0))
		return -errno;
	return take_fd(&fd);
}

bool below_casefolds(int dir)
{
	int flags = 0;

	return ioctl(dir, FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_CASEFOLD_FL);
}

void trash_unique(struct tier *tier, char out[STORE_UNIQUE_MAX])
{
	struct timespec now = {0};

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(out, STORE_UNIQUE_MAX, "%010jd.%09ld-%" PRIu64, (intmax_t)now.tv_sec, now.tv_nsec,
		 atomic_fetch_add(&tier->unique, 1));
}

void place_init(struct place *place, int root)
{
	*place = (struct place){.root = root, .fd = -1};
}

void place_fini(struct place *place)
{
	if (place->fd >= 0)
		close(place->fd);
	free(place->dir);
	place_init(place, place->root);
}

static size_t dir_length(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

bool place_holds(const struct place *place, const char *path)
{
	size_t len = dir_length(path);

	return place->dir && strlen(place->dir) == len && memcmp(place->dir, path, len) == 0;
}

/* Component by component, so that a symlink on the way is met by below_open and refused. */
static int make_dirs(int root, char *dir)
{
	auto_fd int at = -1;
	char *rest = NULL;
	char *name;

	for (name = strtok_r(dir, "/", &rest); name; name = strtok_r(NULL, "/", &rest)) {
		int next = below_make_dir(at < 0 ? root : at, name, 0555);

		if (next < 0)
			return next;
		if (at >= 0)
			close(at);
		at = next;
	}
	return take_fd(&at);
}

static int open_dir(int root, const char *dir, bool make)
{
	auto_free char *copy = NULL;
	int fd = below_open(root, *dir ? dir : ".", O_RDONLY | O_DIRECTORY, 0);

	if (fd != -ENOENT || !make || !*dir)
		return fd;
	copy = strdup(dir);
	return copy ? make_dirs(root, copy) : -ENOMEM;
}

int place_at(struct place *place, const char *path, bool make, const char **name)
{
	size_t len = dir_length(path);
	auto_free char *dir = NULL;
	int fd;

	*name = len > 0 ? path + len + 1 : path;
	if (place_holds(place, path))
		return place->fd;
	dir = strndup(path, len);
	if (!dir)
		return -ENOMEM;
	fd = open_dir(place->root, dir, make);
	if (fd < 0)
		return fd;
	place_fini(place);
	place->fd = fd;
	place->dir = take_ptr(&dir);
	return fd;
}

/* In the trash a path may be longer than the kernel takes in one go. */
static int open_long(int root, const char *path)
{
	auto_fd int at = -1;
	char part[OPEN_PART + 1];

	while (strlen(path) > OPEN_PART) {
		const char *cut = memrchr(path, '/', OPEN_PART);
		int next;

		if (!cut)
			return -ENAMETOOLONG;
		memcpy(part, path, (size_t)(cut - path));
		part[cut - path] = '\0';
		next = below_open(at < 0 ? root : at, part, O_PATH | O_DIRECTORY, 0);
		if (next < 0)
			return next;
		if (at >= 0)
			close(at);
		at = next;
		path = cut + 1;
	}
	return below_open(at < 0 ? root : at, *path ? path : ".", O_RDONLY | O_DIRECTORY, 0);
}

/* Directories still to read, by their path below the root. */
struct walk {
	int root;
	char **dirs;
	size_t n, cap;
};

static int walk_push(struct walk *walk, const char *dir, const char *name)
{
	char *path = NULL;

	if (walk->n == walk->cap) {
		size_t cap = walk->cap ? 2 * walk->cap : 64;
		char **dirs = reallocarray(walk->dirs, cap, sizeof(*dirs));

		if (!dirs)
			return -ENOMEM;
		walk->dirs = dirs;
		walk->cap = cap;
	}
	if (asprintf(&path, "%s%s%s", dir, *dir ? "/" : "", name) < 0)
		return -ENOMEM;
	walk->dirs[walk->n++] = path;
	return 0;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int walk_dir(struct walk *walk, const char *dir,
		    int (*fn)(int dir, const struct dirent *entry, void *arg), void *arg)
{
	auto_close_dir DIR *stream = NULL;
	struct dirent *entry;
	int rc = 0;
	int fd = open_long(walk->root, dir);

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd; /* went away meanwhile */
	stream = fdopendir(fd);
	if (!stream) {
		close(fd);
		return -ENOMEM;
	}
	while (rc == 0 && (errno = 0, entry = readdir(stream)) != NULL) {
		if (is_dots(entry->d_name))
			continue;
		rc = fn(dirfd(stream), entry, arg);
		if (rc == 0 && entry->d_type == DT_DIR)
			rc = walk_push(walk, dir, entry->d_name);
	}
	return rc ? rc : -errno;
}

int store_walk(int root, int (*fn)(int dir, const struct dirent *entry, void *arg), void *arg)
{
	struct walk walk = {.root = root};
	int rc = walk_push(&walk, "", "");

	while (rc == 0 && walk.n > 0) {
		auto_free char *dir = walk.dirs[--walk.n];

		rc = walk_dir(&walk, dir, fn, arg);
	}
	while (walk.n > 0)
		free(walk.dirs[--walk.n]);
	free(walk.dirs);
	return rc;
}
