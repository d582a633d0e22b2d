/*
 * Transfers from start to done(): all kinds of shards, every way an origin or the cache can fail,
 * one transfer beside another. With both engines where it matters.
 */
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "skip.h"

#include "larder/cleanup.h"
#include "origin/origins.h"
#include "xfer/pool.h"
#include "xfer_help.h"

#define KB 1024u

/* One transfer of a world, with what tests turn. */
struct run {
	struct world world;
	struct test_sink sink;
	struct outcome outcome;
	struct transfer_params params;
	struct transfer_progress progress;
	const char *origins[2];
};

static void run_open(struct run *r)
{
	memset(r, 0, sizeof(*r));
	world_open(&r->world);
	test_sink_init(&r->sink, r->world.tree);
	outcome_init(&r->outcome);
	r->origins[0] = r->world.origin;
	r->params = (struct transfer_params){
		.want = {.manifest_fd = -1, .base_manifest_fd = -1},
		.origins = r->origins,
		.n_origins = 1,
		.sink = &r->sink.sink,
		.done = outcome_done,
		.arg = &r->outcome,
	};
}

static void run_close(struct run *r)
{
	if (r->params.want.manifest_fd >= 0)
		close(r->params.want.manifest_fd);
	if (r->params.want.base_manifest_fd >= 0)
		close(r->params.want.base_manifest_fd);
	world_close(&r->world);
}

static void run_scan(struct run *r)
{
	r->params.want.manifest_fd = world_manifest(&r->world, r->world.origin);
}

static int run_with(struct run *r, struct xfer_pool *pool, const struct source_ops *const *ops)
{
	struct transfer *transfer = NULL;
	struct larder_error err = {0};
	int rc;

	if (transfer_start(pool, ops, &r->params, &transfer, &err))
		fail_msg("start: %s", err.text);
	rc = outcome_wait(&r->outcome);
	transfer_progress_get(transfer, &r->progress);
	assert_string_equal(r->progress.phase, "done");
	transfer_destroy(transfer);
	assert_int_equal(r->outcome.calls, 1);
	return rc;
}

static int run_now(struct run *r, bool no_uring)
{
	struct xfer_pool *pool = small_pool(no_uring, 4);
	int rc = run_with(r, pool, origins);

	xfer_pool_destroy(pool);
	return rc;
}

static void assert_says(const struct run *r, const char *part)
{
	if (!strstr(r->outcome.err.text, part))
		fail_msg("\"%s\" does not say \"%s\"", r->outcome.err.text, part);
}

/* --- what a transfer brings --- */

static const char *const files[] = {"a",       "b/c",	     "b/d e",	  "b/new\nline",
				    "b.x",     "\xc3\xa4/f", "big/exact", "big/odd",
				    "big/one", "big/huge",   "z/y/x/w/v"};
static const size_t sizes[] = {
	1, 100, 5000, 4096, 65535, 7, 64 * KB * 4, 64 * KB * 3 + 5, 65536, 3000 * KB + 1, 4097};

static void fill_origin(const struct run *r)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		world_file(r->world.origin, files[i], sizes[i], (unsigned int)i);
	world_file(r->world.origin, "empty file", 0, 0);
	world_link(r->world.origin, "b/link", "../a");
	world_dir(r->world.origin, "empty/dir");
}

static void brings_all(bool no_uring)
{
	struct run r;
	uint64_t bytes = 0;

	run_open(&r);
	fill_origin(&r);
	run_scan(&r);
	assert_int_equal(run_now(&r, no_uring), 0);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		assert_true(world_same(r.world.origin, r.world.tree, files[i]));
		bytes += sizes[i];
	}
	assert_true(world_has(r.world.tree, "empty file"));
	assert_true(world_has(r.world.tree, "b/link"));
	assert_true(world_has(r.world.tree, "empty/dir"));
	assert_int_equal(r.progress.done_bytes, bytes);
	assert_int_equal(r.progress.origin_bytes, bytes);
	assert_int_equal(r.progress.done_shards, sizeof(files) / sizeof(*files) + 3);
	assert_int_equal(r.sink.flushed, 1);
	run_close(&r);
}

static void test_brings_all(void **state)
{
	(void)state;
	brings_all(false);
	brings_all(true);
}

