/*
 * Owns the trims under way, one per tree. Chooses no tree (the evictor does) and no shard (store/
 * does). Never touches a tree that has got a lease meanwhile. Begun by the evictor.
 */
#include "larder/clock.h"
#include "server/hash.h"
#include "server/trimmer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log/log.h"
#include "server/dataset.h"
#include "server/scrub.h"
#include "server/space.h"
#include "server/stage.h"

struct trim {
	struct work work;
	UT_hash_handle hh;
	uint64_t tree_id; /* key */
	struct larderd *d;
	struct node_tier *tier;
	struct inv_tree tree;
	uint64_t bytes;
	uint8_t *present;
	struct tree_tail tail;
	int rc;
	struct larder_error err;
};

bool trimmer_has(struct larderd *d, uint64_t tree_id)
{
	struct trim *trim;

	HASH_FIND(hh, d->trims, &tree_id, sizeof(tree_id), trim);
	return trim != NULL;
}

uint64_t trimmer_bytes(struct larderd *d, const struct node_tier *tier)
{
	struct trim *trim, *tmp;
	uint64_t bytes = 0;

	HASH_ITER(hh, d->trims, trim, tmp)
	if (trim->tier == tier)
		bytes += trim->bytes;
	return bytes;
}

static void trim_end(struct trim *trim)
{
	struct larderd *d = trim->d;
	struct node_tier *tier = trim->tier;
	uint64_t tree_id = trim->tree_id;

	if (trim->rc)
		log_event(LOG_LEVEL_ERR, "trim.failed", "dataset=%s:%s error=\"%s\"",
			  trim->tree.name, trim->tree.version, trim->err.text);
	tier->leaving_bytes = quota_sub(tier->leaving_bytes, trim->bytes);
	HASH_DEL(d->trims, trim);
	free(trim->present);
	free(trim->tail.gone);
	free(trim);
	stage_unblock(d, tree_id);
	verify_go_on(d, tree_id);
	space_changed(d, tier);
}

static void drop_run(struct work *work)
{
	struct trim *trim = (struct trim *)work;
	struct tree_key key = dataset_key(&trim->tree);

	trim->rc = tree_trim_drop(trim->tier->tier, &key, trim->tail.gone, &trim->err);
}

static void drop_done(struct work *work)
{
	struct trim *trim = (struct trim *)work;

	if (!trim->rc)
		inventory_count(trim->d->inv, INV_COUNTER_freed_bytes, trim->tail.freed_bytes);
	trim_end(trim);
}

/* The claim is durable: now bytes may go. */
static void on_claimed(int rc, void *arg)
{
	struct trim *trim = arg;

	if (rc) {
		trim->rc = larder_error_set(&trim->err, rc, "inventory: %s", strerror(-rc));
		trim_end(trim);
		return;
	}
	trim->work = (struct work){.run = drop_run, .done = drop_done};
	worker_run(trim->d->slow, &trim->work);
}

static int claim_less(struct trim *trim, struct larder_error *err)
{
	struct inventory *inv = trim->d->inv;
	struct inv_tree *tree = &trim->tree;

	for (uint64_t i = 0; i < tree->shards / 8 + 1; i++)
		trim->present[i] = (uint8_t)(trim->present[i] & ~trim->tail.gone[i]);
	if (inventory_begin(inv, err))
		return -err->code;
	inventory_count(inv, INV_COUNTER_trimmed_shards, trim->tail.shards);
	inventory_event_add(inv, clock_s(), "trim", "dataset=%s:%s shards=%llu bytes=%llu",
			    tree->name, tree->version, (unsigned long long)trim->tail.shards,
			    (unsigned long long)trim->tail.freed_bytes);
	if ((tree->state == LARDER_TREE_READY &&
	     inventory_tree_state(inv, tree->id, LARDER_TREE_PARTIAL, NULL, err)) ||
	    inventory_bitmap_store(inv, tree->id, trim->present, tree->shards, err) ||
	    inventory_tree_present(inv, tree->id, tree->present_shards - trim->tail.shards,
				   tree->present_bytes - trim->tail.size_bytes, err) ||
	    inventory_commit(inv, err)) {
		inventory_rollback(inv);
		return -err->code;
	}
	return 0;
}

static void choose_run(struct work *work)
{
	struct trim *trim = (struct trim *)work;
	struct tree_key key = dataset_key(&trim->tree);

	trim->rc = tree_trim_choose(trim->tier->tier, &key, trim->present, trim->bytes, &trim->tail,
				    &trim->err);
}

static void choose_done(struct work *work)
{
	struct trim *trim = (struct trim *)work;
	struct larderd *d = trim->d;
	uint32_t leases = 1, pins = 1;

	if (!trim->rc &&
	    (inventory_lease_count(d->inv, trim->tree_id, &leases, &trim->err) || leases ||
	     inventory_pin_count(d->inv, trim->tree_id, &pins, &trim->err) || pins)) {
		trim_end(trim); /* wanted again: it stays whole, and admission looks elsewhere */
		return;
	}
	if (!trim->rc)
		trim->rc = claim_less(trim, &trim->err);
	if (!trim->rc)
		trim->rc = inventory_barrier(d->inv, on_claimed, trim);
	if (trim->rc)
		trim_end(trim);
}

static int load_present(struct trim *trim, struct larder_error *err)
{
	uint64_t shards = trim->tree.shards;

	trim->present = calloc(shards / 8 + 1, 1);
	if (!trim->present)
		return larder_error_set(err, ENOMEM, "out of memory");
	if (trim->tree.state != LARDER_TREE_READY)
		return inventory_bitmap_load(trim->d->inv, trim->tree.id, trim->present, shards,
					     err);
	for (uint64_t i = 0; i < shards; i++)
		trim->present[i / 8] = (uint8_t)(trim->present[i / 8] | 1u << i % 8);
	return 0;
}

int trimmer_begin(struct larderd *d, struct node_tier *tier, const struct inv_tree *tree,
		  uint64_t bytes, struct larder_error *err)
{
	struct trim *trim = calloc(1, sizeof(*trim));

	if (!trim)
		return larder_error_set(err, ENOMEM, "out of memory");
	trim->d = d;
	trim->tier = tier;
	trim->tree = *tree;
	trim->tree_id = tree->id;
	trim->bytes = bytes;
	if (load_present(trim, err)) {
		free(trim->present);
		free(trim);
		return -err->code;
	}
	tier->leaving_bytes += bytes;
	HASH_ADD(hh, d->trims, tree_id, sizeof(tree->id), trim);
	trim->work = (struct work){.run = choose_run, .done = choose_done};
	worker_run(d->slow, &trim->work);
	return 0;
}
