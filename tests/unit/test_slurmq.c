/*
 * Questions to slurmctld: what a line means, deadlines, helpers that hang, die or talk nonsense,
 * and the sockets of steps. This program is its own helper, told how to behave by the node's name.
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
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"
#include "server/slurmq_parse.h"

#define REST " restarts=2 limit_s=60 start_s=1700000000"

static void test_what_a_line_means(void **state)
{
	static const struct {
		const char *line;
		enum slurm_job_fate fate;
		bool cancelled;
	} lines[] = {
		{"job id=42 state=unknown", SLURM_JOB_OVER, true},
		{"job id=42 state=running completing=0 here=1" REST, SLURM_JOB_HERE, false},
		{"job id=42 state=suspended completing=0 here=1" REST, SLURM_JOB_HERE, false},
		{"job id=42 state=running completing=0 here=0" REST, SLURM_JOB_ELSEWHERE, false},
		{"job id=42 state=pending completing=0 here=0" REST, SLURM_JOB_ELSEWHERE, false},
		/* nodes of an earlier run, or planned ones */
		{"job id=42 state=pending completing=0 here=1" REST, SLURM_JOB_ELSEWHERE, false},
		/* requeued: its last run still ends here */
		{"job id=42 state=pending completing=1 here=1" REST, SLURM_JOB_HERE, true},
		{"job id=42 state=pending completing=1 here=0" REST, SLURM_JOB_ELSEWHERE, true},
		/* scancel while the prolog runs: slurmctld says CG at once */
		{"job id=42 state=cancelled completing=1 here=1" REST, SLURM_JOB_HERE, true},
		{"job id=42 state=cancelled completing=1 here=0" REST, SLURM_JOB_OVER, true},
		{"job id=42 state=cancelled completing=0 here=1" REST, SLURM_JOB_OVER, true},
		{"job id=42 state=completed completing=0 here=1" REST, SLURM_JOB_OVER, true},
		{"job id=42 state=oom completing=0 here=0" REST, SLURM_JOB_OVER, true},
	};
	struct slurm_job job;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (slurmq_parse_job(lines[i].line, 42, &job))
			fail_msg("refused: %s", lines[i].line);
		if (job.fate != lines[i].fate || job.cancelled != lines[i].cancelled)
			fail_msg("%s: fate %d, cancelled %d", lines[i].line, (int)job.fate,
				 job.cancelled);
		assert_int_equal(job.job_id, 42);
		if (i == 0)
			continue;
		assert_int_equal(job.restarts, 2);
		assert_int_equal(job.time_limit_s, 60);
		assert_int_equal(job.start_s, 1700000000);
	}
}

static void test_lines_that_are_none(void **state)
{
	static const char *const lines[] = {
		"",
		"job",
		"jobs id=42 state=unknown",
		"job id=41 state=unknown",
		"job id=42 state=unknown ",
		"job id=42 state=Running completing=0 here=1" REST,
		"job id=42 state=runningg completing=0 here=1" REST,
		"job id=42 state=run completing=0 here=1" REST,
		"job id=42 state= completing=0 here=1" REST,
		"job id=42 state=running completing=2 here=1" REST,
		"job id=42 state=running here=1 completing=0" REST,
		"job id=42 state=running completing=0 here=1" REST " more=1",
		"job id=42 state=running completing=0 here=1 restarts=4294967296 limit_s=0 start_s=0",
		"job id=42 state=running completing=0 here=1 restarts=1 limit_s=-1 start_s=0",
		"job id=42 state=running completing=0 here=1 restarts=1 limit_s=9223372036854775808 start_s=0",
		"job id=42  state=running completing=0 here=1" REST,
		"job id=00000000000000000000000000042 state=unknown",
		"pong version=22.05",
	};
	static const char *const confs[] = {"",
					    "conf",
					    "conf prolog_timeout_s=",
					    "conf prolog_timeout_s=1 ",
					    "conf prolog_timeout_s=x",
					    "config prolog_timeout_s=1",
					    "conf prolog_timeout_s=2147483648"};
	struct slurm_job job;
	int64_t seconds = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (slurmq_parse_job(lines[i], 42, &job) != -EPROTO)
			fail_msg("taken: %s", lines[i]);
		assert_int_equal(job.fate, SLURM_JOB_NO_ANSWER);
	}
	for (size_t i = 0; i < sizeof(confs) / sizeof(confs[0]); i++)
		assert_int_equal(slurmq_parse_conf(confs[i], &seconds), -EPROTO);
	assert_int_equal(seconds, 7);
	assert_int_equal(slurmq_parse_conf("conf prolog_timeout_s=300", &seconds), 0);
	assert_int_equal(seconds, 300);
	assert_true(slurmq_is_failure("fail errno=1800 text=Unable to contact slurm controller"));
	assert_false(slurmq_is_failure("fail"));
	assert_false(slurmq_is_failure("fail errno=x text=y"));
	assert_false(slurmq_is_failure("job id=1 state=unknown"));
}

