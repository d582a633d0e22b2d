/* Token buckets, on a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/bucket.h"

#define S 1000000000LL

static void test_no_limit(void **state)
{
	struct bucket bucket = {0};

	(void)state;
	bucket_spend(&bucket, UINT64_MAX, 5);
	assert_int_equal(bucket_wait_ns(&bucket, UINT64_MAX, 6), 0);
}

static void test_burst_then_rate(void **state)
{
	struct bucket bucket = {0};

	(void)state;
	bucket_set(&bucket, 10, 5, 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(bucket_wait_ns(&bucket, 1, 0), 0);
		bucket_spend(&bucket, 1, 0);
	}
	assert_in_range(bucket_wait_ns(&bucket, 1, 0), S / 10, S / 10 + 2);
	assert_in_range(bucket_wait_ns(&bucket, 1, S / 20), S / 20, S / 20 + 2);
	assert_int_equal(bucket_wait_ns(&bucket, 1, S / 10), 0);
}

/* Ten seconds of one after the other bring the rate, and the burst once. */
static void test_rate_over_time(void **state)
{
	struct bucket bucket = {0};
	int64_t now = 0;
	int taken = 0;

	(void)state;
	bucket_set(&bucket, 100, 10, now);
	while (now < 10 * S) {
		int64_t wait = bucket_wait_ns(&bucket, 1, now);

		if (!wait) {
			bucket_spend(&bucket, 1, now);
			taken++;
		}
		now += wait ? wait : 1000;
	}
	assert_in_range(taken, 1005, 1011);
}

static void test_debt(void **state)
{
	struct bucket bucket = {0};

	(void)state;
	bucket_set(&bucket, 1000, 100, 0);
	bucket_spend(&bucket, 2100, 0); /* 100 were there */
	assert_in_range(bucket_wait_ns(&bucket, 0, 0), 2 * S, 2 * S + 2);
	assert_int_equal(bucket_wait_ns(&bucket, 0, 2 * S), 0);
	bucket_spend(&bucket, UINT64_MAX, 2 * S); /* forgotten beyond a minute */
	assert_in_range(bucket_wait_ns(&bucket, 0, 2 * S), 59 * S, 60 * S);
}

static void test_rest_gathers_no_more_than_the_burst(void **state)
{
	struct bucket bucket = {0};

	(void)state;
	bucket_set(&bucket, 1000, 100, 0);
	assert_int_equal(bucket_wait_ns(&bucket, 100, 3600 * S), 0);
	bucket_spend(&bucket, 100, 3600 * S);
	assert_in_range(bucket_wait_ns(&bucket, 1, 3600 * S), 1, S / 1000 + 2);
	/* more than can ever be there is not waited for */
	assert_int_equal(bucket_wait_ns(&bucket, 5000, 3601 * S), 0);
}

static void test_another_rate(void **state)
{
	struct bucket bucket = {0};

	(void)state;
	bucket_set(&bucket, 10, 10, 0);
	bucket_spend(&bucket, 30, 0);
	assert_in_range(bucket_wait_ns(&bucket, 0, 0), 2 * S, 2 * S + 2);
	bucket_set(&bucket, 1000, 10, 0); /* the debt stays, and is paid sooner */
	assert_in_range(bucket_wait_ns(&bucket, 0, 0), S / 50, S / 50 + 2);
	bucket_set(&bucket, 0, 0, 0);
	assert_int_equal(bucket_wait_ns(&bucket, 7, 0), 0);
	bucket_set(&bucket, 10, 10, 0); /* full again */
	assert_int_equal(bucket_wait_ns(&bucket, 10, 0), 0);
}

static void test_clock_steps_back(void **state)
{
	struct bucket bucket = {0};

	(void)state;
	bucket_set(&bucket, 10, 10, 100 * S);
	bucket_spend(&bucket, 10, 100 * S);
	assert_in_range(bucket_wait_ns(&bucket, 1, 50 * S), S / 10, S / 10 + 2);
	assert_int_equal(bucket_wait_ns(&bucket, 1, 51 * S), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_burst_then_rate),
		cmocka_unit_test(test_rate_over_time),
		cmocka_unit_test(test_debt),
		cmocka_unit_test(test_rest_gathers_no_more_than_the_burst),
		cmocka_unit_test(test_another_rate),
		cmocka_unit_test(test_clock_steps_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
