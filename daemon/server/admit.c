/*
 * Owns admission of requests: hit, join or miss, and the transaction that takes a job's leases.
 * Chooses no victims; waits for nothing. Called when the checks of a request have answered.
 */
#include "server/admit.h"

#include <errno.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "larder/text.h"
#include "log/log.h"
#include "server/ahead.h"
#include "server/dataset.h"
#include "server/holders.h"
#include "server/space.h"

/* The directory went behind our back: claim less, and stage again. */
static int tree_vanished(struct larderd *d, struct inv_tree *tree, struct larder_error *err)
{
	auto_free uint8_t *none = calloc(tree->shards / 8 + 1, 1);

	log_event(LOG_LEVEL_ERR, "tree.vanished", "dataset=%s:%s", tree->name, tree->version);
	if (!none)
		return larder_error_set(err, ENOMEM, "out of memory");
	if ((tree->state == LARDER_TREE_READY &&
	     inventory_tree_state(d->inv, tree->id, LARDER_TREE_PARTIAL, NULL, err)) ||
	    inventory_bitmap_store(d->inv, tree->id, none, tree->shards, err) ||
	    inventory_tree_present(d->inv, tree->id, 0, 0, err))
		return -err->code;
	tree->state = LARDER_TREE_PARTIAL;
	tree->present_shards = tree->present_bytes = 0;
	return 0;
}

int admit_revive(struct larderd *d, struct inv_tree *tree, struct larder_error *err)
{
	enum larder_tree_state state =
		tree->present_shards == tree->shards ? LARDER_TREE_READY : LARDER_TREE_PARTIAL;

	if (inventory_tree_state(d->inv, tree->id, state, NULL, err))
		return -err->code;
	tree->state = state;
	return 0;
}

/*
 * A digest in a head is a claim. A row that was made from a head which lied about its body has got
 * no shard, for the body was looked at first: it makes place for what is described now. 1: it did.
 */
static int replace_row(struct larderd *d, const struct inv_tree *found, const struct inv_tree *tree,
		       struct larder_error *err)
{
	if ((found->shards == tree->shards && found->bytes == tree->bytes) ||
	    found->present_shards || found->state == LARDER_TREE_READY || stage_of(d, found->id))
		return 0;
	return inventory_tree_delete(d->inv, found->id, err) ? -err->code : 1;
}

int admit_tree(struct larderd *d, struct inv_tree *tree, struct larder_error *err)
{
	struct inv_tree found;
	struct node_tier *tier;
	int rc = inventory_tree_find(d->inv, tree->domain, tree->name, tree->version, tree->digest,
				     &found, err);

	if (!rc)
		rc = replace_row(d, &found, tree, err);
	if (rc == -ENOENT || rc == 1) {
		tier = space_choose_tier(d, tree, err);
		if (!tier)
			return -err->code;
		snprintf(tree->tier, sizeof(tree->tier), "%s", tier->config->name);
		tree->state = LARDER_TREE_STAGING;
		return inventory_tree_insert(d->inv, tree, err);
	}
	if (rc)
		return rc;
	*tree = found;
	if (tree->state == LARDER_TREE_EVICTING && (rc = admit_revive(d, tree, err)))
		return rc;
	tier = dataset_tier(d, tree->tier);
	if (!tier)
		return larder_error_set(
			err, EIO, "tier %s, which holds %s:%s, cannot be used (larder df says why)",
			tree->tier, tree->name, tree->version);
	if (tier_alive(tier->tier, err))
		return -err->code;
	struct tree_key key = dataset_key(tree);
	if (tree->state == LARDER_TREE_STAGING || !tree_exists(tier->tier, &key))
		return tree->state == LARDER_TREE_READY;
	return tree_vanished(d, tree, err);
}

/*
 * Is there such a tree on this node? If it is READY and on the disk then `here` says so, and tree
 * is its row: nothing is looked up twice for a hit.
 */
static bool look_for(struct want *want)
{
	struct larderd *d = want->request->d;
	struct inv_tree *tree = &want->tree;
	struct larder_error ignored;
	struct inv_tree found;
	struct node_tier *tier;

	if (inventory_tree_find(d->inv, tree->domain, tree->name, tree->version, tree->digest,
				&found, &ignored))
		return false;
	tier = dataset_tier(d, found.tier);
	struct tree_key key = dataset_key(&found);
	if (!tier)
		return false;
	want->here = found.state == LARDER_TREE_READY && found.shards == tree->shards &&
		     found.bytes == tree->bytes && tree_is_there(tier->tier, &key);
	if (!want->here)
		return !tree_exists(tier->tier, &key);
	*tree = found;
	return true;
}

