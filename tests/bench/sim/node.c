/*
 * Owns one simulated node's cache: its trees, and room made by the daemon's own code (quota,
 * evict). Must not choose nodes or know the time: it is told. Called by run.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/quota.h"
#include "sim.h"

/* As larder.conf's defaults say. */
#define GRACE_S	    600
#define HALF_LIFE_S (7 * 86400)
#define FLOOR_SHARE 50 /* 2 % */
#define ABOVE_SHARE 20 /* 95 % */
#define DOWN_SHARE  10 /* 90 % */
#define SHARD_BYTES (64 << 20)

/* What the daemon adds so that clocks of 0 do not read as "never". */
#define EPOCH_S 1000000000

static int64_t clock_of(double s)
{
	return s < 0 ? 0 : EPOCH_S + (int64_t)s;
}

static struct evict_candidate candidate_of(struct sim_policy *policy, const struct sim_tree *tree,
					   double now_s)
{
	const struct sim_dataset *dataset = &policy->datasets[tree->dataset];

	return (struct evict_candidate){
		.id = tree->dataset,
		.hold = tree->leases ? EVICT_LEASED : EVICT_FREE,
		.bytes = tree->bytes,
		.inodes = tree->bytes / SHARD_BYTES + 1,
		.present_shards = tree->bytes / SHARD_BYTES + 1,
		.stage_ms = (int64_t)(dataset->stage_s * 1000),
		.uses = evict_decay(tree->uses, (int64_t)(now_s - tree->last_use_s), HALF_LIFE_S),
		.last_seq = tree->last_seq,
		.admitted_seq = tree->admitted_seq,
		.hits = tree->hits,
		.base = tree->base,
		.admitted_s = clock_of(tree->admitted_s),
		.last_lease_end_s = clock_of(tree->last_lease_end_s),
	};
}

static void drop(struct sim_policy *policy, struct sim_node *node, struct sim_tree *tree,
		 uint64_t bytes)
{
	node->used -= bytes;
	tree->bytes -= bytes;
	policy->changed(policy->arg, node->id, tree->dataset, false);
	if (tree->bytes)
		return;
	tree->present = false;
	for (size_t i = 0; i < node->n; i++) {
		if (node->trees[i] == tree) {
			node->trees[i] = node->trees[--node->n];
			return;
		}
	}
}

static bool scratch_for(struct sim_scratch *s, size_t n)
{
	size_t room = 2 * n + 64;

	if (n <= s->room)
		return true;
	free(s->candidates);
	free(s->victims);
	free(s->trees);
	s->candidates = calloc(room, sizeof(*s->candidates));
	s->victims = calloc(room, sizeof(*s->victims));
	s->trees = calloc(room, sizeof(struct sim_tree *));
	s->room = s->candidates && s->victims && s->trees ? room : 0;
	return s->room > 0;
}

/* false: what may go does not suffice, and then nothing goes. */
static bool evict(struct sim_policy *policy, struct sim_node *node, uint64_t need, double now_s)
{
	struct sim_scratch *scratch = &policy->scratch;
	const struct evict_params params = {
		.policy = policy->policy,
		.need_bytes = need,
		.now_s = clock_of(now_s),
		.grace_s = GRACE_S,
		.inflation = node->inflation,
	};
	struct evict_plan plan;
	size_t n = node->n;

	if (!scratch_for(scratch, n))
		return false;
	for (size_t i = 0; i < n; i++) {
		scratch->trees[i] = node->trees[i];
		scratch->candidates[i] = candidate_of(policy, node->trees[i], now_s);
	}
	evict_choose(&params, scratch->candidates, n, scratch->victims, &plan);
	if (!plan.enough)
		return false;
	node->inflation = plan.inflation;
	for (size_t i = 0; i < plan.n_victims; i++)
		drop(policy, node, scratch->trees[scratch->victims[i].candidate],
		     scratch->victims[i].bytes);
	return true;
}

static struct quota_tier tier_of(const struct sim_node *node)
{
	return (struct quota_tier){
		.capacity_bytes = node->capacity,
		.floor_bytes = node->capacity / FLOOR_SHARE,
		.size_bytes = node->capacity,
		.free_bytes = node->capacity - node->used,
		.tree_bytes = node->used,
	};
}

static bool make_room(struct sim_policy *policy, struct sim_node *node, uint64_t bytes,
		      double now_s)
{
	const struct quota_tier tier = tier_of(node);
	struct quota_answer answer;

	quota_admit(&tier, bytes, 0, &answer);
	switch (answer.verdict) {
	case QUOTA_FITS: return true;
	case QUOTA_EVICT: return evict(policy, node, answer.evict_bytes, now_s);
	case QUOTA_TRASH: /* nothing lies in the trash here */
	case QUOTA_NEVER: break;
	}
	return false;
}

