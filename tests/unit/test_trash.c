/*
 * The trash: in at once, out at a rate, several at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "disk.h"
#include "larder/cleanup.h"

static struct larder_error err;

struct bench {
	struct tier *tier;
	char path[160];
	struct fake set;
};

static void fill(struct tier *tier, const struct fake *set, const struct fake *base)
{
	struct told told;
	struct sink *sink;
	size_t i;

	told_init(&told, set->n);
	sink = set_sink(tier, set, base, &told);
	if (base)
		for (i = 0; i < set->n; i++)
			assert_ok(sink->ops->link(sink, &set->shards[i], &err), &err);
	else
		fake_put(sink, set);
	assert_ok(sink->ops->flush(sink, &err), &err);
	tree_sink_destroy(sink);
	told_fini(&told);
}

static struct bench *bench_open(void **state, size_t n, uint64_t size)
{
	struct bench *b = calloc(1, sizeof(*b));
	char id[33];

	disk_tier(*state, b->path);
	assert_ok(tier_open(b->path, &b->tier, id, &err), &err);
	fake_many(&b->set, "v1", n, size);
	fill(b->tier, &b->set, NULL);
	return b;
}

static void bench_close(struct bench *b)
{
	tier_close(b->tier);
	fake_free(&b->set);
	disk_run("chattr -R -i %s 2>/dev/null; rm -rf %s", b->path, b->path);
	free(b);
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void test_a_tree_goes_at_once_and_its_bytes_later(void **state)
{
	struct bench *b = bench_open(state, 40, 100000);
	_Atomic uint32_t rate = 0;
	uint64_t freed = 0, bytes, inodes, weight;

	assert_ok(tree_weight(b->tier, &b->set.key, &weight, &inodes, &err), &err);
	assert_in_range(weight, 40 * 100000, 40 * 110000 + 100000);
	assert_int_equal(inodes, 40 + 7 + 3);
	assert_true(trash_is_empty(b->tier));
	assert_ok(trash_bytes(b->tier, &bytes, &err), &err);
	assert_int_equal(bytes, 0);
	assert_ok(tree_trash(b->tier, &b->set.key, &err), &err);
	assert_int_equal(tree_exists(b->tier, &b->set.key), -ENOENT);
	assert_int_equal(tree_trash(b->tier, &b->set.key, &err), -ENOENT);
	disk_run("test -z \"$(ls -A %s/trees)\"", b->path); /* no empty parents stay */
	assert_false(trash_is_empty(b->tier));
	assert_ok(trash_bytes(b->tier, &bytes, &err), &err);
	assert_in_range(bytes, 40 * 100000, weight);
	assert_ok(trash_empty(b->tier, &rate, NULL, &freed, &err), &err);
	assert_true(trash_is_empty(b->tier));
	assert_in_range(freed, 40 * 100000, 2 * weight);
	bench_close(b);
}

static void test_linked_bytes_are_not_counted(void **state)
{
	struct bench *b = bench_open(state, 40, 100000);
	struct fake next = {0};
	_Atomic uint32_t rate = 0;
	uint64_t freed = 0, bytes;
	auto_free char *data = NULL;

	fake_many(&next, "v2", 40, 100000);
	fill(b->tier, &next, &b->set);
	assert_ok(tree_trash(b->tier, &b->set.key, &err), &err);
	disk_run("test -d %s/trees/site/set", b->path); /* the other version is in it */
	assert_ok(trash_bytes(b->tier, &bytes, &err), &err);
	assert_true(bytes < 100000); /* its manifest */
	assert_ok(trash_empty(b->tier, &rate, NULL, &freed, &err), &err);
	assert_true(freed < 40 * 100000 / 2);
	data = tree_data_path(b->tier, &next.key);
	for (size_t i = 0; i < next.n; i++)
		assert_null(piece_wrong(data, &next, i));
	fake_free(&next);
	bench_close(b);
}

/* A job that still has a file open keeps reading. */
static void test_an_open_file_stays_readable(void **state)
{
	struct bench *b = bench_open(state, 3, 50000);
	auto_free char *data = tree_data_path(b->tier, &b->set.key);
	auto_free char *file = NULL;
	auto_free unsigned char *want = piece_bytes(&b->set.pieces[0]);
	unsigned char got[50000];
	_Atomic uint32_t rate = 0;
	uint64_t freed;
	int fd;

	assert_true(asprintf(&file, "%s/%s", data, b->set.pieces[0].path) > 0);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_ok(tree_trash(b->tier, &b->set.key, &err), &err);
	assert_ok(trash_empty(b->tier, &rate, NULL, &freed, &err), &err);
	assert_int_equal(pread(fd, got, sizeof(got), 0), sizeof(got));
	assert_memory_equal(got, want, sizeof(got));
	close(fd);
	bench_close(b);
}

static void test_a_mounted_tree_goes_too(void **state)
{
	struct bench *b = bench_open(state, 3, 5000);
	struct disk *disk = *state;
	auto_free char *data = tree_data_path(b->tier, &b->set.key);
	_Atomic uint32_t rate = 0;
	uint64_t freed;

	disk_run("mkdir -p %s/view && mount --bind -o ro %s %s/view", disk->dir, data, disk->dir);
	assert_ok(tree_trash(b->tier, &b->set.key, &err), &err);
	assert_ok(trash_empty(b->tier, &rate, NULL, &freed, &err), &err);
	assert_true(trash_is_empty(b->tier));
	disk_run("umount %s/view", disk->dir);
	bench_close(b);
}

