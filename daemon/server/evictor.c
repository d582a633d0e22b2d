/*
 * Owns evictions under way: the order of claim, rename and unlink, the trash.
 * Decides by no score of its own (core/evict.h). Asked by admission, the watermarks and the CLI.
 */
#include "server/evictor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "log/log.h"
#include "server/admit.h"
#include "server/dataset.h"
#include "server/scrub.h"
#include "server/space.h"
#include "server/stage.h"
#include "server/trimmer.h"

/* --- one eviction: claim less, durable; rename; unlink */

struct eviction {
	struct larderd *d;
	struct node_tier *tier; /* NULL: it cannot be used */
	uint64_t tree_id;
	uint64_t bytes, inodes;
	evictor_fn done; /* NULL: nobody waits */
	void *arg;
};

/* rc 0: its name is gone, in_trash by us. Else it stays, and is what it was. */
static void eviction_over(struct eviction *e, struct inv_tree *tree, bool in_trash, int rc,
			  struct larder_error *err)
{
	struct larderd *d = e->d;
	struct node_tier *tier = e->tier;
	bool gone = rc == 0;
	struct larder_error ignored;

	if (!gone && tree->state == LARDER_TREE_EVICTING)
		admit_revive(d, tree, &ignored);
	if (tier && !in_trash) {
		tier->leaving_bytes = quota_sub(tier->leaving_bytes, e->bytes);
		tier->leaving_inodes = quota_sub(tier->leaving_inodes, e->inodes);
	}
	if (e->done)
		e->done(rc, err, e->arg);
	free(e);
	if (!tier)
		return;
	if (gone)
		evictor_empty_trash(d, tier, false);
	space_changed(d, tier);
}

/*
 * Reads leases again: one that came since the claim wins, and the tree stays. 0: it may go now;
 * -ENOENT: another eviction was faster; -EBUSY.
 */
static int still_leaving(struct larderd *d, uint64_t tree_id, struct inv_tree *tree,
			 struct larder_error *err)
{
	uint32_t leases = 1;
	int rc = inventory_tree_get(d->inv, tree_id, tree, err);

	if (!rc)
		rc = inventory_lease_count(d->inv, tree_id, &leases, err);
	if (rc || (tree->state == LARDER_TREE_EVICTING && leases == 0))
		return rc;
	return larder_error_set(err, EBUSY, "a job wanted it again just now");
}

static void on_claimed(int synced, void *arg)
{
	struct eviction *e = arg;
	struct larderd *d = e->d;
	struct larder_error err = {0};
	struct inv_tree tree = {0};
	int rc = still_leaving(d, e->tree_id, &tree, &err);
	struct tree_key key = dataset_key(&tree);
	bool in_trash = false;

	if (synced) /* the claim is not durable, so nothing may go */
		rc = larder_error_set(&err, synced, "inventory: %s", strerror(-synced));
	else if (!rc && !e->tier)
		rc = larder_error_set(&err, EIO, "tier %s cannot be used", tree.tier);
	else if (!rc)
		in_trash = !(rc = tree_trash(e->tier->tier, &key, &err));
	if (rc == -ENOENT) /* gone before us */
		rc = 0;
	if (!rc && tree.id && inventory_tree_delete(d->inv, tree.id, &err))
		log_event(LOG_LEVEL_ERR, "evict.row", "dataset=%s:%s error=\"%s\"", tree.name,
			  tree.version, err.text);
	if (rc && rc != -EBUSY)
		log_event(LOG_LEVEL_ERR, "evict.failed", "dataset=%s:%s error=\"%s\"", tree.name,
			  tree.version, err.text);
	eviction_over(e, &tree, in_trash, rc, &err);
}

static int claim(struct larderd *d, const struct inv_tree *tree, const char *why, bool force,
		 struct larder_error *err)
{
	if (inventory_begin(d->inv, err))
		return -err->code;
	if (tree->present_shards) /* else there was nothing to evict */
		inventory_count(d->inv, INV_COUNTER_evicted_trees, 1);
	inventory_event_add(d->inv, clock_s(), "evict", "dataset=%s:%s bytes=%llu why=%s",
			    tree->name, tree->version, (unsigned long long)tree->present_bytes,
			    why);
	if ((force && inventory_lease_drop(d->inv, tree->id, err)) ||
	    inventory_tree_state(d->inv, tree->id, LARDER_TREE_EVICTING, why, err) ||
	    inventory_commit(d->inv, err)) {
		inventory_rollback(d->inv);
		return -err->code;
	}
	return 0;
}

static int evict_begin(struct larderd *d, const struct inv_tree *tree, const char *why, bool force,
		       evictor_fn done, void *arg, struct larder_error *err)
{
	struct node_tier *tier = dataset_tier(d, tree->tier);
	struct eviction *e = calloc(1, sizeof(*e));
	int rc = -ENOMEM;

	if (!e)
		return larder_error_set(err, ENOMEM, "out of memory");
	*e = (struct eviction){.d = d,
			       .tier = tier,
			       .tree_id = tree->id,
			       .bytes = dataset_footprint(tree),
			       .inodes = tree->present_shards,
			       .done = done,
			       .arg = arg};
	if (tree->state != LARDER_TREE_EVICTING && (rc = claim(d, tree, why, force, err))) {
		free(e);
		return rc;
	}
	log_event(LOG_LEVEL_INFO, "evict", "dataset=%s:%s bytes=%llu why=%s", tree->name,
		  tree->version, (unsigned long long)tree->present_bytes, why);
	rc = inventory_barrier(d->inv, on_claimed, e);
	if (rc) {
		free(e);
		return larder_error_set(err, rc, "inventory: %s", strerror(-rc));
	}
	if (tier) {
		tier->leaving_bytes += e->bytes;
		tier->leaving_inodes += e->inodes;
	}
	return 0;
}

