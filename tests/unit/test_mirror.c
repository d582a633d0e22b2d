/* Which origin the next shard comes from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/mirror.h"

#define MIB ((uint64_t)1024 * 1024)
#define RAN(mib, ms)                                                                               \
	{                                                                                          \
		.usable = true, .bytes = (mib)*MIB, .shards = 10, .busy_ms = (ms)                  \
	}
#define NEW                                                                                        \
	{                                                                                          \
		.usable = true                                                                     \
	}

static void test_first_until_it_is_proved(void **state)
{
	struct mirror m[] = {NEW, NEW, NEW};

	(void)state;
	assert_int_equal(mirror_choose(m, 3), 0);
	m[0].running = 7;
	assert_int_equal(mirror_choose(m, 3), 0);
	assert_int_equal(mirror_choose(m, 1), 0);
}

static void test_each_is_tried_with_one_shard(void **state)
{
	struct mirror m[] = {RAN(10, 100), NEW, NEW};

	(void)state;
	assert_int_equal(mirror_choose(m, 3), 1);
	m[1].running = 1;
	assert_int_equal(mirror_choose(m, 3), 2);
	m[2].running = 1;
	assert_int_equal(mirror_choose(m, 3), 0);
}

static void test_much_faster_wins_a_little_faster_does_not(void **state)
{
	struct mirror m[] = {RAN(10, 100), RAN(14, 100), RAN(5, 100)};

	(void)state;
	assert_int_equal(mirror_choose(m, 3), 0);
	m[1].bytes = 20 * MIB;
	assert_int_equal(mirror_choose(m, 3), 1);
	m[2].bytes = 100 * MIB;
	assert_int_equal(mirror_choose(m, 3), 2);
}

static void test_failures(void **state)
{
	struct mirror m[] = {RAN(10, 100), RAN(10, 100), NEW};

	(void)state;
	m[2].failed = 1;
	assert_int_equal(mirror_choose(m, 3), 0); /* what failed is not tried for its rate */
	m[0].failed = 3;
	assert_int_equal(mirror_choose(m, 3), 1);
	m[1].failed = 5;
	m[2].failed = 4;
	assert_int_equal(mirror_choose(m, 3), 0); /* all fail: the one that failed least */
	m[0].usable = false;
	assert_int_equal(mirror_choose(m, 3), 2);
	m[1].usable = m[2].usable = false;
	assert_int_equal(mirror_choose(m, 3), 0);
}

static void test_unknown_kind_is_passed_over(void **state)
{
	struct mirror m[] = {{.usable = false}, NEW};

	(void)state;
	assert_int_equal(mirror_choose(m, 2), 1);
}

static void test_rescue(void **state)
{
	struct mirror m[] = {RAN(100, 1000), RAN(1, 1000)};

	(void)state;
	/* 1 MiB of 100 in 2 s: 198 s to go, and the other one has it in one */
	assert_int_equal(mirror_rescue(m, 2, 1, MIB, 100 * MIB, 2000), 0);
	assert_int_equal(mirror_rescue(m, 2, 1, 0, 100 * MIB, 2000), 0);
	assert_int_equal(mirror_rescue(m, 2, 1, MIB, 100 * MIB, 500), 2); /* too early to say */
	assert_int_equal(mirror_rescue(m, 2, 1, 98 * MIB, 100 * MIB, 2000), 2); /* nearly there */
	assert_int_equal(mirror_rescue(m, 2, 0, MIB, 100 * MIB, 2000), 2); /* the other is slower */
	m[0].failed = 3;
	assert_int_equal(mirror_rescue(m, 2, 1, MIB, 100 * MIB, 2000), 2);
}

/* The preferred one crawls, and of the other nobody knows anything yet: one shard tries it. */
static void test_rescue_by_one_that_is_not_known(void **state)
{
	struct mirror m[] = {NEW, NEW};

	(void)state;
	m[0].running = 4;
	assert_int_equal(mirror_rescue(m, 2, 0, MIB, 100 * MIB, 2000), 1);
	assert_int_equal(mirror_rescue(m, 2, 0, MIB, 2 * MIB, 2000), 2); /* as good as there */
	m[1].running = 1;
	assert_int_equal(mirror_rescue(m, 2, 0, MIB, 100 * MIB, 2000), 2);
	m[1].running = 0;
	m[1].failed = 1;
	assert_int_equal(mirror_rescue(m, 2, 0, MIB, 100 * MIB, 2000), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_until_it_is_proved),
		cmocka_unit_test(test_each_is_tried_with_one_shard),
		cmocka_unit_test(test_much_faster_wins_a_little_faster_does_not),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_unknown_kind_is_passed_over),
		cmocka_unit_test(test_rescue),
		cmocka_unit_test(test_rescue_by_one_that_is_not_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
