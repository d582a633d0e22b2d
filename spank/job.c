/*
 * Owns what happens once for each job on each node: the request before it, the release after it.
 * Must not fail: a prolog or epilog that does drains the node. What goes wrong is written into the
 * job's marker, and the job's first task fails with it. Every wait is bounded.
 * Called by plugin.c in the prolog and the epilog, as root.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "larder/cleanup.h"
#include "larder/clock.h"
#include "larder/text.h"
#include "origin.h"
#include "plugin.h"
#include "variables.h"

#define SLICE_MS 2000 /* one AWAIT; the daemon polls for cancellation meanwhile */
#define RETRY_MS 100

struct job {
	const struct settings *settings;
	struct request request;
	struct larder_spec_list fixed; /* what of SPANK_LARDER_FIXED can be believed to be meant */
	char *fixed_text;
	char node[SETTINGS_NODE_MAX];
	char dir[PATH_MAX]; /* of markers */
	uint32_t id, run;
	uid_t uid;
	gid_t gid;
	struct marker marker;
};

struct outcome {
	uint32_t state; /* enum larder_outcome */
	char text[LARDER_ERROR_MAX];
};

static uint32_t run_of_environment(void)
{
	const char *text = getenv("SLURM_JOB_RESTART_COUNT");
	uint64_t run = 0;

	if (!text || larder_u64_parse(text, &run, NULL) || run > UINT32_MAX)
		return 0;
	return (uint32_t)run;
}

static int identify(spank_t sp, struct job *job, struct larder_error *err)
{
	if (spank_get_item(sp, S_JOB_ID, &job->id) != ESPANK_SUCCESS ||
	    spank_get_item(sp, S_JOB_UID, &job->uid) != ESPANK_SUCCESS ||
	    spank_get_item(sp, S_JOB_GID, &job->gid) != ESPANK_SUCCESS)
		return larder_error_set(err, EINVAL, "Slurm does not say which job this is");
	job->run = run_of_environment();
	settings_node(job->node);
	return settings_jobs_dir(job->settings, job->node, job->dir, sizeof(job->dir), err);
}

static void write_marker(struct job *job)
{
	struct larder_error err = {0};

	if (marker_write(job->dir, job->id, &job->marker, &err))
		report("job %" PRIu32 ": %s", job->id, err.text);
}

/* The job's first task fails with this; final: on_fail has no say in it. */
static void mark(struct job *job, bool final, const char *sentence)
{
	job->marker.final = final;
	snprintf(job->marker.error, sizeof(job->marker.error), "%s", sentence);
	report_quietly("job %" PRIu32 ": %s", job->id, sentence);
	write_marker(job);
}

/* The user's word. What does not parse, or names what was not asked for, is dropped. */
static void read_fixed(struct job *job)
{
	const char *text = getenv("SPANK_" VARIABLE_FIXED);

	if (text && *text && larder_spec_list_parse(text, &job->fixed, NULL))
		larder_spec_list_fini(&job->fixed);
	job->fixed_text = larder_spec_list_format(&job->fixed);
	if (job->fixed_text && !job->fixed.count)
		job->fixed_text[0] = '\0';
}

static int take_outcome(struct larder_row *row, void *arg, struct larder_error *err)
{
	const struct larder_msg_OUTCOME *msg = row->msg;
	struct outcome *outcome = arg;

	(void)err;
	if (row->type != LARDER_MSG_OUTCOME)
		return 0;
	outcome->state = msg->state;
	snprintf(outcome->text, sizeof(outcome->text), "%s", msg->text);
	return 0;
}

static int acquire(struct ask *ask, const struct job *job, struct outcome *outcome,
		   bool *unreachable, struct larder_error *err)
{
	struct larder_msg_ACQUIRE msg = {
		.job_id = job->id,
		.run = job->run,
		.uid = job->uid,
		.gid = job->gid,
		.specs = job->request.text,
		.fixed = job->fixed_text ? job->fixed_text : "",
		.mode = job->request.mode,
		.wait_ms = job->request.wait_ms,
		.on_fail = job->request.on_fail,
	};

	return ask_call(ask, LARDER_MSG_ACQUIRE, &msg, 0, take_outcome, outcome, unreachable, err);
}

static int await(struct ask *ask, const struct job *job, int64_t left_ms, struct outcome *outcome,
		 bool *unreachable, struct larder_error *err)
{
	struct larder_msg_AWAIT msg = {
		.job_id = job->id,
		.run = job->run,
		.timeout_ms = left_ms < SLICE_MS ? left_ms : SLICE_MS,
	};
	int64_t began = clock_mono_ms();
	int rc = ask_call(ask, LARDER_MSG_AWAIT, &msg, (int)msg.timeout_ms, take_outcome, outcome,
			  unreachable, err);

	/* A daemon that answers "pending" at once must not make this a busy loop. */
	if (!rc && outcome->state == LARDER_OUTCOME_PENDING && clock_mono_ms() - began < RETRY_MS)
		ask_pause_ms(RETRY_MS);
	return rc;
}