static void test_other_device_is_direct(void **state)
{
	struct run r;
	char shm[] = "/dev/shm/larder-unit-XXXXXX";
	const char *kept = getenv("TMPDIR");
	struct world other;

	(void)state;
	if (!mkdtemp(shm))
		skip_because("needs a tmpfs at /dev/shm");
	setenv("TMPDIR", shm, 1);
	world_open(&other);
	if (kept)
		setenv("TMPDIR", kept, 1);
	else
		unsetenv("TMPDIR");
	run_open(&r);
	world_file(other.origin, "big", 1000 * KB + 3, 1);
	r.params.want.manifest_fd = world_manifest(&r.world, other.origin);
	r.origins[0] = other.origin;
	assert_int_equal(run_now(&r, false), 0);
	assert_non_null(strstr(r.progress.engine, "memory: "));
	assert_non_null(strstr(r.progress.engine, "direct"));
	assert_true(world_same(other.origin, r.world.tree, "big"));
	run_close(&r);
	world_close(&other);
	assert_int_equal(rmdir(shm), 0);
}

/* What memory gives says nothing of the disk, whichever way it went. */
static void test_what_is_cached_is_no_probe(void **state)
{
	struct xfer_pool pool = {0};
	struct lane lane = {.pool = &pool};
	struct transfer transfer = {0};
	struct item item = {.shard.size = 64 * KB};
	char full[600];
	bool cached;
	struct run r;

	(void)state;
	run_open(&r);
	world_file(r.world.origin, "warm", 64 * KB, 1);
	snprintf(full, sizeof(full), "%s/warm", r.world.origin);
	item.in = open(full, O_RDONLY | O_CLOEXEC);
	item.out = open(r.world.tree, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(item.in >= 0 && item.out >= 0);
	cached = engine_is_cached(item.in, item.shard.size);
	ways_init(&pool.ways, true);
	for (int i = 0; cached && i < 8; i++) {
		pair_choose(&lane, &transfer, &item);
		assert_false(item.way.probing);
		assert_int_not_equal(item.way.way, WAY_PAST);
	}
	ways_fini(&pool.ways);
	close(item.in);
	close(item.out);
	run_close(&r);
	if (!cached)
		skip_because("this kernel does not tell what is cached");
}

static void test_present_and_subsets(void **state)
{
	const char *subsets[] = {"b", "z/*/x"};
	uint8_t present[2] = {0};
	struct run r;

	(void)state;
	run_open(&r);
	world_file(r.world.origin, "a", 10, 1);	     /* 0 */
	world_file(r.world.origin, "b/c", 10, 2);    /* 1 */
	world_file(r.world.origin, "b/d", 10, 3);    /* 2: present */
	world_file(r.world.origin, "bb", 10, 4);     /* 3 */
	world_file(r.world.origin, "z/y/x/w", 9, 5); /* 4 */
	run_scan(&r);
	present[0] = 1u << 2;
	r.params.want.present = present;
	r.params.want.subsets = subsets;
	r.params.want.n_subsets = 2;
	assert_int_equal(run_now(&r, false), 0);
	assert_true(world_has(r.world.tree, "b/c"));
	assert_true(world_has(r.world.tree, "z/y/x/w"));
	assert_false(world_has(r.world.tree, "a"));
	assert_false(world_has(r.world.tree, "b/d"));
	assert_false(world_has(r.world.tree, "bb"));
	assert_int_equal(r.progress.done_shards, 2);
	run_close(&r);
}

/* An earlier version in another directory of the world; "same" is the same there. */
static void make_base(struct run *r)
{
	char base[400];

	snprintf(base, sizeof(base), "%s/base", r->world.dir);
	assert_int_equal(mkdir(base, 0755), 0);
	world_file(base, "changed", 200 * KB, 1);
	world_file(base, "gone", 10, 2);
	world_file(base, "same", 200 * KB, 3);
	r->params.want.base_manifest_fd = world_manifest(&r->world, base);
	snprintf(r->sink.base, sizeof(r->sink.base), "%.290s", base);
	world_file(r->world.origin, "changed", 200 * KB, 9);
	world_file(r->world.origin, "new", 10, 2);
	world_file(r->world.origin, "same", 200 * KB, 3);
	run_scan(r);
}

static void test_links_what_is_the_same(void **state)
{
	struct run r;

	(void)state;
	run_open(&r);
	make_base(&r);
	assert_int_equal(run_now(&r, false), 0);
	assert_int_equal(r.sink.linked, 1);
	assert_int_equal(r.progress.linked_bytes, 200 * KB);
	assert_int_equal(r.progress.origin_bytes, 200 * KB + 10);
	assert_int_equal(r.progress.done_bytes, 400 * KB + 10);
	assert_true(world_same(r.world.origin, r.world.tree, "same"));
	run_close(&r);
}

static void test_copies_what_cannot_be_linked(void **state)
{
	const int refusals[] = {-EMLINK, -EXDEV, -ENOENT};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct run r;

		run_open(&r);
		make_base(&r);
		r.sink.link_rc = refusals[i];
		assert_int_equal(run_now(&r, false), 0);
		assert_int_equal(r.sink.linked, 0);
		assert_int_equal(r.progress.linked_bytes, 0);
		assert_true(world_same(r.world.origin, r.world.tree, "same"));
		run_close(&r);
	}
}

