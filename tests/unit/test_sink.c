/*
 * The sink on real file systems: what it names, when, and what it does when the disk says no. Power
 * cuts are tests/fault's.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "skip.h"

#include "disk.h"
#include "larder/cleanup.h"

#define MIB (1024 * 1024)

/* One tier on a group's disk, for one test. */
struct bench {
	struct disk *disk;
	struct tier *tier;
	char path[160];
	struct fake set, base;
	struct told told;
	struct sink *sink;
	char *data; /* of set's tree */
	struct larder_error err;
};

static struct bench *bench_open(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	char id[33];

	b->disk = *state;
	disk_tier(b->disk, b->path);
	assert_ok(tier_open(b->path, &b->tier, id, &b->err), &b->err);
	return b;
}

static void bench_sink(struct bench *b, const struct fake *base)
{
	told_init(&b->told, b->set.n);
	b->sink = set_sink(b->tier, &b->set, base, &b->told);
	b->data = tree_data_path(b->tier, &b->set.key);
}

static void bench_close(struct bench *b)
{
	tree_sink_destroy(b->sink);
	tier_close(b->tier);
	fake_free(&b->set);
	fake_free(&b->base);
	told_fini(&b->told);
	free(b->data);
	disk_run("rm -rf %s", b->path);
	free(b);
}

static void assert_all_there(const struct bench *b)
{
	size_t i;

	for (i = 0; i < b->set.n; i++) {
		const char *wrong = piece_wrong(b->data, &b->set, i);

		if (wrong)
			fail_msg("shard %zu (%s): %s", i, b->set.pieces[i].path, wrong);
	}
}

static void assert_all_told(const struct bench *b)
{
	uint64_t bytes = 0;
	size_t i;

	for (i = 0; i < b->set.n; i++)
		bytes += b->set.pieces[i].type == 'f' ? b->set.pieces[i].size : 0;
	assert_false(b->told.twice);
	assert_int_equal(b->told.n, b->set.n);
	assert_int_equal(b->told.bytes, bytes);
}

static char *deep_path(size_t bytes)
{
	char *path = malloc(bytes + 1);
	size_t i;

	for (i = 0; i < bytes; i++)
		path[i] = i % 2 ? '/' : 'a';
	path[bytes - 1] = 'z';
	path[bytes] = '\0';
	return path;
}

static void test_every_kind_of_shard_arrives(void **state)
{
	struct bench *b = bench_open(state);
	char longest[256];
	auto_free char *deep = deep_path(4095);
	struct piece pieces[] = {
		{.path = "with space", .type = 'f', .size = 5, .seed = 1},
		{.path = "with\nnewline", .type = 'f', .size = 4096, .seed = 2},
		{.path = "gr\xc3\xbc\xc3\x9f/\xe2\x82\xac", .type = 'f', .size = 4097, .seed = 3},
		{.path = "not utf8 \xff\x01", .type = 'f', .size = 1, .seed = 4},
		{.path = longest, .type = 'f', .size = 10, .seed = 5, .mode = 0755},
		{.path = deep, .type = 'f', .size = 100, .seed = 6},
		{.path = "bin/run", .type = 'f', .size = 100, .seed = 7, .mode = 04711},
		{.path = "empty", .type = 'f', .size = 0},
		{.path = "bin/empty.sh", .type = 'f', .size = 0, .mode = 0100},
		{.path = "old",
		 .type = 'f',
		 .size = 3,
		 .seed = 8,
		 .mtime_ns = INT64_C(-1500000001)},
		{.path = "hole", .type = 'f', .size = 64 * MIB + 1, .seed = 0},
		{.path = "big", .type = 'f', .size = 5 * MIB + 7, .seed = 9},
		{.path = "nothing/in/here", .type = 'd'},
		{.path = "bin/link", .type = 'l', .target = "../with space"},
		{.path = "link", .type = 'l', .target = "bin/run"},
	};

	memset(longest, 'n', 255);
	longest[255] = '\0';
	fake_make(&b->set, "v1", pieces, sizeof(pieces) / sizeof(pieces[0]));
	bench_sink(b, NULL);
	fake_put(b->sink, &b->set);
	assert_ok(b->sink->ops->flush(b->sink, &b->err), &b->err);
	assert_all_told(b);
	/* the deep one is beyond what a path from the root can say */
	for (size_t i = 0; i < b->set.n; i++) {
		const char *wrong = strlen(b->set.pieces[i].path) > 4000
					    ? NULL
					    : piece_wrong(b->data, &b->set, i);

		if (wrong)
			fail_msg("%s: %s", b->set.pieces[i].path, wrong);
	}
	disk_run("test -z \"$(find %s -type d ! -perm 0555 -print -quit)\"", b->data);
	disk_run("test -z \"$(ls -A %s/trash)\"", b->path);
	bench_close(b);
}

