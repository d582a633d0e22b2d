/*
 * Owns the stages under way, one per tree: from the first one who wants it to READY, PARTIAL or FAILED.
 * Chooses no victims and reads no origin itself. Joined by requests of jobs and by the CLI's verbs.
 */
#include "server/stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <utlist.h>

#include "larder/cleanup.h"
#include "origin/origins.h"
#include "server/dataset.h"
#include "server/evictor.h"
#include "server/log.h"
#include "server/space.h"
#include "server/stage_plan.h"

static void stage_begin(void *arg);
static void stage_end(struct stage *stage, int rc, const struct larder_error *err);

struct stage *stage_of(struct larderd *d, uint64_t tree_id)
{
	struct stage *stage;

	HASH_FIND(hh, d->stages, &tree_id, sizeof(tree_id), stage);
	return stage;
}

bool stage_uses(struct larderd *d, uint64_t tree_id)
{
	struct stage *stage, *tmp;

	if (stage_of(d, tree_id))
		return true;
	HASH_ITER(hh, d->stages, stage, tmp)
		if (stage->plan && stage->plan->has_base && stage->plan->base.id == tree_id)
			return true;
	return false;
}

/* --- joining and leaving */

static struct stage *stage_create(struct larderd *d, uint64_t tree_id, int manifest_fd,
				  struct larder_error *err)
{
	auto_free struct stage *stage = calloc(1, sizeof(*stage));

	if (!stage) {
		larder_error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (inventory_tree_get(d->inv, tree_id, &stage->tree, err))
		return NULL;
	stage->tier = dataset_tier(d, stage->tree.tier);
	if (!stage->tier) {
		larder_error_set(err, EIO, "tier %s, which holds %s:%s, cannot be used", stage->tree.tier,
				 stage->tree.name, stage->tree.version);
		return NULL;
	}
	if (stage->tree.state != LARDER_TREE_STAGING &&
	    inventory_tree_state(d->inv, tree_id, LARDER_TREE_STAGING, NULL, err))
		return NULL;
	stage->d = d;
	stage->tree_id = tree_id;
	stage->manifest_fd = manifest_fd;
	HASH_ADD(hh, d->stages, tree_id, sizeof(tree_id), stage);
	return take_ptr(&stage);
}

/* A plan that is made already may cover the newcomer too. */
static bool plan_covers(const struct stage *stage, const char *subset)
{
	const struct stage_plan *plan = stage->plan;

	if (!plan || plan->n_subsets == 0)
		return true;
	for (unsigned int i = 0; i < plan->n_subsets; i++)
		if (larder_subset_covers(plan->subsets[i], subset))
			return true;
	return false;
}

int stage_join(struct larderd *d, uint64_t tree_id, int manifest_fd, struct interest *interest,
	       struct larder_error *err)
{
	struct stage *stage = stage_of(d, tree_id);
	auto_fd int fd = manifest_fd;
	bool joined = stage != NULL;

