/*
 * What stands beside a program: this test's own neighbours.
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "larder/beside.h"

static void a_program_finds_itself(void **state)
{
	char buf[PATH_MAX], own[PATH_MAX];

	(void)state;
	assert_non_null(realpath("/proc/self/exe", own));
	assert_string_equal(larder_beside("test_beside", buf, sizeof(buf)), own);
}

static void the_relative_path_may_lead_elsewhere(void **state)
{
	char buf[PATH_MAX];

	(void)state;
	assert_non_null(larder_beside("../tests/test_beside", buf, sizeof(buf)));
	assert_int_equal(access(buf, X_OK), 0);
}

static void a_path_that_does_not_fit_is_none(void **state)
{
	char buf[PATH_MAX];
	size_t len;

	(void)state;
	assert_non_null(larder_beside("name", buf, sizeof(buf)));
	len = strlen(buf);
	assert_non_null(larder_beside("name", buf, len + 1));
	errno = 0;
	assert_null(larder_beside("name", buf, len));
	assert_int_equal(errno, ENAMETOOLONG);
	errno = 0;
	assert_null(larder_beside("name", buf, 3)); /* not even the directory */
	assert_int_equal(errno, ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_finds_itself),
		cmocka_unit_test(the_relative_path_may_lead_elsewhere),
		cmocka_unit_test(a_path_that_does_not_fit_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
