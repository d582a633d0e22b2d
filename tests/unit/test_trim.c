/*
 * Trimming: enough, not much more, always the same shards, and only such as free something.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
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

#define N    500
#define SIZE 8192

static struct larder_error err;

struct bench {
	struct tier *tier;
	char path[160];
	struct fake set;
	char *data;
};

static void fill(struct tier *tier, const struct fake *set, const struct fake *base,
		 size_t link_every)
{
	struct told told;
	struct sink *sink;
	size_t i;

	told_init(&told, set->n);
	sink = set_sink(tier, set, base, &told);
	for (i = 0; i < set->n; i++) {
		if (base && i % link_every == 0)
			assert_ok(sink->ops->link(sink, &set->shards[i], &err), &err);
		else
			assert_ok(piece_put(sink, set, i, false, &err), &err);
	}
	assert_ok(sink->ops->flush(sink, &err), &err);
	tree_sink_destroy(sink);
	told_fini(&told);
}

static struct bench *bench_open(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	char id[33];

	disk_tier(*state, b->path);
	assert_ok(tier_open(b->path, &b->tier, id, &err), &err);
	fake_many(&b->set, "v1", N, SIZE);
	fill(b->tier, &b->set, NULL, 1);
	b->data = tree_data_path(b->tier, &b->set.key);
	return b;
}

static void bench_close(struct bench *b)
{
	tier_close(b->tier);
	fake_free(&b->set);
	free(b->data);
	disk_run("rm -rf %s", b->path);
	free(b);
}

static uint8_t *choose(struct bench *b, const uint8_t *present, uint64_t need, uint64_t *shards,
		       uint64_t *bytes)
{
	struct tree_tail tail;

	assert_ok(tree_trim_choose(b->tier, &b->set.key, present, need, &tail, &err), &err);
	assert_non_null(tail.gone);
	assert_true(tail.size_bytes <=
		    tail.freed_bytes); /* blocks are whole, and no file is sparse */
	*shards = tail.shards;
	*bytes = tail.freed_bytes;
	return tail.gone;
}

static bool bit(const uint8_t *bits, size_t i)
{
	return bits[i / 8] >> (i % 8) & 1;
}

static size_t count(const uint8_t *bits)
{
	size_t n = 0;
	size_t i;

	for (i = 0; i < N; i++)
		n += bit(bits, i);
	return n;
}

static void test_enough_is_chosen_and_little_more(void **state)
{
	struct bench *b = bench_open(state);
	uint64_t need, shards, bytes;

	for (need = 1; need <= N * SIZE; need = need * 3 + 1000) {
		auto_free uint8_t *gone = choose(b, NULL, need, &shards, &bytes);

		assert_in_range(bytes, need, need + 3 * SIZE);
		assert_int_equal(bytes, shards * SIZE);
		assert_int_equal(count(gone), shards);
	}
	for (size_t i = 0; i < N; i++)
		assert_null(piece_wrong(b->data, &b->set, i)); /* choosing changes nothing */
	bench_close(b);
}

static void test_trims_nest_and_repeat(void **state)
{
	struct bench *b = bench_open(state);
	uint64_t shards, bytes;
	auto_free uint8_t *some = choose(b, NULL, N * SIZE / 4, &shards, &bytes);
	auto_free uint8_t *again = choose(b, NULL, N * SIZE / 4, &shards, &bytes);
	auto_free uint8_t *more = choose(b, NULL, N * SIZE / 2, &shards, &bytes);
	auto_free uint8_t *nothing = choose(b, NULL, 0, &shards, &bytes);
	auto_free uint8_t *after = NULL;
	uint8_t present[N / 8 + 1];
	size_t i;

	assert_int_equal(shards, 0);
	assert_int_equal(count(nothing), 0);
	assert_memory_equal(some, again, N / 8);
	for (i = 0; i < N; i++)
		assert_true(!bit(some, i) || bit(more, i));
	/* the rest of the larger trim, taken as a second step, is the same set */
	for (i = 0; i < sizeof(present); i++)
		present[i] = (uint8_t)~some[i];
	assert_ok(tree_trim_drop(b->tier, &b->set.key, some, &err), &err);
	after = choose(b, present, (count(more) - count(some)) * SIZE, &shards, &bytes);
	for (i = 0; i < N; i++)
		assert_int_equal(bit(some, i) || bit(after, i), bit(more, i));
	bench_close(b);
}