	if (!stage)
		stage = stage_create(d, tree_id, take_fd(&fd), err);
	if (!stage)
		return -err->code;
	interest->stage = stage;
	interest->planned = stage->plan && !stage->cancelled && plan_covers(stage, interest->subset);
	DL_APPEND(stage->interests, interest);
	if (!joined) { /* by letter: done() must never come from in here */
		stage->phase = STAGE_PLANNING;
		stage->letter = (struct letter){.fn = stage_begin, .arg = stage};
		mailbox_post(d->mailbox, &stage->letter);
	}
	return joined;
}

void stage_leave(struct interest *interest)
{
	struct stage *stage = interest->stage;

	if (!stage)
		return;
	DL_DELETE(stage->interests, interest);
	interest->stage = NULL;
	if (stage->interests || stage->ending)
		return;
	stage->cancelled = true;
	if (stage->plan)
		stage->plan->stop = true;
	if (stage->phase == STAGE_RUNNING)
		transfer_cancel(stage->transfer);
	else if (stage->phase != STAGE_PLANNING)
		stage_end(stage, -ECANCELED, &(struct larder_error){.code = ECANCELED, .text = "nobody wants it any more"});
}

/* --- planning */

static void stage_begin(void *arg)
{
	struct stage *stage = arg;
	struct larder_error err = {0};

	if (!stage->interests) { /* left before it began */
		stage_end(stage, -ECANCELED, &(struct larder_error){.code = ECANCELED, .text = "nobody wants it any more"});
		return;
	}
	stage->cancelled = false;
	if (evictor_trimming(stage->d, stage->tree_id)) {
		stage->phase = STAGE_BLOCKED;
		return;
	}
	stage->phase = STAGE_PLANNING;
	if (stage_plan_begin(stage, &err))
		stage_end(stage, -err.code, &err);
}

void stage_unblock(struct larderd *d, uint64_t tree_id)
{
	struct stage *stage = stage_of(d, tree_id);

	if (stage && stage->phase == STAGE_BLOCKED)
		stage_begin(stage);
}

static bool stage_wanted_again(const struct stage *stage)
{
	return stage->cancelled && stage->interests;
}

void stage_planned(struct stage *stage)
{
	struct stage_plan *plan = stage->plan;

	if (stage->cancelled || plan->rc) {
		stage_end(stage, stage->cancelled ? -ECANCELED : plan->rc, &plan->err);
		return;
	}
	stage->need_bytes = plan->sums.disk_bytes;
	stage->need_inodes = plan->sums.inodes;
	stage->phase = STAGE_ADMITTING;
	space_ask(stage);
}

/* --- transferring */

struct stage_letter {
	struct letter letter;
	struct stage *stage;
	int rc;
	struct larder_error err;
	uint64_t bytes;
	size_t n;
	uint64_t indices[];
};

static void account_durable(struct stage *stage, const struct stage_letter *letter, struct larder_error *err)
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

static void on_durable(void *arg)
{
	auto_free struct stage_letter *letter = arg;
	struct stage *stage = letter->stage;
	struct larder_error err = {0};

	account_durable(stage, letter, &err);
	if (err.code) /* the bytes are there; a restart finds them by name */
		log_event(LOG_LEVEL_ERR, "stage.account", "error=\"%s\"", err.text);
	space_return(stage, letter->bytes, letter->n);
}

void stage_durable(const uint64_t *indices, size_t n, uint64_t bytes, void *arg)
{
	struct stage *stage = arg;
	struct stage_letter *letter = malloc(sizeof(*letter) + n * sizeof(uint64_t));

	if (!letter)
		return; /* they are there, but not known to be: a restart finds them by name */
	letter->stage = stage;
	letter->bytes = bytes;
	letter->n = n;
	memcpy(letter->indices, indices, n * sizeof(uint64_t));
	letter->letter = (struct letter){.fn = on_durable, .arg = letter};
	mailbox_post(stage->d->mailbox, &letter->letter);
}

static void on_transferred(void *arg)
{
	auto_free struct stage_letter *letter = arg;

	stage_end(letter->stage, letter->rc, &letter->err);
}

/* On a thread of the pool. */
static void transfer_done(int rc, const struct larder_error *err, void *arg)
{
	struct stage *stage = arg;
	struct stage_letter *letter = calloc(1, sizeof(*letter));

	if (!letter)
		abort(); /* a stage that never ends would hold its jobs for ever */
	letter->stage = stage;
	letter->rc = rc;
	if (err)
		letter->err = *err;
	letter->letter = (struct letter){.fn = on_transferred, .arg = letter};
	mailbox_post(stage->d->mailbox, &letter->letter);
}

static void stage_transfer(struct stage *stage)
{
	struct stage_plan *plan = stage->plan;
	struct larder_error err = {0};
	struct transfer_params params = {
		.want = {.manifest_fd = plan->manifest_fd,
			 .base_manifest_fd = plan->base_manifest_fd,
			 .present = plan->present,
			 .subsets = (const char *const *)plan->subsets,
			 .n_subsets = plan->n_subsets},
		.origins = (const char *const *)plan->head.origins,
		.n_origins = plan->head.n_origins,
		.as = plan->as,
		.sink = plan->sink,
		.done = transfer_done,
		.arg = stage,
	};

	stage->phase = STAGE_RUNNING;
	stage->began_ms = stage->rate_ms = now_mono_ms();
	stage->d->running_transfers++;
	log_event(LOG_LEVEL_INFO, "stage.begin",
		  "dataset=%s:%s fetch_bytes=%llu fetch_shards=%llu link_bytes=%llu origin=%s", plan->tree.name,
		  plan->tree.version, (unsigned long long)plan->sums.fetch_bytes,
		  (unsigned long long)plan->sums.fetch_shards, (unsigned long long)plan->sums.link_bytes, plan->tree.origin);
	if (transfer_start(stage->d->pool, origins, &params, &stage->transfer, &err))
		stage_end(stage, -err.code, &err);
}

static struct stage *next_queued(struct larderd *d)
{
	struct stage *stage, *tmp;

