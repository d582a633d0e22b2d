/*
 * Owns the pairs of job and node that are staged ahead. Pure: no clock, no sending.
 * Must not act while nobody knows the plan: without an answer of slurmctld it is not called, and
 * pairs stand until their TTL on the nodes ends. Called by the control thread.
 */
#include "sched/ahead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "sched/hash.h"

struct pair {
	UT_hash_handle hh;
	uint32_t job_id, uid, gid;
	int64_t start_s;
	int64_t sent_ms;     /* 0: not yet */
	int64_t unplanned_s; /* since when its job has no plan at all; 0: it has one */
	bool planned;	     /* scratch of an update */
	char *specs;
	const char *node;
	char key[]; /* the job's number and the node's name */
};

struct ahead {
	struct ahead_params params;
	struct pair *pairs;
};

struct ahead *ahead_create(const struct ahead_params *params)
{
	struct ahead *ahead = calloc(1, sizeof(*ahead));

	if (ahead)
		ahead->params = *params;
	return ahead;
}

static void pair_drop(struct ahead *ahead, struct pair *pair)
{
	HASH_DEL(ahead->pairs, pair);
	free(pair->specs);
	free(pair);
}

void ahead_destroy(struct ahead *ahead)
{
	struct pair *pair, *tmp;

	if (!ahead)
		return;
	HASH_ITER(hh, ahead->pairs, pair, tmp)
	{
		pair_drop(ahead, pair);
	}
	free(ahead);
}

static size_t key_of(char key[300], uint32_t job, const char *node, size_t len)
{
	memcpy(key, &job, sizeof(job));
	memcpy(key + sizeof(job), node, len);
	return sizeof(job) + len;
}

/* The pair of this job and node, made if there is none. */
static struct pair *pair_of(struct ahead *ahead, const struct ahead_job *job, const char *node,
			    size_t len)
{
	char key[300];
	size_t key_len = key_of(key, job->id, node, len);
	struct pair *pair;

	HASH_FIND(hh, ahead->pairs, key, key_len, pair);
	if (pair)
		return pair;
	pair = calloc(1, sizeof(*pair) + key_len + 1);
	if (!pair)
		return NULL;
	memcpy(pair->key, key, key_len);
	pair->node = pair->key + sizeof(uint32_t);
	pair->job_id = job->id;
	HASH_ADD(hh, ahead->pairs, key, key_len, pair);
	return pair;
}

static int plan(struct ahead *ahead, const struct ahead_job *job, const char *node, size_t len)
{
	struct pair *pair = pair_of(ahead, job, node, len);
	bool news;

	if (!pair)
		return -ENOMEM;
	news = !pair->specs || strcmp(pair->specs, job->specs) != 0;
	if (news) {
		free(pair->specs);
		pair->specs = strdup(job->specs);
		pair->sent_ms = 0;
	}
	pair->uid = job->uid;
	pair->gid = job->gid;
	pair->start_s = job->start_s;
	pair->planned = true;
	pair->unplanned_s = 0;
	if (pair->specs)
		return 0;
	pair_drop(ahead, pair);
	return -ENOMEM;
}

static bool runs_on(const struct ahead_job *job, const char *node)
{
	size_t len = strlen(node);

	for (const char *at = job->nodes; *at;) {
		size_t n = strcspn(at, ",");

		if (n == len && strncmp(at, node, n) == 0)
			return true;
		at += n;
		at += *at == ',';
	}
	return false;
}

static const struct ahead_job *job_of(const struct pair *pair, const struct ahead_job *jobs,
				      size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (jobs[i].id == pair->job_id)
			return &jobs[i];
	return NULL;
}

/*
 * Backfill forgets all plans when it begins a cycle, and makes them again one by one, for minutes
 * in a long queue. A job that waits and is planned nowhere keeps what was begun for it, for a TTL.
 */
