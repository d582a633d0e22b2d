/*
 * Owns what a stage leaves behind: what is durable, state, counters, log, and whom it tells.
 * Transfers nothing. Called by stage.c's turns.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <utlist.h>

#include "larder/clock.h"
#include "log/log.h"
#include "server/evictor.h"
#include "server/own_remote.h"
#include "server/scrub.h"
#include "server/space.h"
#include "server/stage_inside.h"
#include "server/stage_plan.h"

void stage_account(struct stage *stage, const struct stage_letter *letter, struct larder_error *err)
{
	struct inventory *inv = stage->d->inv;

	stage->durable_shards += letter->n;
	stage->durable_bytes += letter->bytes;
	stage->tree.present_shards += letter->n;
	stage->tree.present_bytes += letter->bytes;
	if (inventory_begin(inv, err))
		return;
	if (inventory_bitmap_set(inv, stage->tree_id, letter->indices, letter->n, err) ||
	    inventory_tree_present(inv, stage->tree_id, stage->tree.present_shards,
				   stage->tree.present_bytes, err) ||
	    inventory_count(inv, INV_COUNTER_staged_shards, letter->n) ||
	    inventory_commit(inv, err))
		inventory_rollback(inv);
}

/* Where the bytes came from. */
static int record_sources(struct stage *stage, struct larder_error *err)
{
	struct transfer_source from;
	int rc = 0;

	for (unsigned int i = 0;
	     !rc && stage->transfer && transfer_source_get(stage->transfer, i, &from); i++) {
		struct inv_source row = {.tree = stage->tree_id,
					 .bytes = from.bytes,
					 .shards = from.shards,
					 .busy_ms = (int64_t)from.busy_ms};

		snprintf(row.origin, sizeof(row.origin), "%s", from.origin);
		if (from.shards)
			rc = inventory_source_add(stage->d->inv, &row, err);
	}
	return rc;
}

/* A shard that no origin has right is not asked for again by each job that follows. */
static int record_quarantine(struct stage *stage, const struct larder_error *why,
			     struct larder_error *err)
{
	struct inv_quarantine q = {.since_s = clock_s()};

	if (!why || why->code != EBADMSG || !stage->transfer)
		return 0;
	snprintf(q.shard, sizeof(q.shard), "%s", transfer_bad_shard(stage->transfer));
	snprintf(q.why, sizeof(q.why), "%s", why->text);
	log_event(LOG_LEVEL_ERR, "stage.quarantine", "dataset=%s:%s error=\"%s\"", stage->tree.name,
		  stage->tree.version, why->text);
	inventory_event_add(stage->d->inv, clock_s(), "stage.quarantine", "dataset=%s:%s error=%s",
			    stage->tree.name, stage->tree.version, why->text);
	return inventory_quarantine_put(stage->d->inv, stage->tree_id, &q, err);
}

/* What bringing all of it again costs, by what was fetched now: the rest was here or was linked. */
static int64_t restage_ms(const struct stage *stage, uint64_t fetched, int64_t ms)
{
	double whole = (double)stage->tree.bytes;

	if (!fetched || fetched >= stage->tree.bytes)
		return ms;
	return (int64_t)((double)ms * whole / (double)fetched);
}

/* Counters and the log, in one transaction with the tree's state. */
static int record_end(struct stage *stage, enum larder_tree_state state, int64_t ms,
		      const struct larder_error *why, struct larder_error *err)
{
	struct inventory *inv = stage->d->inv;
	struct transfer_progress p = {0};

	if (stage->transfer)
		transfer_progress_get(stage->transfer, &p);
	if (inventory_begin(inv, err))
		return -err->code;
	inventory_count(inv, INV_COUNTER_origin_bytes, p.origin_bytes);
	inventory_count(inv, INV_COUNTER_reused_bytes, p.linked_bytes);
	inventory_count(inv, INV_COUNTER_digest_mismatches, p.digest_mismatches);
	inventory_count(inv, INV_COUNTER_origin_errors, p.origin_errors);
	inventory_event_add(
		inv, clock_s(), state == LARDER_TREE_FAILED ? "stage.failed" : "stage.done",
		"dataset=%s:%s state=%s origin_bytes=%llu linked_bytes=%llu shards=%llu ms=%lld%s%s",
		stage->tree.name, stage->tree.version, larder_tree_state_word(state),
		(unsigned long long)p.origin_bytes, (unsigned long long)p.linked_bytes,
		(unsigned long long)stage->durable_shards, (long long)ms,
		why && why->text[0] ? " error=" : "", why ? why->text : "");
	if (record_sources(stage, err) || record_quarantine(stage, why, err) ||
	    inventory_tree_state(inv, stage->tree_id, state, why ? why->text : NULL, err) ||
	    (state == LARDER_TREE_READY &&
	     (inventory_tree_staged(inv, stage->tree_id, restage_ms(stage, p.origin_bytes, ms),
				    err) ||
	      inventory_quarantine_clear(inv, stage->tree_id, err))) ||
	    inventory_commit(inv, err)) {
		inventory_rollback(inv);
		return -err->code;
	}
	return 0;
}