/*
 * Until there is an outcome. After a connection is lost the request is made again, which a daemon
 * that has been restarted needs and one that has not takes for the same. 0, or -errno: refused,
 * or no contact for settings->timeout_ms, or (-ETIME) pending for longer than wait_max.
 */
static int pursue(struct ask *ask, const struct job *job, struct outcome *outcome,
		  bool *unreachable, struct larder_error *err)
{
	int64_t contact = clock_mono_ms();
	int64_t deadline = contact + job->settings->wait_max_ms;
	bool asked = false;

	for (;;) {
		int64_t now = clock_mono_ms();
		int rc = asked ? await(ask, job, deadline - now, outcome, unreachable, err)
			       : acquire(ask, job, outcome, unreachable, err);

		now = clock_mono_ms();
		if (!rc && outcome->state != LARDER_OUTCOME_PENDING)
			return 0;
		if (!rc && now >= deadline)
			return larder_error_set(err, ETIME, "not ready within wait_max: %s",
						outcome->text);
		if (rc && (!*unreachable || now - contact >= job->settings->timeout_ms))
			return rc;
		if (!rc)
			contact = now;
		else
			ask_pause_ms(RETRY_MS);
		asked = !rc;
	}
}

/* What tasks need if the daemon is not there when they start; only on_fail=bypass can use it. */
static void find_origins(struct job *job)
{
	struct larder_error err = {0};

	if (job->marker.on_fail != LARDER_ON_FAIL_BYPASS)
		return;
	if (origin_find(job->settings->catalog, &job->request.specs, &job->fixed, job->uid,
			job->gid, job->settings->timeout_ms, &job->marker, &err))
		report_quietly("job %" PRIu32 ": %s", job->id, err.text);
	write_marker(job);
}

static void ask_for_data(struct job *job)
{
	struct outcome outcome = {.state = LARDER_OUTCOME_PENDING};
	struct larder_error err = {0};
	struct ask ask;
	bool unreachable = true;
	int rc = ask_init(&ask, job->settings, job->node, &err);

	if (!rc)
		rc = pursue(&ask, job, &outcome, &unreachable, &err);
	ask_fini(&ask);
	if (rc)
		mark(job, false, err.text);
	else if (outcome.state == LARDER_OUTCOME_FAILED)
		mark(job, true, outcome.text);
	report_quietly("job %" PRIu32 ": %s %s", job->id, job->request.text,
		       rc ? "unanswered" : larder_outcome_word(outcome.state));
}

static void prolog(spank_t sp, struct plugin *plugin, struct job *job)
{
	struct larder_error err = {0};
	int rc;

	if (identify(sp, job, &err)) {
		report("%s", err.text);
		return;
	}
	job->marker.run = job->run;
	job->marker.on_fail = LARDER_ON_FAIL_FAIL;
	rc = request_parse(plugin->values, &job->request, &err);
	if (rc) {
		mark(job, true, err.text);
		return;
	}
	if (!job->request.specs.count)
		return; /* none */
	job->marker.on_fail = job->request.on_fail == LARDER_ON_FAIL_DEFAULT
				      ? job->settings->on_fail
				      : job->request.on_fail;
	job->marker.specs = strdup(job->request.text);
	write_marker(job);
	read_fixed(job);
	ask_for_data(job);
	find_origins(job);
}

void job_prolog(spank_t sp, struct plugin *plugin, const struct settings *settings)
{
	struct job job = {.settings = settings};

	options_recall(plugin, sp);
	if (plugin->values[OPTION_DATASET])
		prolog(sp, plugin, &job);
	request_fini(&job.request);
	larder_spec_list_fini(&job.fixed);
	free(job.fixed_text);
	marker_fini(&job.marker);
}

/* Did the job ask? The marker says so; the option too, for a marker that could not be written. */
static bool asked_for_data(const struct job *job, const struct plugin *plugin)
{
	const char *value = plugin->values[OPTION_DATASET];
	struct marker marker;
	int rc = marker_read(job->dir, job->id, &marker, NULL);

	marker_fini(&marker);
	return rc != -ENOENT || (value && strcmp(value, "none") != 0);
}

static void release(const struct job *job)
{
	struct larder_msg_RELEASE msg = {.job_id = job->id, .run = job->run};
	struct larder_error err = {0};
	struct ask ask;
	bool unreachable;
	int rc = ask_init(&ask, job->settings, job->node, &err);

	if (!rc)
		rc = ask_call(&ask, LARDER_MSG_RELEASE, &msg, 0, NULL, NULL, &unreachable, &err);
	ask_fini(&ask);
	if (rc)
		report("job %" PRIu32 ": not released: %s; larderd will find out", job->id,
		       err.text);
	rc = marker_remove(job->dir, job->id, job->run, &err);
	if (rc)
		report("job %" PRIu32 ": %s", job->id, err.text);
}

void job_epilog(spank_t sp, struct plugin *plugin, const struct settings *settings)
{
	struct job job = {.settings = settings};
	struct larder_error err = {0};

	if (identify(sp, &job, &err)) {
		report("%s", err.text);
		return;
	}
	options_recall(plugin, sp);
	if (asked_for_data(&job, plugin))
		release(&job);
}
