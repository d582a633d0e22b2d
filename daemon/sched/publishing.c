/*
 * Owns the way from the nodes' trees to Slurm's features: what is chosen, what differs from what
 * slurmctld has, and the file for job_submit.lua.
 * Must not talk to slurmctld: the publisher does. Called by the control thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "log/log.h"
#include "sched/choose.h"
#include "sched/control.h"
#include "sched/publish.h"

#define FILE_EVERY_MS  2000 /* how soon the file follows */
#define RETRY_MS       5000 /* after a failure, at least */
#define BOUND_EVERY_MS 1000 /* how often jobs that wait for features are looked at */
#define FREED_MAX      200  /* in one batch: each is two questions to slurmctld */

/* Nodes that are to have the same features. */
struct wanted {
	UT_hash_handle hh;
	FILE *out;
	char *nodes;
	size_t len;
	char want[];
};

static bool fell_silent(const struct sched *sched, const struct node *node, int64_t now_ms)
{
	return now_ms - node->seen_mono_ms > sched->config.silent_after;
}

/* Of a node that never answered we know nothing: its features stay until it had time to. */
static bool too_early(const struct sched *sched, const struct node *node, int64_t now_ms)
{
	return !node->known && now_ms - sched->started_mono_ms <= sched->config.silent_after;
}

void publishing_choose(struct control *c, int64_t now_ms)
{
	struct sched *sched = c->sched;
	const struct choose_params params = {.per_node = sched->config.features_per_node,
					     .omit_hidden =
						     strcmp(sched->config.hidden, "omit") == 0,
					     .key = &sched->hide_key,
					     .bound = bound_some(c->bound) ? c->bound : NULL};

	sched_lock(sched);
	for (struct node *node = sched->model.nodes; node; node = node->hh.next) {
		if (node->here && fell_silent(sched, node, now_ms)) {
			log_event(LOG_LEVEL_WARNING, "node.gone", "node=%s seen_s=%lld", node->name,
				  (long long)node->seen_s);
			model_node_here(node, false);
		}
		if (!node->changed || too_early(sched, node, now_ms))
			continue;
		if (!choose_features(&sched->model, node, &params))
			node->changed = false;
	}
	sched_unlock(sched);
}

/* --- what differs */

static void wanted_free(struct wanted **all)
{
	struct wanted *wanted, *tmp;

	HASH_ITER(hh, *all, wanted, tmp)
	{
		HASH_DEL(*all, wanted);
		if (wanted->out)
			fclose(wanted->out);
		free(wanted->nodes);
		free(wanted);
	}
}

static void want(struct wanted **all, const struct node *node, const char *features)
{
	struct wanted *wanted;

	HASH_FIND_STR(*all, features, wanted);
	if (!wanted) {
		wanted = calloc(1, sizeof(*wanted) + strlen(features) + 1);
		if (!wanted)
			return;
		strcpy(wanted->want, features);
		wanted->out = open_memstream(&wanted->nodes, &wanted->len);
		HASH_ADD_STR(*all, want, wanted);
	}
	if (wanted->out)
		fprintf(wanted->out, "%s%s", ftell(wanted->out) > 0 ? "," : "", node->name);
}

static bool differs(const struct node *node, const char *want)
{
	return node->in_slurm && want && node->have && strcmp(want, node->have) != 0;
}

/* features NULL: each node's own wish. The number of nodes. */
static size_t collect(struct sched *sched, const char *features, struct wanted **all)
{
	size_t n = 0;

	sched_lock(sched);
	for (struct node *node = sched->model.nodes; node; node = node->hh.next) {
		const char *text = features ? features : node->want;

		if (!differs(node, text))
			continue;
		want(all, node, text);
		n++;
	}
	sched_unlock(sched);
	return n;
}

/* --- jobs that cannot wait for features any more */

/* Whose constraint is freed with the batch. */
struct freed {
	struct publish_batch *batch;
	unsigned int n;
};

static void free_one(uint32_t job_id, const char *why, void *arg)
{
	struct freed *freed = arg;

	if (freed->n == FREED_MAX)
		return;
	log_event(LOG_LEVEL_INFO, "require.over", "job=%u why=\"%s\"", job_id, why);
	publish_free(freed->batch, job_id);
	freed->n++;
}