static void test_other_link_failures_end_it(void **state)
{
	struct run r;

	(void)state;
	run_open(&r);
	make_base(&r);
	r.sink.link_rc = -EIO;
	assert_int_equal(run_now(&r, false), -EIO);
	run_close(&r);
}

/* --- origins that are not what the manifest says --- */

static void damaged(size_t size, bool no_uring)
{
	struct run r;

	run_open(&r);
	world_file(r.world.origin, "sub/bad", size, 1);
	run_scan(&r);
	world_damage(r.world.origin, "sub/bad", size / 2);
	assert_int_equal(run_now(&r, no_uring), -EBADMSG);
	assert_says(&r, "sub/bad");
	assert_says(&r, r.world.origin);
	assert_says(&r, "publish a new version");
	assert_int_equal(r.progress.digest_mismatches, 2); /* read once more */
	assert_int_equal(r.progress.done_bytes, 0);
	assert_int_equal(r.progress.done_shards, 0);
	assert_false(world_has(r.world.tree, "sub/bad"));
	run_close(&r);
}

static void test_damaged(void **state)
{
	(void)state;
	damaged(1000, false);
	damaged(1000 * KB, false);
	damaged(1000 * KB, true);
}

static void test_changed_since(void **state)
{
	const size_t lengths[] = {1000, 1000 * KB};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
		char full[600];
		struct run r;

		run_open(&r);
		world_file(r.world.origin, "f", lengths[i], 1);
		run_scan(&r);
		world_file(r.world.origin, "f", lengths[i], 2);
		snprintf(full, sizeof(full), "%s/f", r.world.origin);
		assert_int_equal(utimensat(AT_FDCWD, full, now, 0), 0);
		assert_int_equal(run_now(&r, false), -ESTALE);
		assert_says(&r, "changed at the origin");
		assert_says(&r, "publish a new version");
		run_close(&r);
	}
}

static void test_touched_is_still_right(void **state)
{
	struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
	char full[600];
	struct run r;

	(void)state;
	run_open(&r);
	world_file(r.world.origin, "f", 1000, 1);
	run_scan(&r);
	snprintf(full, sizeof(full), "%s/f", r.world.origin);
	assert_int_equal(utimensat(AT_FDCWD, full, now, 0), 0);
	assert_int_equal(run_now(&r, false), 0);
	run_close(&r);
}

static void resized(size_t before, size_t after)
{
	struct run r;

	run_open(&r);
	world_file(r.world.origin, "f", before, 1);
	run_scan(&r);
	world_file(r.world.origin, "f", after, 1);
	assert_int_equal(run_now(&r, false), -ESTALE);
	assert_says(&r, "publish a new version");
	assert_int_equal(r.progress.origin_errors, 1);
	run_close(&r);
}

static void test_resized(void **state)
{
	(void)state;
	resized(1000, 999);
	resized(1000, 1001);
	resized(1000 * KB, 1000 * KB + 1);
	resized(1000 * KB, 0);
}

static void test_vanished(void **state)
{
	char full[600];
	struct run r;

	(void)state;
	run_open(&r);
	world_file(r.world.origin, "here", 1000, 1);
	world_file(r.world.origin, "not here", 1000, 1);
	run_scan(&r);
	snprintf(full, sizeof(full), "%s/not here", r.world.origin);
	assert_int_equal(unlink(full), 0);
	assert_int_equal(run_now(&r, false), -ENOENT);
	assert_says(&r, "not%20here");
	assert_says(&r, r.world.origin);
	run_close(&r);
}

static void test_unreadable_for_the_reader(void **state)
{
	char full[600];
	struct run r;

	(void)state;
	if (geteuid() != 0)
		skip_because("needs root");
	run_open(&r);
	world_file(r.world.origin, "closed", 1000, 1);
	run_scan(&r);
	snprintf(full, sizeof(full), "%s/closed", r.world.origin);
	assert_int_equal(chmod(full, 0600), 0);
	r.params.as = (struct source_as){.uid = 65534, .gid = 65534};
	assert_int_equal(run_now(&r, false), -EACCES);
	assert_says(&r, "user 65534 may not read closed");
	assert_int_equal(chmod(full, 0644), 0);
	outcome_init(&r.outcome);
	assert_int_equal(run_now(&r, false), 0);
	run_close(&r);
}