/* --- the queue --- */

struct asker {
	sd_event *event;
	struct slurmq *q;
	struct slurm_job jobs[64];
	int n_jobs, n_confs;
	int64_t conf;
	bool destroy, again;
};

static int setup(void **state)
{
	struct asker *a = calloc(1, sizeof(*a));

	assert_true(sd_event_new(&a->event) >= 0);
	*state = a;
	return 0;
}

static int teardown(void **state)
{
	struct asker *a = *state;

	slurmq_destroy(a->q);
	for (int i = 0; i < 100 && sd_event_run(a->event, 20000) > 0; i++)
		;
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	sd_event_unref(a->event);
	free(a);
	return 0;
}

static void create(struct asker *a, const char *behaviour, int64_t timeout_ms)
{
	struct larder_error err = {0};

	assert_int_equal(slurmq_create(a->event, "/proc/self/exe", "/some/slurm.conf", behaviour,
				       timeout_ms, &a->q, &err),
			 0);
}

static void on_job(const struct slurm_job *job, void *arg)
{
	struct asker *a = arg;

	assert_true(a->n_jobs < 64);
	a->jobs[a->n_jobs++] = *job;
	if (a->again) {
		a->again = false;
		assert_int_equal(slurmq_job(a->q, 9, on_job, a), 0);
	}
	if (a->destroy) {
		slurmq_destroy(a->q);
		a->q = NULL;
	}
}

static void on_conf(int64_t seconds, void *arg)
{
	struct asker *a = arg;

	a->n_confs++;
	a->conf = seconds;
}

/* Until so many answers are there; fails when they do not come. */
static void await(struct asker *a, int answers)
{
	for (int i = 0; i < 200 && a->n_jobs + a->n_confs < answers; i++)
		assert_true(sd_event_run(a->event, 50000) >= 0);
	assert_int_equal(a->n_jobs + a->n_confs, answers);
}

static void test_answers_come_in_order(void **state)
{
	struct asker *a = *state;

	create(a, "good", 10000);
	for (uint32_t id = 1; id <= 40; id++)
		assert_int_equal(slurmq_job(a->q, id, on_job, a), 0);
	assert_int_equal(slurmq_conf(a->q, on_conf, a), 0);
	assert_int_equal(slurmq_job(a->q, 0, on_job, a), -EINVAL);
	assert_int_equal(a->n_jobs, 0); /* never from inside the call */
	a->again = true;
	await(a, 42);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(a->jobs[i].job_id, i + 1);
		assert_int_equal(a->jobs[i].fate, SLURM_JOB_HERE);
		/* one and the same helper: it counts */
		assert_int_equal(a->jobs[i].restarts, i + 1);
	}
	assert_int_equal(a->jobs[40].job_id, 9);
	assert_int_equal(a->conf, 300);
}

static void test_helper_gets_slurm_conf_and_little_else(void **state)
{
	struct asker *a = *state;

	setenv("LARDER_SECRET", "x", 1);
	create(a, "environment", 10000);
	slurmq_job(a->q, 1, on_job, a);
	await(a, 1);
	assert_int_equal(a->jobs[0].fate, SLURM_JOB_HERE);
	unsetenv("LARDER_SECRET");
}

static void test_helper_that_hangs(void **state)
{
	struct asker *a = *state;

	create(a, "hangs-at-7", 300);
	slurmq_job(a->q, 7, on_job, a);
	await(a, 1);
	assert_int_equal(a->jobs[0].job_id, 7);
	assert_int_equal(a->jobs[0].fate, SLURM_JOB_NO_ANSWER);
	assert_false(a->jobs[0].cancelled);
	/* a new one answers */
	slurmq_job(a->q, 8, on_job, a);
	await(a, 2);
	assert_int_equal(a->jobs[1].fate, SLURM_JOB_HERE);
	assert_int_equal(a->jobs[1].restarts, 1);
}

