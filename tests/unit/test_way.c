/*
 * Which way bytes go: by what source and destination are, and by a probe where that is open. No
 * disk, no clock.
 */
#include <linux/magic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "xfer/way.h"

#define MB UINT64_C(1048576)
#define MS INT64_C(1000000)

static void test_places(void **state)
{
	(void)state;
	assert_int_equal(way_place(7, 7, EXT4_SUPER_MAGIC), PLACE_SAME);
	assert_int_equal(way_place(7, 8, EXT4_SUPER_MAGIC), PLACE_OTHER);
	assert_int_equal(way_place(7, 8, TMPFS_MAGIC), PLACE_MEMORY);
	assert_int_equal(way_place(7, 8, NFS_SUPER_MAGIC), PLACE_NETWORK);
	assert_int_equal(way_place(7, 8, 0x0bd00bd0), PLACE_NETWORK);
	assert_int_equal(way_place(7, 8, (long)0xff534d42), PLACE_NETWORK);
	assert_int_equal(way_place(7, 7, NFS_SUPER_MAGIC), PLACE_SAME);
	assert_string_equal(way_place_word(PLACE_UNKNOWN), "");
	for (int place = PLACE_SAME; place < PLACES; place++)
		assert_true(*way_place_word((enum way_place)place));
}

/* A pair on one device, and one on two. */
static struct way_pair same(dev_t device)
{
	return (struct way_pair){.source = device, .tier = device};
}

static struct way_pair two(dev_t source)
{
	return (struct way_pair){.source = source, .tier = 99};
}

static void test_elsewhere_is_direct_without_a_probe(void **state)
{
	struct ways ways;

	(void)state;
	ways_init(&ways, true);
	for (int place = PLACE_MEMORY; place <= PLACE_NETWORK; place++) {
		struct way_choice choice = ways_choose(&ways, (enum way_place)place, two(7));

		assert_int_equal(choice.way, WAY_DIRECT);
		assert_false(choice.probing);
	}
	ways_fini(&ways);
}

/* A shard of 64 MB, told of if it is a probe. */
static struct way_choice bring(struct ways *ways, enum way_place place, struct way_pair pair,
			       int64_t one_ms, int64_t two_ms)
{
	enum way frugal = ways->deep ? WAY_PAST : WAY_DIRECT;
	struct way_choice choice = ways_choose(ways, place, pair);

	if (choice.probing)
		ways_tell(ways, pair, &choice, 64 * MB,
			  MS * (choice.way == frugal ? two_ms : one_ms));
	return choice;
}

/*
 * Shards until a choice is made; milliseconds a shard of each of two ways, of which the second is
 * the one that costs less processor. It has three of four.
 */
static enum way probed(struct ways *ways, enum way_place place, struct way_pair pair,
		       int64_t one_ms, int64_t two_ms)
{
	enum way frugal = ways->deep ? WAY_PAST : WAY_DIRECT;
	unsigned int seen[WAYS] = {0};

	for (int i = 0; i < 6; i++) {
		struct way_choice choice = bring(ways, place, pair, one_ms, two_ms);

		assert_true(choice.probing);
		seen[choice.way]++;
	}
	assert_int_equal(seen[frugal], 4);
	return ways_choose(ways, place, pair).way;
}

static enum way probed_same(struct ways *ways, dev_t device, int64_t one_ms, int64_t two_ms)
{
	return probed(ways, PLACE_SAME, same(device), one_ms, two_ms);
}

static void test_a_probe_decides(void **state)
{
	struct ways ways;

	(void)state;
	ways_init(&ways, true);
	assert_int_equal(probed_same(&ways, 1, 100, 50), WAY_PAST);
	assert_int_equal(probed_same(&ways, 2, 100, 220), WAY_BUFFERED);
	assert_int_equal(probed_same(&ways, 3, 100, 180), WAY_PAST); /* less processor time */
	/* each pair has its own */
	assert_int_equal(ways_choose(&ways, PLACE_SAME, same(1)).way, WAY_PAST);
	assert_int_equal(ways_choose(&ways, PLACE_SAME, same(2)).way, WAY_BUFFERED);
	ways_fini(&ways);
}