/* It is spread over the tree and not the end of its last directory. */
static void test_the_tail_is_spread(void **state)
{
	struct bench *b = bench_open(state);
	uint64_t shards, bytes;
	auto_free uint8_t *gone = choose(b, NULL, N * SIZE / 2, &shards, &bytes);
	size_t i, first = 0;

	for (i = 0; i < N / 2; i++)
		first += bit(gone, i);
	assert_in_range(first, N / 4 - N / 10, N / 4 + N / 10);
	bench_close(b);
}

static void test_what_is_chosen_is_dropped_and_frees(void **state)
{
	struct bench *b = bench_open(state);
	uint64_t shards, bytes, before, after, inodes, left_bytes, left;
	auto_free uint8_t *gone = choose(b, NULL, N * SIZE / 3, &shards, &bytes);
	auto_free uint8_t *bits = NULL;
	size_t i;

	assert_ok(tree_weight(b->tier, &b->set.key, &before, &inodes, &err), &err);
	assert_ok(tree_trim_drop(b->tier, &b->set.key, gone, &err), &err);
	assert_ok(tree_trim_drop(b->tier, &b->set.key, gone, &err),
		  &err); /* after a crash: again */
	assert_ok(tree_weight(b->tier, &b->set.key, &after, &inodes, &err), &err);
	assert_in_range(before - after, bytes, bytes + 65536); /* directories may shrink on XFS */
	for (i = 0; i < N; i++)
		assert_int_equal(piece_wrong(b->data, &b->set, i) != NULL, bit(gone, i));
	assert_ok(tree_survey(b->tier, &b->set.key, &bits, &left, &left_bytes, &err), &err);
	assert_int_equal(left, N - shards);
	/* asked for more than there is: all that is left */
	auto_free uint8_t *rest = choose(b, bits, UINT64_MAX, &shards, &bytes);
	assert_int_equal(count(rest), shards);
	assert_int_equal(shards, left);
	assert_int_equal(bytes, left * SIZE);
	bench_close(b);
}

static void test_linked_shards_stay(void **state)
{
	struct bench *b = bench_open(state);
	struct fake next = {0};
	uint64_t shards, bytes;
	size_t i;

	fake_many(&next, "v2", N, SIZE);
	fill(b->tier, &next, &b->set, 2); /* every other one is linked */
	auto_free uint8_t *gone = choose(b, NULL, UINT64_MAX, &shards, &bytes);
	assert_int_equal(shards, N / 2);
	assert_int_equal(bytes, N / 2 * SIZE);
	for (i = 0; i < N; i++)
		assert_int_equal(bit(gone, i), i % 2 == 1);
	fake_free(&next);
	bench_close(b);
}

static void test_only_present_files_are_chosen(void **state)
{
	struct bench *b = bench_open(state);
	uint8_t present[N / 8 + 1] = {0xff, 0x0f};
	uint64_t shards, bytes;
	auto_free uint8_t *gone = choose(b, present, UINT64_MAX, &shards, &bytes);

	assert_int_equal(shards, 12);
	assert_int_equal(gone[0], 0xff);
	assert_int_equal(gone[1], 0x0f);
	assert_int_equal(count(gone), 12);
	bench_close(b);
}

static int up(void **state)
{
	struct disk *disk = calloc(1, sizeof(*disk));

	disk_make(disk, "ext4", 64, "-b 4096");
	*state = disk;
	return 0;
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
		cmocka_unit_test(test_enough_is_chosen_and_little_more),
		cmocka_unit_test(test_trims_nest_and_repeat),
		cmocka_unit_test(test_the_tail_is_spread),
		cmocka_unit_test(test_what_is_chosen_is_dropped_and_frees),
		cmocka_unit_test(test_linked_shards_stay),
		cmocka_unit_test(test_only_present_files_are_chosen),
	};
	const char *why = disk_unable();

	if (why) {
		printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	return cmocka_run_group_tests(tests, up, down);
}