	HASH_ITER(hh, d->stages, stage, tmp)
		if (stage->phase == STAGE_QUEUED)
			return stage;
	return NULL;
}

static void start_next(struct larderd *d)
{
	struct stage *stage;

	while (d->running_transfers < d->config.max_transfers && (stage = next_queued(d)))
		stage_transfer(stage);
}

void stage_admitted(struct stage *stage, int rc, const struct larder_error *err)
{
	if (rc) {
		stage_end(stage, rc, err);
		return;
	}
	stage->phase = STAGE_QUEUED;
	if (stage->d->running_transfers < stage->d->config.max_transfers)
		stage_transfer(stage);
}

/* --- the end */

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
	inventory_event_add(inv, now_s(), state == LARDER_TREE_FAILED ? "stage.failed" : "stage.done",
			    "dataset=%s:%s state=%s origin_bytes=%llu linked_bytes=%llu shards=%llu ms=%lld%s%s",
			    stage->tree.name, stage->tree.version, larder_tree_state_word(state),
			    (unsigned long long)p.origin_bytes, (unsigned long long)p.linked_bytes,
			    (unsigned long long)stage->durable_shards, (long long)ms,
			    why && why->text[0] ? " error=" : "", why ? why->text : "");
	if (inventory_tree_state(inv, stage->tree_id, state, why ? why->text : NULL, err) ||
	    (state == LARDER_TREE_READY && inventory_tree_staged(inv, stage->tree_id, ms, err)) ||
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
		return whole || stage->tree.present_shards == stage->tree.shards ? LARDER_TREE_READY
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
	space_return(stage, stage->held_bytes, stage->held_inodes);
	stage_plan_destroy(stage->d, stage->plan);
	stage->plan = NULL;
}

/* Tells those whom this round served; who came too late for it, or is wanted again, stays. */
static void tell(struct stage *stage, int rc, const struct larder_error *err)
{
	struct interest *one, *tmp;

	DL_FOREACH_SAFE(stage->interests, one, tmp) {
		if ((rc == 0 || rc == -ECANCELED) && !one->planned)
			continue;
		DL_DELETE(stage->interests, one);
		one->stage = NULL;
		one->done(one, rc, err);
	}
}

static bool again(struct stage *stage, int rc)
{
	if (rc == -ENOSPC && stage->phase == STAGE_RUNNING && !stage->retried && stage->interests) {
		stage->retried = true; /* somebody else filled the disk: evict and try once more */
		inventory_count(stage->d->inv, INV_COUNTER_enospc_evictions, 1);
		inventory_event_add(stage->d->inv, now_s(), "stage.enospc", "dataset=%s:%s", stage->tree.name,
				    stage->tree.version);
		return true;
	}
	return rc == -ECANCELED && stage_wanted_again(stage);
}

static void stage_end(struct stage *stage, int rc, const struct larder_error *err)
{
	struct larderd *d = stage->d;
	struct larder_error problem = {0};
	enum larder_tree_state state = end_state(stage, rc);
	int64_t ms = stage->began_ms ? now_mono_ms() - stage->began_ms : 0;
	bool repeat = again(stage, rc);

	stage->ending = true;
	if (!repeat && record_end(stage, state, ms, rc && rc != -ECANCELED ? err : NULL, &problem)) {
		log_event(LOG_LEVEL_ERR, "stage.record", "error=\"%s\"", problem.text);
		rc = rc ? rc : -problem.code;
		err = rc ? err : &problem;
	}
	log_event(LOG_LEVEL_INFO, "stage.end", "dataset=%s:%s rc=%d state=%s ms=%lld error=\"%s\"", stage->tree.name,
		  stage->tree.version, rc, larder_tree_state_word(state), (long long)ms, rc ? err->text : "");
	end_round(stage);
	if (!repeat)
		tell(stage, rc, err);
	stage->ending = false;
	if (stage->interests) {
		if (repeat || !inventory_tree_state(d->inv, stage->tree_id, LARDER_TREE_STAGING, NULL, &problem)) {
			stage_begin(stage);
			return;
		}
		tell(stage, -problem.code, &problem);
	}
	if (stage->manifest_fd >= 0)
		close(stage->manifest_fd);
	HASH_DEL(d->stages, stage);
	free(stage);
	start_next(d);
	space_watch(d);
}

void stages_close(struct larderd *d)
{
	struct stage *stage, *tmp;

	HASH_ITER(hh, d->stages, stage, tmp) {
		struct interest *one, *next;

		DL_FOREACH_SAFE(stage->interests, one, next)
			stage_leave(one);
	}
}