/* --- several origins --- */

static void test_next_origin(void **state)
{
	char second[400];
	struct run r;

	(void)state;
	run_open(&r);
	world_file(r.world.origin, "a", 1000, 1);
	world_file(r.world.origin, "b", 1000 * KB, 2);
	run_scan(&r);
	snprintf(second, sizeof(second), "%s/second", r.world.dir);
	assert_int_equal(mkdir(second, 0755), 0);
	world_file(second, "a", 1000, 1);
	world_file(second, "b", 1000 * KB, 2);
	world_damage(r.world.origin, "a", 5);
	world_damage(r.world.origin, "b", 5);
	r.origins[1] = second;
	r.params.n_origins = 2;
	assert_int_equal(run_now(&r, false), 0);
	assert_int_equal(r.progress.origin_errors, 2);
	assert_int_equal(r.progress.digest_mismatches, 2); /* the retry is from elsewhere */
	assert_true(world_same(second, r.world.tree, "a"));
	assert_true(world_same(second, r.world.tree, "b"));
	run_close(&r);
}

static void test_first_origin_is_no_more(void **state)
{
	struct run r;

	(void)state;
	run_open(&r);
	for (unsigned int i = 0; i < 50; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%u", i);
		world_file(r.world.origin, name, 1000, i);
	}
	run_scan(&r);
	r.origins[0] = "/nonexistent/larder";
	r.origins[1] = r.world.origin;
	r.params.n_origins = 2;
	assert_int_equal(run_now(&r, false), 0);
	assert_true(r.progress.origin_errors < 10); /* then the second is asked first */
	assert_int_equal(r.progress.done_shards, 50);
	run_close(&r);
}

static void test_all_origins_fail(void **state)
{
	struct run r;

	(void)state;
	run_open(&r);
	world_file(r.world.origin, "a", 1000, 1);
	run_scan(&r);
	world_damage(r.world.origin, "a", 5);
	r.origins[1] = "/nonexistent/larder";
	r.params.n_origins = 2;
	assert_int_equal(run_now(&r, false), -EBADMSG);
	assert_says(&r, "do not match");
	assert_says(&r, "the other origins failed, too");
	run_close(&r);
}

static void test_no_such_kind(void **state)
{
	struct xfer_pool *pool = small_pool(false, 2);
	struct transfer *transfer;
	struct larder_error err;
	struct run r;

	(void)state;
	run_open(&r);
	r.origins[0] = "gopher://x";
	assert_int_equal(transfer_start(pool, origins, &r.params, &transfer, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "gopher://x"));
	r.params.n_origins = 0;
	assert_int_equal(transfer_start(pool, origins, &r.params, &transfer, &err), -EINVAL);
	xfer_pool_destroy(pool);
	run_close(&r);
}

/* --- the cache fails --- */

static void test_full_cache(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++) {
		const size_t size = i % 2 ? 1000 * KB : 1000;
		struct run r;

		run_open(&r);
		world_file(r.world.origin, "a", size, 1);
		run_scan(&r);
		if (i < 2)
			r.sink.create_rc = -ENOSPC;
		else if (i < 4)
			r.sink.commit_rc = -ENOSPC;
		else
			r.sink.full = true;
		r.origins[1] = r.world.origin; /* another origin is no help */
		r.params.n_origins = 2;
		assert_int_equal(run_now(&r, false), -ENOSPC);
		assert_int_equal(r.progress.origin_errors, 0);
		assert_int_equal(r.progress.done_bytes, 0);
		assert_int_equal(r.sink.created, i % 2 && i != 1 ? 2 : 1); /* a clone was tried */
		run_close(&r);
	}
}

static void test_sync_fails(void **state)
{
	struct run r;

	(void)state;
	run_open(&r);
	world_file(r.world.origin, "a", 1000, 1);
	run_scan(&r);
	r.sink.flush_rc = -EIO;
	assert_int_equal(run_now(&r, false), -EIO);
	assert_says(&r, "the test's flush fails");
	run_close(&r);
}

static void test_damaged_manifest(void **state)
{
	struct run r;
	struct stat st;

	(void)state;
	run_open(&r);
	world_file(r.world.origin, "a", 1000, 1);
	world_file(r.world.origin, "b", 1000, 1);
	run_scan(&r);
	assert_int_equal(fstat(r.params.want.manifest_fd, &st), 0);
	assert_int_equal(ftruncate(r.params.want.manifest_fd, st.st_size - 1), 0);
	assert_true(run_now(&r, false) < 0);
	run_close(&r);
}

