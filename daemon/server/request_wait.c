/*
 * Owns waiting: the deadline of a request, the question whether its job is still wanted, and the
 * prologs that wait for its outcome. Decides nothing about datasets. Used by request.c and
 * ACQUIRE/AWAIT.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "larder/clock.h"
#include "larder/text.h"
#include "log/log.h"
#include "server/admit.h"
#include "server/request.h"
#include "server/session.h"

#define POLL_MS 3000 /* how soon a cancelled job is noticed */

struct awaiter {
	struct awaiter *prev, *next;
	struct request *request;
	struct session *session;
	sd_event_source *timer;
};

/* --- who waits */

static void awaiter_free(struct awaiter *one)
{
	DL_DELETE(one->request->awaiters, one);
	sd_event_source_disable_unref(one->timer);
	free(one);
}

static void awaiter_gone(void *arg)
{
	awaiter_free(arg);
}

static void awaiter_answer(struct awaiter *one)
{
	struct session *session = one->session;
	struct larder_msg_OUTCOME row;

	request_outcome_row(one->request, &row);
	session_row(session, LARDER_MSG_OUTCOME, &row);
	awaiter_free(one);
	session_done(session, "");
}

static int on_slice(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	awaiter_answer(arg);
	return 0;
}

void request_wake(struct request *request)
{
	while (request->awaiters)
		awaiter_answer(request->awaiters);
}

void request_await(struct request *request, struct session *session, int64_t timeout_ms)
{
	struct awaiter *one = calloc(1, sizeof(*one));
	int64_t ms = timeout_ms < 0 ? 0 : timeout_ms > 60000 ? 60000 : timeout_ms;

	if (!one) {
		session_refuse(session, ENOMEM, "out of memory");
		return;
	}
	*one = (struct awaiter){.request = request, .session = session};
	DL_APPEND(request->awaiters, one);
	if (request->outcome != LARDER_OUTCOME_PENDING || ms == 0 ||
	    sd_event_add_time_relative(request->d->event, &one->timer, CLOCK_MONOTONIC,
				       (uint64_t)ms * 1000, 1000, on_slice, one) < 0) {
		awaiter_answer(one);
		return;
	}
	session_park(session, awaiter_gone, one);
}

static void add_progress(const struct want *want, struct larder_msg_OUTCOME *row)
{
	struct larder_msg_TRANSFER t = {0};
	char label[160], engine[64];

	if (!want->interest.stage)
		return;
	stage_describe(want->interest.stage, &t, label, engine);
	row->done_bytes += t.done_bytes;
	row->need_bytes += t.need_bytes;
	if (t.eta_ms > row->eta_ms)
		row->eta_ms = t.eta_ms;
}

void request_outcome_row(const struct request *request, struct larder_msg_OUTCOME *row)
{
	*row = (struct larder_msg_OUTCOME){
		.state = request->outcome,
		.text = request->text,
		.eta_ms = -1,
		.deadline_ms = request->deadline_ms - clock_mono_ms(),
	};
	for (unsigned int i = 0; i < request->n_wants; i++)
		add_progress(&request->wants[i], row);
}

/* --- the deadline */

static void lower_deadline(struct request *request, int64_t bound_ms, const char *why)
{
	int64_t at;

	if (__builtin_add_overflow(request->since_ms, bound_ms, &at) || at >= request->deadline_ms)
		return;
	request->deadline_ms = at;
	request->deadline_why = why;
	if (request->timer) {
		sd_event_source_set_time(request->timer, (uint64_t)(at > 0 ? at : 0) * 1000);
		sd_event_source_set_enabled(request->timer, SD_EVENT_ONESHOT);
	}
}

