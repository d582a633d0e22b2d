/*
 * Prolog and epilog: what is asked of the daemon, how long, and what stays in the marker.
 * Must not need Slurm or root: spank_host and fake_larderd play the others.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "scratch.h"
#include "spank_node.h"

#define HOOK_OK 200
#define DIGEST	"0123456789abcdef0123456789abcdef"

static int setup(void **state)
{
	*state = node_create(S_CTX_JOB_SCRIPT, NULL);
	return 0;
}

static int teardown(void **state)
{
	node_destroy(*state);
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Runs the hook, which must answer 0; how long it took. */
static int64_t run(struct node *node, spank_f *hook)
{
	int64_t began = now_ms();

	assert_int_equal(host_run(node->host, hook, node->argv), HOOK_OK);
	return now_ms() - began;
}

static void assert_marker_has(const struct node *node, const char *part)
{
	char *text = node_marker(node);

	assert_non_null(text);
	if (!strstr(text, part))
		fail_msg("no \"%s\" in the marker:\n%s", part, text);
	free(text);
}

static void assert_marker_lacks(const struct node *node, const char *part)
{
	char *text = node_marker(node);

	assert_non_null(text);
	assert_null(strstr(text, part));
	free(text);
}

static void assert_no_marker(const struct node *node)
{
	char *text = node_marker(node);

	assert_null(text);
	free(text);
}

static void test_a_job_without_the_option_asks_nobody(void **state)
{
	struct node *node = *state;
	struct fake_larderd fake = fake_larderd_start(node->socket, FAKE_READY, NULL, NULL);

	run(node, slurm_spank_job_prolog);
	run(node, slurm_spank_job_epilog);
	node_job_option("dataset", "none");
	run(node, slurm_spank_job_prolog);
	run(node, slurm_spank_job_epilog);
	assert_int_equal(fake.record->connections, 0);
	assert_no_marker(node);
	fake_larderd_stop(&fake);
}

static void test_the_request_goes_to_the_daemon_as_it_was_typed(void **state)
{
	struct node *node = *state;
	struct fake_larderd fake = fake_larderd_start(node->socket, FAKE_READY, NULL, NULL);
	char expected[256];

	node_job_option("dataset", "sets,other:v2/part");
	node_job_option("dataset_mode", "stage");
	node_job_option("dataset_wait", "90");
	node_job_option("dataset_on_fail", "bypass");
	setenv("SPANK_LARDER_FIXED", "sets:v1@" DIGEST, 1);
	setenv("SLURM_JOB_RESTART_COUNT", "2", 1);
	run(node, slurm_spank_job_prolog);
	snprintf(expected, sizeof(expected),
		 "ACQUIRE job=42 run=2 uid=%u specs=sets,other:v2/part fixed=sets:v1@" DIGEST
		 " mode=1 wait=90000 on_fail=2\n",
		 geteuid());
	assert_string_equal(fake.record->log, expected);
	assert_marker_has(node, "run 2\n");
	assert_marker_lacks(node, "error");
	fake_larderd_stop(&fake);
}

static void test_pending_is_awaited(void **state)
{
	struct node *node = *state;
	struct fake_larderd fake = fake_larderd_start(node->socket, FAKE_PENDING, NULL, NULL);

	node_job_option("dataset", "sets");
	run(node, slurm_spank_job_prolog);
	assert_non_null(strstr(fake.record->log, "AWAIT job=42 run=0\nAWAIT job=42 run=0\nAWAIT"));
	assert_marker_lacks(node, "error");
	fake_larderd_stop(&fake);
}

static void test_a_connection_that_breaks_is_made_again_with_the_request(void **state)
{
	struct node *node = *state;
	struct fake_larderd fake = fake_larderd_start(node->socket, FAKE_DROP, NULL, NULL);
	const char *second;

	node_job_option("dataset", "sets");
	run(node, slurm_spank_job_prolog);
	second = strstr(fake.record->log, "ACQUIRE");
	assert_non_null(second);
	assert_non_null(strstr(second + 1, "ACQUIRE"));
	assert_int_equal(fake.record->connections, 2);
	assert_marker_lacks(node, "error");
	fake_larderd_stop(&fake);
}

