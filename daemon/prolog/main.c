/*
 * Owns larder-prolog-stage: nodes stage a job's datasets while it is CONFIGURING, when its time
 * limit does not run. Must not fail a job or hold it beyond the bound: whatever happens, the exit
 * code is 0. Started by begin.c, which slurmctld runs as PrologSlurmctld, or the site's own script
 * there.
 */
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "larder/beside.h"
#include "larder/clock.h"
#include "larder/text.h"
#include "larder/wire.h"
#include "prolog/prolog.h"

#define BEGIN_STEPS 3 /* may, stage, and one look */
#define PAUSE_MS    500
#define SLACK_S	    20 /* then the alarm ends it, wherever it hangs */

static _Atomic int stopped; /* by a signal: slurmctld ends the scripts of a job that is cancelled */

static void on_stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static void on_alarm(int signal)
{
	(void)signal;
	_exit(0);
}

static const struct argp_option table[] = {
	{"wait", 'w', "TIME", 0, "the longest wait for staging (10m)", 0},
	{"timeout", 't', "TIME", 0, "for one question to a node (3s)", 0},
	{"port", 'p', "PORT", 0, "where larderd listens on the nodes (6830)", 0},
	{"addresses", 'a', "FILE", 0, "lines NODE HOST:PORT, where that is not NODE:PORT", 0},
	{"sched", 's', "HOST:PORT", 0, "larder-sched, which knows where nodes listen", 0},
	{"sched-user", 'u', "USER", 0, "the user that larder-sched runs as (larder)", 0},
	{"munge-socket", 'm', "PATH", 0, "munged's socket", 0},
	{"helper", 'H', "PATH", 0, "larder-slurm-helper, which tells of a cancelled job", 0},
	{0},
};

static error_t take(int key, char *arg, struct argp_state *state)
{
	struct prolog_options *o = state->input;
	struct larder_error err = {0};
	uint64_t port;
	int rc = 0;

	switch (key) {
	case 'w': rc = larder_duration_parse(arg, &o->wait_ms, &err); break;
	case 't': rc = larder_duration_parse(arg, &o->timeout_ms, &err); break;
	case 'p':
		rc = larder_u64_parse(arg, &port, &err);
		if (!rc && port && port < 65536)
			o->port = (uint32_t)port;
		break;
	case 'a': o->addresses = arg; break;
	case 's': o->sched = *arg ? arg : NULL; break;
	case 'u': o->sched_user = arg; break;
	case 'm': o->munge_socket = arg; break;
	case 'H': o->helper = arg; break;
	default: return ARGP_ERR_UNKNOWN;
	}
	/* A mistake in a site's script must not keep jobs back. */
	if (rc)
		syslog(LOG_ERR, "%s; the default is used", err.text);
	return 0;
}

static int64_t bound_of(const struct prolog_options *options, const struct prolog_job *job)
{
	if (job->wait_ms == LARDER_WAIT_ALL || job->wait_ms > options->wait_ms)
		return options->wait_ms;
	return job->wait_ms;
}

/* Until all nodes are ready or have said why not, the job is over, or the time is. */
static void wait_for(const struct prolog_options *options, const struct prolog_job *job,
		     struct prolog_fleet *fleet)
{
	struct prolog_alive *alive = NULL;
	int64_t began = clock_mono_ms(), bound = bound_of(options, job);
	bool over = false;
	size_t waiting = 0;

	/* What is there already costs two questions; with no wait at all it is begun nevertheless.
	 */
	for (int i = 0; i < BEGIN_STEPS; i++)
		prolog_fleet_step(fleet, &stopped, &waiting);
	if (waiting && bound > 0)
		alive = prolog_alive_create(options->helper, job->id);
	while (waiting && !over && !stopped && clock_mono_ms() - began < bound) {
		const struct timespec pause = {0, PAUSE_MS * 1000000L};

		nanosleep(&pause, NULL);
		over = prolog_alive_over(alive);
		if (!over && !stopped)
			prolog_fleet_step(fleet, &stopped, &waiting);
	}
	prolog_alive_destroy(alive);
	over = over || stopped;
	syslog(LOG_INFO, "job=%u nodes=%zu waiting=%zu over=%d ms=%lld", job->id, job->n_nodes,
	       waiting, over, (long long)(clock_mono_ms() - began));
}

static void tell(const struct prolog_job *job, const struct prolog_fleet *fleet)
{
	const struct prolog_node *nodes = prolog_fleet_nodes(fleet);

	for (size_t i = 0; i < job->n_nodes; i++)
		if (nodes[i].why[0])
			syslog(LOG_NOTICE, "job=%u node=%s %s: %s", job->id, nodes[i].name,
			       nodes[i].silent ? "silent" : "failed", nodes[i].why);
}

static void prepare(const struct prolog_options *options)
{
	const struct sigaction stop = {.sa_handler = on_stop}, end = {.sa_handler = on_alarm};

	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGALRM, &end, NULL);
	alarm((unsigned int)(options->wait_ms / 1000 + options->timeout_ms / 1000 + SLACK_S));
}

static void run(const struct prolog_options *options)
{
	struct prolog_fleet *fleet = NULL;
	struct larder_error err = {0};
	struct prolog_job job;
	int rc = prolog_job_read(getenv, &job, &err);

	if (!rc)
		rc = prolog_fleet_create(options, &job, &fleet, &err);
	if (!rc) {
		wait_for(options, &job, fleet);
		tell(&job, fleet);
	} else if (rc != -ENODATA) {
		syslog(LOG_ERR, "%s", err.text);
	}
	prolog_fleet_destroy(fleet);
	prolog_job_fini(&job);
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = table,
		.parser = take,
		.doc = "Has a job's nodes stage its datasets before it starts. See "
		       "larder-prolog-slurmctld(8).",
	};
	char helper[PATH_MAX];
	struct prolog_options options = {
		.wait_ms = 600000,
		.timeout_ms = 3000,
		.port = 6830,
		.sched_user = "larder",
		.munge_socket = "",
		.helper = larder_beside("larder-slurm-helper", helper, sizeof(helper)),
	};

	openlog("larder-prolog-slurmctld", LOG_PID, LOG_DAEMON);
	argp_program_version = "larder-prolog-slurmctld " LARDER_VERSION;
	argp_err_exit_status = 0;
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	prepare(&options);
	run(&options);
	return 0;
}