/* --- in-test origins: a directory read with a twist --- */

struct twist {
	struct source base; /* first */
	struct source *posix;
};

/* What the twists below do; a test sets it before its transfer. */
static struct {
	_Atomic int opens;
	_Atomic bool bad_once, grown;
	const char *bad_path; /* bad_once is about this one; NULL: any */
	_Atomic int fetch_rc;
	_Atomic uint64_t cut_at; /* a stream ends here */
	sem_t *gate;		 /* each open waits for it */
} twisted;

static bool twist_owns(const char *origin)
{
	return origin[0] == '/';
}

static const struct source_ops twist_stream;
static const struct source_ops twist_open;

static int twist_make(const struct source_ops *ops, const char *origin, const struct source_as *as,
		      const struct source_options *options, struct source **out,
		      struct larder_error *err)
{
	struct twist *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->base.ops = ops;
	*out = &t->base;
	return source_posix.open(origin, as, options, &t->posix, err);
}

static int stream_make(const char *origin, const struct source_as *as,
		       const struct source_options *options, struct source **out,
		       struct larder_error *err)
{
	return twist_make(&twist_stream, origin, as, options, out, err);
}

static int open_make(const char *origin, const struct source_as *as,
		     const struct source_options *options, struct source **out,
		     struct larder_error *err)
{
	return twist_make(&twist_open, origin, as, options, out, err);
}

static void twist_close(struct source *base)
{
	struct twist *t = (struct twist *)base;

	if (t->posix)
		source_posix.close(t->posix);
	free(t);
}

/* A file of the same name in ".bad" or ".grown" is what is opened instead. */
static int twist_open_shard(struct source *base, const struct shard *shard, int *fd,
			    struct larder_error *err)
{
	struct twist *t = (struct twist *)base;
	struct shard other = *shard;
	char path[300];

	twisted.opens++;
	if (twisted.gate)
		while (sem_wait(twisted.gate))
			;
	if ((!twisted.bad_path || !strcmp(shard->path, twisted.bad_path)) &&
	    atomic_exchange(&twisted.bad_once, false)) {
		snprintf(path, sizeof(path), "bad/%s", shard->path);
		other.path = path;
	} else if (twisted.grown) {
		snprintf(path, sizeof(path), "grown/%s", shard->path);
		other.path = path;
		other.size++;
	}
	return source_posix.open_shard(t->posix, &other, fd, err);
}

static int twist_fetch(struct source *base, const struct shard *shard, uint64_t offset,
		       int (*put)(const void *data, size_t len, void *arg), void *arg,
		       struct larder_error *err)
{
	struct twist *t = (struct twist *)base;
	const char *path = atomic_exchange(&twisted.bad_once, false) ? "bad/f" : shard->path;
	struct shard other = *shard;
	auto_fd int fd = -1;
	char piece[7777];
	ssize_t n;
	int rc;

	other.path = path;
	rc = source_posix.open_shard(t->posix, &other, &fd, err);
	while (!rc && (n = pread(fd, piece, sizeof(piece), (off_t)offset)) > 0) {
		if (twisted.fetch_rc && offset > 3000)
			return larder_error_set(err, twisted.fetch_rc, "the line broke");
		if (twisted.cut_at && offset + (uint64_t)n > twisted.cut_at)
			n = (ssize_t)(twisted.cut_at - offset);
		if (n <= 0)
			break;
		rc = put(piece, (size_t)n, arg);
		offset += (uint64_t)n;
	}
	return rc;
}

static const struct source_ops twist_stream = {
	.kind = "stream",
	.owns = twist_owns,
	.open = stream_make,
	.close = twist_close,
	.fetch = twist_fetch,
};
static const struct source_ops twist_open = {
	.kind = "twist",
	.owns = twist_owns,
	.open = open_make,
	.close = twist_close,
	.open_shard = twist_open_shard,
};
static const struct source_ops *const streams[] = {&twist_stream, NULL};
static const struct source_ops *const twists[] = {&twist_open, NULL};

static void twist_reset(void)
{
	memset(&twisted, 0, sizeof(twisted));
}