/* The first shards found warm memory; later ones do not. The other way round it stays. */
static void test_a_lavish_choice_is_looked_at_again(void **state)
{
	unsigned int probes = 0;
	struct ways ways;

	(void)state;
	ways_init(&ways, true);
	assert_int_equal(probed_same(&ways, 1, 100, 300), WAY_BUFFERED);
	for (int i = 0; i < 80; i++)
		probes += bring(&ways, PLACE_SAME, same(1), 100, 300).probing;
	assert_int_equal(probes, 20); /* one of each way in eight */
	assert_int_equal(ways_choose(&ways, PLACE_SAME, same(1)).way, WAY_BUFFERED);
	for (int i = 0; i < 24; i++)
		bring(&ways, PLACE_SAME, same(1), 500, 200);
	for (int i = 0; i < 32; i++) {
		struct way_choice choice = bring(&ways, PLACE_SAME, same(1), 500, 200);

		assert_int_equal(choice.way, WAY_PAST);
		assert_false(choice.probing);
	}
	ways_fini(&ways);
}

/* From another device the question is how the source is read. */
static void test_a_probe_of_two_devices(void **state)
{
	struct ways ways;

	(void)state;
	ways_init(&ways, true);
	assert_int_equal(probed(&ways, PLACE_OTHER, two(1), 100, 50), WAY_PAST);
	assert_int_equal(probed(&ways, PLACE_OTHER, two(2), 100, 220), WAY_DIRECT);
	assert_int_equal(ways_choose(&ways, PLACE_OTHER, two(1)).way, WAY_PAST);
	ways_fini(&ways);
}

/* Without io_uring nothing is read past the page cache, one block at a time. */
static void test_without_depth(void **state)
{
	struct way_choice choice;
	struct ways ways;

	(void)state;
	ways_init(&ways, false);
	choice = ways_choose(&ways, PLACE_OTHER, two(1));
	assert_int_equal(choice.way, WAY_DIRECT);
	assert_false(choice.probing);
	assert_int_equal(probed_same(&ways, 1, 100, 50), WAY_DIRECT);
	assert_int_equal(probed_same(&ways, 2, 100, 220), WAY_BUFFERED);
	ways_fini(&ways);
}

/* Several under way at once share the ways; one that fails and tells nothing holds nothing up. */
static void test_many_at_once(void **state)
{
	struct ways ways;
	unsigned int seen[WAYS] = {0};

	(void)state;
	ways_init(&ways, true);
	for (int i = 0; i < 8; i++)
		seen[ways_choose(&ways, PLACE_SAME, same(1)).way]++;
	assert_int_equal(seen[WAY_BUFFERED], 2);
	for (int i = 0; i < 8; i++)
		bring(&ways, PLACE_SAME, same(1), 100, 300);
	assert_int_equal(bring(&ways, PLACE_SAME, same(1), 100, 300).way, WAY_BUFFERED);
	ways_fini(&ways);
}

static void test_the_oldest_pair_is_forgotten(void **state)
{
	struct ways ways;

	(void)state;
	ways_init(&ways, true);
	for (dev_t device = 1; device <= WAYS_KNOWN + 1; device++)
		probed_same(&ways, device, 100, 50);
	assert_false(ways_choose(&ways, PLACE_SAME, same(WAYS_KNOWN + 1)).probing);
	assert_true(ways_choose(&ways, PLACE_SAME, same(1)).probing);
	ways_fini(&ways);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_elsewhere_is_direct_without_a_probe),
		cmocka_unit_test(test_a_probe_decides),
		cmocka_unit_test(test_a_lavish_choice_is_looked_at_again),
		cmocka_unit_test(test_a_probe_of_two_devices),
		cmocka_unit_test(test_without_depth),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_the_oldest_pair_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
