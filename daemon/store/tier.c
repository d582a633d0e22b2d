/*
 * A tier: one cache directory with its id, its lock and the descriptors kept open from start to
 * end. Must not know what trees hold. Called by the server at start and at each look at the space.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "store/inside.h"

#define ID_FILE	  "larder-tier"
#define ID_NEW	  "larder-tier.new"
#define ID_PREFIX "larder-tier 1 "
#define ID_DIGITS 32

static const char CACHEDIR_TAG[] =
	"Signature: 8a477f597d28d172789f06886806bc55\n"
	"# This directory is a cache of datasets, kept by larderd. What is in it can be staged again.\n"
	"# See https://bford.info/cachedir/\n";

static int check_directory(const char *path, int fd, struct larder_error *err)
{
	struct statvfs fs;
	struct stat st;

	if (fstat(fd, &st) < 0 || fstatvfs(fd, &fs) < 0)
		return larder_error_set(err, errno, "tier %s: %s", path, strerror(errno));
	if (st.st_uid != geteuid())
		return larder_error_set(
			err, EPERM,
			"tier %s belongs to uid %u, not to uid %u that the daemon runs as: chown it",
			path, st.st_uid, geteuid());
	if (st.st_mode & 0022)
		return larder_error_set(
			err, EPERM, "tier %s may be written by others (mode %04o): chmod go-w it",
			path, st.st_mode & 07777);
	if (fs.f_flag & ST_RDONLY)
		return larder_error_set(err, EROFS, "tier %s is on a read-only file system", path);
	if (below_casefolds(fd))
		return larder_error_set(
			err, EINVAL,
			"tier %s folds the case of names, which makes two shards one: use a directory without casefold (chattr -F)",
			path);
	return 0;
}

/* A directory without an id may become a tier only when nothing of anybody's is in it. */
static int check_unused(const char *path, int fd, struct larder_error *err)
{
	auto_close_dir DIR *dir = NULL;
	struct dirent *entry;
	int copy = below_open(fd, ".", O_RDONLY | O_DIRECTORY, 0);

	if (copy < 0)
		return larder_error_set(err, copy, "tier %s: %s", path, strerror(-copy));
	dir = fdopendir(copy);
	if (!dir) {
		close(copy);
		return larder_error_set(err, ENOMEM, "tier %s: out of memory", path);
	}
	while ((entry = readdir(dir)) != NULL) {
		const char *name = entry->d_name;

		if (strcmp(name, ".") && strcmp(name, "..") && strcmp(name, "lost+found") &&
		    strcmp(name, ID_NEW))
			return larder_error_set(
				err, ENOTEMPTY,
				"tier %s holds \"%s\" but no %s: it belongs to something else; give larderd an empty directory",
				path, name, ID_FILE);
	}
	return 0;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static int id_write(int dir, struct larder_error *err)
{
	unsigned char random[ID_DIGITS / 2];
	char line[sizeof(ID_PREFIX) + ID_DIGITS + 1];
	size_t at = sizeof(ID_PREFIX) - 1;
	auto_fd int fd = -1;
	size_t i;
	int rc;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return larder_error_set(err, EIO, "cannot get random bytes for the tier's id");
	memcpy(line, ID_PREFIX, at);
	for (i = 0; i < sizeof(random); i++, at += 2)
		snprintf(line + at, 3, "%02x", random[i]);
	line[at++] = '\n';
	fd = below_open(dir, ID_NEW, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return larder_error_set(err, fd, "make %s: %s", ID_NEW, strerror(-fd));
	rc = write_all(fd, line, at);
	if (rc == 0 && (fsync(fd) < 0 || renameat(dir, ID_NEW, dir, ID_FILE) < 0 || fsync(dir) < 0))
		rc = -errno;
	return rc ? larder_error_set(err, rc, "write %s: %s", ID_FILE, strerror(-rc)) : 0;
}

static int id_read(struct tier *tier, struct larder_error *err)
{
	char line[sizeof(ID_PREFIX) + ID_DIGITS + 1];
	const size_t want = sizeof(line) - 1;
	const char *digits = line + sizeof(ID_PREFIX) - 1;
	ssize_t n = pread(tier->id_fd, line, sizeof(line), 0);

	if (n < 0)
		return larder_error_set(err, errno, "read %s/%s: %s", tier->path, ID_FILE,
					strerror(errno));
	if ((size_t)n != want || memcmp(line, ID_PREFIX, sizeof(ID_PREFIX) - 1) ||
	    line[want - 1] != '\n' || strspn(digits, "0123456789abcdef") != ID_DIGITS)
		return larder_error_set(err, EINVAL,
					"%s/%s is damaged: it must read \"%s\" and 32 hex digits",
					tier->path, ID_FILE, ID_PREFIX);
	memcpy(tier->id, digits, ID_DIGITS);
	tier->id[ID_DIGITS] = '\0';
	return 0;
}

/* A lock of the process, not of the descriptor: a child of ours that hangs must not keep it. */
static int id_lock(struct tier *tier, struct larder_error *err)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(tier->id_fd, F_SETLK, &lock) == 0)
		return 0;
	if (errno == EACCES || errno == EAGAIN)
		return larder_error_set(err, EBUSY, "tier %s is in use by another larderd",
					tier->path);
	return larder_error_set(err, errno, "lock %s/%s: %s", tier->path, ID_FILE, strerror(errno));
}