/* f, and what else may come in its place. */
static void twist_files(struct run *r, size_t size)
{
	char only[400];

	twist_reset();
	snprintf(only, sizeof(only), "%s/only", r->world.dir);
	assert_int_equal(mkdir(only, 0755), 0);
	world_file(only, "f", size, 1);
	r->params.want.manifest_fd = world_manifest(&r->world, only);
	world_file(r->world.origin, "f", size, 1);
	world_file(r->world.origin, "bad/f", size, 2);
	world_file(r->world.origin, "grown/f", size + 1, 1);
}

static int run_twisted(struct run *r, const struct source_ops *const *ops, bool no_uring)
{
	struct xfer_pool *pool = small_pool(no_uring, 4);
	int rc = run_with(r, pool, ops);

	xfer_pool_destroy(pool);
	return rc;
}

static void test_heals_at_the_second_read(void **state)
{
	const size_t lengths[] = {1000, 1000 * KB};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct run r;

		run_open(&r);
		twist_files(&r, lengths[i % 2]);
		twisted.bad_once = true;
		assert_int_equal(run_twisted(&r, i < 2 ? twists : streams, false), 0);
		assert_int_equal(r.progress.digest_mismatches, 1);
		assert_int_equal(r.progress.done_bytes, lengths[i % 2]);
		assert_int_equal(r.progress.origin_bytes,
				 (i < 2 && i % 2 == 0 ? 1 : 2) * lengths[i % 2]);
		assert_true(world_same(r.world.origin, r.world.tree, "f"));
		run_close(&r);
	}
}

static void test_grows_after_it_was_opened(void **state)
{
	const size_t lengths[] = {1000, 1000 * KB};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct run r;

		run_open(&r);
		twist_files(&r, lengths[i % 2]);
		twisted.grown = true;
		assert_int_equal(run_twisted(&r, twists, i < 2), -ESTALE);
		assert_says(&r, "grown");
		assert_false(world_has(r.world.tree, "f"));
		run_close(&r);
	}
}

static void test_streams(void **state)
{
	const size_t lengths[] = {1, 1000, 64 * KB, 1000 * KB + 1};

	(void)state;
	for (size_t i = 0; i < 8; i++) {
		struct run r;

		run_open(&r);
		twist_files(&r, lengths[i % 4]);
		assert_int_equal(run_twisted(&r, streams, i < 4), 0);
		assert_true(world_same(r.world.origin, r.world.tree, "f"));
		assert_int_equal(r.progress.done_bytes, lengths[i % 4]);
		run_close(&r);
	}
}

static void test_stream_breaks(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct run r;

		run_open(&r);
		twist_files(&r, 1000 * KB);
		if (i < 2)
			twisted.fetch_rc = -ECONNRESET;
		else
			twisted.cut_at = 500 * KB;
		assert_int_equal(run_twisted(&r, streams, i % 2), i < 2 ? -ECONNRESET : -ESTALE);
		assert_says(&r, i < 2 ? "the line broke" : "ends at byte 512000");
		assert_int_equal(r.progress.done_bytes, 0);
		run_close(&r);
	}
}

/* --- one beside another --- */

static void many_files(struct run *r, unsigned int n, size_t size)
{
	for (unsigned int i = 0; i < n; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%u/%u", i % 7, i);
		world_file(r->world.origin, name, size, i);
	}
	run_scan(r);
}

/* n small files whose opens wait at a gate: five are through, and one more waits. */
static struct transfer *gated_start(struct run *r, struct xfer_pool *pool, unsigned int n,
				    sem_t *gate)
{
	struct transfer *transfer = NULL;
	struct larder_error err;

	twist_reset();
	run_open(r);
	many_files(r, n, 100);
	sem_init(gate, 0, 5);
	twisted.gate = gate;
	assert_int_equal(transfer_start(pool, twists, &r->params, &transfer, &err), 0);
	while (twisted.opens < 6)
		usleep(100);
	return transfer;
}

static void gated_end(struct run *r, struct xfer_pool *pool, struct transfer *transfer, sem_t *gate)
{
	assert_int_equal(r->outcome.calls, 1);
	transfer_destroy(transfer);
	sem_destroy(gate);
	twist_reset();
	xfer_pool_destroy(pool);
	run_close(r);
}

/* One thread has read on in several files before it gives the first away. */
static void test_small_ones_go_together(void **state)
{
	struct xfer_pool *pool = small_pool(false, 1);
	struct run r;
	sem_t gate;
	struct transfer *transfer = gated_start(&r, pool, 100, &gate);

	(void)state;
	assert_int_equal(r.sink.committed, 0);
	for (int i = 0; i < 100; i++)
		sem_post(&gate);
	assert_int_equal(outcome_wait(&r.outcome), 0);
	assert_int_equal(r.sink.committed, 100);
	assert_int_equal(twisted.opens, 100);
	transfer_progress_get(transfer, &r.progress);
	assert_string_equal(r.progress.engine, "same device: small whole");
	gated_end(&r, pool, transfer, &gate);
}

