/*
 * Owns the pending jobs that are bound to our features, and since when one of them cannot start.
 * Must not tell anybody: publishing.c hands over who is to be let go. Called by the control thread,
 * with the lock where the model is looked at.
 */
#include "sched/bound.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sched/feature.h"
#include "sched/hash.h"

/* slurmctld looks again at what it refused within 30 s of a change of features. */
#define REFUSED_MS 60000

/* What jobs need together on each node. */
struct demand {
	UT_hash_handle hh;
	unsigned int refs;
	unsigned int all, open; /* scratch: nodes that are to have it, and of these who take jobs */
	char ours[];
};

struct waiting {
	UT_hash_handle hh;
	uint32_t id, nodes;
	bool listed; /* scratch of an update */
	int64_t refused_ms,
		idle_ms; /* since when; 0: it is not refused, enough holders take jobs */
	struct demand *demand;
};

struct bound {
	struct waiting *jobs;
	struct demand *demands;
};

struct bound *bound_create(void)
{
	return calloc(1, sizeof(struct bound));
}

/* --- jobs */

static void let_go_demand(struct bound *bound, struct demand *demand)
{
	if (!demand || --demand->refs)
		return;
	HASH_DEL(bound->demands, demand);
	free(demand);
}

static void job_drop(struct bound *bound, struct waiting *job)
{
	HASH_DEL(bound->jobs, job);
	let_go_demand(bound, job->demand);
	free(job);
}

void bound_destroy(struct bound *bound)
{
	struct waiting *job, *tmp;

	if (!bound)
		return;
	HASH_ITER(hh, bound->jobs, job, tmp)
	{
		job_drop(bound, job);
	}
	free(bound);
}

static struct demand *demand_ref(struct bound *bound, const char *ours)
{
	struct demand *demand;

	HASH_FIND_STR(bound->demands, ours, demand);
	if (!demand) {
		demand = calloc(1, sizeof(*demand) + strlen(ours) + 1);
		if (!demand)
			return NULL;
		strcpy(demand->ours, ours);
		HASH_ADD_STR(bound->demands, ours, demand);
	}
	demand->refs++;
	return demand;
}

static struct waiting *job_of(struct bound *bound, uint32_t id)
{
	struct waiting *job;

	HASH_FIND(hh, bound->jobs, &id, sizeof(id), job);
	if (job || !(job = calloc(1, sizeof(*job))))
		return job;
	job->id = id;
	HASH_ADD(hh, bound->jobs, id, sizeof(job->id), job);
	return job;
}

static int take(struct bound *bound, const struct bound_job *from, int64_t now_ms)
{
	struct waiting *job = job_of(bound, from->id);
	struct demand *demand = job ? demand_ref(bound, from->ours) : NULL;

	if (!demand)
		return -ENOMEM;
	let_go_demand(bound, job->demand);
	job->demand = demand;
	job->nodes = from->nodes ? from->nodes : 1;
	job->listed = true;
	if (!from->refused)
		job->refused_ms = 0;
	else if (!job->refused_ms)
		job->refused_ms = now_ms;
	return 0;
}

int bound_update(struct bound *bound, const struct bound_job *jobs, size_t n, int64_t now_ms)
{
	struct waiting *job, *tmp;
	int rc = 0;

	for (job = bound->jobs; job; job = job->hh.next)
		job->listed = false;
	for (size_t i = 0; i < n && !rc; i++)
		rc = take(bound, &jobs[i], now_ms);
	HASH_ITER(hh, bound->jobs, job, tmp)
	{
		if (!job->listed && (!rc || !job->demand))
			job_drop(bound, job);
	}
	return rc;
}

/* --- what they need */

bool bound_some(const struct bound *bound)
{
	return bound->demands;
}

bool bound_needs(const struct bound *bound, const char *feature)
{
	for (const struct demand *demand = bound->demands; demand; demand = demand->hh.next)
		if (features_have(demand->ours, feature))
			return true;
	return false;
}

/* What it is to have; of one that nothing was decided for, what it has. */
static const char *features_of(const struct node *node)
{
	return node->want ? node->want : node->have ? node->have : "";
}

static void count(struct bound *bound, const struct model *model)
{
	struct demand *demand;

	for (demand = bound->demands; demand; demand = demand->hh.next)
		demand->all = demand->open = 0;
	for (const struct node *node = model->nodes; node; node = node->hh.next) {
		const char *features = features_of(node);

		if (!node->in_slurm || !*features)
			continue;
		for (demand = bound->demands; demand; demand = demand->hh.next) {
			bool all = features_have(features, demand->ours);

			demand->all += all;
			demand->open += all && node->usable;
		}
	}
}

static const char *why_stuck(struct waiting *job, const struct bound_params *params)
{
	if (job->demand->open >= job->nodes)
		job->idle_ms = 0;
	else if (!job->idle_ms)
		job->idle_ms = params->now_ms;
	if (params->settled && job->demand->all < job->nodes)
		return "too few nodes hold it";
	if (params->settled && job->idle_ms && params->now_ms - job->idle_ms > params->silent_ms)
		return "the nodes that hold it take no jobs";
	if (job->refused_ms && params->now_ms - job->refused_ms > REFUSED_MS)
		return "it cannot start on the nodes that hold it";
	return NULL;
}

void bound_stuck(struct bound *bound, const struct model *model, const struct bound_params *params,
		 bound_fn fn, void *arg)
{
	if (!bound->jobs)
		return;
	count(bound, model);
	for (struct waiting *job = bound->jobs; job; job = job->hh.next) {
		const char *why = why_stuck(job, params);

		if (why)
			fn(job->id, why, arg);
	}
}

void bound_all(const struct bound *bound, bound_fn fn, void *arg)
{
	for (const struct waiting *job = bound->jobs; job; job = job->hh.next)
		fn(job->id, "no features are published any more", arg);
}