static void test_waiting_ends_at_wait_max(void **state)
{
	struct node *node = *state;
	struct fake_larderd fake = fake_larderd_start(node->socket, FAKE_FOREVER, NULL, NULL);
	int64_t took;

	node_job_option("dataset", "sets");
	strcpy(node->arguments[3], "wait_max=700ms");
	took = run(node, slurm_spank_job_prolog);
	assert_in_range(took, 600, 3000);
	assert_marker_has(node, "error not ready within wait_max: 1 GiB to go\n");
	fake_larderd_stop(&fake);
}

static void test_a_daemon_that_hangs_costs_the_timeout(void **state)
{
	struct node *node = *state;
	struct fake_larderd fake = fake_larderd_start(node->socket, FAKE_HANG, NULL, NULL);

	node_job_option("dataset", "sets");
	assert_in_range(run(node, slurm_spank_job_prolog), 350, 1500);
	assert_marker_has(node, "error larderd did not answer");
	assert_in_range(run(node, slurm_spank_job_epilog), 350, 1500);
	assert_no_marker(node);
	fake_larderd_stop(&fake);
}

static void test_no_daemon_costs_the_timeout_and_leaves_a_sentence(void **state)
{
	struct node *node = *state;

	node_job_option("dataset", "sets");
	assert_in_range(run(node, slurm_spank_job_prolog), 300, 1500);
	assert_marker_has(node, "error larderd is not running here");
	assert_marker_has(node, "on_fail fail\n");
	run(node, slurm_spank_job_epilog);
	assert_no_marker(node);
}

static void test_a_refusal_is_not_repeated(void **state)
{
	struct node *node = *state;
	struct fake_larderd fake = fake_larderd_start(node->socket, FAKE_REFUSE, NULL, NULL);

	node_job_option("dataset", "sets");
	run(node, slurm_spank_job_prolog);
	assert_marker_has(node, "error refused by the test\n");
	assert_null(strstr(strchr(fake.record->log, '\n'), "ACQUIRE"));
	fake_larderd_stop(&fake);
}

static void test_the_daemons_verdict_is_final(void **state)
{
	struct node *node = *state;
	struct fake_larderd fake = fake_larderd_start(node->socket, FAKE_FAILED, NULL, NULL);

	node_job_option("dataset", "sets");
	node_job_option("dataset_on_fail", "bypass");
	run(node, slurm_spank_job_prolog);
	assert_marker_has(node, "final it does not fit\n");
	fake_larderd_stop(&fake);
}

static void test_a_forged_option_fails_the_job_without_asking(void **state)
{
	static const char *const forged[] = {"", "../x", "a\nfinal b", "$(reboot)", "a,a", "A"};
	struct node *node = *state;
	struct fake_larderd fake = fake_larderd_start(node->socket, FAKE_READY, NULL, NULL);
	char *huge = calloc(1, 30001);

	for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
		node_job_option("dataset", forged[i]);
		run(node, slurm_spank_job_prolog);
		assert_marker_has(node, "\nfinal --dataset");
		run(node, slurm_spank_job_epilog);
	}
	memset(huge, 'a', 30000);
	node_job_option("dataset", huge);
	free(huge);
	run(node, slurm_spank_job_prolog);
	assert_marker_has(node, "\nfinal --dataset");
	node_job_option("dataset", "sets");
	node_job_option("dataset_wait", "ever");
	run(node, slurm_spank_job_prolog);
	assert_marker_has(node, "\nfinal --dataset-wait");
	assert_null(strstr(fake.record->log, "ACQUIRE"));
	fake_larderd_stop(&fake);
}

static void test_a_forged_digest_list_is_dropped(void **state)
{
	struct node *node = *state;
	struct fake_larderd fake = fake_larderd_start(node->socket, FAKE_READY, NULL, NULL);

	node_job_option("dataset", "sets");
	setenv("SPANK_LARDER_FIXED", "../../etc:passwd", 1);
	run(node, slurm_spank_job_prolog);
	assert_non_null(strstr(fake.record->log, "specs=sets fixed= mode"));
	fake_larderd_stop(&fake);
}