static void out_of_time(struct want *want)
{
	struct request *request = want->request;
	struct larder_msg_OUTCOME p = {.eta_ms = -1};
	struct larder_error err;
	char waited[64], eta[64] = "";

	larder_duration_format(clock_mono_ms() - request->since_ms, waited, sizeof(waited));
	add_progress(want, &p);
	if (p.eta_ms >= 0) {
		char left[48];

		snprintf(eta, sizeof(eta), ", about %s to go",
			 larder_duration_format(p.eta_ms, left, sizeof(left)));
	}
	stage_leave(&want->interest);
	larder_error_set(
		&err, ETIMEDOUT,
		"%s was not ready after %s (%u %% there%s; the wait is bounded by %s); stage it ahead "
		"(larder stage), or use --dataset-on-fail=bypass",
		want->spec.name, waited,
		p.need_bytes ? (unsigned int)(p.done_bytes * 100 / p.need_bytes) : 0, eta,
		request->deadline_why);
	want_failed(want, -ETIMEDOUT, &err);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *arg)
{
	struct request *request = arg;

	(void)source;
	(void)usec;
	for (unsigned int i = 0; i < request->n_wants; i++) {
		struct want *want = &request->wants[i];

		if (want->state == WANT_CHECKING) {
			access_cancel(want->ask);
			want->ask = NULL;
		}
		if (want->state == WANT_CHECKING || want->state == WANT_RESOLVED ||
		    want->state == WANT_STAGING)
			out_of_time(want);
	}
	request_update(request);
	return 0;
}

/* --- is the job still there? */

static void on_job(const struct slurm_job *job, void *arg)
{
	struct request *request = arg;

	request->asking_slurm = false;
	if (request->outcome != LARDER_OUTCOME_PENDING || job->fate == SLURM_JOB_NO_ANSWER)
		return;
	if (job->cancelled || job->fate == SLURM_JOB_OVER) {
		request_settle(request, LARDER_OUTCOME_CANCELLED, "the job was cancelled");
		return;
	}
	if (job->time_limit_s > 0)
		lower_deadline(request, job->time_limit_s * 500, "half of the job's time limit");
}

static int on_poll(sd_event_source *source, uint64_t usec, void *arg)
{
	struct request *request = arg;

	(void)usec;
	if (!request->asking_slurm &&
	    !slurmq_job(request->d->slurm, request->key.job_id, on_job, request))
		request->asking_slurm = true;
	sd_event_source_set_time_relative(source, POLL_MS * 1000);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

void request_deadline(struct request *request)
{
	const struct larderd *d = request->d;
	int64_t prolog_ms =
		d->config.prolog_timeout ? d->config.prolog_timeout : d->prolog_timeout_s * 1000;

	request->deadline_ms = request->since_ms + d->config.wait_max;
	request->deadline_why = "wait_max of the node's larder.conf";
	if (prolog_ms > 0)
		lower_deadline(request, prolog_ms / 10 * 8, "Slurm's prolog timeout");
	if (request->wait_ms > 0)
		lower_deadline(request, request->wait_ms, "--dataset-wait");
}

void request_wait_begin(struct request *request)
{
	struct larderd *d = request->d;
	int rc;

	rc = sd_event_add_time(d->event, &request->timer, CLOCK_MONOTONIC,
			       (uint64_t)(request->deadline_ms > 0 ? request->deadline_ms : 0) *
				       1000,
			       10000, on_deadline, request);
	if (rc >= 0) /* a hit is over long before the first question */
		rc = sd_event_add_time_relative(d->event, &request->poll, CLOCK_MONOTONIC, 200000,
						0, on_poll, request);
	if (rc < 0)
		log_event(LOG_LEVEL_ERR, "request.timer", "job=%u error=\"%s\"",
			  request->key.job_id, strerror(-rc));
}

void request_wait_end(struct request *request)
{
	request->timer = sd_event_source_disable_unref(request->timer);
	request->poll = sd_event_source_disable_unref(request->poll);
	if (request->asking_slurm)
		slurmq_forget(request->d->slurm, request);
	request->asking_slurm = false;
	request_wake(request);
}