struct emptier {
	struct bench *b;
	_Atomic uint32_t rate;
	_Atomic bool stop;
	uint64_t freed;
	int rc;
	struct larder_error err;
};

static void *empty(void *arg)
{
	struct emptier *e = arg;

	e->rc = trash_empty(e->b->tier, &e->rate, &e->stop, &e->freed, &e->err);
	return NULL;
}

static void test_the_rate_holds_and_can_be_lifted(void **state)
{
	struct bench *b = bench_open(state, 300, 100);
	struct emptier e = {.b = b, .rate = 200};
	pthread_t thread;
	double start = now_s(), took;

	assert_ok(tree_trash(b->tier, &b->set.key, &err), &err);
	assert_int_equal(pthread_create(&thread, NULL, empty, &e), 0);
	usleep(500 * 1000);
	/* 100 or so are gone by now, surely not 200 */
	disk_run("test $(find %s/trash -type f | wc -l) -gt 100", b->path);
	disk_run("test $(find %s/trash -type f | wc -l) -lt 300", b->path);
	atomic_store(&e.rate, 0);
	pthread_join(thread, NULL);
	took = now_s() - start;
	assert_ok(e.rc, &e.err);
	assert_true(trash_is_empty(b->tier));
	assert_true(took < 1.4); /* 1.5 at the old rate */
	bench_close(b);
}

static void test_a_slow_rate_does_not_delay_a_stop_or_a_lift(void **state)
{
	struct bench *b = bench_open(state, 10, 100);
	struct emptier e = {.b = b, .rate = 1};
	pthread_t thread;
	double start;

	assert_ok(tree_trash(b->tier, &b->set.key, &err), &err);
	assert_int_equal(pthread_create(&thread, NULL, empty, &e), 0);
	usleep(50 * 1000);
	start = now_s();
	atomic_store(&e.stop, true);
	pthread_join(thread, NULL);
	assert_true(now_s() - start < 0.5);
	assert_int_equal(e.rc, 0);
	assert_false(trash_is_empty(b->tier));
	atomic_store(&e.stop, false);
	assert_int_equal(pthread_create(&thread, NULL, empty, &e), 0);
	usleep(50 * 1000);
	atomic_store(&e.rate, 0);
	pthread_join(thread, NULL);
	assert_true(now_s() - start < 2);
	assert_true(trash_is_empty(b->tier));
	bench_close(b);
}

/* While trees come in and shards are replaced through the trash. */
static void test_several_may_empty_at_once(void **state)
{
	enum { THREADS = 4, ROUNDS = 6 };
	struct bench *b = bench_open(state, 200, 300);
	struct emptier e[THREADS] = {0};
	pthread_t threads[THREADS];
	auto_free char *data = tree_data_path(b->tier, &b->set.key);
	int round, i;

	for (round = 0; round < ROUNDS; round++) {
		assert_ok(tree_trash(b->tier, &b->set.key, &err), &err);
		for (i = 0; i < THREADS; i++) {
			e[i] = (struct emptier){.b = b};
			assert_int_equal(pthread_create(&threads[i], NULL, empty, &e[i]), 0);
		}
		fill(b->tier, &b->set, NULL);
		disk_run("find %s -type f -exec truncate -s 0 {} +", data);
		fill(b->tier, &b->set, NULL); /* each is replaced */
		for (i = 0; i < THREADS; i++) {
			pthread_join(threads[i], NULL);
			assert_ok(e[i].rc, &e[i].err);
		}
		for (i = 0; i < (int)b->set.n; i++)
			assert_null(piece_wrong(data, &b->set, (size_t)i));
	}
	assert_true(trash_is_empty(b->tier));
	bench_close(b);
}

static void test_what_cannot_go_is_told_and_the_rest_goes(void **state)
{
	struct bench *b = bench_open(state, 50, 300);
	_Atomic uint32_t rate = 0;
	uint64_t freed;

	disk_run("chattr +i \"$(find %s/trees -name f3)\"", b->path);
	assert_ok(tree_trash(b->tier, &b->set.key, &err), &err);
	assert_int_equal(trash_empty(b->tier, &rate, NULL, &freed, &err), -EPERM);
	disk_run("test $(find %s/trash -type f | wc -l) = 1", b->path);
	bench_close(b);
}

static int up(void **state, const char *fs, unsigned int mib)
{
	struct disk *disk = calloc(1, sizeof(*disk));

	disk_make(disk, fs, mib, NULL);
	*state = disk;
	return 0;
}

static int ext4_up(void **state)
{
	return up(state, "ext4", 64);
}

static int xfs_up(void **state)
{
	return up(state, "xfs", 320);
}

static int down(void **state)
{
	disk_free(*state);
	free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_tree_goes_at_once_and_its_bytes_later),
		cmocka_unit_test(test_linked_bytes_are_not_counted),
		cmocka_unit_test(test_an_open_file_stays_readable),
		cmocka_unit_test(test_a_mounted_tree_goes_too),
		cmocka_unit_test(test_the_rate_holds_and_can_be_lifted),
		cmocka_unit_test(test_a_slow_rate_does_not_delay_a_stop_or_a_lift),
		cmocka_unit_test(test_several_may_empty_at_once),
		cmocka_unit_test(test_what_cannot_go_is_told_and_the_rest_goes),
	};
	const char *why = disk_unable();

	if (why) {
		printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	return cmocka_run_group_tests_name("trash on ext4", tests, ext4_up, down) +
	       cmocka_run_group_tests_name("trash on xfs", tests, xfs_up, down);
}