static void put_manifest(const struct node *node)
{
	static const char text[] =
		"larder-manifest 1\nname sets\nversion v1\naccess public\norigin s3://b/sets\n"
		"origin /data/sets\ncreated 1\nshards 00000000000000000000\n"
		"bytes 00000000000000000000\ndigest " DIGEST "\n\n";

	mkdir(scratch_path(node->dir, "catalog"), 0755);
	mkdir(scratch_path(node->dir, "catalog/sets"), 0755);
	scratch_write(scratch_path(node->dir, "catalog/sets/v1.manifest"), text, sizeof(text) - 1);
}

static void test_bypass_keeps_the_origins(void **state)
{
	struct node *node = *state;

	put_manifest(node);
	strcpy(node->arguments[3], "on_fail=bypass");
	node_job_option("dataset", "sets:v1,mine=/home/me");
	run(node, slurm_spank_job_prolog);
	assert_marker_has(node, "on_fail bypass\n");
	assert_marker_has(node, "origin sets v1 " DIGEST " /data/sets\n");
	assert_marker_has(node, "origin mine own - /home/me\n");
	assert_marker_has(node, "error larderd is not running here");
}

static void test_the_users_word_beats_the_sites_default(void **state)
{
	struct node *node = *state;

	strcpy(node->arguments[3], "on_fail=bypass");
	node_job_option("dataset", "mine=/home/me");
	node_job_option("dataset_on_fail", "fail");
	run(node, slurm_spank_job_prolog);
	assert_marker_has(node, "on_fail fail\n");
	assert_marker_lacks(node, "origin");
}

static void test_the_epilog_releases_by_marker_or_option(void **state)
{
	struct node *node = *state;
	struct fake_larderd fake = fake_larderd_start(node->socket, FAKE_READY, NULL, NULL);

	node_put_marker(node, "larder-job 1\nrun 0\non_fail fail\nend\n");
	setenv("SLURM_JOB_RESTART_COUNT", "1", 1); /* as the epilog of a requeued run has it */
	run(node, slurm_spank_job_epilog);
	assert_string_equal(fake.record->log, "RELEASE job=42 run=1\n");
	assert_no_marker(node);
	node_job_option("dataset", "sets");
	run(node, slurm_spank_job_epilog);
	assert_string_equal(fake.record->log, "RELEASE job=42 run=1\nRELEASE job=42 run=1\n");
	fake_larderd_stop(&fake);
}

static void test_an_epilog_without_a_daemon_ends_at_once(void **state)
{
	struct node *node = *state;

	node_put_marker(node, "larder-job 1\nrun 0\non_fail fail\nend\n");
	assert_in_range(run(node, slurm_spank_job_epilog), 0, 1000);
	assert_non_null(strstr(node->host->said, "not released"));
	assert_no_marker(node);
}

static void test_a_marker_that_cannot_be_written_does_not_stop_the_request(void **state)
{
	struct node *node = *state;
	struct fake_larderd fake = fake_larderd_start(node->socket, FAKE_READY, NULL, NULL);

	scratch_write(scratch_path(node->dir, "n1/jobs"), "", 0); /* no directory */
	node_job_option("dataset", "sets");
	run(node, slurm_spank_job_prolog);
	assert_non_null(strstr(fake.record->log, "ACQUIRE"));
	assert_non_null(strstr(node->host->said, "n1/jobs"));
	fake_larderd_stop(&fake);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_job_without_the_option_asks_nobody),
		TEST(test_the_request_goes_to_the_daemon_as_it_was_typed),
		TEST(test_pending_is_awaited),
		TEST(test_a_connection_that_breaks_is_made_again_with_the_request),
		TEST(test_waiting_ends_at_wait_max),
		TEST(test_a_daemon_that_hangs_costs_the_timeout),
		TEST(test_no_daemon_costs_the_timeout_and_leaves_a_sentence),
		TEST(test_a_refusal_is_not_repeated),
		TEST(test_the_daemons_verdict_is_final),
		TEST(test_a_forged_option_fails_the_job_without_asking),
		TEST(test_a_forged_digest_list_is_dropped),
		TEST(test_bypass_keeps_the_origins),
		TEST(test_the_users_word_beats_the_sites_default),
		TEST(test_the_epilog_releases_by_marker_or_option),
		TEST(test_an_epilog_without_a_daemon_ends_at_once),
		TEST(test_a_marker_that_cannot_be_written_does_not_stop_the_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