/* What is not on this node needs its manifest: an answer from memory had none. */
static bool manifest_missing(struct request *request)
{
	bool missing = false;

	for (unsigned int i = 0; i < request->n_wants; i++) {
		struct want *want = &request->wants[i];

		want->here = false;
		if (want->state != WANT_RESOLVED || look_for(want) || want->manifest_fd >= 0)
			continue;
		want->tree.id = 0; /* also of one that was here a moment ago */
		missing = true;
	}
	return missing;
}

static int take_lease(struct want *want, struct larder_error *err)
{
	struct request *request = want->request;
	struct larderd *d = request->d;
	struct inv_lease lease = {
		.tree = want->tree.id,
		.job_id = request->key.job_id,
		.run = request->key.run,
		.uid = request->uid,
		.since_s = request->since_s,
	};

	snprintf(lease.subset, sizeof(lease.subset), "%s",
		 want->spec.subset ? want->spec.subset : "");
	snprintf(lease.boot_id, sizeof(lease.boot_id), "%s", d->boot_id);
	if (inventory_lease_put(d->inv, &lease, err))
		return -err->code;
	return inventory_tree_use(d->inv, want->tree.id, clock_s(), d->config.use_half_life / 1000,
				  d->inflation, err);
}

void admit_cure(const struct inv_tree *tree, char *text, size_t room)
{
	if (tree->owner == INV_OWNER_SITE)
		snprintf(text, room, "an admin of this node says: larder stage %s:%s", tree->name,
			 tree->version);
	else
		snprintf(text, room, "its owner says: larder stage %s=%.200s", tree->name,
			 tree->origin);
}

int admit_quarantine(struct larderd *d, const struct inv_tree *tree, const char *subset,
		     struct larder_error *err)
{
	struct inv_quarantine q;
	char ago[48], cure[400];

	if (stage_of(d, tree->id) || inventory_quarantine_get(d->inv, tree->id, &q, err) != 1)
		return 0;
	if (subset && !larder_subset_match(subset, q.shard))
		return 0;
	admit_cure(tree, cure, sizeof(cure));
	return larder_error_set(
		err, EBADMSG, "in quarantine since %s: %.500s; it is asked for again when %s",
		larder_duration_format((clock_s() - q.since_s) * 1000, ago, sizeof(ago)), q.why,
		cure);
}

static int admit_want(struct want *want, struct larder_error *err)
{
	struct larderd *d = want->request->d;
	int rc = want->here ? 1 : admit_tree(d, &want->tree, err);

	if (rc == 0)
		rc = admit_quarantine(d, &want->tree, want->spec.subset, err);
	if (rc < 0)
		return rc;
	if (take_lease(want, err))
		return -err->code;
	want->hit_bytes = want->tree.present_bytes;
	want->state = rc ? WANT_READY : WANT_STAGING;
	want->found = rc ? "hit" : stage_of(d, want->tree.id) ? "join" : "miss";
	inventory_count(d->inv,
			rc			? INV_COUNTER_hits
			: want->found[0] == 'j' ? INV_COUNTER_joins
						: INV_COUNTER_misses,
			1);
	return inventory_count(d->inv, INV_COUNTER_hit_bytes, want->hit_bytes);
}

/* The refusal is the same for all who wait; who holds the room is told to each as they may know it.
 */
static void no_room(struct want *want, const struct larder_error *err)
{
	const struct request *request = want->request;
	struct larder_error told = {.code = err->code};
	char holders[512];

	if (!holders_text(request->d, 0, request->key.job_id, request->uid, false, holders,
			  sizeof(holders)))
		snprintf(told.text, sizeof(told.text), "%s", err->text);
	else
		snprintf(
			told.text, sizeof(told.text),
			"%.400s; data here is held by %.400s; wait for it, or use --dataset-on-fail=bypass",
			err->text, holders);
	want_failed(want, -ENOSPC, &told);
}