int evictor_may(struct larderd *d, const struct inv_tree *tree, bool force,
		struct larder_error *err)
{
	/* what cannot be told counts as held */
	struct inv_hold hold = {.leases = 1, .pins = 1};
	struct larder_error ignored;
	uint32_t expired;

	if (inventory_pin_expire(d->inv, clock_s(), &expired, err))
		return -err->code;
	(void)inventory_lease_count(d->inv, tree->id, &hold.leases, &ignored);
	(void)inventory_pin_count(d->inv, tree->id, &hold.pins, &ignored);
	switch (evictor_hold(d, tree, &hold)) {
	case EVICT_LEASED:
		if (!force)
			return larder_error_set(err, EBUSY, "%s:%s is leased by running jobs",
						tree->name, tree->version);
		break;
	case EVICT_STAGING:
		return larder_error_set(err, EBUSY, "%s:%s is being staged or linked from",
					tree->name, tree->version);
	case EVICT_PINNED:
		if (!force)
			return larder_error_set(err, EBUSY,
						"%s:%s is pinned; --force evicts it all the same",
						tree->name, tree->version);
		break;
	case EVICT_ONLY_COPY:
		if (!force)
			return larder_error_set(
				err, EBUSY,
				"the origin of %s:%s is not known: this may be the only copy; --force evicts it all the same",
				tree->name, tree->version);
		break;
	case EVICT_FREE: break;
	}
	return 0;
}

int evictor_evict(struct larderd *d, uint64_t tree_id, const char *why, bool force, evictor_fn done,
		  void *arg, struct larder_error *err)
{
	struct inv_tree tree;

	if (inventory_tree_get(d->inv, tree_id, &tree, err) || evictor_may(d, &tree, force, err))
		return -err->code;
	return evict_begin(d, &tree, why, force, done, arg, err);
}

/* --- many */

static int act(struct larderd *d, struct node_tier *tier, const struct evict_victim *victims,
	       const struct evict_plan *plan, struct larder_error *err)
{
	char value[32];
	int rc = 0;

	for (size_t i = 0; i < plan->n_victims && !rc; i++) {
		const struct evict_victim *victim = &victims[i];
		struct inv_tree tree;

		rc = inventory_tree_get(d->inv, victim->id, &tree, err);
		if (!rc)
			rc = victim->whole
				     ? evict_begin(d, &tree, victim->why, false, NULL, NULL, err)
				     : trimmer_begin(d, tier, &tree, victim->bytes, err);
	}
	d->inflation = plan->inflation;
	snprintf(value, sizeof(value), "%.17g", d->inflation);
	if (!rc)
		rc = inventory_meta_set(d->inv, "inflation", value, err);
	return rc;
}

int evictor_choose(struct larderd *d, struct node_tier *tier, uint64_t bytes, uint64_t inodes,
		   double below, struct evict_victim **victims, struct evict_plan *plan,
		   struct larder_error *err)
{
	auto_free struct evict_candidate *candidates = NULL;
	struct evict_params params = {
		.policy = (enum evict_policy)d->evict_policy,
		.need_bytes = bytes,
		.need_inodes = inodes,
		.now_s = clock_s(),
		.grace_s = d->config.evict_grace / 1000,
		.inflation = d->inflation,
		.below = below,
	};
	uint32_t expired;
	size_t n = 0;

	*plan = (struct evict_plan){0};
	if (inventory_pin_expire(d->inv, clock_s(), &expired, err) ||
	    evictor_candidates(d, tier, &candidates, &n, err))
		return -err->code;
	*victims = calloc(n + 1, sizeof(**victims));
	if (!*victims)
		return larder_error_set(err, ENOMEM, "out of memory");
	evict_choose(&params, candidates, n, *victims, plan);
	return 0;
}

int evictor_make_room(struct larderd *d, struct node_tier *tier, uint64_t bytes, uint64_t inodes,
		      double below, bool all, struct evict_plan *plan, struct larder_error *err)
{
	auto_free struct evict_victim *victims = NULL;

	if (evictor_choose(d, tier, bytes, inodes, below, &victims, plan, err))
		return -err->code;
	return plan->enough || all ? act(d, tier, victims, plan, err) : 0;
}

bool evictor_trimming(struct larderd *d, uint64_t tree_id)
{
	return trimmer_has(d, tree_id) || verify_claims(d, tree_id);
}

struct leaving_list {
	uint64_t ids[256]; /* more wait for the next start */
	size_t n;
};

static int note_leaving(const struct inv_tree *tree, void *arg)
{
	struct leaving_list *list = arg;

	if (tree->state == LARDER_TREE_EVICTING &&
	    list->n < sizeof(list->ids) / sizeof(list->ids[0]))
		list->ids[list->n++] = tree->id;
	return 0;
}

int evictor_resume(struct larderd *d, struct larder_error *err)
{
	struct leaving_list list = {.n = 0};
	int rc = inventory_tree_each(d->inv, NULL, note_leaving, &list, err);

	for (size_t i = 0; i < list.n && !rc; i++) {
		struct inv_tree tree;

		rc = inventory_tree_get(d->inv, list.ids[i], &tree, err);
		if (!rc)
			rc = evict_begin(d, &tree, "resumed", false, NULL, NULL, err);
	}
	return rc;
}
