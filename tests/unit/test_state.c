/* core/state: the edges of a tree, the words of states. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/state.h"

static void an_eviction_follows_a_life(void **unused)
{
	(void)unused;
	assert_true(state_tree_may(LARDER_TREE_STAGING, LARDER_TREE_READY));
	assert_true(state_tree_may(LARDER_TREE_STAGING, LARDER_TREE_PARTIAL));
	assert_true(state_tree_may(LARDER_TREE_STAGING, LARDER_TREE_FAILED));
	assert_true(state_tree_may(LARDER_TREE_FAILED, LARDER_TREE_STAGING));
	assert_true(state_tree_may(LARDER_TREE_READY, LARDER_TREE_EVICTING));
}

static void what_is_being_filled_is_not_evicted(void **unused)
{
	(void)unused;
	assert_false(state_tree_may(LARDER_TREE_STAGING, LARDER_TREE_EVICTING));
}

static void nothing_is_ready_without_staging(void **unused)
{
	(void)unused;
	assert_false(state_tree_may(LARDER_TREE_FAILED, LARDER_TREE_READY));
	assert_false(state_tree_may(LARDER_TREE_EVICTING, LARDER_TREE_STAGING));
}

static void staying_is_no_edge(void **unused)
{
	(void)unused;
	for (unsigned int s = 0; s < LARDER_TREE_STATES; s++)
		assert_false(state_tree_may(s, s));
}

static void numbers_that_are_none_have_no_edges(void **unused)
{
	(void)unused;
	for (unsigned int s = 0; s < LARDER_TREE_STATES + 2; s++) {
		assert_false(state_tree_may(s, LARDER_TREE_STATES));
		assert_false(state_tree_may(LARDER_TREE_STATES, s));
		assert_false(state_tree_may(s, UINT32_MAX));
	}
}

static void a_refusal_names_both_states(void **unused)
{
	struct larder_error err = {0};

	(void)unused;
	assert_int_equal(state_tree_check(LARDER_TREE_STAGING, LARDER_TREE_READY, &err), 0);
	assert_int_equal(state_tree_check(LARDER_TREE_FAILED, LARDER_TREE_READY, &err), -EINVAL);
	assert_non_null(strstr(err.text, "failed"));
	assert_non_null(strstr(err.text, "ready"));
	assert_int_equal(state_tree_check(99, LARDER_TREE_READY, NULL), -EINVAL);
}

static void words_and_numbers_agree_with_the_wire(void **unused)
{
	(void)unused;
	for (unsigned int s = 0; s < LARDER_TREE_STATES; s++)
		assert_int_equal(state_tree_parse(larder_tree_state_word(s)), s);
	for (unsigned int s = 0; s < LARDER_OUTCOMES; s++)
		assert_int_equal(state_outcome_parse(larder_outcome_word(s)), s);
}

static void other_words_are_refused(void **unused)
{
	static const char *const bad[] = {"", "READY", "ready ", "read", "readyy", "?"};

	(void)unused;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(state_tree_parse(bad[i]), -EINVAL);
		assert_int_equal(state_outcome_parse(bad[i]), -EINVAL);
	}
	assert_int_equal(state_tree_parse(NULL), -EINVAL);
	assert_int_equal(state_tree_parse("pending"), -EINVAL);
	assert_int_equal(state_outcome_parse("staging"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_eviction_follows_a_life),
		cmocka_unit_test(what_is_being_filled_is_not_evicted),
		cmocka_unit_test(nothing_is_ready_without_staging),
		cmocka_unit_test(staying_is_no_edge),
		cmocka_unit_test(numbers_that_are_none_have_no_edges),
		cmocka_unit_test(a_refusal_names_both_states),
		cmocka_unit_test(words_and_numbers_agree_with_the_wire),
		cmocka_unit_test(other_words_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