static enum larder_tree_state end_state(const struct stage *stage, int rc)
{
	bool whole = stage->plan && stage->plan->n_subsets == 0;

	if (rc == 0)
		return whole || stage->tree.present_shards == stage->tree.shards
			       ? LARDER_TREE_READY
			       : LARDER_TREE_PARTIAL;
	return rc == -ECANCELED ? LARDER_TREE_PARTIAL : LARDER_TREE_FAILED;
}

/* Frees what the round had; the stage itself stays. */
static void end_round(struct stage *stage)
{
	if (stage->phase == STAGE_RUNNING)
		stage->d->running_transfers--;
	if (stage->transfer)
		transfer_destroy(stage->transfer);
	stage->transfer = NULL;
	own_remote_unref(stage->remote);
	stage->remote = NULL;
	space_return(stage, stage->held_bytes, stage->held_inodes);
	stage_plan_destroy(stage->d, stage->plan);
	stage->plan = NULL;
}

/* Found anew each time: one who is told may make others leave (a job that fails leaves all it
 * wanted). */
static struct interest *next_told(const struct stage *stage, int rc)
{
	struct interest *one;

	DL_FOREACH(stage->interests, one)
	if ((rc != 0 && rc != -ECANCELED) || one->planned)
		return one;
	return NULL;
}

/* Tells those whom this round served; who came too late for it, or is wanted again, stays. */
static void tell(struct stage *stage, int rc, const struct larder_error *err)
{
	struct interest *one;

	while ((one = next_told(stage, rc))) {
		DL_DELETE(stage->interests, one);
		one->stage = NULL;
		one->done(one, rc, err);
	}
}

static void tell_onlookers(struct stage *stage)
{
	struct onlooker *one;

	while ((one = stage->onlookers)) {
		stage_look_away(one);
		one->over(one);
	}
}

static bool again(struct stage *stage, int rc)
{
	if (rc == -ENOSPC && stage->phase == STAGE_RUNNING && !stage->retried && stage->interests) {
		stage->retried = true; /* somebody else filled the disk: evict and try once more */
		inventory_count(stage->d->inv, INV_COUNTER_enospc_evictions, 1);
		inventory_event_add(stage->d->inv, clock_s(), "stage.enospc", "dataset=%s:%s",
				    stage->tree.name, stage->tree.version);
		return true;
	}
	return rc == -ECANCELED && stage->interests; /* cancelled, and wanted again since */
}

static void log_end(const struct stage *stage, int rc, enum larder_tree_state state, int64_t ms,
		    const char *text)
{
	struct transfer_progress p = {0};

	if (stage->transfer)
		transfer_progress_get(stage->transfer, &p);
	log_event(LOG_LEVEL_INFO, "stage.end",
		  "dataset=%s:%s rc=%d state=%s ms=%lld engine=\"%s\" error=\"%s\"",
		  stage->tree.name, stage->tree.version, rc, larder_tree_state_word(state),
		  (long long)ms, p.engine, text);
}

/* Nothing came before nobody wanted it any more: then it was never here. */
static void drop_empty(struct larderd *d, uint64_t tree_id)
{
	struct larder_error ignored;
	struct inv_tree tree;

	if (inventory_tree_get(d->inv, tree_id, &tree, &ignored) || tree.present_shards ||
	    tree.state != LARDER_TREE_PARTIAL || stage_of(d, tree_id))
		return;
	evictor_evict(d, tree_id, "nothing came", false, NULL, NULL, &ignored);
}

void stage_end(struct stage *stage, int rc, const struct larder_error *err)
{
	struct larderd *d = stage->d;
	uint64_t tree_id = stage->tree_id;
	struct larder_error problem = {0};
	enum larder_tree_state state = end_state(stage, rc);
	int64_t ms = stage->began_ms ? clock_mono_ms() - stage->began_ms : 0;
	bool repeat = again(stage, rc);

	stage->ending = true;
	if (!repeat &&
	    record_end(stage, state, ms, rc && rc != -ECANCELED ? err : NULL, &problem)) {
		log_event(LOG_LEVEL_ERR, "stage.record", "error=\"%s\"", problem.text);
		rc = rc ? rc : -problem.code;
		err = rc ? err : &problem;
	}
	log_end(stage, rc, state, ms, rc ? err->text : "");
	end_round(stage);
	if (!repeat)
		tell(stage, rc, err);
	stage->ending = false;
	if (stage->interests) {
		if (repeat || !inventory_tree_state(d->inv, stage->tree_id, LARDER_TREE_STAGING,
						    NULL, &problem)) {
			stage_begin(stage);
			stage_start_next(d); /* the place that it had */
			return;
		}
		tell(stage, -problem.code, &problem);
	}
	if (stage->manifest_fd >= 0)
		close(stage->manifest_fd);
	HASH_DEL(d->stages, stage);
	tell_onlookers(stage);
	free(stage);
	if (rc == -ECANCELED && !d->stop_timer) /* nothing is begun while we stop */
		drop_empty(d, tree_id);
	verify_go_on(d, tree_id);
	stage_start_next(d);
	space_watch(d);
}