/*
 * One of a batch was damaged when it was read with the others: it alone is opened and read again.
 */
static void test_a_batch_outlives_a_second_read(void **state)
{
	static const char *const names[] = {"a", "b", "c", "d", "e"};

	(void)state;
	for (int no_uring = 0; no_uring < 2; no_uring++) {
		struct xfer_pool *pool = small_pool(no_uring, 1);
		struct run r;

		twist_reset();
		run_open(&r);
		for (unsigned int i = 0; i < 5; i++)
			world_file(r.world.origin, names[i], i == 1 ? 40 * KB : 100, i);
		run_scan(&r);
		world_file(r.world.origin, "bad/b", 40 * KB, 99);
		twisted.bad_path = "b";
		twisted.bad_once = true;
		assert_int_equal(run_with(&r, pool, twists), 0);
		assert_int_equal(r.progress.digest_mismatches, 1);
		assert_int_equal(twisted.opens, 6);
		for (unsigned int i = 0; i < 5; i++)
			assert_true(world_same(r.world.origin, r.world.tree, names[i]));
		xfer_pool_destroy(pool);
		run_close(&r);
	}
	twist_reset();
}

/* Kilobytes of this process that no file stands behind. */
static long anonymous_kb(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[128];
	long kb = -1;

	assert_non_null(status);
	while (kb < 0 && fgets(line, sizeof(line), status))
		sscanf(line, "RssAnon: %ld", &kb);
	fclose(status);
	assert_true(kb >= 0);
	return kb;
}

static void gives_memory_back(bool no_uring)
{
	struct xfer_pool_params params = {
		.threads = 2, .memory_bytes = 64 * 1024 * KB, .no_uring = no_uring};
	struct xfer_pool *pool = NULL;
	struct larder_error err = {0};
	long before, most, now, enough;
	struct run r[2];

	assert_int_equal(xfer_pool_create(&params, &pool, &err), 0);
	for (int i = 0; i < 2; i++) {
		run_open(&r[i]);
		fill_origin(&r[i]);
		world_file(r[i].world.origin, "large", (size_t)40 * 1024 * KB + 1, 7);
		run_scan(&r[i]);
	}
	before = anonymous_kb(); /* with what making the files has left in the allocator */
	assert_int_equal(run_with(&r[0], pool, origins), 0);
	most = now = anonymous_kb();
	/* blocking, a thread has one block under way; the rest is what the allocator keeps */
	enough = most - (no_uring ? 1024 : (most - before) / 2);
	assert_true(most > before + (no_uring ? 1024 : 4096));
	for (int i = 0; i < 300 && now > enough; i++) {
		usleep(100 * 1000);
		now = anonymous_kb();
	}
	assert_true(now <= enough);
	/* and it can go on */
	assert_int_equal(run_with(&r[1], pool, origins), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(world_same(r[i].world.origin, r[i].world.tree, "large"));
		assert_true(world_same(r[i].world.origin, r[i].world.tree, "big/huge"));
		run_close(&r[i]);
	}
	xfer_pool_destroy(pool);
}

static void test_gives_memory_back(void **state)
{
	(void)state;
	gives_memory_back(false);
	gives_memory_back(true);
}

static void test_cancel(void **state)
{
	struct xfer_pool *pool = small_pool(false, 4);
	struct run r;
	sem_t gate;
	struct transfer *transfer = gated_start(&r, pool, 300, &gate);

	(void)state;
	transfer_cancel(transfer);
	for (int i = 0; i < 10; i++)
		sem_post(&gate);
	assert_int_equal(outcome_wait(&r.outcome), -ECANCELED);
	assert_true(twisted.opens <= 9);
	gated_end(&r, pool, transfer, &gate);
}

static void test_pool_goes_down(void **state)
{
	struct xfer_pool *pool = small_pool(false, 2);
	struct transfer *transfer;
	struct larder_error err;
	struct run r;

	(void)state;
	run_open(&r);
	many_files(&r, 300, 100);
	r.sink.commit_us = 5000;
	assert_int_equal(transfer_start(pool, origins, &r.params, &transfer, &err), 0);
	xfer_pool_destroy(pool);
	assert_int_equal(r.outcome.calls, 1);
	assert_int_equal(r.outcome.rc, -ECANCELED);
	transfer_destroy(transfer);
	run_close(&r);
}

