/*
 * larder-prolog-slurmctld: what it reads of a job, of addresses, of answers.
 * Must not ask anybody: the suites on a real Slurm do.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "larder/wire.h"
#include "prolog/prolog.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const *variables; /* NAME, value, …, NULL */

static char *get(const char *name)
{
	for (const char *const *v = variables; *v; v += 2)
		if (!strcmp(*v, name))
			return (char *)(uintptr_t)v[1];
	return NULL;
}

#define DATASET "SPANK__SLURM_SPANK_OPTION_larder_dataset"
#define JOB                                                                                        \
	"SLURM_JOB_ID", "42", "SLURM_JOB_UID", "1000", "SLURM_JOB_GID", "100",                     \
		"SLURM_JOB_NODELIST", "n[1-3],m7"

static int read_job(struct prolog_job *job, struct larder_error *err, const char *const *all)
{
	variables = all;
	return prolog_job_read(get, job, err);
}

static void test_a_job_with_datasets(void **state)
{
	static const char *const all[] = {JOB,
					  DATASET,
					  "b=/x,a/train/",
					  "SPANK_LARDER_FIXED",
					  "a:v1@01234567",
					  DATASET "_wait",
					  "5m",
					  NULL};
	struct prolog_job job;

	(void)state;
	assert_int_equal(read_job(&job, NULL, all), 0);
	assert_int_equal(job.id, 42);
	assert_int_equal(job.uid, 1000);
	assert_int_equal(job.gid, 100);
	assert_int_equal(job.specs.count, 1); /* b is the user's own */
	assert_string_equal(job.specs.items[0].version, "v1");
	assert_string_equal(job.specs.items[0].digest, "01234567");
	assert_string_equal(job.specs.items[0].subset, "train");
	assert_int_equal(job.n_nodes, 4);
	assert_string_equal(job.nodes[3], "m7");
	assert_int_equal(job.wait_ms, 300000);
	prolog_job_fini(&job);
}

static void test_jobs_that_want_nothing(void **state)
{
	static const char *const none[] = {JOB, NULL};
	static const char *const said_none[] = {JOB, DATASET, "none", NULL};
	static const char *const bypass[] = {JOB, DATASET, "a", DATASET "_mode", "bypass", NULL};
	static const char *const own[] = {JOB, DATASET, "b=/x", NULL};
	static const char *const *const all[] = {none, said_none, bypass, own};

	(void)state;
	for (size_t i = 0; i < COUNT(all); i++) {
		struct prolog_job job;

		assert_int_equal(read_job(&job, NULL, all[i]), -ENODATA);
		prolog_job_fini(&job);
	}
}

static void test_what_is_no_job_of_slurmctld(void **state)
{
	static const char *const bad[] = {JOB, DATASET, "../x", NULL};
	static const char *const no_id[] = {DATASET, "a", "SLURM_JOB_UID", "0", NULL};
	static const char *const no_nodes[] = {DATASET, "a", "SLURM_JOB_ID", "1", "SLURM_JOB_UID",
					       "0",	NULL};
	static const char *const bad_nodes[] = {
		DATASET, "a", "SLURM_JOB_ID", "1", "SLURM_JOB_UID", "0", "SLURM_JOB_NODELIST",
		"n[3-1", NULL};
	static const char *const *const all[] = {bad, no_id, no_nodes, bad_nodes};

	(void)state;
	for (size_t i = 0; i < COUNT(all); i++) {
		struct larder_error err = {0};
		struct prolog_job job;

		assert_int_equal(read_job(&job, &err, all[i]), -EINVAL);
		assert_true(strlen(err.text) > 10);
		prolog_job_fini(&job);
	}
}