/* What the daemon does in the background above the high mark. */
static void relieve(struct sim_policy *policy, struct sim_node *node, double now_s)
{
	const struct quota_tier tier = tier_of(node);
	uint64_t bytes, inodes;

	if (quota_pressure(&tier, node->capacity - node->capacity / ABOVE_SHARE,
			   node->capacity - node->capacity / DOWN_SHARE, &bytes, &inodes))
		evict(policy, node, bytes, now_s);
}

/* As the inventory does: uses decayed and one more, the gdsf base of now. */
static void use(struct sim_node *node, struct sim_tree *tree, double now_s)
{
	tree->uses = evict_decay(tree->uses, (int64_t)(now_s - tree->last_use_s), HALF_LIFE_S) + 1;
	tree->last_use_s = now_s;
	tree->last_seq = ++node->seq;
	tree->base = node->inflation;
	tree->hits++;
}

static bool admit(struct sim_node *node, struct sim_tree *tree, double now_s)
{
	if (node->n == node->room) {
		size_t room = node->room ? 2 * node->room : 16;
		struct sim_tree **more = reallocarray(node->trees, room, sizeof(struct sim_tree *));

		if (!more)
			return false;
		node->trees = more;
		node->room = room;
	}
	node->trees[node->n++] = tree;
	tree->present = true;
	tree->hits = 0;
	tree->admitted_s = now_s;
	tree->admitted_seq = ++node->seq;
	tree->last_lease_end_s = -1;
	return true;
}

enum sim_found sim_acquire(struct sim_policy *policy, struct sim_node *node, struct sim_tree *tree,
			   double now_s, double *wait_s)
{
	const struct sim_dataset *dataset = &policy->datasets[tree->dataset];
	uint64_t missing = dataset->bytes - tree->bytes;

	*wait_s = 0;
	tree->leases++;
	if (tree->present && !missing) {
		use(node, tree, now_s);
		if (tree->ready_s <= now_s)
			return SIM_HIT;
		*wait_s = tree->ready_s - now_s;
		return SIM_JOIN;
	}
	*wait_s = dataset->stage_s * ((double)missing / (double)dataset->bytes);
	/* A part that is there is leased, so that making room cannot take it. */
	if (!make_room(policy, node, missing, now_s) ||
	    (!tree->present && !admit(node, tree, now_s)))
		return SIM_REFUSED;
	use(node, tree, now_s);
	tree->bytes = dataset->bytes;
	tree->ready_s = now_s + *wait_s;
	node->used += missing;
	policy->changed(policy->arg, node->id, tree->dataset, true);
	relieve(policy, node, now_s);
	return SIM_MISS;
}

void sim_release(struct sim_tree *tree, double now_s)
{
	tree->leases--;
	tree->last_lease_end_s = now_s;
}

static size_t tree_slot(const struct sim_trees *trees, uint64_t key)
{
	size_t at = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (trees->size - 1);

	while (trees->keys[at] && trees->keys[at] != key)
		at = (at + 1) & (trees->size - 1);
	return at;
}

static int trees_grow(struct sim_trees *trees)
{
	struct sim_trees more = {.size = trees->size ? trees->size * 2 : 4096, .n = trees->n};

	more.keys = calloc(more.size, sizeof(*more.keys));
	more.trees = calloc(more.size, sizeof(struct sim_tree *));
	if (!more.keys || !more.trees) {
		free(more.keys);
		free(more.trees);
		return -ENOMEM;
	}
	for (size_t i = 0; i < trees->size; i++) {
		if (trees->keys[i]) {
			size_t at = tree_slot(&more, trees->keys[i]);

			more.keys[at] = trees->keys[i];
			more.trees[at] = trees->trees[i];
		}
	}
	free(trees->keys);
	free(trees->trees);
	*trees = more;
	return 0;
}

struct sim_tree *sim_tree_of(struct sim_trees *trees, uint32_t node, uint32_t dataset)
{
	uint64_t key = ((uint64_t)node << 32 | dataset) + 1;
	size_t at;

	if (2 * trees->n >= trees->size && trees_grow(trees))
		return NULL;
	at = tree_slot(trees, key);
	if (!trees->keys[at]) {
		trees->trees[at] = calloc(1, sizeof(struct sim_tree));
		if (!trees->trees[at])
			return NULL;
		trees->trees[at]->dataset = dataset;
		trees->keys[at] = key;
		trees->n++;
	}
	return trees->trees[at];
}

void sim_trees_free(struct sim_trees *trees)
{
	for (size_t i = 0; i < trees->size; i++)
		free(trees->trees[i]);
	free(trees->keys);
	free(trees->trees);
	*trees = (struct sim_trees){0};
}
