/*
 * The client of the benches of latency: what the plugin's prolog and epilog say, timed one by one.
 * It links liblarder alone; the daemon is the real one. Called by acquire.sh and scale.sh.
 *
 *   acquire rounds WORK WHO SPEC N         PING, ACQUIRE, RELEASE in turns, on one connection
 *   acquire beside WORK WHO SPEC N PID     the same until process PID has ended, N rounds at most
 *   acquire crowd WORK WHO SPEC N          N clients at once: ACQUIRE to its outcome, RELEASE
 *   acquire answer SECONDS                 until a PING is answered; prints milliseconds
 * SPEC with its digest, as submission fixes it. LARDER_SOCKET names the socket. One JSON line for
 * each kind of call; exit 1 and a sentence when an answer is not what the bench is about.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/client.h"

#define ANSWER_MS 60000
#define USER	  65534u
#define WARM_UP	  20 /* rounds that are not counted: pages, names, the first check of rights */

enum call { CALL_PING, CALL_ACQUIRE, CALL_RELEASE, CALLS };

static const char *const call_words[CALLS] = {"ping", "acquire", "release"};

struct series {
	double *us[CALLS];
	size_t n;
};

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static const char *socket_path(void)
{
	const char *path = getenv("LARDER_SOCKET");

	return path ? path : "/run/larder/larderd.sock";
}

static _Noreturn void fail(const char *what, const struct larder_error *err)
{
	fprintf(stderr, "acquire: %s: %s\n", what, err->text);
	exit(1);
}

/* --- calls */

static int take_outcome(struct larder_row *row, void *arg, struct larder_error *err)
{
	const struct larder_msg_OUTCOME *msg = row->msg;

	if (row->type != LARDER_MSG_OUTCOME)
		return 0;
	*(uint32_t *)arg = msg->state;
	if (msg->state != LARDER_OUTCOME_READY && msg->state != LARDER_OUTCOME_PENDING)
		return larder_error_set(err, EIO, "the outcome is %s: %s",
					larder_outcome_word(msg->state), msg->text);
	return 0;
}

static int acquire(struct larder_client *client, const char *spec, uint32_t job, uint32_t *outcome,
		   struct larder_error *err)
{
	const struct larder_msg_ACQUIRE msg = {
		.job_id = job,
		.uid = USER,
		.gid = USER,
		.specs = spec,
		.fixed = spec,
		.wait_ms = LARDER_WAIT_ALL,
	};

	return larder_client_call(client, LARDER_MSG_ACQUIRE, &msg, ANSWER_MS, take_outcome,
				  outcome, NULL, err);
}

static int await(struct larder_client *client, uint32_t job, uint32_t *outcome,
		 struct larder_error *err)
{
	const struct larder_msg_AWAIT msg = {.job_id = job, .timeout_ms = ANSWER_MS / 2};

	return larder_client_call(client, LARDER_MSG_AWAIT, &msg, ANSWER_MS, take_outcome, outcome,
				  NULL, err);
}

static int release(struct larder_client *client, uint32_t job, struct larder_error *err)
{
	const struct larder_msg_RELEASE msg = {.job_id = job};

	return larder_client_call(client, LARDER_MSG_RELEASE, &msg, ANSWER_MS, NULL, NULL, NULL,
				  err);
}

static int ping(struct larder_client *client, struct larder_error *err)
{
	return larder_client_call(client, LARDER_MSG_PING, &(const struct larder_msg_PING){},
				  ANSWER_MS, NULL, NULL, NULL, err);
}

/* --- rounds on one connection */

