/*
 * Owns the comparison of leases with Slurm's jobs. Asks only about jobs that no local step socket
 * shows alive, with jitter, so that a thousand nodes are no storm. A timer's, and start's.
 */
#include "server/reconcile.h"

#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "log/log.h"
#include "server/request.h"

struct question {
	struct larderd *d;
	uint32_t job_id;
	uint32_t
		run; /* the latest when it was asked: a later one is not what the answer is about */
};

static void let_go(struct larderd *d, uint32_t job_id, uint32_t run_max, const char *why)
{
	struct larder_error err = {0};
	uint32_t released = 0;

	if (request_release(d, job_id, run_max, &released, &err)) {
		log_event(LOG_LEVEL_ERR, "reconcile.release", "job=%u error=\"%s\"", job_id,
			  err.text);
		return;
	}
	inventory_count(d->inv, INV_COUNTER_reconciled_leases, released);
	inventory_event_add(d->inv, clock_s(), "reconcile", "job=%u leases=%u why=%s", job_id,
			    released, why);
	log_event(LOG_LEVEL_INFO, "reconcile", "job=%u leases=%u why=\"%s\"", job_id, released,
		  why);
}

static void on_fate(const struct slurm_job *job, void *arg)
{
	auto_free struct question *question = arg;
	struct larderd *d = question->d;

	d->reconcile_busy--;
	switch (job->fate) {
	case SLURM_JOB_NO_ANSWER: break;
	case SLURM_JOB_HERE:
		if (job->restarts > 0) /* an earlier run whose epilog was lost */
			request_release(d, question->job_id, job->restarts - 1, NULL,
					&(struct larder_error){0});
		break;
	case SLURM_JOB_ELSEWHERE:
		let_go(d, question->job_id, question->run, "the job is not on this node any more");
		break;
	case SLURM_JOB_OVER: let_go(d, question->job_id, question->run, "the job is over"); break;
	}
}

static void ask(struct larderd *d, uint32_t job_id, uint32_t run)
{
	struct question *question = malloc(sizeof(*question));

	if (!question)
		return;
	*question = (struct question){d, job_id, run};
	if (slurmq_job(d->slurm, job_id, on_fate, question))
		free(question);
	else
		d->reconcile_busy++;
}

/* A row that no restart could make a request of: its leases end with its job all the same. */
static int ask_unknown(const struct inv_job *job, void *arg)
{
	struct larderd *d = arg;

	if (job->since_s <= clock_s() - d->config.reconcile_grace / 1000 &&
	    !request_get(d, job->job_id, job->run))
		ask(d, job->job_id, job->run);
	return 0;
}

void reconcile_now(struct larderd *d)
{
	int64_t young = clock_s() - d->config.reconcile_grace / 1000;
	struct request *request, *tmp;
	struct larder_error ignored;
	uint32_t last = 0;

	if (d->reconcile_busy)
		return; /* the last round is not answered yet: no queue of questions */
	HASH_ITER(hh, d->requests, request, tmp)
	{
		uint32_t job_id = request->key.job_id;

		if (job_id == last || request->since_s > young ||
		    request_latest(d, job_id) != request)
			continue;
		last = job_id;
		if (d->config.slurmd_spool[0] &&
		    slurm_step_alive(d->config.slurmd_spool, d->node, job_id))
			continue;
		ask(d, job_id, request->key.run);
	}
	inventory_job_each(d->inv, ask_unknown, d, &ignored);
}

struct old_jobs {
	struct larderd *d;
	uint32_t *ids;
	size_t n, room;
};

static int note_old(const struct inv_job *job, void *arg)
{
	struct old_jobs *old = arg;
	struct larderd *d = old->d;

	if (!strcmp(job->boot_id, d->boot_id))
		return 0;
	if (d->config.slurmd_spool[0] &&
	    slurm_step_alive(d->config.slurmd_spool, d->node, job->job_id))
		return 0;
	if (old->n == old->room) {
		size_t room = old->room ? old->room * 2 : 16;
		uint32_t *more = reallocarray(old->ids, room, sizeof(*more));

		if (!more)
			return 0; /* reconcile finds it */
		old->ids = more;
		old->room = room;
	}
	old->ids[old->n++] = job->job_id;
	return 0;
}

int reconcile_boot(struct larderd *d, struct larder_error *err)
{
	struct old_jobs old = {.d = d};
	int rc = inventory_job_each(d->inv, note_old, &old, err);

	for (size_t i = 0; i < old.n; i++)
		let_go(d, old.ids[i], UINT32_MAX, "the node was booted since");
	free(old.ids);
	return rc;
}
