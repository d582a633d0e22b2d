/* core/quota: how much may be used, how much has to go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/quota.h"

#define G (UINT64_C(1) << 30)

/* A disk of 1000 G, half of it ours, a floor of 20 G, all of the rest free. */
static struct quota_tier half_full(void)
{
	return (struct quota_tier){
		.capacity_bytes = 1000 * G,
		.floor_bytes = 20 * G,
		.size_bytes = 1000 * G,
		.free_bytes = 500 * G,
		.tree_bytes = 500 * G,
		.inodes = 1000000,
		.inodes_free = 600000,
		.tree_inodes = 400000,
	};
}

static void room_is_what_the_floor_leaves(void **unused)
{
	struct quota_tier t = half_full();
	struct quota_room room;

	(void)unused;
	quota_room(&t, &room);
	assert_int_equal(room.bytes, 480 * G);
	assert_int_equal(room.max_bytes, 980 * G);
	assert_int_equal(room.inodes, 600000);
	assert_int_equal(room.max_inodes, 1000000);
}

static void a_capacity_below_the_disk_counts(void **unused)
{
	struct quota_tier t = half_full();
	struct quota_room room;

	(void)unused;
	t.capacity_bytes = 600 * G;
	quota_room(&t, &room);
	assert_int_equal(room.bytes, 100 * G);
	assert_int_equal(room.max_bytes, 600 * G);
}

static void a_capacity_above_the_disk_is_the_disk(void **unused)
{
	struct quota_tier t = half_full();
	struct quota_room room;

	(void)unused;
	t.capacity_bytes = UINT64_MAX;
	quota_room(&t, &room);
	assert_int_equal(room.bytes, 480 * G);
	assert_int_equal(room.max_bytes, 980 * G);
}

static void the_floor_wins_when_others_fill_the_disk(void **unused)
{
	struct quota_tier t = half_full();
	struct quota_room room;

	(void)unused;
	t.free_bytes = 15 * G; /* 485 G of somebody else's */
	quota_room(&t, &room);
	assert_int_equal(room.bytes, 0);
	assert_int_equal(room.max_bytes, 495 * G);
}

static void reservations_are_taken(void **unused)
{
	struct quota_tier t = half_full();
	struct quota_room room;

	(void)unused;
	t.reserved_bytes = 400 * G;
	t.reserved_inodes = 600001;
	quota_room(&t, &room);
	assert_int_equal(room.bytes, 80 * G);
	assert_int_equal(room.inodes, 0);
	assert_int_equal(room.max_bytes, 580 * G);
}

static void a_file_system_without_inodes_has_no_limit(void **unused)
{
	struct quota_tier t = half_full();
	struct quota_answer a;

	(void)unused;
	t.inodes = t.inodes_free = 0;
	quota_admit(&t, 1 * G, UINT64_MAX, &a);
	assert_int_equal(a.verdict, QUOTA_FITS);
	assert_true(a.room.inodes == QUOTA_NO_LIMIT);
	assert_true(a.room.max_inodes == QUOTA_NO_LIMIT);
}

static void what_fits_needs_no_eviction(void **unused)
{
	struct quota_tier t = half_full();
	struct quota_answer a;

	(void)unused;
	quota_admit(&t, 480 * G, 600000, &a);
	assert_int_equal(a.verdict, QUOTA_FITS);
	assert_int_equal(a.evict_bytes, 0);
	assert_int_equal(a.trash_bytes, 0);
	quota_admit(&t, 480 * G + 1, 1, &a);
	assert_int_equal(a.verdict, QUOTA_EVICT);
	assert_int_equal(a.evict_bytes, 1);
}

static void the_trash_is_waited_for_before_anything_goes(void **unused)
{
	struct quota_tier t = half_full();
	struct quota_answer a;

	(void)unused;
	t.tree_bytes = 300 * G;
	t.trash_bytes = 200 * G;
	quota_admit(&t, 600 * G, 1, &a);
	assert_int_equal(a.verdict, QUOTA_TRASH);
	assert_int_equal(a.trash_bytes, 120 * G);
	assert_int_equal(a.evict_bytes, 0);
	quota_admit(&t, 700 * G, 1, &a);
	assert_int_equal(a.verdict, QUOTA_EVICT);
	assert_int_equal(a.trash_bytes, 200 * G);
	assert_int_equal(a.evict_bytes, 20 * G);
}