/* Until all nodes had their turn, one that is not seen may hold what is needed. */
static bool settled(const struct sched *sched, int64_t now_ms)
{
	for (const struct node *node = sched->model.nodes; node; node = node->hh.next)
		if (node->in_slurm && too_early(sched, node, now_ms))
			return false;
	return sched->ctld_answers;
}

/*
 * How many are freed. all: whoever waits for features, for there will be none. news: features are
 * to change, and nobody must be left waiting for what goes.
 */
static unsigned int free_stuck(struct control *c, struct publish_batch *batch, bool all, bool news)
{
	struct sched *sched = c->sched;
	struct freed freed = {.batch = batch};
	struct bound_params params = {.now_ms = clock_mono_ms(),
				      .silent_ms = sched->config.silent_after};

	if (!all && !news && params.now_ms < c->bound_ms)
		return 0;
	c->bound_ms = params.now_ms + BOUND_EVERY_MS;
	if (all) {
		bound_all(c->bound, free_one, &freed);
		return freed.n;
	}
	sched_lock(sched);
	params.settled = settled(sched, params.now_ms);
	bound_stuck(c->bound, &sched->model, &params, free_one, &freed);
	sched_unlock(sched);
	return freed.n;
}

/* --- to the publisher */

static void put_wanted(struct publish_batch *batch, const struct wanted *all)
{
	for (const struct wanted *wanted = all; wanted; wanted = wanted->hh.next)
		if (wanted->out && !fflush(wanted->out))
			publish_set(batch, wanted->nodes, wanted->want);
}

/* slurmctld has them now; the next look at it would tell otherwise. */
static void believe(struct sched *sched, const struct wanted *all)
{
	sched_lock(sched);
	for (const struct wanted *wanted = all; wanted; wanted = wanted->hh.next) {
		char *rest = wanted->nodes, *name;

		while (rest && (name = strsep(&rest, ","))) {
			struct node *node = model_find(&sched->model, name);

			if (node)
				model_set_text(&node->have, wanted->want);
		}
	}
	sched_unlock(sched);
}

static void tell(struct control *c, const struct publish_result *result, size_t nodes,
		 unsigned int freed, const struct wanted *all)
{
	log_event(LOG_LEVEL_INFO, "publish",
		  "nodes=%zu changed=%llu requests=%llu left=%llu freed=%u", nodes,
		  (unsigned long long)result->changed, (unsigned long long)result->requests,
		  (unsigned long long)result->left, freed);
	if (!result->left)
		believe(c->sched, all);
	if (freed)
		c->slurm_ms = 0; /* what became of them */
}

/* features NULL: each node's own wish. */
static void publish(struct control *c, const char *features, int wake_fd)
{
	const struct sched_config *config = &c->sched->config;
	struct publish_batch *batch = publish_begin();
	struct publish_result result = {0};
	struct larder_error err = {0};
	struct wanted *all = NULL;
	size_t n = collect(c->sched, features, &all);
	unsigned int freed = batch ? free_stuck(c, batch, features != NULL, n > 0) : 0;
	int64_t pause_ms = config->publish_every;
	int rc;

	if (!batch || (!n && !freed)) {
		publish_drop(batch);
		wanted_free(&all);
		return;
	}
	put_wanted(batch, all);
	rc = publish_end(batch, config->publisher, config->publish_requests, config->slurm_timeout,
			 wake_fd, &result, &err);
	if (rc && rc != -ECANCELED)
		log_event(LOG_LEVEL_WARNING, "publish.failed", "error=\"%s\"", err.text);
	if (!rc)
		tell(c, &result, n, freed, all);
	c->publish_ms = clock_mono_ms() + (rc && pause_ms < RETRY_MS ? RETRY_MS : pause_ms);
	wanted_free(&all);
}

void publishing_publish(struct control *c)
{
	publish(c, NULL, c->wake_fd);
}

void publishing_remove(struct control *c)
{
	publish(c, "", -1);
}

void publishing_file(struct control *c)
{
	struct larder_error err = {0};
	auto_free char *text = NULL;
	unsigned int rounds;

	if (clock_mono_ms() < c->file_ms)
		return;
	c->file_ms = clock_mono_ms() + FILE_EVERY_MS;
	sched_lock(c->sched);
	rounds = c->sched->rounds;
	text = rounds ? features_file_text(c->sched) : NULL;
	sched_unlock(c->sched);
	if (text && features_file_write(c->file, &c->sched->config, text, clock_s(), &err))
		log_event(LOG_LEVEL_WARNING, "features_file", "error=\"%s\"", err.text);
}