static void test_addresses_of_a_file(void **state)
{
	static const struct {
		const char *text, *node, *address;
	} rows[] = {
		{NULL, "n1", NULL},
		{"", "n1", NULL},
		{"n1 10.0.0.1:7\nn11 10.0.0.11:7\n", "n1", "10.0.0.1:7"},
		{"n11 10.0.0.11:7\n  n1\t10.0.0.1:7 \n", "n1", "10.0.0.1:7"},
		{"n11 10.0.0.11:7", "n1", NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *address = prolog_address_in(rows[i].text, rows[i].node);

		if (!rows[i].address)
			assert_null(address);
		else
			assert_string_equal(address, rows[i].address);
		free(address);
	}
}

/* Frames of an answer, one behind the other. */
struct answer {
	uint8_t bytes[4096];
	size_t len;
};

static void add(struct answer *answer, unsigned int type, const void *msg)
{
	uint8_t *frame;
	size_t len;

	assert_int_equal(larder_msg_encode(type, 1, msg, &frame, &len, NULL), 0);
	assert_true(answer->len + len <= sizeof(answer->bytes));
	memcpy(answer->bytes + answer->len, frame, len);
	answer->len += len;
	free(frame);
}

static void add_done(struct answer *answer)
{
	add(answer, LARDER_MSG_DONE, &(struct larder_msg_DONE){.note = "so"});
}

static void add_error(struct answer *answer, int code)
{
	add(answer, LARDER_MSG_ERROR,
	    &(struct larder_msg_ERROR){.code = (uint32_t)code, .text = "not yours"});
}

/* Decoding moves strings in their frames: what is read again is read from a copy. */
static uint8_t *copy_of(const struct answer *answer)
{
	static uint8_t copy[sizeof(answer->bytes)];

	memcpy(copy, answer->bytes, sizeof(copy));
	return copy;
}

static void add_address(struct answer *answer, const char *node, const char *address)
{
	add(answer, LARDER_MSG_NODE_ADDRESS,
	    &(struct larder_msg_NODE_ADDRESS){.node = node, .address = address});
}

static void test_addresses_of_larder_sched(void **state)
{
	static char one[] = "n1", two[] = "n2", three[] = "n3";
	char *nodes[] = {one, two, three, NULL};
	const struct prolog_job job = {.nodes = nodes, .n_nodes = 3};
	char *addresses[3] = {strdup("file:1"), NULL, NULL};
	struct answer answer = {0}, refusal = {0};
	struct larder_error err = {0};

	(void)state;
	add_address(&answer, "n1", "10.0.0.1:7");
	add(&answer, LARDER_MSG_SILENT, &(struct larder_msg_SILENT){.node = "n3", .why = "so"});
	add_address(&answer, "n3", ""); /* not known there */
	add_address(&answer, "n2", "10.0.0.2:7");
	add_address(&answer, "n9", "10.0.0.9:7"); /* nobody asked */
	assert_int_equal(prolog_take_addresses(copy_of(&answer), answer.len, &job, addresses, &err),
			 -EPROTO); /* no end */
	add_done(&answer);
	assert_int_equal(prolog_take_addresses(copy_of(&answer), answer.len, &job, addresses, &err),
			 0);
	assert_string_equal(addresses[0], "file:1");
	assert_string_equal(addresses[1], "10.0.0.2:7");
	assert_null(addresses[2]);
	for (size_t cut = 1; cut < answer.len; cut += 7)
		assert_int_equal(
			prolog_take_addresses(copy_of(&answer), cut, &job, addresses, &err),
			-EPROTO);
	add_error(&refusal, EACCES);
	assert_int_equal(
		prolog_take_addresses(copy_of(&refusal), refusal.len, &job, addresses, &err),
		-EACCES);
	free(addresses[0]);
	free(addresses[1]);
}

static void test_a_dataset_goes_through_its_steps(void **state)
{
	enum prolog_step steps[] = {PROLOG_MAY, PROLOG_STAGE, PROLOG_READY, PROLOG_WATCH,
				    PROLOG_WATCH};
	struct answer answer = {0};
	char why[LARDER_ERROR_MAX] = "";

	(void)state;
	add_done(&answer);
	add_done(&answer);
	add(&answer, LARDER_MSG_TRANSFER, &(struct larder_msg_TRANSFER){.dataset = "x"});
	add_error(&answer, ETIMEDOUT);
	add_done(&answer);
	assert_int_equal(prolog_answer(copy_of(&answer), answer.len, steps, 5, why), 0);
	assert_int_equal(steps[0], PROLOG_STAGE);
	assert_int_equal(steps[1], PROLOG_WATCH);
	assert_int_equal(steps[2], PROLOG_READY);
	assert_int_equal(steps[3], PROLOG_WATCH);
	assert_int_equal(steps[4], PROLOG_READY);
	assert_string_equal(why, "");
}

static void test_a_refusal_ends_a_dataset(void **state)
{
	enum prolog_step steps[] = {PROLOG_MAY, PROLOG_STAGE, PROLOG_WATCH};
	struct answer answer = {0};
	char why[LARDER_ERROR_MAX] = "";

	(void)state;
	add_error(&answer, EACCES);
	add_error(&answer, ETIMEDOUT);
	add_error(&answer, EIO);
	assert_int_equal(prolog_answer(copy_of(&answer), answer.len, steps, 3, why), 0);
	for (size_t i = 0; i < COUNT(steps); i++)
		assert_int_equal(steps[i], PROLOG_FAILED);
	assert_string_equal(why, "not yours");
}

static void test_an_answer_to_something_else_is_none(void **state)
{
	enum prolog_step steps[] = {PROLOG_MAY, PROLOG_MAY};
	struct answer answer = {0};
	char why[LARDER_ERROR_MAX] = "";
	uint8_t noise[64] = {1, 2, 3};

	(void)state;
	assert_int_equal(prolog_answer(noise, sizeof(noise), steps, 2, why), -EPROTO);
	assert_int_equal(prolog_answer(noise, 0, steps, 2, why), -EPROTO);
	add_done(&answer);
	assert_int_equal(prolog_answer(copy_of(&answer), answer.len, steps, 2, why), -EPROTO);
	add_done(&answer);
	assert_int_equal(prolog_answer(copy_of(&answer), answer.len, steps, 1, why), -EPROTO);
}

static void test_lines_of_the_helper(void **state)
{
	static const struct {
		const char *line;
		bool over;
	} rows[] = {
		{"job id=4 state=running completing=0 here=0 restarts=0 limit_s=60 start_s=1\n",
		 false},
		{"job id=4 state=running completing=1 here=0 restarts=0 limit_s=60 start_s=1\n",
		 true},
		{"job id=4 state=cancelled completing=0 here=0 restarts=0 limit_s=60 start_s=1\n",
		 true},
		{"job id=4 state=pending completing=0 here=0 restarts=1 limit_s=60 start_s=1\n",
		 true},
		{"job id=4 state=unknown\n", true},
		{"fail errno=1800 text=Unable to contact slurm controller\n", false},
		{"noise\n", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (prolog_line_over(rows[i].line) != rows[i].over)
			fail_msg("%s", rows[i].line);
}

static void test_a_helper_that_does_not_answer_is_not_waited_for(void **state)
{
	struct prolog_alive *alive =
		prolog_alive_create("/bin/cat", 4); /* echoes: no line of ours */

	(void)state;
	assert_non_null(alive);
	for (int i = 0; i < 3; i++)
		assert_false(prolog_alive_over(alive));
	prolog_alive_destroy(alive);
	assert_null(prolog_alive_create("/nonexistent", 4));
	assert_null(prolog_alive_create("", 4));
	assert_false(prolog_alive_over(NULL));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_job_with_datasets),
		cmocka_unit_test(test_jobs_that_want_nothing),
		cmocka_unit_test(test_what_is_no_job_of_slurmctld),
		cmocka_unit_test(test_addresses_of_a_file),
		cmocka_unit_test(test_addresses_of_larder_sched),
		cmocka_unit_test(test_a_dataset_goes_through_its_steps),
		cmocka_unit_test(test_a_refusal_ends_a_dataset),
		cmocka_unit_test(test_an_answer_to_something_else_is_none),
		cmocka_unit_test(test_lines_of_the_helper),
		cmocka_unit_test(test_a_helper_that_does_not_answer_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