static void what_is_larger_than_all_never_fits(void **unused)
{
	struct quota_tier t = half_full();
	struct quota_answer a;

	(void)unused;
	quota_admit(&t, 980 * G, 1, &a);
	assert_int_equal(a.verdict, QUOTA_EVICT);
	assert_int_equal(a.evict_bytes, 500 * G);
	quota_admit(&t, 980 * G + 1, 1, &a);
	assert_int_equal(a.verdict, QUOTA_NEVER);
	quota_admit(&t, UINT64_MAX, UINT64_MAX, &a);
	assert_int_equal(a.verdict, QUOTA_NEVER);
}

static void the_worse_of_bytes_and_inodes_counts(void **unused)
{
	struct quota_tier t = half_full();
	struct quota_answer a;

	(void)unused;
	quota_admit(&t, 1 * G, 700000, &a);
	assert_int_equal(a.verdict, QUOTA_EVICT);
	assert_int_equal(a.evict_bytes, 0);
	assert_int_equal(a.evict_inodes, 100000);
	quota_admit(&t, 1 * G, 1000001, &a);
	assert_int_equal(a.verdict, QUOTA_NEVER);
}

static void pressure_begins_above_and_goes_down_to(void **unused)
{
	struct quota_tier t = half_full();
	uint64_t bytes, inodes;

	(void)unused;
	assert_false(quota_pressure(&t, 500 * G, 400 * G, &bytes, &inodes));
	assert_int_equal(bytes, 0);
	assert_true(quota_pressure(&t, 499 * G, 400 * G, &bytes, &inodes));
	assert_int_equal(bytes, 100 * G);
	assert_int_equal(inodes, 0);
}

static void pressure_knows_what_is_on_its_way(void **unused)
{
	struct quota_tier t = half_full();
	uint64_t bytes, inodes;

	(void)unused;
	t.reserved_bytes = 10 * G;
	assert_true(quota_pressure(&t, 505 * G, 400 * G, &bytes, &inodes));
	assert_int_equal(bytes, 110 * G);
	/* The trash is going anyway: it asks for nothing more to go. */
	t.reserved_bytes = 0;
	t.tree_bytes = 400 * G;
	t.trash_bytes = 100 * G;
	assert_false(quota_pressure(&t, 450 * G, 300 * G, &bytes, &inodes));
}

static void pressure_frees_the_floor(void **unused)
{
	struct quota_tier t = half_full();
	uint64_t bytes, inodes;

	(void)unused;
	t.free_bytes = 5 * G;
	t.floor_inodes = 10;
	t.inodes_free = 3;
	assert_true(quota_pressure(&t, 900 * G, 800 * G, &bytes, &inodes));
	assert_int_equal(bytes, 15 * G);
	assert_int_equal(inodes, 7);
}

static void marks_the_wrong_way_round_do_not_empty_the_cache(void **unused)
{
	struct quota_tier t = half_full();
	uint64_t bytes, inodes;

	(void)unused;
	assert_true(quota_pressure(&t, 499 * G, 700 * G, &bytes, &inodes));
	assert_int_equal(bytes, 1 * G);
}

static void a_footprint_rounds_tails_up(void **unused)
{
	(void)unused;
	assert_int_equal(quota_footprint(0, 0, 4096), 4096);
	assert_int_equal(quota_footprint(1000, 1, 4096), 1000 + 2 * 4096);
	assert_true(quota_footprint(100, 1000000, 4096) >= UINT64_C(4096000000));
	assert_true(quota_footprint(1, UINT64_MAX / 2, 4096) == QUOTA_NO_LIMIT);
	assert_true(quota_footprint(UINT64_MAX, 1, 4096) == QUOTA_NO_LIMIT);
}

