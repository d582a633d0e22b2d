/*
 * The plugin's arguments in plugstack.conf, and the paths made of them.
 * Must not need Slurm.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../spank/settings.h"
#include "larder/wire.h"

static char told[4096];

static void tell(const char *sentence)
{
	strncat(told, sentence, sizeof(told) - strlen(told) - 2);
	strcat(told, "\n");
}

static struct settings parse(const char *arg)
{
	struct settings settings;
	char *copy = strdup(arg);

	told[0] = '\0';
	settings_parse(&settings, 1, &copy, tell);
	free(copy);
	return settings;
}

static void test_defaults_are_the_documented_ones(void **state)
{
	struct settings s;

	(void)state;
	settings_parse(&s, 0, NULL, tell);
	assert_string_equal(s.socket, "/run/larder/larderd.sock");
	assert_string_equal(s.catalog, "/etc/larder/catalog");
	assert_int_equal(s.timeout_ms, 3000);
	assert_int_equal(s.wait_max_ms, 600000);
	assert_int_equal(s.on_fail, LARDER_ON_FAIL_FAIL);
}

static void test_each_argument_is_taken(void **state)
{
	(void)state;
	assert_string_equal(parse("socket=/a/%n/s").socket, "/a/%n/s");
	assert_string_equal(parse("catalog=/c").catalog, "/c");
	assert_string_equal(parse("run_dir=/r").run_dir, "/r");
	assert_int_equal(parse("timeout=500ms").timeout_ms, 500);
	assert_int_equal(parse("wait_max=2m").wait_max_ms, 120000);
	assert_int_equal(parse("on_fail=bypass").on_fail, LARDER_ON_FAIL_BYPASS);
	assert_string_equal(told, "");
}

static void test_a_bad_argument_is_told_and_ignored(void **state)
{
	static const char *const bad[] = {
		"socket=relative",
		"catalog=",
		"timeout=never",
		"timeout=0",
		"timeout=31s",
		"timeout=99ms",
		"wait_max=25h",
		"on_fail=retry",
		"colour=red",
		"socket",
		"",
		"socke=/x",
		"sockets=/x",
		"timeout",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct settings s = parse(bad[i]);

		assert_non_null(strstr(told, "is ignored"));
		assert_string_equal(s.socket, "/run/larder/larderd.sock");
		assert_string_equal(s.catalog, "/etc/larder/catalog");
		assert_int_equal(s.timeout_ms, 3000);
		assert_int_equal(s.wait_max_ms, 600000);
		assert_int_equal(s.on_fail, LARDER_ON_FAIL_FAIL);
	}
}

static void test_the_node_is_slurms_name_if_that_is_a_file_name(void **state)
{
	static const char *const bad[] = {"", "../x", "a/b", ".", ".hidden", "n1 n2", "n%n"};
	char host[SETTINGS_NODE_MAX], node[SETTINGS_NODE_MAX];

	(void)state;
	setenv("SLURMD_NODENAME", "node-17", 1);
	settings_node(node);
	assert_string_equal(node, "node-17");
	unsetenv("SLURMD_NODENAME");
	settings_node(host);
	assert_null(strchr(host, '.'));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setenv("SLURMD_NODENAME", bad[i], 1);
		settings_node(node);
		assert_string_equal(node, host);
	}
	unsetenv("SLURMD_NODENAME");
}

static void test_every_percent_n_becomes_the_node(void **state)
{
	char out[16];

	(void)state;
	assert_int_equal(settings_expand("/r/%n/%n.s", "n1", out, sizeof(out), NULL), 0);
	assert_string_equal(out, "/r/n1/n1.s");
	assert_int_equal(settings_expand("/100%/%", "n1", out, sizeof(out), NULL), 0);
	assert_string_equal(out, "/100%/%");
	assert_int_equal(settings_expand("/234567890123456", "n", out, sizeof(out), NULL),
			 -ENAMETOOLONG);
	assert_int_equal(settings_expand("/23456789012345", "n", out, sizeof(out), NULL), -0);
}

static void test_markers_are_beside_the_socket_or_in_run_dir(void **state)
{
	struct settings s = parse("socket=/run/%n/larderd.sock");
	char out[64];

	(void)state;
	assert_int_equal(settings_jobs_dir(&s, "n1", out, sizeof(out), NULL), 0);
	assert_string_equal(out, "/run/n1/jobs");
	s = parse("run_dir=/var/run/x-%n");
	assert_int_equal(settings_jobs_dir(&s, "n1", out, sizeof(out), NULL), 0);
	assert_string_equal(out, "/var/run/x-n1/jobs");
	assert_int_equal(settings_jobs_dir(&s, "n1", out, 10, NULL), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_are_the_documented_ones),
		cmocka_unit_test(test_each_argument_is_taken),
		cmocka_unit_test(test_a_bad_argument_is_told_and_ignored),
		cmocka_unit_test(test_the_node_is_slurms_name_if_that_is_a_file_name),
		cmocka_unit_test(test_every_percent_n_becomes_the_node),
		cmocka_unit_test(test_markers_are_beside_the_socket_or_in_run_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