static void test_a_deep_shard_is_read_back(void **state)
{
	struct bench *b = bench_open(state);
	auto_free char *deep = deep_path(4095);
	struct piece piece = {.path = deep, .type = 'f', .size = 100, .seed = 6};
	auto_free uint8_t *bits = NULL;
	uint64_t shards, bytes, inodes;
	_Atomic uint32_t rate = 0;

	fake_make(&b->set, "v1", &piece, 1);
	bench_sink(b, NULL);
	fake_put(b->sink, &b->set);
	assert_ok(b->sink->ops->flush(b->sink, &b->err), &b->err);
	assert_ok(tree_survey(b->tier, &b->set.key, &bits, &shards, &bytes, &b->err), &b->err);
	assert_int_equal(shards, 1);
	assert_ok(tree_weight(b->tier, &b->set.key, &bytes, &inodes, &b->err), &b->err);
	assert_int_equal(inodes,
			 2047 + 1 + 3); /* directories, the file; the tree, data/, the manifest */
	assert_ok(tree_trash(b->tier, &b->set.key, &b->err), &b->err);
	assert_ok(trash_bytes(b->tier, &bytes, &b->err), &b->err);
	assert_true(bytes > 0 ||
		    strcmp(b->disk->fs, "btrfs") == 0); /* small files sit in its tree */
	assert_ok(trash_empty(b->tier, &rate, NULL, &bytes, &b->err), &b->err);
	assert_true(trash_is_empty(b->tier));
	bench_close(b);
}

static void test_nothing_has_a_name_before_the_sync(void **state)
{
	struct bench *b = bench_open(state);

	fake_many(&b->set, "v1", 20, 1000);
	bench_sink(b, NULL);
	fake_put(b->sink, &b->set);
	disk_run("test -z \"$(find %s -type f -print -quit)\"", b->data);
	assert_int_equal(b->told.n, 0);
	assert_ok(b->sink->ops->flush(b->sink, &b->err), &b->err);
	assert_all_told(b);
	assert_all_there(b);
	assert_ok(b->sink->ops->flush(b->sink, &b->err), &b->err);
	assert_all_told(b); /* flushing nothing tells nothing */
	bench_close(b);
}

/* Without a flush, too: a progress bar and a crash want to know. */
static void test_a_lone_shard_does_not_wait_for_company(void **state)
{
	struct bench *b = bench_open(state);
	int i;

	fake_many(&b->set, "v1", 1, 1000);
	bench_sink(b, NULL);
	fake_put(b->sink, &b->set);
	for (i = 0; i < 100 && piece_wrong(b->data, &b->set, 0); i++)
		usleep(100 * 1000);
	assert_all_there(b);
	bench_close(b);
}

static void test_what_was_not_flushed_is_thrown_away(void **state)
{
	struct bench *b = bench_open(state);

	fake_many(&b->set, "v1", 30, 1000);
	bench_sink(b, NULL);
	fake_put(b->sink, &b->set);
	tree_sink_destroy(b->sink);
	b->sink = NULL;
	disk_run("test -z \"$(find %s -type f -print -quit)\"", b->data);
	assert_int_equal(b->told.n, 0);
	bench_close(b);
}

/* --- links --- */

static void fill(struct tier *tier, const struct fake *set)
{
	struct larder_error err = {0};
	struct told told;
	struct sink *sink;

	told_init(&told, set->n);
	sink = set_sink(tier, set, NULL, &told);
	fake_put(sink, set);
	assert_ok(sink->ops->flush(sink, &err), &err);
	assert_int_equal(told.n, set->n);
	tree_sink_destroy(sink);
	told_fini(&told);
}