/* What waits behind a question that hangs is answered by its own deadline, too. */
static void test_those_behind_do_not_wait_longer(void **state)
{
	struct asker *a = *state;
	struct timespec before, after;

	create(a, "hangs-at-7", 300);
	clock_gettime(CLOCK_MONOTONIC, &before);
	for (int i = 0; i < 30; i++)
		slurmq_job(a->q, 7, on_job, a);
	slurmq_conf(a->q, on_conf, a);
	await(a, 31);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec < 5); /* not 31 × 0.3 s */
	for (int i = 0; i < 30; i++)
		assert_int_equal(a->jobs[i].fate, SLURM_JOB_NO_ANSWER);
	assert_int_equal(a->conf, -1);
}

static void test_helpers_that_talk_nonsense(void **state)
{
	static const char *const how[] = {"dies", "garbage",   "two-lines", "wrong-id", "too-long",
					  "nul",  "too-early", "fails",	    "half-line"};
	struct asker *a = *state;

	for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		create(a, how[i], 10000);
		a->n_jobs = 0;
		slurmq_job(a->q, 5, on_job, a);
		await(a, 1);
		if (a->jobs[0].fate != SLURM_JOB_NO_ANSWER)
			fail_msg("%s was believed: %d", how[i], (int)a->jobs[0].fate);
		slurmq_destroy(a->q);
		a->q = NULL;
	}
}

static void test_slow_line_is_put_together(void **state)
{
	struct asker *a = *state;

	create(a, "slow", 10000);
	slurmq_job(a->q, 5, on_job, a);
	await(a, 1);
	assert_int_equal(a->jobs[0].fate, SLURM_JOB_HERE);
}

static void test_no_helper(void **state)
{
	struct asker *a = *state;
	struct larder_error err = {0};

	assert_int_equal(
		slurmq_create(a->event, "/nonexistent/helper", "", "n1", 5000, &a->q, &err), 0);
	slurmq_job(a->q, 5, on_job, a);
	slurmq_conf(a->q, on_conf, a);
	assert_int_equal(a->n_jobs, 0);
	await(a, 2);
	assert_int_equal(a->jobs[0].fate, SLURM_JOB_NO_ANSWER);
	assert_int_equal(a->conf, -1);
}

static void test_forget(void **state)
{
	struct asker *a = *state, gone = {0};

	create(a, "good", 10000);
	slurmq_job(a->q, 1, on_job, &gone);
	slurmq_job(a->q, 2, on_job, a);
	slurmq_conf(a->q, on_conf, &gone);
	slurmq_job(a->q, 3, on_job, a);
	sd_event_run(a->event, 1000000); /* the first is with the helper now */
	slurmq_forget(a->q, &gone);
	await(a, 2);
	assert_int_equal(gone.n_jobs + gone.n_confs, 0);
	assert_int_equal(a->jobs[1].job_id, 3);
}

static void test_destroyed_by_its_own_answer(void **state)
{
	struct asker *a = *state;

	create(a, "good", 10000);
	a->destroy = true;
	slurmq_job(a->q, 1, on_job, a);
	slurmq_job(a->q, 2, on_job, a);
	await(a, 1);
	for (int i = 0; i < 5; i++)
		sd_event_run(a->event, 10000);
	assert_int_equal(a->n_jobs, 1);
}

/* --- step sockets --- */

