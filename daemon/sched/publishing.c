/*
 * Owns the way from the nodes' trees to Slurm's features: what is chosen, what differs from what
 * slurmctld has, and the file for job_submit.lua.
 * Must not talk to slurmctld: the publisher does. Called by the control thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "log/log.h"
#include "sched/choose.h"
#include "sched/clock.h"
#include "sched/control.h"
#include "sched/publish.h"

#define FILE_EVERY_MS 2000 /* how soon the file follows */
#define RETRY_MS      5000 /* after a failure, at least */

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
					     .key = &sched->hide_key};

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

static int hand_over(struct control *c, struct wanted *all, int wake_fd,
		     struct publish_result *result, struct larder_error *err)
{
	const struct sched_config *config = &c->sched->config;
	struct publish_batch *batch = publish_begin();

	if (!batch)
		return larder_error_set(err, ENOMEM, "out of memory");
	for (struct wanted *wanted = all; wanted; wanted = wanted->hh.next) {
		if (!wanted->out || fflush(wanted->out))
			continue;
		publish_set(batch, wanted->nodes, wanted->want);
	}
	return publish_end(batch, config->publisher, config->publish_requests,
			   config->slurm_timeout, wake_fd, result, err);
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

static void publish(struct control *c, const char *features, int wake_fd)
{
	struct sched *sched = c->sched;
	struct publish_result result = {0};
	struct larder_error err = {0};
	struct wanted *all = NULL;
	size_t n = collect(sched, features, &all);
	int rc = n ? hand_over(c, all, wake_fd, &result, &err) : 0;
	int64_t every_ms = sched->config.publish_every;

	if (rc && rc != -ECANCELED)
		log_event(LOG_LEVEL_WARNING, "publish.failed", "error=\"%s\"", err.text);
	if (n && !rc) {
		log_event(LOG_LEVEL_INFO, "publish",
			  "nodes=%zu changed=%llu requests=%llu left=%llu", n,
			  (unsigned long long)result.changed, (unsigned long long)result.requests,
			  (unsigned long long)result.left);
		if (!result.left)
			believe(sched, all);
	}
	if (n)
		c->publish_ms = clock_mono_ms() + (rc && every_ms < RETRY_MS ? RETRY_MS : every_ms);
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
