/*
 * Owns admission: measures a tier, reserves, asks the evictor for room, explains a refusal.
 * Chooses no victims (core/evict.h does) and writes nothing. Asked by stages; woken by the evictor.
 */
#include "server/space.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "larder/text.h"
#include "log/log.h"
#include "server/dataset.h"
#include "server/evictor.h"
#include "server/stage.h"

struct tree_sums {
	uint64_t bytes, inodes;
};

static void add_tree(uint64_t present_bytes, uint64_t present_shards, void *arg)
{
	struct tree_sums *sums = arg;

	sums->bytes = quota_add(sums->bytes, dataset_footprint_of(present_bytes, present_shards));
	sums->inodes = quota_add(sums->inodes, present_shards);
}

int space_look(struct larderd *d, struct node_tier *tier, struct quota_tier *look,
	       struct larder_error *err)
{
	struct tree_sums sums = {0};
	struct tier_space space;

	if (tier_space(tier->tier, &space, err) ||
	    inventory_tree_sizes(d->inv, tier->config->name, add_tree, &sums, err))
		return -err->code;
	*look = (struct quota_tier){
		.capacity_bytes = config_share_of(tier->config->capacity, space.size),
		.floor_bytes = config_share_of(tier->config->free_floor, space.size),
		.size_bytes = space.size,
		.free_bytes = space.free,
		.inodes = space.inodes,
		.inodes_free = space.inodes_free,
		.tree_bytes = sums.bytes,
		.tree_inodes = sums.inodes,
		.trash_bytes = tier->leaving_bytes,
		.trash_inodes = tier->leaving_inodes,
		.reserved_bytes = tier->reserved_bytes,
		.reserved_inodes = tier->reserved_inodes,
	};
	return 0;
}

void space_marks(const struct node_tier *tier, const struct quota_tier *look, uint64_t *above,
		 uint64_t *down_to)
{
	uint64_t whole =
		look->capacity_bytes < look->size_bytes ? look->capacity_bytes : look->size_bytes;

	*above = config_share_of(tier->config->evict_above, whole);
	*down_to = config_share_of(tier->config->evict_down_to, whole);
}

/* --- refusals: need, have, who holds it, what to change */

static int refuse(struct stage *stage, const struct quota_answer *answer,
		  const struct evict_plan *plan, struct larder_error *err)
{
	char need[32], have[32], leased[32], pinned[32], staging[32];
	/* by other stages: this one has nothing yet */
	uint64_t reserved = stage->tier->reserved_bytes;
	uint64_t most = quota_add(answer->room.max_bytes, reserved); /* whoever lets go */
	bool inodes =
		answer->room.inodes < stage->need_inodes && answer->room.bytes >= stage->need_bytes;

	inventory_count(stage->d->inv, INV_COUNTER_refused_admissions, 1);
	if (inodes)
		return larder_error_set(
			err, ENOSPC,
			"%s:%s needs %llu inodes on this node and %llu can be had; fewer, larger shards would fit",
			stage->tree.name, stage->tree.version,
			(unsigned long long)stage->need_inodes,
			(unsigned long long)answer->room.inodes);
	larder_size_format(stage->need_bytes, need, sizeof(need));
	larder_size_format(quota_add(answer->room.bytes, plan->bytes), have, sizeof(have));
	if (answer->verdict == QUOTA_NEVER && stage->need_bytes > most)
		return larder_error_set(
			err, EFBIG,
			"%s:%s needs %s and this node's cache can hold %s at most; use --dataset-mode=bypass or a SUBSET of it",
			stage->tree.name, stage->tree.version, need,
			larder_size_format(most, have, sizeof(have)));
	return larder_error_set(
		err, ENOSPC,
		"%s:%s needs %s and %s can be had (%s is leased by running jobs, %s pinned, %s kept for what is being staged now)",
		stage->tree.name, stage->tree.version, need, have,
		larder_size_format(plan->leased_bytes, leased, sizeof(leased)),
		larder_size_format(plan->pinned_bytes, pinned, sizeof(pinned)),
		larder_size_format(reserved, staging, sizeof(staging)));
}

/* --- admission */

static void reserve(struct stage *stage)
{
	stage->held_bytes = stage->need_bytes;
	stage->held_inodes = stage->need_inodes;
	stage->tier->reserved_bytes += stage->held_bytes;
	stage->tier->reserved_inodes += stage->held_inodes;
}

void space_return(struct stage *stage, uint64_t bytes, uint64_t inodes)
{
	if (bytes > stage->held_bytes)
		bytes = stage->held_bytes;
	if (inodes > stage->held_inodes)
		inodes = stage->held_inodes;
	stage->held_bytes -= bytes;
	stage->held_inodes -= inodes;
	stage->tier->reserved_bytes -= bytes;
	stage->tier->reserved_inodes -= inodes;
}

/* What staging took here so far. */
struct measured {
	double bytes, ms;
};

static int add_measured(const struct inv_tree *tree, void *arg)
{
	struct measured *sum = arg;

	if (tree->stage_ms > 0) {
		sum->bytes += (double)tree->bytes;
		sum->ms += (double)tree->stage_ms;
	}
	return 0;
}

/*
 * How long it will take to stage, by what the trees that are here took: it is compared with them,
 * and a guess against what was measured would make any newcomer precious. 0: nothing was measured.
 */
static int64_t expected_ms(const struct stage *stage)
{
	struct measured sum = {0};
	struct larder_error ignored;

	if (stage->tree.stage_ms > 0)
		return stage->tree.stage_ms;
	if (inventory_tree_each(stage->d->inv, NULL, add_measured, &sum, &ignored) ||
	    sum.bytes <= 0)
		return 0;
	return (int64_t)ceil(sum.ms * (double)stage->need_bytes / sum.bytes);
}