static int listen_at(const char *path, int backlog)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static void test_step_alive(void **state)
{
	char *made = scratch_create(), dir[150], spool[200];
	int fd;

	(void)state;
	snprintf(dir, sizeof(dir), "%s", made);
	assert_false(slurm_step_alive(dir, "n1", 42));
	assert_false(slurm_step_alive("/nonexistent", "n1", 42));
	assert_false(slurm_step_alive("", "n1", 42));
	fd = listen_at(scratch_path(dir, "n1_42.4294967292"), 5);
	assert_true(slurm_step_alive(dir, "n1", 42));
	assert_false(slurm_step_alive(dir, "n1", 4));
	assert_false(slurm_step_alive(dir, "n1", 429));
	assert_false(slurm_step_alive(dir, "n2", 42));
	close(fd); /* the file stays, as after kill -9 */
	assert_int_equal(access(scratch_path(dir, "n1_42.4294967292"), F_OK), 0);
	assert_false(slurm_step_alive(dir, "n1", 42));
	scratch_write(scratch_path(dir, "n1_42.1"), "", 0);
	assert_false(slurm_step_alive(dir, "n1", 42));
	/* A full queue is somebody's. */
	fd = listen_at(scratch_path(dir, "n1_42.0"), 0);
	for (int i = 0; i < 4; i++)
		assert_true(slurm_step_alive(dir, "n1", 42));
	int held[8];

	for (int i = 0; i < 8; i++) {
		struct sockaddr_un addr = {.sun_family = AF_UNIX};

		snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", scratch_path(dir, "n1_42.0"));
		held[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (connect(held[i], (const struct sockaddr *)&addr, sizeof(addr)) < 0)
			assert_int_equal(errno, EAGAIN);
	}
	assert_true(slurm_step_alive(dir, "n1", 42));
	/* slurm.conf's own spelling */
	snprintf(spool, sizeof(spool), "%.*s%%n", (int)(strlen(dir) - 3), dir);
	assert_false(slurm_step_alive(spool, "n1", 42));
	assert_int_equal(rename(scratch_path(dir, "n1_42.0"),
				scratch_path(dir, "%s_42.0", dir + strlen(dir) - 3)),
			 0);
	assert_true(slurm_step_alive(spool, dir + strlen(dir) - 3, 42));
	for (int i = 0; i < 8; i++)
		close(held[i]);
	close(fd);
	scratch_destroy(made);
}

/* --- the helper --- */

static void say(const char *text)
{
	if (write(1, text, strlen(text)) < 0)
		_exit(3);
}

static void say_good(unsigned int id, unsigned int count)
{
	char line[200];

	snprintf(
		line, sizeof(line),
		"job id=%u state=running completing=0 here=1 restarts=%u limit_s=60 start_s=1700000000\n",
		id, count);
	say(line);
}

static bool clean_environment(void)
{
	const char *conf = getenv("SLURM_CONF");

	return conf && strcmp(conf, "/some/slurm.conf") == 0 && !getenv("LARDER_SECRET") &&
	       !getenv("HOME");
}

static void say_long(void)
{
	char text[2001];

	memset(text, 'x', 2000);
	text[2000] = '\0';
	say(text);
}

static void behave(const char *how, unsigned int id, unsigned int count)
{
	if (strcmp(how, "hangs-at-7") == 0 && id == 7)
		pause();
	else if (strcmp(how, "garbage") == 0)
		say("hello\n");
	else if (strcmp(how, "two-lines") == 0)
		say("job id=5 state=unknown\njob id=5 state=unknown\n");
	else if (strcmp(how, "wrong-id") == 0)
		say("job id=6 state=unknown\n");
	else if (strcmp(how, "too-long") == 0)
		say_long();
	else if (strcmp(how, "nul") == 0 && write(1, "job id=5 state=unknown\0\n", 24) < 0)
		_exit(3);
	else if (strcmp(how, "fails") == 0)
		say("fail errno=1800 text=Unable to contact slurm controller\n");
	else if (strcmp(how, "half-line") == 0)
		say("job id=5 state=unknown"), _exit(0);
	else if (strcmp(how, "dies") == 0 ||
		 (strcmp(how, "environment") == 0 && !clean_environment()))
		_exit(1);
	else if (strcmp(how, "slow") == 0)
		say("job id=5 state=running completing=0 "), usleep(50000),
			say("here=1 restarts=0 limit_s=0 start_s=0\n");
	else if (strcmp(how, "nul") != 0)
		say_good(id, count);
}

static int be_helper(const char *how)
{
	char line[64];
	unsigned int id, count = 0;

	if (strcmp(how, "too-early") == 0)
		say("job id=5 state=unknown\njob id=5 state=unknown\n");
	while (fgets(line, sizeof(line), stdin)) {
		if (strcmp(line, "conf\n") == 0)
			say("conf prolog_timeout_s=300\n");
		else if (sscanf(line, "job %u\n", &id) == 1)
			behave(how, id, ++count);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_a_line_means),
		cmocka_unit_test(test_lines_that_are_none),
		cmocka_unit_test_setup_teardown(test_answers_come_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_helper_gets_slurm_conf_and_little_else, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_helper_that_hangs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_those_behind_do_not_wait_longer, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_helpers_that_talk_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_line_is_put_together, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_helper, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forget, setup, teardown),
		cmocka_unit_test_setup_teardown(test_destroyed_by_its_own_answer, setup, teardown),
		cmocka_unit_test(test_step_alive),
	};

	if (argc == 3 && strcmp(argv[1], "--node") == 0)
		return be_helper(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
