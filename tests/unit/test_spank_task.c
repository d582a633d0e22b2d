/*
 * What a task is given, when its job fails instead, and when nobody is asked.
 * Must not need Slurm; the one test that mounts is skipped without the right to.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "skip.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../spank/view.h"
#include "scratch.h"
#include "spank_node.h"

#define HOOK_OK	   200
#define STEP_BATCH 0xfffffffbu
#define OPTION	   "SLURM_SPANK__SLURM_SPANK_OPTION_larder_dataset"
#define PLAIN	   "larder-job 1\nrun 0\non_fail fail\nspecs sets\nend\n"

static int setup(void **state)
{
	*state = node_create(S_CTX_REMOTE, NULL);
	return 0;
}

static int teardown(void **state)
{
	node_destroy(*state);
	return 0;
}

static const char *typed; /* what SPANK hands to the step, NULL for nothing */

/* A whole step with one task, in the order of slurmstepd. */
static int step(spank_t sp, int argc, char **argv)
{
	sp->n_options = 0;
	if (slurm_spank_init(sp, argc, argv) || (typed && host_type(sp, "dataset", typed)) ||
	    (typed && host_type(sp, "dataset", typed)) || slurm_spank_init_post_opt(sp, argc, argv))
		return -1;
	if (slurm_spank_task_init_privileged(sp, argc, argv))
		return -1;
	slurm_spank_task_init(sp, argc, argv);
	slurm_spank_exit(sp, argc, argv);
	return 0;
}

/* The hook's exit status; what it wrote on stderr goes into the file "stderr". */
static int run_hook(struct node *node, spank_f *hook)
{
	int saved = dup(STDERR_FILENO), rc;
	int fd = open(scratch_path(node->dir, "stderr"), O_CREAT | O_WRONLY | O_TRUNC, 0644);

	dup2(fd, STDERR_FILENO);
	rc = host_run(node->host, hook, node->argv);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fd);
	return rc;
}

static int run(struct node *node, const char *dataset)
{
	typed = dataset;
	return run_hook(node, step);
}