static void test_links_share_the_bytes(void **state)
{
	struct bench *b = bench_open(state);
	uint64_t bytes, inodes;
	size_t i;

	fake_many(&b->base, "v1", 50, 20000);
	fake_many(&b->set, "v2", 50, 20000);
	fill(b->tier, &b->base);
	bench_sink(b, &b->base);
	for (i = 0; i < b->set.n; i++)
		assert_ok(b->sink->ops->link(b->sink, &b->set.shards[i], &b->err), &b->err);
	assert_ok(b->sink->ops->flush(b->sink, &b->err), &b->err);
	assert_all_told(b);
	assert_all_there(b);
	disk_run("test \"$(find %s -type f -links 2 | wc -l)\" = 50", b->data);
	assert_ok(tree_weight(b->tier, &b->set.key, &bytes, &inodes, &b->err), &b->err);
	assert_int_equal(inodes, 7 + 3); /* directories, and the manifest: no shard of it */
	/* again, as after a crash: they are there */
	tree_sink_destroy(b->sink);
	told_fini(&b->told);
	free(b->data);
	bench_sink(b, &b->base);
	for (i = 0; i < b->set.n; i++)
		assert_ok(b->sink->ops->link(b->sink, &b->set.shards[i], &b->err), &b->err);
	assert_ok(b->sink->ops->flush(b->sink, &b->err), &b->err);
	assert_all_told(b);
	bench_close(b);
}

static void test_a_base_that_does_not_fit_is_copied(void **state)
{
	struct bench *b = bench_open(state);
	auto_free char *base = NULL;
	struct shard shard;

	fake_many(&b->base, "v1", 4, 20000);
	fake_many(&b->set, "v2", 5, 20000);
	fill(b->tier, &b->base);
	base = tree_data_path(b->tier, &b->base.key);
	disk_run("cd %s && truncate -s 1 d0/f0 && rm d1/f1 && ln -s f0 d1/f1 && chmod 555 d2/f2",
		 base);
	bench_sink(b, &b->base);
	for (int i = 0; i < 3; i++)
		assert_int_equal(b->sink->ops->link(b->sink, &b->set.shards[i], &b->err), -ENOENT);
	assert_int_equal(b->sink->ops->link(b->sink, &b->set.shards[4], &b->err), -ENOENT);
	assert_ok(b->sink->ops->link(b->sink, &b->set.shards[3], &b->err), &b->err);
	shard = b->set.shards[3];
	shard.path = "../../manifest";
	assert_int_equal(b->sink->ops->link(b->sink, &shard, &b->err), -EINVAL);
	assert_ok(b->sink->ops->flush(b->sink, &b->err), &b->err);
	assert_int_equal(b->told.n, 1);
	bench_close(b);
}

static void test_too_many_links_are_told_apart(void **state)
{
	struct bench *b = bench_open(state);
	auto_free char *base = NULL;
	auto_free char *file = NULL;
	int dir, i, rc;

	if (strcmp(b->disk->fs, "ext4")) {
		bench_close(b);
		skip_because("XFS and btrfs have no limit of links that a test could reach");
	}
	fake_many(&b->base, "v1", 1, 100);
	fake_many(&b->set, "v2", 1, 100);
	fill(b->tier, &b->base);
	base = tree_data_path(b->tier, &b->base.key);
	assert_true(asprintf(&file, "%s/d0/f0", base) > 0);
	disk_run("mkdir %s/many", b->disk->path);
	dir = open(b->disk->path, O_RDONLY | O_DIRECTORY);
	for (i = 0, rc = 0; rc == 0; i++) {
		char name[32];

		snprintf(name, sizeof(name), "many/%d", i);
		rc = linkat(AT_FDCWD, file, dir, name, 0);
	}
	assert_int_equal(errno, EMLINK);
	close(dir);
	bench_sink(b, &b->base);
	assert_int_equal(b->sink->ops->link(b->sink, &b->set.shards[0], &b->err), -EMLINK);
	fake_put(b->sink, &b->set);
	assert_ok(b->sink->ops->flush(b->sink, &b->err), &b->err);
	assert_all_there(b);
	disk_run("rm -rf %s/many", b->disk->path);
	bench_close(b);
}

/* --- names that are taken --- */

static void test_leftovers_stay_or_are_replaced(void **state)
{
	struct bench *b = bench_open(state);
	struct piece pieces[] = {
		{.path = "d/same", .type = 'f', .size = 3, .seed = 1},
		{.path = "d/short", .type = 'f', .size = 9000, .seed = 2},
		{.path = "d/writable", .type = 'f', .size = 5, .seed = 3},
		{.path = "d/is-link", .type = 'f', .size = 5, .seed = 4},
		{.path = "link", .type = 'l', .target = "d/same"},
		{.path = "none", .type = 'f', .size = 0},
		{.path = "dir", .type = 'd'},
	};

	fake_make(&b->set, "v1", pieces, sizeof(pieces) / sizeof(pieces[0]));
	fill(b->tier, &b->set);
	bench_sink(b, NULL);
	disk_run(
		"cd %s && stat -c %%i d/same >%s/inode && truncate -s 8 d/short && chmod 644 d/writable && ln -sf /etc/passwd d/is-link && ln -sfn /etc link && echo x >none",
		b->data, b->disk->path);
	fake_put(b->sink, &b->set);
	assert_ok(b->sink->ops->flush(b->sink, &b->err), &b->err);
	assert_all_told(b);
	assert_all_there(b);
	disk_run(
		"cd %s && test $(stat -c %%i d/same) = $(cat %s/inode) && test -z \"$(ls -A %s/trash)\"",
		b->data, b->disk->path, b->path);
	bench_close(b);
}