static void on_staged(struct interest *interest, int rc, const struct larder_error *err)
{
	struct want *want = CONTAINER(interest, struct want, interest);

	if (rc == -ENOSPC)
		no_room(want, err);
	else if (rc)
		want_failed(want, rc, err);
	else
		want->state = WANT_READY;
	if (want->request->outcome == LARDER_OUTCOME_PARTIAL) {
		struct larder_error ignored = {0};

		request_save(want->request, want->request->outcome,
			     &ignored); /* its tasks see the new state */
	}
	request_update(want->request);
}

static int log_want(const struct want *want, const char *what)
{
	char pairs[WANT_PAIRS_MAX];

	want_pairs(want, pairs);
	return inventory_event_add(want->request->d->inv, clock_s(), what, "%s", pairs);
}

static int take_each(struct request *request, struct larder_error *err)
{
	struct inventory *inv = request->d->inv;
	const char *what = request->mode == LARDER_MODE_BYPASS ? "bypass" : "acquire";
	int rc = 0;

	for (unsigned int i = 0; i < request->n_wants && !rc; i++) {
		struct want *want = &request->wants[i];

		if (want->state != WANT_RESOLVED)
			continue;
		if (request->mode == LARDER_MODE_BYPASS)
			rc = inventory_count(inv, INV_COUNTER_bypasses, 1);
		else
			rc = admit_want(want, err);
		if (rc)
			larder_error_prefix(err, "%s", want->spec.name);
		else
			rc = log_want(want, what);
	}
	return rc;
}

/* One transaction for all: either the job holds everything it needs, or nothing. 1: a manifest must
 * be had first. */
static int take_all(struct request *request, struct larder_error *err)
{
	struct inventory *inv = request->d->inv;
	const struct want *failed;
	enum larder_outcome outcome;
	int rc;

	if (request->mode != LARDER_MODE_BYPASS && manifest_missing(request))
		return 1;
	if (request->mode != LARDER_MODE_BYPASS && admit_grant(request))
		return 0;
	rc = inventory_begin(inv, err);
	if (!rc)
		rc = take_each(request, err);
	outcome = request_add_up(request, &failed);
	if (!rc)
		rc = request_save(request, outcome, err);
	if (!rc)
		rc = inventory_commit(inv, err);
	if (rc) {
		inventory_rollback(inv);
		request->counted = false;
	}
	request->ready_saved = !rc && outcome == LARDER_OUTCOME_READY;
	return rc;
}

void admit_join(struct want *want)
{
	struct larder_error err = {0};
	int rc;

	want->interest.done = on_staged;
	want->interest.subset = want->spec.subset;
	rc = stage_join(want->request->d, want->tree.id, take_fd(&want->manifest_fd),
			&want->interest, &err);
	if (rc < 0)
		want_failed(want, rc, &err);
}

static void start_stages(struct request *request)
{
	for (unsigned int i = 0; i < request->n_wants; i++)
		if (request->wants[i].state == WANT_STAGING && !request->wants[i].interest.stage)
			admit_join(&request->wants[i]);
}

static void bypass_all(struct request *request)
{
	struct larder_error err = {0};

	for (unsigned int i = 0; i < request->n_wants; i++) {
		struct want *want = &request->wants[i];

		if (want->state != WANT_RESOLVED)
			continue;
		if (want_bypassable(want)) {
			want->state = WANT_BYPASS;
			continue;
		}
		larder_error_set(&err, EINVAL,
				 "%s: its origin %s is no path, so there is nothing to bypass to",
				 want->spec.name, want->tree.origin);
		want_failed(want, -EINVAL, &err);
	}
}

void request_admit(struct request *request)
{
	struct larder_error err = {0};
	int rc;

	if (request->outcome != LARDER_OUTCOME_PENDING)
		return;
	request_update(request); /* one that failed may end it here, before any lease */
	if (request->outcome != LARDER_OUTCOME_PENDING)
		return;
	rc = take_all(request, &err);
	if (rc == 1) {
		request_check(request, true);
		return;
	}
	for (unsigned int i = 0; rc && i < request->n_wants; i++)
		want_failed(&request->wants[i], rc, &err);
	if (!rc && request->mode == LARDER_MODE_BYPASS)
		bypass_all(request);
	else if (!rc)
		start_stages(request);
	ahead_forget(request->d, request->key.job_id); /* it is here: its stages are its own now */
	request_update(request);
}
