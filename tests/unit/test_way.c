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

static void test_elsewhere_is_direct_without_a_probe(void **state)
{
	struct ways ways;

	(void)state;
	ways_init(&ways);
	for (int place = PLACE_OTHER; place <= PLACE_NETWORK; place++) {
		struct way_choice choice = ways_choose(&ways, (enum way_place)place, 7);

		assert_int_equal(choice.way, WAY_DIRECT);
		assert_false(choice.probing);
	}
	ways_fini(&ways);
}

/* Shards of 64 MB in turns, until a choice is made; milliseconds a shard of each way. */
static enum way probed(struct ways *ways, dev_t device, int64_t buffered_ms, int64_t direct_ms)
{
	unsigned int seen[WAYS] = {0};
	struct way_choice choice;

	for (int i = 0; i < 4; i++) {
		choice = ways_choose(ways, PLACE_SAME, device);
		assert_true(choice.probing);
		seen[choice.way]++;
		ways_tell(ways, device, choice.way, 64 * MB,
			  MS * (choice.way == WAY_DIRECT ? direct_ms : buffered_ms));
	}
	assert_int_equal(seen[WAY_DIRECT], 2);
	choice = ways_choose(ways, PLACE_SAME, device);
	assert_false(choice.probing);
	return choice.way;
}

static void test_a_probe_decides(void **state)
{
	struct ways ways;

	(void)state;
	ways_init(&ways);
	assert_int_equal(probed(&ways, 1, 100, 50), WAY_DIRECT);
	assert_int_equal(probed(&ways, 2, 100, 130), WAY_BUFFERED);
	assert_int_equal(probed(&ways, 3, 100, 105), WAY_DIRECT); /* less processor time */
	/* each device has its own, and keeps it whatever is told later */
	ways_tell(&ways, 2, WAY_DIRECT, 1000 * MB, MS);
	assert_int_equal(ways_choose(&ways, PLACE_SAME, 1).way, WAY_DIRECT);
	assert_int_equal(ways_choose(&ways, PLACE_SAME, 2).way, WAY_BUFFERED);
	ways_fini(&ways);
}

/* Several under way at once share the ways; one that fails and tells nothing holds nothing up. */
static void test_many_at_once(void **state)
{
	struct ways ways;
	unsigned int seen[WAYS] = {0};

	(void)state;
	ways_init(&ways);
	for (int i = 0; i < 8; i++)
		seen[ways_choose(&ways, PLACE_SAME, 1).way]++;
	assert_int_equal(seen[WAY_BUFFERED], 4);
	assert_int_equal(probed(&ways, 1, 100, 300), WAY_BUFFERED);
	ways_fini(&ways);
}

static void test_the_oldest_device_is_forgotten(void **state)
{
	struct ways ways;

	(void)state;
	ways_init(&ways);
	for (dev_t device = 1; device <= WAYS_KNOWN + 1; device++)
		probed(&ways, device, 100, 50);
	assert_false(ways_choose(&ways, PLACE_SAME, WAYS_KNOWN + 1).probing);
	assert_true(ways_choose(&ways, PLACE_SAME, 1).probing);
	ways_fini(&ways);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_elsewhere_is_direct_without_a_probe),
		cmocka_unit_test(test_a_probe_decides),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_the_oldest_device_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