static int id_open(struct tier *tier, struct larder_error *err)
{
	int fd = below_open(tier->fd, ID_FILE, O_RDWR, 0);
	int rc;

	if (fd == -ENOENT) {
		rc = check_unused(tier->path, tier->fd, err);
		if (rc == 0)
			rc = id_write(tier->fd, err);
		if (rc)
			return rc;
		fd = below_open(tier->fd, ID_FILE, O_RDWR, 0);
	}
	if (fd < 0)
		return larder_error_set(err, fd, "open %s/%s: %s", tier->path, ID_FILE,
					strerror(-fd));
	tier->id_fd = fd;
	rc = id_lock(tier, err);
	return rc ? rc : id_read(tier, err);
}

static int tag_make(struct tier *tier, struct larder_error *err)
{
	auto_fd int fd = below_open(tier->fd, "CACHEDIR.TAG", O_WRONLY | O_CREAT, 0644);
	struct stat st;
	int rc = fd < 0 ? fd : 0;

	if (rc == 0 && fstat(fd, &st) < 0)
		rc = -errno;
	/* a crash may have left it short */
	if (rc == 0 && (size_t)st.st_size != sizeof(CACHEDIR_TAG) - 1)
		rc = write_all(fd, CACHEDIR_TAG, sizeof(CACHEDIR_TAG) - 1);
	return rc ? larder_error_set(err, rc, "make %s/CACHEDIR.TAG: %s", tier->path, strerror(-rc))
		  : 0;
}

static int subdir_open(struct tier *tier, const char *name, int *fd, struct larder_error *err)
{
	struct stat st;

	*fd = below_make_dir(tier->fd, name, 0700);
	if (*fd < 0)
		return larder_error_set(err, *fd, "make %s/%s: %s", tier->path, name,
					strerror(-*fd));
	if (fstat(*fd, &st) < 0)
		return larder_error_set(err, errno, "stat %s/%s: %s", tier->path, name,
					strerror(errno));
	if (st.st_uid != geteuid() || below_casefolds(*fd))
		return larder_error_set(err, EPERM, "%s/%s was not made by larderd: move it away",
					tier->path, name);
	return 0;
}

