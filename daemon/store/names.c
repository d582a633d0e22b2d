/*
 * How a name appears in a tree: for an unnamed file whose bytes are durable, a hard link, a
 * symlink. At no moment, a crash's included, is it there without its mode and time. Must not sync
 * and must not decide when. Called by sink.c, on transfer threads and on the committer's.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "store/inside.h"

#define NS_PER_S      INT64_C(1000000000)
#define REPLACE_TRIES 16 /* the trash may be emptied between our link and our rename */

struct timespec naming_time(int64_t ns)
{
	int64_t sec = ns / NS_PER_S;
	int64_t rest = ns % NS_PER_S;

	if (rest < 0) {
		rest += NS_PER_S;
		sec--;
	}
	return (struct timespec){.tv_sec = sec, .tv_nsec = rest};
}

int naming_stamp(int fd, mode_t now, mode_t mode, int64_t mtime_ns)
{
	struct timespec times[2] = {naming_time(mtime_ns), naming_time(mtime_ns)};

	if ((now != mode && fchmod(fd, mode) < 0) || futimens(fd, times) < 0)
		return -errno;
	return 0;
}

/* Naming by descriptor needs CAP_DAC_READ_SEARCH, naming by /proc needs /proc: one of them is
 * there. */
static int link_fd(int fd, int dir, const char *name)
{
	char path[40];

	if (linkat(fd, "", dir, name, AT_EMPTY_PATH) == 0)
		return 0;
	if (errno != ENOENT && errno != EPERM)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, path, dir, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static int make_symlink(int dir, const char *name, const struct naming *naming)
{
	struct timespec times[2] = {naming_time(naming->mtime_ns), naming_time(naming->mtime_ns)};

	if (symlinkat(naming->target, dir, name) < 0 ||
	    utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

/* `from_name` is the name in the base, which differs from `name` when that is one in the trash. */
static int put_once(int dir, const char *name, const char *from_name, const struct naming *naming)
{
	switch (naming->kind) {
	case NAMING_FD: return link_fd(naming->fd, dir, name);
	case NAMING_LINK: return linkat(naming->from, from_name, dir, name, 0) < 0 ? -errno : 0;
	case NAMING_SYMLINK: return make_symlink(dir, name, naming);
	}
	return -EINVAL;
}

static bool same_target(int dir, const char *name, const char *target)
{
	char found[PATH_MAX];
	ssize_t len = readlinkat(dir, name, found, sizeof(found));

	return len >= 0 && (size_t)len == strlen(target) && memcmp(found, target, (size_t)len) == 0;
}

static bool is_there(int dir, const char *name, const struct naming *naming)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	if (naming->kind == NAMING_SYMLINK)
		return S_ISLNK(st.st_mode) && same_target(dir, name, naming->target);
	return S_ISREG(st.st_mode) && (uint64_t)st.st_size == naming->size &&
	       (st.st_mode & 07777) == naming->mode;
}

/* First a name in the trash, then rename over the wrong one: at no moment is the name absent, and
 * what a crash leaves behind is trash. */
static int replace(struct tier *tier, int dir, const char *name, const struct naming *naming)
{
	char unique[STORE_UNIQUE_MAX];
	int rc = -EIO;
	int try;

	for (try = 0; try < REPLACE_TRIES; try++) {
		trash_unique(tier, unique);
		rc = put_once(tier->trash_fd, unique, name, naming);
		if (rc)
			return rc;
		if (renameat(tier->trash_fd, unique, dir, name) == 0)
			return 0;
		rc = -errno;
		unlinkat(tier->trash_fd, unique, 0);
		if (rc != -ENOENT)
			return rc;
	}
	return rc;
}

int naming_put(struct tier *tier, int dir, const char *name, const struct naming *naming)
{
	int rc;

	/* a symlink gets its time after it was made: not where a crash could show it without */
	if (naming->kind == NAMING_SYMLINK)
		return is_there(dir, name, naming) ? 0 : replace(tier, dir, name, naming);
	rc = put_once(dir, name, name, naming);
	if (rc != -EEXIST)
		return rc;
	return is_there(dir, name, naming) ? 0 : replace(tier, dir, name, naming);
}