static void test_a_symlink_on_the_way_is_not_followed(void **state)
{
	struct bench *b = bench_open(state);

	fake_many(&b->set, "v1", 3, 100);
	bench_sink(b, NULL);
	disk_run("mkdir %s/outside && ln -s %s/outside %s/d1", b->disk->path, b->disk->path,
		 b->data);
	fake_put(b->sink, &b->set);
	assert_int_equal(b->sink->ops->flush(b->sink, &b->err), -ELOOP);
	disk_run("rmdir %s/outside", b->disk->path); /* empty */
	bench_close(b);
}

static void test_wrong_calls_are_refused(void **state)
{
	struct bench *b = bench_open(state);
	struct piece pieces[] = {
		{.path = "f", .type = 'f', .size = 10, .seed = 1},
		{.path = "none", .type = 'f', .size = 0},
		{.path = "link", .type = 'l', .target = "f"},
	};
	struct shard shard;
	int fd;

	fake_make(&b->set, "v1", pieces, 3);
	bench_sink(b, NULL);
	/* not as long as the manifest says */
	assert_ok(b->sink->ops->create(b->sink, 10, false, &fd, &b->err), &b->err);
	assert_int_equal(write(fd, "123456789", 9), 9);
	assert_int_equal(b->sink->ops->commit(b->sink, &b->set.shards[0], fd, &b->err), -EINVAL);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* taken all the same */
	/* not the sink's */
	fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	assert_int_equal(write(fd, "1234567890", 10), 10);
	assert_int_equal(b->sink->ops->commit(b->sink, &b->set.shards[0], fd, &b->err), -EINVAL);
	/* an empty file whose digest is another's; a symlink that leaves the tree; a file with
	 * bytes */
	shard = b->set.shards[2];
	assert_string_equal(shard.path, "none");
	shard.digest.lo++;
	assert_int_equal(b->sink->ops->make(b->sink, &shard, &b->err), -EBADMSG);
	shard = b->set.shards[1];
	shard.target = "../../x";
	assert_int_equal(b->sink->ops->make(b->sink, &shard, &b->err), -EINVAL);
	assert_int_equal(b->sink->ops->make(b->sink, &b->set.shards[0], &b->err), -EINVAL);
	shard = b->set.shards[2];
	shard.path = "../none";
	assert_int_equal(b->sink->ops->make(b->sink, &shard, &b->err), -EINVAL);
	assert_ok(b->sink->ops->flush(b->sink, &b->err), &b->err);
	assert_int_equal(b->told.n, 0);
	bench_close(b);
}

/* --- many threads, many sinks, one committer --- */

struct worker {
	pthread_t thread;
	struct sink *sink;
	const struct fake *set;
	size_t first, step;
	int rc;
	struct larder_error err;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	size_t i;

	for (i = w->first; i < w->set->n && w->rc == 0; i += w->step)
		w->rc = piece_put(w->sink, w->set, i, i % 3 == 0, &w->err);
	if (w->rc == 0)
		w->rc = w->sink->ops->flush(w->sink, &w->err);
	return NULL;
}

