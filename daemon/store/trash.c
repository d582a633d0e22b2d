/*
 * The trash: what was moved out of trees/ and is still to be unlinked, at a rate the caller may
 * change all the while. Must not look at trees. Called by workers of the server, several at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "store/inside.h"

#define DEPTH_MAX   16 /* deeper directories become entries of the trash: bounded descriptors */
#define NS_PER_S    INT64_C(1000000000)
#define SLICE_NS    (20 * 1000 * 1000) /* how soon a lifted limit or a stop is seen */
#define XFS_MAGIC   0x58465342
#define XFS_WAIT_MS 500 /* XFS frees the blocks of an unlinked file a little later */
#define STAT_BLOCK  512 /* st_blocks' unit */

struct emptier {
	struct tier *tier;
	const _Atomic uint32_t *files_per_s;
	const _Atomic bool *stop;
	int64_t due_ns;
	uint64_t removed;
	uint64_t expected; /* bytes that should show up as free */
	int error;	   /* the first; the rest is emptied all the same */
};

static bool stopped(const struct emptier *e)
{
	return e->stop && atomic_load(e->stop);
}

/* One file's share of the time. An idle second does not save up for a burst. */
static void pace(struct emptier *e)
{
	uint32_t rate = e->files_per_s ? atomic_load(e->files_per_s) : 0;
	int64_t now = clock_mono_ns();

	if (e->due_ns < now)
		e->due_ns = now;
	if (rate)
		e->due_ns += NS_PER_S / rate;
	while (rate && !stopped(e) && e->due_ns - now > SLICE_NS / 4) {
		int64_t left = e->due_ns - now;
		struct timespec slice = {.tv_nsec = left < SLICE_NS ? left : SLICE_NS};

		nanosleep(&slice, NULL);
		now = clock_mono_ns();
		rate = atomic_load(e->files_per_s);
	}
}

static void removed(struct emptier *e, int rc)
{
	if (rc == 0)
		e->removed++;
	else if (errno != ENOENT && errno != ENOTEMPTY && e->error == 0)
		e->error = -errno;
}

static void remove_file(struct emptier *e, int dir, const char *name)
{
	struct stat st;
	bool last = fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_nlink == 1;
	int rc = unlinkat(dir, name, 0);

	if (rc == 0 && last)
		e->expected += (uint64_t)st.st_blocks * STAT_BLOCK;
	removed(e, rc);
	pace(e);
}

/* True when the directory was moved up, to be emptied as an entry of its own. */
static bool lift(struct emptier *e, int dir, const char *name, int depth)
{
	char unique[STORE_UNIQUE_MAX];

	if (depth < DEPTH_MAX)
		return false;
	trash_unique(e->tier, unique);
	return renameat(dir, name, e->tier->trash_fd, unique) == 0;
}

static bool is_dir(int dir, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static void empty_dir(struct emptier *e, int fd, int depth);

static void remove_dir(struct emptier *e, int dir, const char *name, int depth)
{
	int fd;

	if (lift(e, dir, name, depth)) {
		e->removed++;
		return;
	}
	fd = below_open(dir, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0) {
		errno = -fd;
		removed(e, -1);
		return;
	}
	empty_dir(e, fd, depth + 1);
	removed(e, unlinkat(dir, name, AT_REMOVEDIR));
	pace(e);
}

/* Takes fd. */
static void empty_dir(struct emptier *e, int fd, int depth)
{
	auto_close_dir DIR *stream = fdopendir(fd);
	struct dirent *entry;

	if (!stream) {
		close(fd);
		e->error = -ENOMEM;
		return;
	}
	while (!stopped(e) && (entry = readdir(stream)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (is_dir(dirfd(stream), entry))
			remove_dir(e, dirfd(stream), entry->d_name, depth);
		else
			remove_file(e, dirfd(stream), entry->d_name);
	}
}

/* Again as long as it gets on: entries come in meanwhile, and deep directories are lifted. */
static int empty_all(struct emptier *e)
{
	uint64_t before;

	do {
		int fd = below_open(e->tier->trash_fd, ".", O_RDONLY | O_DIRECTORY, 0);

		if (fd < 0)
			return fd;
		before = e->removed;
		empty_dir(e, fd, 0);
	} while (!stopped(e) && e->removed > before && !trash_is_empty(e->tier));
	return e->error;
}

static uint64_t free_bytes(struct tier *tier)
{
	struct tier_space space = {0};

	return tier_space(tier, &space, NULL) == 0 ? space.free : 0;
}

static uint64_t measure(struct emptier *e, uint64_t before)
{
	const struct timespec tick = {.tv_nsec = 5 * 1000 * 1000};
	int64_t until = clock_mono_ns() + XFS_WAIT_MS * INT64_C(1000000);
	uint64_t now = free_bytes(e->tier);
	struct statfs fs;

	if (fstatfs(e->tier->fd, &fs) == 0 && (uint32_t)fs.f_type == XFS_MAGIC)
		while (now < before + e->expected && !stopped(e) && clock_mono_ns() < until) {
			nanosleep(&tick, NULL);
			now = free_bytes(e->tier);
		}
	return now > before ? now - before : 0;
}

int trash_empty(struct tier *tier, const _Atomic uint32_t *files_per_s, const _Atomic bool *stop,
		uint64_t *freed, struct larder_error *err)
{
	struct emptier e = {.tier = tier, .files_per_s = files_per_s, .stop = stop};
	uint64_t before = free_bytes(tier);
	int rc = empty_all(&e);

	*freed = measure(&e, before);
	if (rc)
		return larder_error_set(err, rc, "empty the trash of tier %s: %s", tier->path,
					strerror(-rc));
	return 0;
}

bool trash_is_empty(struct tier *tier)
{
	int fd = below_open(tier->trash_fd, ".", O_RDONLY | O_DIRECTORY, 0);
	auto_close_dir DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!stream && fd >= 0)
		close(fd);
	while (stream && (entry = readdir(stream)) != NULL)
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			return false;
	return true;
}

/* --- what unlinking would free --- */

struct weight {
	uint64_t bytes, inodes;
	bool files_only;
};

static int weigh(int dir, const struct dirent *entry, void *arg)
{
	struct weight *weight = arg;
	struct stat st;

	if (fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISDIR(st.st_mode) ? weight->files_only : st.st_nlink > 1)
		return 0;
	weight->bytes += (uint64_t)st.st_blocks * STAT_BLOCK;
	weight->inodes++;
	return 0;
}

int trash_bytes(struct tier *tier, uint64_t *bytes, struct larder_error *err)
{
	struct weight weight = {.files_only = true};
	int rc = store_walk(tier->trash_fd, weigh, &weight);

	*bytes = weight.bytes;
	if (rc)
		return larder_error_set(err, rc, "read the trash of tier %s: %s", tier->path,
					strerror(-rc));
	return 0;
}

int tree_weight(struct tier *tier, const struct tree_key *key, uint64_t *bytes, uint64_t *inodes,
		struct larder_error *err)
{
	struct weight weight = {0};
	char path[STORE_KEY_PATH_MAX];
	auto_fd int fd = -1;
	int rc = tree_key_path(key, "", path, err);

	if (rc)
		return rc;
	fd = below_open(tier->trees_fd, path, O_RDONLY | O_DIRECTORY, 0);
	rc = fd < 0 ? fd : store_walk(fd, weigh, &weight);
	if (rc)
		return larder_error_set(err, rc, "weigh %s/trees/%s: %s", tier->path, path,
					strerror(-rc));
	*bytes = weight.bytes;
	*inodes = weight.inodes + 1; /* the tree's own directory */
	return 0;
}