/* An ACQUIRE that has to look into the rights again (access_ttl) is another thing: not counted. */
static bool one_round(struct larder_client *client, const char *spec, uint32_t job,
		      double us[CALLS])
{
	struct larder_error err = {0};
	uint32_t outcome = LARDER_OUTCOME_PENDING;
	double at[CALLS + 1];
	bool at_once;

	at[0] = now_us();
	if (ping(client, &err))
		fail("PING", &err);
	at[1] = now_us();
	if (acquire(client, spec, job, &outcome, &err))
		fail("ACQUIRE", &err);
	at[2] = now_us();
	at_once = outcome == LARDER_OUTCOME_READY;
	if (!at_once && await(client, job, &outcome, &err))
		fail("AWAIT", &err);
	at[2] = at_once ? at[2] : now_us();
	if (release(client, job, &err))
		fail("RELEASE", &err);
	at[3] = now_us();
	for (int i = 0; i < CALLS; i++)
		us[i] = at[i + 1] - at[i];
	return at_once;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_series(const char *work, const char *who, const char *what, double *us, size_t n)
{
	if (!n)
		return;
	qsort(us, n, sizeof(*us), by_size);
	printf("{\"work\":\"%s\",\"who\":\"%s\",\"what\":\"%s\",\"n\":%zu,\"p50_us\":%.1f,"
	       "\"p99_us\":%.1f,\"max_us\":%.1f}\n",
	       work, who, what, n, us[n / 2], us[n * 99 / 100], us[n - 1]);
}

static bool alive(pid_t pid)
{
	return !pid || kill(pid, 0) == 0;
}

static int verb_rounds(char **argv, pid_t beside)
{
	size_t rounds = strtoul(argv[3], NULL, 10);
	struct larder_client *client = NULL;
	struct larder_error err = {0};
	struct series series = {0};
	uint32_t job = 1;

	for (int i = 0; i < CALLS; i++)
		if (!(series.us[i] = calloc(rounds + 1, sizeof(double))))
			return 1;
	if (larder_client_open(socket_path(), NULL, ANSWER_MS, &client, &err))
		fail("connect", &err);
	for (size_t i = 0; series.n < rounds && alive(beside); i++) {
		double us[CALLS];
		bool counts = one_round(client, argv[2], job++, us) && i >= WARM_UP;

		for (int k = 0; counts && k < CALLS; k++)
			series.us[k][series.n] = us[k];
		series.n += counts ? 1 : 0;
	}
	larder_client_close(client);
	for (int i = 0; i < CALLS; i++) {
		print_series(argv[0], argv[1], call_words[i], series.us[i], series.n);
		free(series.us[i]);
	}
	if (series.n)
		return 0;
	fprintf(stderr, "acquire: no round was answered at once, so there is nothing to report\n");
	return 1;
}

/* --- a crowd */

struct crowd {
	pthread_barrier_t gate;
	const char *spec;
};

struct member {
	pthread_t thread;
	struct crowd *crowd;
	uint32_t job;
	double us[CALLS];
	int rc;
	struct larder_error err;
};

static int member_round(struct member *m, struct larder_client *client)
{
	uint32_t outcome = LARDER_OUTCOME_PENDING;
	double began = now_us(), got;
	int rc = acquire(client, m->crowd->spec, m->job, &outcome, &m->err);

	while (!rc && outcome == LARDER_OUTCOME_PENDING)
		rc = await(client, m->job, &outcome, &m->err);
	got = now_us();
	m->us[CALL_ACQUIRE] = got - began;
	if (!rc)
		rc = release(client, m->job, &m->err);
	m->us[CALL_RELEASE] = now_us() - got;
	return rc;
}

static void *member_main(void *arg)
{
	struct member *m = arg;
	struct larder_client *client = NULL;
	double began;

	pthread_barrier_wait(&m->crowd->gate);
	began = now_us();
	m->rc = larder_client_open(socket_path(), NULL, ANSWER_MS, &client, &m->err);
	if (!m->rc)
		m->rc = ping(client, &m->err);
	m->us[CALL_PING] = now_us() - began;
	/* all are connected at once before any is served */
	pthread_barrier_wait(&m->crowd->gate);
	if (!m->rc)
		m->rc = member_round(m, client);
	larder_client_close(client);
	return NULL;
}

static size_t crowd_print(char **argv, struct member *members, size_t n)
{
	static const char *const what[CALLS] = {"connect+ping", "acquire", "release"};
	auto_free double *us = calloc(n, sizeof(*us));
	size_t good = 0;

	for (int k = 0; us && k < CALLS; k++) {
		good = 0;
		for (size_t i = 0; i < n; i++)
			if (!members[i].rc)
				us[good++] = members[i].us[k];
		print_series(argv[0], argv[1], what[k], us, good);
	}
	return good;
}

static int verb_crowd(char **argv)
{
	size_t n = strtoul(argv[3], NULL, 10), good;
	auto_free struct member *members = calloc(n, sizeof(*members));
	struct crowd crowd = {.spec = argv[2]};
	pthread_attr_t attr;

	if (!members || pthread_barrier_init(&crowd.gate, NULL, (unsigned int)n))
		return 1;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	for (size_t i = 0; i < n; i++) {
		members[i].crowd = &crowd;
		members[i].job = (uint32_t)(100000 + i);
		if (pthread_create(&members[i].thread, &attr, member_main, &members[i])) {
			fprintf(stderr, "acquire: only %zu threads can be had\n", i);
			exit(1);
		}
	}
	for (size_t i = 0; i < n; i++)
		pthread_join(members[i].thread, NULL);
	good = crowd_print(argv, members, n);
	for (size_t i = 0; i < n; i++)
		if (members[i].rc) {
			fprintf(stderr, "acquire: %zu of %zu clients failed; one of them: %s\n",
				n - good, n, members[i].err.text);
			return 1;
		}
	return 0;
}

/* --- the first answer */

static int verb_answer(const char *seconds)
{
	double began = now_us(), until = began + strtod(seconds, NULL) * 1e6;

	while (now_us() < until) {
		struct larder_client *client = NULL;
		struct larder_error ignored = {0};

		if (!larder_client_open(socket_path(), NULL, ANSWER_MS, &client, &ignored) &&
		    !ping(client, &ignored)) {
			larder_client_close(client);
			printf("%.1f\n", (now_us() - began) / 1e3);
			return 0;
		}
		larder_client_close(client);
		usleep(500);
	}
	fprintf(stderr, "acquire: no answer within %s s\n", seconds);
	return 1;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (!strcmp(verb, "rounds") && argc == 6)
		return verb_rounds(argv + 2, 0);
	if (!strcmp(verb, "beside") && argc == 7)
		return verb_rounds(argv + 2, (pid_t)atoi(argv[6]));
	if (!strcmp(verb, "crowd") && argc == 6)
		return verb_crowd(argv + 2);
	if (!strcmp(verb, "answer") && argc == 3)
		return verb_answer(argv[2]);
	fprintf(stderr, "acquire: bad arguments; see the top of tests/bench/acquire.c\n");
	return 2;
}