static bool between_plans(const struct ahead *ahead, struct pair *pair, const struct ahead_job *job,
			  int64_t now_s)
{
	if (!job || !job->pending || *job->nodes || strcmp(job->specs, pair->specs) != 0)
		return false;
	if (!pair->unplanned_s)
		pair->unplanned_s = now_s;
	return now_s - pair->unplanned_s < ahead->params.ttl_ms / 1000;
}

static void say(const struct pair *pair, bool forget, ahead_order_fn fn, void *arg)
{
	struct ahead_order order = {.forget = forget,
				    .node = pair->node,
				    .job_id = pair->job_id,
				    .uid = pair->uid,
				    .gid = pair->gid,
				    .specs = pair->specs,
				    .start_s = pair->start_s};

	fn(&order, arg);
}

static int by_start(const void *left, const void *right)
{
	const struct ahead_job *a = *(const struct ahead_job *const *)left;
	const struct ahead_job *b = *(const struct ahead_job *const *)right;

	if (a->start_s != b->start_s)
		return a->start_s < b->start_s ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

/* Marks what is planned, first come first. */
static int plan_all(struct ahead *ahead, const struct ahead_job **jobs, size_t n)
{
	unsigned int pairs = 0;

	for (size_t i = 0; i < n; i++) {
		for (const char *at = jobs[i]->nodes; *at && pairs < ahead->params.max;) {
			size_t len = strcspn(at, ",");

			if (len && len < 256) {
				if (plan(ahead, jobs[i], at, len))
					return -ENOMEM;
				pairs++;
			}
			at += len;
			at += *at == ',';
		}
	}
	return 0;
}

int ahead_update(struct ahead *ahead, const struct ahead_job *jobs, size_t n, int64_t now_s,
		 ahead_order_fn fn, void *arg)
{
	auto_free const struct ahead_job **soon = calloc(n + 1, sizeof(struct ahead_job *));
	struct pair *pair, *tmp;
	size_t n_soon = 0;
	int rc;

	if (!soon)
		return -ENOMEM;
	for (pair = ahead->pairs; pair; pair = pair->hh.next)
		pair->planned = false;
	for (size_t i = 0; i < n; i++)
		if (jobs[i].pending && jobs[i].start_s > 0 &&
		    jobs[i].start_s - now_s <= ahead->params.horizon_s)
			soon[n_soon++] = &jobs[i];
	qsort(soon, n_soon, sizeof(struct ahead_job *), by_start);
	rc = plan_all(ahead, soon, n_soon);
	HASH_ITER(hh, ahead->pairs, pair, tmp)
	{
		const struct ahead_job *job;

		if (pair->planned || rc)
			continue;
		job = job_of(pair, jobs, n);
		if (between_plans(ahead, pair, job, now_s))
			continue;
		if (!job || job->pending ||
		    !runs_on(job, pair->node)) /* else its request takes over */
			say(pair, true, fn, arg);
		pair_drop(ahead, pair);
	}
	return rc;
}

void ahead_due(struct ahead *ahead, int64_t now_ms, ahead_order_fn fn, void *arg)
{
	for (struct pair *pair = ahead->pairs; pair; pair = pair->hh.next) {
		if (pair->sent_ms && now_ms - pair->sent_ms < ahead->params.ttl_ms / 3)
			continue;
		pair->sent_ms = now_ms;
		say(pair, false, fn, arg);
	}
}

void ahead_again(struct ahead *ahead, const char *node)
{
	for (struct pair *pair = ahead->pairs; pair; pair = pair->hh.next)
		if (strcmp(pair->node, node) == 0)
			pair->sent_ms = 0;
}

void ahead_forget_all(struct ahead *ahead, ahead_order_fn fn, void *arg)
{
	struct pair *pair, *tmp;

	HASH_ITER(hh, ahead->pairs, pair, tmp)
	{
		say(pair, true, fn, arg);
		pair_drop(ahead, pair);
	}
}

size_t ahead_count(const struct ahead *ahead)
{
	return HASH_COUNT(ahead->pairs);
}
