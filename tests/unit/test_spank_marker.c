/*
 * Marker files: written, read back, refused when somebody else could have written them.
 * Must not need Slurm or root.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../spank/marker.h"
#include "larder/wire.h"
#include "scratch.h"

static int setup(void **state)
{
	*state = scratch_create();
	return 0;
}

static int teardown(void **state)
{
	scratch_destroy(*state);
	return 0;
}

static const char *jobs(void **state)
{
	return scratch_path(*state, "run/jobs");
}

static void put(void **state, const char *text)
{
	mkdir(scratch_path(*state, "run"), 0755);
	mkdir(scratch_path(*state, "run/jobs"), 0755);
	scratch_write(scratch_path(*state, "run/jobs/7"), text, strlen(text));
}

static int read_back(void **state)
{
	struct marker m;
	int rc = marker_read(jobs(state), 7, &m, NULL);

	marker_fini(&m);
	return rc;
}

static void test_what_is_written_is_read(void **state)
{
	struct marker in = {.run = 3, .on_fail = LARDER_ON_FAIL_BYPASS, .final = true}, out;
	struct stat st;

	in.specs = strdup("a:1,b=/own path");
	strcpy(in.error, "it does not fit\nsecond line");
	assert_int_equal(marker_origin_add(&in, "a", "1", "0123456789abcdef", "/data/a b"), 0);
	assert_int_equal(marker_origin_add(&in, "b", "own", "", "/own path"), 0);
	assert_int_equal(marker_write(jobs(state), 7, &in, NULL), 0);
	assert_int_equal(marker_read(jobs(state), 7, &out, NULL), 0);
	assert_int_equal(out.run, 3);
	assert_int_equal(out.on_fail, LARDER_ON_FAIL_BYPASS);
	assert_true(out.final);
	assert_string_equal(out.error, "it does not fit");
	assert_string_equal(out.specs, "a:1,b=/own path");
	assert_int_equal(out.n_origins, 2);
	assert_string_equal(out.origins[0].digest, "0123456789abcdef");
	assert_string_equal(out.origins[0].path, "/data/a b");
	assert_string_equal(out.origins[1].digest, "");
	assert_string_equal(out.origins[1].version, "own");
	assert_int_equal(stat(scratch_path(*state, "run/jobs/7"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(access(scratch_path(*state, "run/jobs/.7"), F_OK), -1);
	marker_fini(&in);
	marker_fini(&out);
}

static void test_a_later_run_replaces_it_and_is_not_removed_by_an_earlier_one(void **state)
{
	struct marker m = {.run = 1}, out;

	assert_int_equal(marker_write(jobs(state), 7, &m, NULL), 0);
	m.run = 2;
	assert_int_equal(marker_write(jobs(state), 7, &m, NULL), 0);
	assert_int_equal(marker_remove(jobs(state), 7, 1, NULL), 0);
	assert_int_equal(marker_read(jobs(state), 7, &out, NULL), 0);
	assert_int_equal(out.run, 2);
	marker_fini(&out);
	/* the epilog of a requeued run shows the next run's count */
	assert_int_equal(marker_remove(jobs(state), 7, 3, NULL), 0);
	assert_int_equal(read_back(state), -ENOENT);
	assert_int_equal(marker_remove(jobs(state), 7, 3, NULL), 0);
}

static void test_no_marker_is_enoent_also_without_the_directory(void **state)
{
	assert_int_equal(read_back(state), -ENOENT);
	assert_int_equal(marker_remove(jobs(state), 7, 0, NULL), 0);
}

static void test_what_others_can_write_is_not_believed(void **state)
{
	struct marker m = {.run = 0};

	put(state, "larder-job 1\nrun 0\nend\n");
	assert_int_equal(read_back(state), 0);
	assert_int_equal(chmod(scratch_path(*state, "run/jobs/7"), 0666), 0);
	assert_int_equal(read_back(state), -EPERM);
	assert_int_equal(chmod(scratch_path(*state, "run/jobs"), 0777), 0);
	assert_int_equal(marker_write(jobs(state), 7, &m, NULL), -EPERM);
}

static void test_a_link_is_not_followed(void **state)
{
	put(state, "larder-job 1\nrun 0\nend\n");
	assert_int_equal(rename(scratch_path(*state, "run/jobs/7"), scratch_path(*state, "x")), 0);
	assert_int_equal(symlink(scratch_path(*state, "x"), scratch_path(*state, "run/jobs/7")), 0);
	assert_int_equal(read_back(state), -ELOOP);
}

static void test_a_damaged_marker_is_refused_and_can_be_removed(void **state)
{
	static const char *const bad[] = {
		"",
		"larder-job 2\nend\n",
		"larder-job 1\n",
		"larder-job 1\nrun 0\n",
		"larder-job 1\nrun -1\nend\n",
		"larder-job 1\nrun 4294967296\nend\n",
		"larder-job 1\nwhat ever\nend\n",
		"larder-job 1\nrun\nend\n",
		"larder-job 1\norigin a 1 - relative\nend\n",
		"larder-job 1\norigin a 1\nend\n",
		"larder-job 1\norigin ../a 1 - /x\nend\n",
		"larder-job 1\norigin a . - /x\nend\n",
		"larder-job 1\norigin a 1 xyz /x\nend\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(state, bad[i]);
		assert_int_equal(read_back(state), -EBADMSG);
	}
	assert_int_equal(marker_remove(jobs(state), 7, 0, NULL), 0);
	assert_int_equal(read_back(state), -ENOENT);
}

static void test_an_origin_that_would_break_a_line_is_refused(void **state)
{
	struct marker m = {0};

	(void)state;
	assert_int_equal(marker_origin_add(&m, "a", "1", "", "/a\nfinal x"), -EINVAL);
	assert_int_equal(marker_origin_add(&m, "a", "1", "", "relative"), -EINVAL);
	for (int i = 0; i < LARDER_SPECS_MAX; i++)
		assert_int_equal(marker_origin_add(&m, "a", "1", "", "/a"), 0);
	assert_int_equal(marker_origin_add(&m, "a", "1", "", "/a"), -ENOSPC);
	marker_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_is_written_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_later_run_replaces_it_and_is_not_removed_by_an_earlier_one, setup,
			teardown),
		cmocka_unit_test_setup_teardown(test_no_marker_is_enoent_also_without_the_directory,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_others_can_write_is_not_believed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_link_is_not_followed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_damaged_marker_is_refused_and_can_be_removed,
						setup, teardown),
		cmocka_unit_test(test_an_origin_that_would_break_a_line_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