/* Proves by doing it that unnamed files work and can be given a name. */
static int probe_unnamed(struct tier *tier, struct larder_error *err)
{
	const struct naming naming = {.kind = NAMING_FD, .mode = 0400};
	struct naming named = naming;
	char unique[STORE_UNIQUE_MAX];
	int rc;

	auto_fd int fd = openat(tier->trash_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0400);
	rc = fd < 0 ? -errno : 0;
	if (rc == 0) {
		trash_unique(tier, unique);
		named.fd = fd;
		rc = naming_put(tier, tier->trash_fd, unique, &named);
		unlinkat(tier->trash_fd, unique, 0);
	}
	if (rc == -EOPNOTSUPP || rc == -EISDIR || rc == -EINVAL)
		return larder_error_set(
			err, EOPNOTSUPP,
			"tier %s: its file system has no unnamed files (O_TMPFILE); ext4, XFS, btrfs and tmpfs have",
			tier->path);
	return rc ? larder_error_set(err, rc, "tier %s: %s", tier->path, strerror(-rc)) : 0;
}

static int tier_prepare(struct tier *tier, struct larder_error *err)
{
	struct stat st;
	int rc = check_directory(tier->path, tier->fd, err);

	if (rc == 0)
		rc = id_open(tier, err);
	if (rc == 0)
		rc = tag_make(tier, err);
	if (rc == 0)
		rc = subdir_open(tier, "trees", &tier->trees_fd, err);
	if (rc == 0)
		rc = subdir_open(tier, "trash", &tier->trash_fd, err);
	if (rc == 0)
		rc = probe_unnamed(tier, err);
	if (rc)
		return rc;
	if (fsync(tier->fd) < 0 || fstat(tier->fd, &st) < 0)
		return larder_error_set(err, errno, "tier %s: %s", tier->path, strerror(errno));
	tier->dev = st.st_dev;
	tier->ino = st.st_ino;
	return committer_start(tier, &tier->committer, err);
}

int tier_open(const char *path, struct tier **out, char id[33], struct larder_error *err)
{
	struct tier *tier = calloc(1, sizeof(*tier));
	int rc = -EIO;

	if (!tier)
		return larder_error_set(err, ENOMEM, "tier %s: out of memory", path);
	tier->fd = tier->id_fd = tier->trees_fd = tier->trash_fd = -1;
	tier->path = realpath(path, NULL);
	if (tier->path)
		tier->fd = open(tier->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tier->fd < 0)
		rc = larder_error_set(err, errno, "tier %s: %s", path, strerror(errno));
	else
		rc = tier_prepare(tier, err);
	if (rc) {
		tier_close(tier);
		return rc;
	}
	memcpy(id, tier->id, sizeof(tier->id));
	*out = tier;
	return 0;
}

static void close_if(int fd)
{
	if (fd >= 0)
		close(fd);
}

void tier_close(struct tier *tier)
{
	if (!tier)
		return;
	committer_stop(tier->committer);
	close_if(tier->trash_fd);
	close_if(tier->trees_fd);
	close_if(tier->id_fd);
	close_if(tier->fd);
	free(tier->path);
	free(tier);
}

int tier_space(struct tier *tier, struct tier_space *space, struct larder_error *err)
{
	struct statvfs fs;

	if (fstatvfs(tier->fd, &fs) < 0)
		return larder_error_set(err, errno, "space of tier %s: %s", tier->path,
					strerror(errno));
	*space = (struct tier_space){
		.size = fs.f_blocks * fs.f_frsize,
		.free = fs.f_bfree * fs.f_frsize,
		.inodes = fs.f_files,
		.inodes_free = fs.f_ffree,
	};
	return 0;
}

dev_t tier_dev(const struct tier *tier)
{
	return tier->dev;
}

int tier_alive(struct tier *tier, struct larder_error *err)
{
	struct stat st;

	if (stat(tier->path, &st) < 0)
		return larder_error_set(err, errno, "tier %s: %s", tier->path, strerror(errno));
	if (st.st_dev != tier->dev || st.st_ino != tier->ino)
		return larder_error_set(
			err, ESTALE,
			"tier %s: something else is mounted there now, or it was unmounted",
			tier->path);
	return 0;
}
