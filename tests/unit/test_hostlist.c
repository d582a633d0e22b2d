/* Lists of nodes: what they expand to, and what is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/hostlist.h"

/* What a list expands to, joined with blanks; "!" and the sentence when it is refused. */
static void expect(const char *list, const char *joined)
{
	struct larder_error err = {0};
	char got[4096] = "";
	char **nodes = NULL;
	size_t count = 0;

	assert_int_equal(hostlist_expand(list, &nodes, &count, &err), 0);
	for (size_t i = 0; i < count; i++) {
		strcat(got, i ? " " : "");
		strcat(got, nodes[i]);
	}
	assert_null(nodes[count]);
	assert_string_equal(got, joined);
	hostlist_free(nodes);
}

static void expect_refused(const char *list, int code, const char *part)
{
	struct larder_error err = {0};
	char **nodes = NULL;
	size_t count = 0;

	assert_int_equal(hostlist_expand(list, &nodes, &count, &err), -code);
	assert_null(nodes);
	assert_non_null(strstr(err.text, part));
}

static void test_plain_names(void **state)
{
	(void)state;
	expect("n1", "n1");
	expect("n1,n2,login-3.example", "n1 n2 login-3.example");
}

static void test_ranges(void **state)
{
	(void)state;
	expect("n[1-3]", "n1 n2 n3");
	expect("n[1,3,5-6]x", "n1x n3x n5x n6x");
	expect("a,n[9-11],b", "a n9 n10 n11 b");
}

static void test_zeros_are_kept(void **state)
{
	(void)state;
	expect("n[08-11]", "n08 n09 n10 n11");
	expect("n[001]", "n001");
}

static void test_several_brackets(void **state)
{
	(void)state;
	expect("r[1-2]n[1-2]", "r1n1 r1n2 r2n1 r2n2");
}

static void test_doubles_are_dropped(void **state)
{
	(void)state;
	expect("n2,n[1-3],n1", "n2 n1 n3");
}

static void test_refused(void **state)
{
	(void)state;
	expect_refused("", EINVAL, "empty name");
	expect_refused("n1,,n2", EINVAL, "empty name");
	expect_refused("n1,", EINVAL, "empty name");
	expect_refused("n[", EINVAL, "brackets");
	expect_refused("n[]", EINVAL, "brackets");
	expect_refused("n[1-", EINVAL, "brackets");
	expect_refused("n[3-1]", EINVAL, "brackets");
	expect_refused("n[1,]", EINVAL, "brackets");
	expect_refused("n[a-b]", EINVAL, "brackets");
	expect_refused("n[-1]", EINVAL, "brackets");
	expect_refused("n[1]]", EINVAL, "cannot be in the name");
	expect_refused("n/1", EINVAL, "cannot be in the name");
	expect_refused("n\n1", EINVAL, "'?'");
	expect_refused("../n1", EINVAL, "cannot be in the name");
	expect_refused("..", EINVAL, "no name of a node");
	expect_refused("n[0-99999999999999999999]", EINVAL, "brackets");
}

static void test_too_many(void **state)
{
	(void)state;
	expect_refused("n[0-65536]", EINVAL, "brackets");
	expect_refused("a[1-300]b[1-300]", E2BIG, "more than");
}

static void test_too_long(void **state)
{
	char name[HOSTLIST_NAME_MAX + 8];

	(void)state;
	memset(name, 'a', HOSTLIST_NAME_MAX);
	name[HOSTLIST_NAME_MAX] = '\0';
	expect(name, name);
	strcpy(name + HOSTLIST_NAME_MAX, "b");
	expect_refused(name, EINVAL, "too long");
	strcpy(name + HOSTLIST_NAME_MAX, "[1]");
	expect_refused(name, EINVAL, "too long");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_names),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_zeros_are_kept),
		cmocka_unit_test(test_several_brackets),
		cmocka_unit_test(test_doubles_are_dropped),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests_name("hostlist", tests, NULL, NULL);
}