/* What can wait may take the place of what is worth less than it will be; others of all. */
static double worth(const struct stage *stage)
{
	const struct inv_tree *tree = &stage->tree;
	struct larderd *d = stage->d;
	struct evict_candidate coming;

	if (!stage_low(stage))
		return EVICT_ANY;
	coming = (struct evict_candidate){
		.bytes = stage->need_bytes,
		.stage_ms = expected_ms(stage),
		.uses = 1 + evict_decay(tree->uses, clock_s() - tree->last_use_s,
					d->config.use_half_life / 1000),
		.base = d->inflation,
	};
	return evict_score(&coming, d->inflation);
}

/* 1: reserved. 0: must wait for room that is on its way. -ENOSPC: there is none. */
static int try_reserve(struct stage *stage, struct larder_error *err)
{
	struct larderd *d = stage->d;
	struct node_tier *tier = stage->tier;
	struct quota_tier look;
	struct quota_answer answer;
	struct evict_plan plan = {0};

	if (space_look(d, tier, &look, err))
		return -err->code;
	if (stage_low(stage)) { /* not into what the background would evict again */
		uint64_t above, down_to;

		space_marks(tier, &look, &above, &down_to);
		look.capacity_bytes = above < look.capacity_bytes ? above : look.capacity_bytes;
	}
	quota_admit(&look, stage->need_bytes, stage->need_inodes, &answer);
	if (answer.verdict == QUOTA_FITS) {
		reserve(stage);
		return 1;
	}
	if (answer.verdict == QUOTA_TRASH) {
		evictor_empty_trash(d, tier, true);
		return 0;
	}
	if (evictor_make_room(d, tier, answer.evict_bytes, answer.evict_inodes, worth(stage), false,
			      &plan, err))
		return -err->code;
	if (answer.verdict == QUOTA_EVICT && plan.enough)
		return 0;
	if (tier->leaving_bytes || tier->trash) { /* measured again when it is gone */
		evictor_empty_trash(d, tier, true);
		return 0;
	}
	return refuse(stage, &answer, &plan, err);
}

void space_ask(struct stage *stage)
{
	struct larder_error err = {0};
	int rc = try_reserve(stage, &err);

	if (rc == 0)
		return; /* space_changed() comes */
	if (rc < 0)
		log_event(LOG_LEVEL_WARNING, "admission.refused", "dataset=%s:%s error=\"%s\"",
			  stage->tree.name, stage->tree.version, err.text);
	stage_admitted(stage, rc < 0 ? rc : 0, &err);
}

/* By id: a refusal may end other stages too (a job that fails leaves all it wanted). */
void space_changed(struct larderd *d, struct node_tier *tier)
{
	unsigned int n = 0, all = HASH_COUNT(d->stages);
	auto_free uint64_t *ids = calloc(all + 1, sizeof(*ids));
	struct stage *stage, *tmp;

	if (!ids)
		return; /* the timer tries again */
	HASH_ITER(hh, d->stages, stage, tmp)
	if (stage->tier == tier && stage->phase == STAGE_ADMITTING)
		ids[n++] = stage->tree_id;
	for (unsigned int i = 0; i < n; i++) {
		stage = stage_of(d, ids[i]);
		if (stage && stage->phase == STAGE_ADMITTING)
			space_ask(stage);
	}
}

struct node_tier *space_choose_tier(struct larderd *d, const struct inv_tree *tree,
				    struct larder_error *err)
{
	struct node_tier *best = NULL;
	struct larder_error why = {0};
	struct inv_tree base;
	uint64_t best_room = 0;

	for (unsigned int i = 0; i < d->config.n_tiers; i++) {
		struct node_tier *tier = &d->tiers[i];
		struct quota_tier look;
		struct quota_room room;

		if (!tier->tier)
			larder_error_set(&why, EIO, "%s", tier->problem);
		if (!tier->tier || tier_alive(tier->tier, &why))
			continue;
		if (!inventory_tree_base(d->inv, tier->config->name, tree->domain, tree->name, 0,
					 &base, &why))
			return tier;
		if (space_look(d, tier, &look, &why))
			continue;
		quota_room(&look, &room);
		if (!best || room.max_bytes > best_room) {
			best = tier;
			best_room = room.max_bytes;
		}
	}
	if (!best)
		larder_error_set(err, EIO, "no tier of this node can be used: %s", why.text);
	return best;
}

static void watch_tier(struct larderd *d, struct node_tier *tier)
{
	struct larder_error err = {0};
	struct evict_plan plan;
	struct quota_tier look;
	uint64_t above, down_to, bytes, inodes;

	if (space_look(d, tier, &look, &err)) {
		log_event(LOG_LEVEL_ERR, "tier.look", "tier=%s error=\"%s\"", tier->config->name,
			  err.text);
		return;
	}
	space_marks(tier, &look, &above, &down_to);
	if (quota_pressure(&look, above, down_to, &bytes, &inodes) &&
	    evictor_make_room(d, tier, bytes, inodes, EVICT_ANY, true, &plan, &err))
		log_event(LOG_LEVEL_ERR, "evict.background", "tier=%s error=\"%s\"",
			  tier->config->name, err.text);
	evictor_empty_trash(d, tier, false);
}

void space_watch(struct larderd *d)
{
	for (unsigned int i = 0; i < d->config.n_tiers; i++)
		if (d->tiers[i].tier)
			watch_tier(d, &d->tiers[i]);
}