static const char *printed(struct node *node)
{
	static char text[4096];
	int fd = open(scratch_path(node->dir, "stderr"), O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void test_a_job_without_marker_asks_nobody(void **state)
{
	struct node *node = *state;
	struct fake_larderd fake = fake_larderd_start(node->socket, FAKE_READY, NULL, NULL);

	assert_int_equal(run(node, NULL), HOOK_OK);
	node->host->step_id = STEP_BATCH;
	assert_int_equal(run(node, "none"), HOOK_OK);
	assert_int_equal(fake.record->connections, 0);
	fake_larderd_stop(&fake);
}

static void test_the_batch_script_gets_variables_and_the_line(void **state)
{
	struct node *node = *state;
	struct fake_larderd fake = fake_larderd_start(node->socket, FAKE_READY, NULL, NULL);

	node_put_marker(node, PLAIN);
	node->host->step_id = STEP_BATCH;
	host_set(node->host->job_env, OPTION, "sets");
	host_set(node->host->job_env, "SLURM_SPANK_LARDER_FIXED", "x");
	assert_int_equal(run(node, "sets"), HOOK_OK);
	assert_string_equal(host_get(node->host->job_env, "DATASET_SETS_DIR"), "/datasets/sets/v1");
	assert_string_equal(printed(node), "larder: sets:v1 ready\n");
	assert_null(host_get(node->host->job_env, OPTION));
	assert_null(host_get(node->host->job_env, "SLURM_SPANK_LARDER_FIXED"));
	assert_non_null(strstr(fake.record->log, "ATTACH job=42 step=fffffffb"));
	assert_non_null(strstr(fake.record->log, "specs=\n"));
	/* its steps inherit the mark and do not say it again */
	node->host->step_id = 0;
	assert_int_equal(run(node, NULL), HOOK_OK);
	assert_string_equal(printed(node), "");
	fake_larderd_stop(&fake);
}

static void test_only_the_first_task_of_the_first_step_says_the_line(void **state)
{
	struct node *node = *state;
	struct fake_larderd fake = fake_larderd_start(node->socket, FAKE_READY, NULL, NULL);

	node_put_marker(node, PLAIN);
	assert_int_equal(run(node, NULL), HOOK_OK);
	assert_string_equal(printed(node), "larder: sets:v1 ready\n");
	memset(node->host->job_env, 0, sizeof(node->host->job_env));
	node->host->global_id = 1;
	assert_int_equal(run(node, NULL), HOOK_OK);
	assert_string_equal(printed(node), "");
	node->host->global_id = 0;
	node->host->step_id = 1;
	assert_int_equal(run(node, NULL), HOOK_OK);
	assert_string_equal(printed(node), "");
	fake_larderd_stop(&fake);
}

static void test_a_batch_script_without_its_marker_still_asks(void **state)
{
	struct node *node = *state;
	struct fake_larderd fake = fake_larderd_start(node->socket, FAKE_READY, NULL, NULL);

	node->host->step_id = STEP_BATCH;
	assert_int_equal(run(node, "sets"), HOOK_OK);
	assert_non_null(strstr(fake.record->log, "ATTACH"));
	fake_larderd_stop(&fake);
}

static void test_what_was_typed_for_a_step_goes_to_the_daemon(void **state)
{
	struct node *node = *state;
	struct fake_larderd fake = fake_larderd_start(node->socket, FAKE_READY, NULL, NULL);

	node_put_marker(node, PLAIN);
	assert_int_equal(run(node, "sets/train"), HOOK_OK);
	assert_non_null(strstr(fake.record->log, "specs=sets/train\n"));
	assert_int_equal(run(node, "none"), HOOK_OK);
	assert_null(strstr(strchr(fake.record->log, '\n'), "ATTACH")); /* asked once only */
	fake_larderd_stop(&fake);
}

static void test_a_het_step_uses_it_only_when_srun_says_that_it_was_typed(void **state)
{
	struct node *node = *state;
	struct fake_larderd fake = fake_larderd_start(node->socket, FAKE_READY, NULL, NULL);

	node_put_marker(node, PLAIN);
	host_set(node->host->job_env, "SLURM_HET_SIZE", "2");
	assert_int_equal(run(node, "others"), HOOK_OK);
	assert_non_null(strstr(fake.record->log, "specs=\n"));
	host_set(node->host->job_env, "SLURM_SPANK_LARDER_STEP", "1");
	assert_int_equal(run(node, "others"), HOOK_OK);
	assert_non_null(strstr(fake.record->log, "specs=others\n"));
	assert_null(host_get(node->host->job_env, "SLURM_SPANK_LARDER_STEP"));
	fake_larderd_stop(&fake);
}

static void test_a_bad_step_option_fails_the_step(void **state)
{
	struct node *node = *state;

	assert_int_equal(run(node, "../x"), 1);
	assert_non_null(strstr(node->host->said, "larder: n1: --dataset"));
}

static void test_a_refusal_fails_the_job_with_the_sentence(void **state)
{
	struct node *node = *state;
	struct fake_larderd fake = fake_larderd_start(node->socket, FAKE_REFUSE, NULL, NULL);

	/* on_fail has no say: the daemon was there and said no */
	node_put_marker(node, "larder-job 1\nrun 0\non_fail bypass\nspecs sets\n"
			      "origin sets v1 - /data/sets\nend\n");
	assert_int_equal(run(node, NULL), 1);
	assert_string_equal(node->host->said, "larder: n1: refused by the test\n");
	fake_larderd_stop(&fake);
}

static void test_the_markers_sentence_is_said_once_a_node_and_nobody_is_asked(void **state)
{
	struct node *node = *state;
	struct fake_larderd fake = fake_larderd_start(node->socket, FAKE_READY, NULL, NULL);

	node_put_marker(node, "larder-job 1\nrun 0\non_fail bypass\nspecs sets\n"
			      "origin sets v1 - /data/sets\nfinal it does not fit\nend\n");
	assert_int_equal(run(node, NULL), 1);
	node->host->local_id = 1;
	assert_int_equal(run(node, NULL), 1);
	assert_string_equal(node->host->said, "larder: n1: it does not fit\n");
	assert_int_equal(fake.record->connections, 0);
	fake_larderd_stop(&fake);
}

static void test_without_a_daemon_fail_fails(void **state)
{
	struct node *node = *state;

	node_put_marker(node, PLAIN);
	assert_int_equal(run(node, NULL), 1);
	assert_non_null(strstr(node->host->said, "larderd is not running here"));
}

static void test_without_a_daemon_bypass_uses_the_origin(void **state)
{
	struct node *node = *state;

	node_put_marker(node, "larder-job 1\nrun 0\non_fail bypass\nspecs sets:v1/a\n"
			      "origin sets v1 0123456789abcdef /data/my sets\nend\n");
	assert_int_equal(run(node, NULL), HOOK_OK);
	assert_string_equal(host_get(node->host->job_env, "DATASET_SETS_DIR"), "/data/my sets");
	assert_string_equal(host_get(node->host->job_env, "DATASET_SETS_STATE"), "bypass");
	assert_string_equal(host_get(node->host->job_env, "DATASET_SETS_VERSION"), "v1");
	assert_string_equal(host_get(node->host->job_env, "DATASET_SPECS"), "sets:v1/a");
	assert_non_null(
		strstr(printed(node), "larder: sets:v1 read from its origin /data/my sets"));
	assert_non_null(strstr(printed(node), "larderd is not running here"));
}

static void test_bypass_without_all_origins_fails(void **state)
{
	struct node *node = *state;

	node_put_marker(node, "larder-job 1\nrun 0\non_fail bypass\nspecs sets,more\n"
			      "origin sets v1 - /data/sets\nend\n");
	assert_int_equal(run(node, NULL), 1);
	assert_non_null(strstr(node->host->said, "no origin is known"));
	assert_null(host_get(node->host->job_env, "DATASET_SETS_DIR"));
}

static void test_a_marker_of_somebody_else_fails_the_job(void **state)
{
	struct node *node = *state;

	node_put_marker(node, PLAIN);
	assert_int_equal(chmod(scratch_path(node->dir, "n1/jobs/42"), 0666), 0);
	assert_int_equal(run(node, NULL), 1);
	assert_non_null(strstr(node->host->said, "n1/jobs/42"));
}

static void test_rows_that_a_task_must_not_get_fail_it(void **state)
{
	static const enum fake_answer bad[] = {FAKE_BAD_ROWS, FAKE_BAD_VIEW};
	struct node *node = *state;

	node_put_marker(node, PLAIN);
	for (size_t i = 0; i < 2; i++) {
		struct fake_larderd fake = fake_larderd_start(node->socket, bad[i], NULL, NULL);

		node->host->said[0] = '\0';
		assert_int_equal(run(node, NULL), 1);
		assert_non_null(strstr(node->host->said, "cannot be used"));
		assert_null(host_get(node->host->job_env, "LD_PRELOAD"));
		assert_null(host_get(node->host->job_env, "DATASET_SETS_DIR"));
		fake_larderd_stop(&fake);
	}
}

/* In the child: the tree is there, cannot be written to, and its programs may run. */
static int look_at_view(spank_t sp, int argc, char **argv)
{
	const char *root = host_get(sp->job_env, "TEST_ROOT");

	if (step(sp, argc, argv))
		return -1;
	if (access(scratch_path(root, "sets/v1/file"), R_OK | X_OK))
		_exit(11);
	if (open(scratch_path(root, "sets/v1/new"), O_CREAT | O_WRONLY, 0644) >= 0 ||
	    errno != EROFS)
		_exit(12);
	if (mkdir(scratch_path(root, "new"), 0755) == 0 || errno != EROFS)
		_exit(13);
	return 0;
}

static int may_unshare(spank_t sp, int argc, char **argv)
{
	(void)sp;
	(void)argc;
	(void)argv;
	return unshare(CLONE_NEWNS);
}

static void test_a_view_is_read_only_and_private(void **state)
{
	struct node *node = *state;
	char tree[256], root[256];
	struct fake_larderd fake;

	if (host_run(node->host, may_unshare, node->argv) != HOOK_OK)
		skip_because("needs the right to unshare mounts");
	snprintf(tree, sizeof(tree), "%s", scratch_path(node->dir, "tree"));
	snprintf(root, sizeof(root), "%s", scratch_path(node->dir, "datasets"));
	mkdir(tree, 0755);
	mkdir(root, 0755);
	scratch_write(scratch_path(tree, "file"), "x", 1);
	chmod(scratch_path(tree, "file"), 0555);
	host_set(node->host->job_env, "TEST_ROOT", root);
	node_put_marker(node, PLAIN);
	fake = fake_larderd_start(node->socket, FAKE_PATH_VIEW, tree, root);
	typed = NULL;
	assert_int_equal(run_hook(node, look_at_view), HOOK_OK);
	assert_int_equal(access(scratch_path(root, "sets"), F_OK), -1); /* here, outside */
	rmdir(root);
	node->host->said[0] = '\0';
	assert_int_equal(run(node, NULL), 1);
	assert_non_null(strstr(node->host->said, "does not exist on this node"));
	fake_larderd_stop(&fake);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_job_without_marker_asks_nobody),
		TEST(test_the_batch_script_gets_variables_and_the_line),
		TEST(test_only_the_first_task_of_the_first_step_says_the_line),
		TEST(test_a_batch_script_without_its_marker_still_asks),
		TEST(test_what_was_typed_for_a_step_goes_to_the_daemon),
		TEST(test_a_het_step_uses_it_only_when_srun_says_that_it_was_typed),
		TEST(test_a_bad_step_option_fails_the_step),
		TEST(test_a_refusal_fails_the_job_with_the_sentence),
		TEST(test_the_markers_sentence_is_said_once_a_node_and_nobody_is_asked),
		TEST(test_without_a_daemon_fail_fails),
		TEST(test_without_a_daemon_bypass_uses_the_origin),
		TEST(test_bypass_without_all_origins_fails),
		TEST(test_a_marker_of_somebody_else_fails_the_job),
		TEST(test_rows_that_a_task_must_not_get_fail_it),
		TEST(test_a_view_is_read_only_and_private),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