static void test_failure_keeps_what_is_there(void **state)
{
	struct run r;

	(void)state;
	run_open(&r);
	many_files(&r, 300, 100);
	world_damage(r.world.origin, "6/293", 5); /* 293 % 7 is 6 */
	assert_int_equal(run_now(&r, false), -EBADMSG);
	assert_true(r.sink.committed > 0);
	assert_int_equal(r.sink.committed, r.progress.done_shards);
	assert_int_equal(r.sink.flushed, 1); /* what was given becomes durable */
	run_close(&r);
}

static void test_small_does_not_wait_behind_huge(void **state)
{
	struct xfer_pool *pool = small_pool(false, 2);
	struct transfer *huge, *small;
	struct transfer_progress progress;
	struct larder_error err;
	struct run a, b;

	(void)state;
	run_open(&a);
	run_open(&b);
	many_files(&a, 1500, 100);
	many_files(&b, 10, 100);
	a.sink.commit_us = b.sink.commit_us = 500;
	assert_int_equal(transfer_start(pool, origins, &a.params, &huge, &err), 0);
	do {
		transfer_progress_get(huge, &progress);
		usleep(100);
	} while (progress.done_shards < 20);
	assert_int_equal(transfer_start(pool, origins, &b.params, &small, &err), 0);
	assert_int_equal(outcome_wait(&b.outcome), 0);
	transfer_progress_get(huge, &progress);
	assert_true(progress.done_shards < 750);
	assert_int_equal(outcome_wait(&a.outcome), 0);
	transfer_destroy(huge);
	transfer_destroy(small);
	xfer_pool_destroy(pool);
	run_close(&a);
	run_close(&b);
}

/* More transfers with a large shard than threads: they take slices in turn, and all are right. */
static void test_large_ones_share(void **state)
{
	struct xfer_pool *pool = small_pool(false, 1);
	struct transfer *transfers[6];
	struct larder_error err;
	struct run runs[6];

	(void)state;
	for (unsigned int i = 0; i < 6; i++) {
		run_open(&runs[i]);
		world_file(runs[i].world.origin, "f", 12000 * KB + i, i);
		run_scan(&runs[i]);
	}
	for (unsigned int i = 0; i < 6; i++)
		assert_int_equal(
			transfer_start(pool, origins, &runs[i].params, &transfers[i], &err), 0);
	for (unsigned int i = 0; i < 6; i++) {
		assert_int_equal(outcome_wait(&runs[i].outcome), 0);
		assert_true(world_same(runs[i].world.origin, runs[i].world.tree, "f"));
		transfer_destroy(transfers[i]);
	}
	xfer_pool_destroy(pool);
	for (unsigned int i = 0; i < 6; i++)
		run_close(&runs[i]);
}

static void test_nothing_to_do(void **state)
{
	struct run r;

	(void)state;
	run_open(&r);
	run_scan(&r);
	assert_int_equal(run_now(&r, false), 0);
	assert_int_equal(r.sink.created, 0);
	run_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_brings_all),
		cmocka_unit_test(test_other_device_is_direct),
		cmocka_unit_test(test_what_is_cached_is_no_probe),
		cmocka_unit_test(test_present_and_subsets),
		cmocka_unit_test(test_links_what_is_the_same),
		cmocka_unit_test(test_copies_what_cannot_be_linked),
		cmocka_unit_test(test_other_link_failures_end_it),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_changed_since),
		cmocka_unit_test(test_touched_is_still_right),
		cmocka_unit_test(test_resized),
		cmocka_unit_test(test_vanished),
		cmocka_unit_test(test_unreadable_for_the_reader),
		cmocka_unit_test(test_next_origin),
		cmocka_unit_test(test_first_origin_is_no_more),
		cmocka_unit_test(test_all_origins_fail),
		cmocka_unit_test(test_no_such_kind),
		cmocka_unit_test(test_full_cache),
		cmocka_unit_test(test_sync_fails),
		cmocka_unit_test(test_damaged_manifest),
		cmocka_unit_test(test_heals_at_the_second_read),
		cmocka_unit_test(test_grows_after_it_was_opened),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_stream_breaks),
		cmocka_unit_test(test_small_ones_go_together),
		cmocka_unit_test(test_a_batch_outlives_a_second_read),
		cmocka_unit_test(test_gives_memory_back),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_pool_goes_down),
		cmocka_unit_test(test_failure_keeps_what_is_there),
		cmocka_unit_test(test_small_does_not_wait_behind_huge),
		cmocka_unit_test(test_large_ones_share),
		cmocka_unit_test(test_nothing_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