static uint64_t any(void)
{
	uint64_t x = ((uint64_t)random() << 42) ^ ((uint64_t)random() << 21) ^ (uint64_t)random();

	switch (random() % 8) {
	case 0: return 0;
	case 1: return UINT64_MAX - (uint64_t)random() % 3;
	case 2: return x;
	default: return x % (2000 * G);
	}
}

/* Whatever the numbers: what is promised stays above the floor and below the capacity, and what is
 * said to suffice does. Checked in 128 bits, where nothing overflows. */
static void no_numbers_break_the_limits(void **unused)
{
	(void)unused;
	srandom(1);
	for (int i = 0; i < 200000; i++) {
		struct quota_tier t = {
			.capacity_bytes = any(),
			.floor_bytes = any(),
			.floor_inodes = any(),
			.size_bytes = any(),
			.free_bytes = any(),
			.inodes = any(),
			.inodes_free = any(),
			.tree_bytes = any(),
			.tree_inodes = any(),
			.trash_bytes = any(),
			.trash_inodes = any(),
			.reserved_bytes = any(),
			.reserved_inodes = any(),
		};
		uint64_t need = any(),
			 free = t.free_bytes < t.size_bytes ? t.free_bytes : t.size_bytes;
		struct quota_answer a;
		uint64_t bytes, inodes;
		bool pressed;

		quota_admit(&t, need, any(), &a);
		if (a.room.bytes) {
			assert_true((__uint128_t)a.room.bytes + t.reserved_bytes + t.floor_bytes <=
				    free);
			assert_true((__uint128_t)a.room.bytes + t.reserved_bytes <=
				    t.capacity_bytes);
		}
		assert_true(a.room.max_bytes >= a.room.bytes);
		assert_true(a.room.max_bytes <= t.size_bytes);
		if (a.verdict == QUOTA_FITS && need)
			assert_true(need <= a.room.bytes);
		assert_true(a.verdict != QUOTA_NEVER || need > a.room.max_bytes || t.inodes != 0);
		if (a.verdict == QUOTA_EVICT && a.evict_bytes) {
			struct quota_tier then = t;
			struct quota_answer b;
			uint64_t used = t.size_bytes - free;

			/* Act on the answer, on numbers clamped as quota clamps them. */
			then.trash_bytes = t.trash_bytes < used ? t.trash_bytes : used;
			then.tree_bytes = t.tree_bytes < used - then.trash_bytes
						  ? t.tree_bytes
						  : used - then.trash_bytes;
			then.free_bytes = free + a.evict_bytes + a.trash_bytes;
			then.trash_bytes -= a.trash_bytes;
			then.tree_bytes -= a.evict_bytes;
			quota_admit(&then, need, 0, &b);
			assert_int_equal(b.verdict, QUOTA_FITS);
			assert_true(b.room.bytes == need); /* and not a byte too many went */
		}
		pressed = quota_pressure(&t, any(), any(), &bytes, &inodes);
		assert_int_equal(pressed, bytes || inodes);
		assert_true(bytes <= t.tree_bytes && bytes <= t.size_bytes);
		assert_true(inodes <= t.tree_inodes && inodes <= t.inodes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(room_is_what_the_floor_leaves),
		cmocka_unit_test(a_capacity_below_the_disk_counts),
		cmocka_unit_test(a_capacity_above_the_disk_is_the_disk),
		cmocka_unit_test(the_floor_wins_when_others_fill_the_disk),
		cmocka_unit_test(reservations_are_taken),
		cmocka_unit_test(a_file_system_without_inodes_has_no_limit),
		cmocka_unit_test(what_fits_needs_no_eviction),
		cmocka_unit_test(the_trash_is_waited_for_before_anything_goes),
		cmocka_unit_test(what_is_larger_than_all_never_fits),
		cmocka_unit_test(the_worse_of_bytes_and_inodes_counts),
		cmocka_unit_test(pressure_begins_above_and_goes_down_to),
		cmocka_unit_test(pressure_knows_what_is_on_its_way),
		cmocka_unit_test(pressure_frees_the_floor),
		cmocka_unit_test(marks_the_wrong_way_round_do_not_empty_the_cache),
		cmocka_unit_test(a_footprint_rounds_tails_up),
		cmocka_unit_test(no_numbers_break_the_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