static void test_threads_and_sinks_share_a_committer(void **state)
{
	enum { SINKS = 3, THREADS = 4 };
	struct bench *b = bench_open(state);
	struct fake sets[SINKS] = {0};
	struct told told[SINKS];
	struct worker workers[SINKS * THREADS] = {0};
	struct sink *sinks[SINKS];
	static const char *const versions[] = {"v1", "v2", "v3"};
	size_t i;

	for (i = 0; i < SINKS; i++) {
		fake_many(&sets[i], versions[i], 700 + i, 2000 + i);
		told_init(&told[i], sets[i].n);
		sinks[i] = set_sink(b->tier, &sets[i], NULL, &told[i]);
	}
	for (i = 0; i < SINKS * THREADS; i++) {
		workers[i] = (struct worker){.sink = sinks[i % SINKS],
					     .set = &sets[i % SINKS],
					     .first = i / SINKS,
					     .step = THREADS};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (i = 0; i < SINKS * THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		assert_ok(workers[i].rc, &workers[i].err);
	}
	for (i = 0; i < SINKS; i++) {
		assert_int_equal(told[i].n, sets[i].n);
		assert_false(told[i].twice);
		tree_sink_destroy(sinks[i]);
		auto_free char *data = tree_data_path(b->tier, &sets[i].key);
		for (size_t k = 0; k < sets[i].n; k += 13)
			assert_null(piece_wrong(data, &sets[i], k));
		told_fini(&told[i]);
		fake_free(&sets[i]);
	}
	bench_close(b);
}

/* One sink goes while another is busy: nothing of the one is touched afterwards, nothing of the
 * other lost. */
static void test_a_sink_may_go_in_the_middle(void **state)
{
	struct bench *b = bench_open(state);
	struct worker w = {0};
	struct larder_error err = {0};
	int round;

	fake_many(&b->base, "v0", 40, 500);
	fake_many(&b->set, "v1", 3000, 500);
	bench_sink(b, NULL);
	w = (struct worker){.sink = b->sink, .set = &b->set, .step = 1};
	assert_int_equal(pthread_create(&w.thread, NULL, work, &w), 0);
	for (round = 0; round < 5; round++) {
		struct told told;
		struct sink *sink;

		told_init(&told, b->base.n);
		sink = set_sink(b->tier, &b->base, NULL, &told);
		for (size_t i = 0; i < b->base.n; i++)
			assert_ok(piece_put(sink, &b->base, i, false, &err), &err);
		tree_sink_destroy(sink);
		told_fini(&told);
	}
	pthread_join(w.thread, NULL);
	assert_ok(w.rc, &w.err);
	assert_all_told(b);
	assert_all_there(b);
	bench_close(b);
}

/* --- the disk says no --- */

static void test_no_room_shows_before_the_bytes(void **state)
{
	struct bench *b = bench_open(state);
	struct tier_space space;
	int fd = -1;

	fake_many(&b->set, "v1", 2, 100);
	bench_sink(b, NULL);
	assert_ok(tier_space(b->tier, &space, &b->err), &b->err);
	assert_true(space.free > 0 && space.free <= space.size);
	assert_int_equal(b->sink->ops->create(b->sink, space.free + MIB, false, &fd, &b->err),
			 -ENOSPC);
	assert_int_equal(fd, -1);
	fake_put(b->sink, &b->set); /* and that does not stay with the sink */
	assert_ok(b->sink->ops->flush(b->sink, &b->err), &b->err);
	assert_all_there(b);
	bench_close(b);
}

static int group_up(void **state, const char *fs)
{
	struct disk *disk = calloc(1, sizeof(*disk));

	disk_make(disk, fs, strcmp(fs, "ext4") == 0 ? 256 : 320, NULL);
	*state = disk;
	return 0;
}

static int ext4_up(void **state)
{
	return group_up(state, "ext4");
}

static int xfs_up(void **state)
{
	return group_up(state, "xfs");
}

static int btrfs_up(void **state)
{
	return group_up(state, "btrfs");
}

static int group_down(void **state)
{
	disk_free(*state);
	free(*state);
	return 0;
}

static int all_on(const char *name, int (*up)(void **state))
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind_of_shard_arrives),
		cmocka_unit_test(test_a_deep_shard_is_read_back),
		cmocka_unit_test(test_nothing_has_a_name_before_the_sync),
		cmocka_unit_test(test_a_lone_shard_does_not_wait_for_company),
		cmocka_unit_test(test_what_was_not_flushed_is_thrown_away),
		cmocka_unit_test(test_links_share_the_bytes),
		cmocka_unit_test(test_a_base_that_does_not_fit_is_copied),
		cmocka_unit_test(test_too_many_links_are_told_apart),
		cmocka_unit_test(test_leftovers_stay_or_are_replaced),
		cmocka_unit_test(test_a_symlink_on_the_way_is_not_followed),
		cmocka_unit_test(test_wrong_calls_are_refused),
		cmocka_unit_test(test_threads_and_sinks_share_a_committer),
		cmocka_unit_test(test_a_sink_may_go_in_the_middle),
		cmocka_unit_test(test_no_room_shows_before_the_bytes),
	};

	return _cmocka_run_group_tests(name, tests, sizeof(tests) / sizeof(tests[0]), up,
				       group_down);
}

int main(void)
{
	const char *why = disk_unable();

	if (why) {
		printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	return all_on("sink on ext4", ext4_up) + all_on("sink on xfs", xfs_up) +
	       all_on("sink on btrfs", btrfs_up);
}
