/*
 * Owns: the world of tests of transfers, origins and scans. Called by: test_xfer, test_posix, …
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "larder/cleanup.h"
#include "scan/scan.h"
#include "xfer_help.h"

#define MTIME_S 1600000000

void world_open(struct world *w)
{
	const char *tmp = getenv("TMPDIR");

	/* not /dev/shm: direct writes are to be tried on a real file system */
	snprintf(w->dir, sizeof(w->dir), "%s/larder-unit-XXXXXX", tmp ? tmp : "/var/tmp");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->origin, sizeof(w->origin), "%s/origin", w->dir);
	snprintf(w->tree, sizeof(w->tree), "%s/tree", w->dir);
	assert_int_equal(mkdir(w->origin, 0755), 0);
	assert_int_equal(mkdir(w->tree, 0755), 0);
	assert_int_equal(chmod(w->dir, 0755), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void world_close(struct world *w)
{
	assert_int_equal(nftw(w->dir, remove_one, 32, FTW_DEPTH | FTW_PHYS), 0);
}

static void full_path(char *out, size_t len, const char *root, const char *path)
{
	assert_true(snprintf(out, len, "%s/%s", root, path) < (int)len);
}

static void make_parents(const char *full, size_t root_len)
{
	char dir[4600];

	snprintf(dir, sizeof(dir), "%s", full);
	for (char *at = strchr(dir + root_len + 1, '/'); at; at = strchr(at + 1, '/')) {
		*at = '\0';
		if (mkdir(dir, 0755))
			assert_int_equal(errno, EEXIST);
		*at = '/';
	}
}

static void set_time(const char *full)
{
	struct timespec times[2] = {{.tv_sec = MTIME_S}, {.tv_sec = MTIME_S}};

	assert_int_equal(utimensat(AT_FDCWD, full, times, AT_SYMLINK_NOFOLLOW), 0);
}

void world_file(const char *root, const char *path, size_t size, unsigned int seed)
{
	char full[4600];
	auto_free unsigned char *data = malloc(size + 4);
	uint64_t x = seed * 2654435761u + 88172645463325252ull;
	auto_file FILE *f = NULL;

	assert_non_null(data);
	for (size_t i = 0; i < size; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		data[i] = (unsigned char)x;
	}
	full_path(full, sizeof(full), root, path);
	make_parents(full, strlen(root));
	f = fopen(full, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fflush(f), 0);
	set_time(full);
}

void world_damage(const char *root, const char *path, size_t at)
{
	char full[4600];
	auto_fd int fd = -1;
	unsigned char byte;

	full_path(full, sizeof(full), root, path);
	fd = open(full, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
	set_time(full);
}

void world_link(const char *root, const char *path, const char *target)
{
	char full[4600];

	full_path(full, sizeof(full), root, path);
	make_parents(full, strlen(root));
	assert_int_equal(symlink(target, full), 0);
}

void world_dir(const char *root, const char *path)
{
	char full[4600];

	full_path(full, sizeof(full), root, path);
	make_parents(full, strlen(root));
	assert_int_equal(mkdir(full, 0755), 0);
}

int world_tmp(struct world *w)
{
	int fd = open(w->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

int world_manifest(struct world *w, const char *root)
{
	char *origins[1] = {strdup(root)};
	struct larder_manifest_head head = {.name = "d", .version = "v1", .n_origins = 1};
	struct scan_params params = {.origin = root, .head = &head, .earlier_manifest_fd = -1};
	struct larder_error err = {0};
	int fd = world_tmp(w);

	head.origins[0] = origins[0];
	if (scan_run(&params, fd, NULL, &err))
		fail_msg("scan: %s", err.text);
	free(origins[0]);
	return fd;
}

static char *slurp(const char *root, const char *path, size_t *len)
{
	char full[4600];
	struct stat st;
	auto_fd int fd = -1;
	char *data;

	full_path(full, sizeof(full), root, path);
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return NULL;
	data = malloc((size_t)st.st_size + 1);
	assert_non_null(data);
	for (*len = 0; *len < (size_t)st.st_size;) {
		ssize_t n = read(fd, data + *len, (size_t)st.st_size - *len);

		assert_true(n > 0);
		*len += (size_t)n;
	}
	return data;
}

bool world_same(const char *a_root, const char *b_root, const char *path)
{
	size_t a_len = 0, b_len = 1;
	auto_free char *a = slurp(a_root, path, &a_len);
	auto_free char *b = slurp(b_root, path, &b_len);

	return a && b && a_len == b_len && memcmp(a, b, a_len) == 0;
}

bool world_has(const char *root, const char *path)
{
	char full[4600];
	struct stat st;

	full_path(full, sizeof(full), root, path);
	return lstat(full, &st) == 0;
}

/* --- the sink --- */

static int sink_create(struct sink *base, uint64_t size, bool direct, int *fd,
		       struct larder_error *err)
{
	struct test_sink *sink = (struct test_sink *)base;

	(void)size;
	sink->created++;
	if (sink->create_rc)
		return larder_error_set(err, sink->create_rc, "the test's create fails");
	if (sink->full)
		*fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	else
		*fd = open(sink->root, O_TMPFILE | O_RDWR | O_CLOEXEC | (direct ? O_DIRECT : 0),
			   0444);
	return *fd < 0 ? larder_error_set(err, errno, "open: %s", strerror(errno)) : 0;
}

static void sink_path(struct test_sink *sink, const struct shard *shard, char *out, size_t len)
{
	snprintf(out, len, "%s/%s", sink->root, shard->path);
	make_parents(out, strlen(sink->root));
}

static int sink_commit(struct sink *base, const struct shard *shard, int fd,
		       struct larder_error *err)
{
	struct test_sink *sink = (struct test_sink *)base;
	auto_fd int own = fd;
	char from[64], full[4600];
	struct stat st;

	if (sink->commit_us)
		usleep(sink->commit_us);
	if (sink->commit_rc)
		return larder_error_set(err, sink->commit_rc, "the test's commit fails");
	if (sink->nowhere) {
		sink->committed++;
		return 0;
	}
	if (fstat(own, &st) || (uint64_t)st.st_size != shard->size)
		return larder_error_set(err, EIO, "the test's sink got another size");
	sink_path(sink, shard, full, sizeof(full));
	snprintf(from, sizeof(from), "/proc/self/fd/%d", own);
	if (linkat(AT_FDCWD, from, AT_FDCWD, full, AT_SYMLINK_FOLLOW))
		return larder_error_set(err, errno, "link %s: %s", full, strerror(errno));
	sink->committed++;
	return 0;
}

static int sink_link(struct sink *base, const struct shard *shard, struct larder_error *err)
{
	struct test_sink *sink = (struct test_sink *)base;
	char from[4600], full[4600];

	if (sink->link_rc)
		return larder_error_set(err, sink->link_rc, "the test's link fails");
	snprintf(from, sizeof(from), "%s/%s", sink->base, shard->path);
	sink_path(sink, shard, full, sizeof(full));
	if (link(from, full))
		return larder_error_set(err, errno, "link %s: %s", full, strerror(errno));
	sink->linked++;
	return 0;
}

static int sink_make(struct sink *base, const struct shard *shard, struct larder_error *err)
{
	struct test_sink *sink = (struct test_sink *)base;
	char full[4600];
	int rc;

	sink->made++;
	if (sink->nowhere)
		return 0;
	sink_path(sink, shard, full, sizeof(full));
	if (shard->type == SHARD_SYMLINK)
		rc = symlink(shard->target, full);
	else if (shard->type == SHARD_DIR)
		rc = mkdir(full, 0755);
	else
		rc = mknod(full, S_IFREG | 0444, 0);
	return rc ? larder_error_set(err, errno, "make %s: %s", full, strerror(errno)) : 0;
}

static int sink_flush(struct sink *base, struct larder_error *err)
{
	struct test_sink *sink = (struct test_sink *)base;

	sink->flushed++;
	return sink->flush_rc ? larder_error_set(err, sink->flush_rc, "the test's flush fails") : 0;
}

void test_sink_init(struct test_sink *sink, const char *root)
{
	static const struct sink_ops ops = {
		.create = sink_create,
		.commit = sink_commit,
		.link = sink_link,
		.make = sink_make,
		.flush = sink_flush,
	};

	memset(sink, 0, sizeof(*sink));
	sink->sink.ops = &ops;
	snprintf(sink->root, sizeof(sink->root), "%s", root);
}

/* --- waiting for done() --- */

void outcome_init(struct outcome *outcome)
{
	*outcome = (struct outcome){0};
	pthread_mutex_init(&outcome->lock, NULL);
	pthread_cond_init(&outcome->change, NULL);
}

void outcome_done(int rc, const struct larder_error *err, void *arg)
{
	struct outcome *outcome = arg;

	pthread_mutex_lock(&outcome->lock);
	outcome->calls++;
	outcome->rc = rc;
	outcome->err = *err;
	pthread_cond_broadcast(&outcome->change);
	pthread_mutex_unlock(&outcome->lock);
}

int outcome_wait(struct outcome *outcome)
{
	int rc;

	pthread_mutex_lock(&outcome->lock);
	while (!outcome->calls)
		pthread_cond_wait(&outcome->change, &outcome->lock);
	rc = outcome->rc;
	pthread_mutex_unlock(&outcome->lock);
	return rc;
}

struct xfer_pool *small_pool(bool no_uring, unsigned int threads)
{
	struct xfer_pool_params params = {
		.threads = threads,
		.memory_bytes = (threads + 2) * 64u * 1024u,
		.no_uring = no_uring,
	};
	struct xfer_pool *pool = NULL;
	struct larder_error err = {0};

	if (xfer_pool_create(&params, &pool, &err))
		fail_msg("pool: %s", err.text);
	return pool;
}
