/*
 * Owns the stages under way, one per tree: from the first one who wants it to READY, PARTIAL or
 * FAILED. Chooses no victims and reads no origin itself. Joined by requests of jobs and by the
 * CLI's verbs.
 */
#include "server/stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <utlist.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "log/log.h"
#include "origin/origins.h"
#include "server/dataset.h"
#include "server/evictor.h"
#include "server/own_remote.h"
#include "server/space.h"
#include "server/stage_inside.h"
#include "server/stage_plan.h"

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

bool stage_low(const struct stage *stage)
{
	const struct interest *one;

	DL_FOREACH(stage->interests, one)
	if (!one->low)
		return false;
	return true;
}

/* --- joining and leaving */

struct raised {
	struct letter letter;
	struct larderd *d;
};

/* Something that could wait cannot any more: room and turns are given out anew. */
static void on_raised(void *arg)
{
	auto_free struct raised *raised = arg;
	struct larderd *d = raised->d;

	for (unsigned int i = 0; i < d->config.n_tiers; i++)
		if (d->tiers[i].tier)
			space_changed(d, &d->tiers[i]);
	stage_start_next(d);
}

/* By letter: nobody may be told of an end while they join. Without memory the timer does it. */
static void raise_stage(struct larderd *d)
{
	struct raised *raised = calloc(1, sizeof(*raised));

	if (!raised)
		return;
	raised->d = d;
	raised->letter = (struct letter){.fn = on_raised, .arg = raised};
	mailbox_post(d->mailbox, &raised->letter);
}

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
		larder_error_set(err, EIO, "tier %s, which holds %s:%s, cannot be used",
				 stage->tree.tier, stage->tree.name, stage->tree.version);
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
	if (joined && !interest->low && stage_low(stage))
		raise_stage(d);
	interest->stage = stage;
	interest->planned =
		stage->plan && !stage->cancelled && plan_covers(stage, interest->subset);
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
		stage_end(stage, -ECANCELED,
			  &(struct larder_error){.code = ECANCELED,
						 .text = "nobody wants it any more"});
}

void stage_look_on(struct stage *stage, struct onlooker *onlooker)
{
	onlooker->stage = stage;
	DL_APPEND(stage->onlookers, onlooker);
}

void stage_look_away(struct onlooker *onlooker)
{
	if (onlooker->stage)
		DL_DELETE(onlooker->stage->onlookers, onlooker);
	onlooker->stage = NULL;
}

/* --- planning */

void stage_begin(void *arg)
{
	struct stage *stage = arg;
	struct larder_error err = {0};

	if (!stage->interests) { /* left before it began */
		stage_end(stage, -ECANCELED,
			  &(struct larder_error){.code = ECANCELED,
						 .text = "nobody wants it any more"});
		return;
	}
	stage->cancelled = false;
	if (evictor_trimming(stage->d, stage->tree_id)) {
		stage->phase = STAGE_BLOCKED;
		return;
	}
	stage->phase = STAGE_PLANNING;
	/* again: what it was blocked by, or the round before, has changed what is here */
	if (inventory_tree_get(stage->d->inv, stage->tree_id, &stage->tree, &err) ||
	    stage_plan_begin(stage, &err))
		stage_end(stage, -err.code, &err);
}

void stage_unblock(struct larderd *d, uint64_t tree_id)
{
	struct stage *stage = stage_of(d, tree_id);

	if (stage && stage->phase == STAGE_BLOCKED)
		stage_begin(stage);
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

/* What became durable after its round was over is not claimed: the next round makes it again. */
static void on_durable(void *arg)
{
	auto_free struct stage_letter *letter = arg;
	struct stage *stage = letter->plan->stage;
	struct larder_error err = {0};

	stage_plan_letter_read(letter->plan);
	if (!stage)
		return;
	stage_account(stage, letter, &err);
	if (err.code) /* the bytes are there; a restart finds them by name */
		log_event(LOG_LEVEL_ERR, "stage.account", "error=\"%s\"", err.text);
	space_return(stage, letter->bytes, letter->n);
}

/* On the committer's thread: the stage itself may be gone. */
void stage_durable(const uint64_t *indices, size_t n, uint64_t bytes, void *arg)
{
	struct stage_plan *plan = arg;
	struct stage_letter *letter = malloc(sizeof(*letter) + n * sizeof(uint64_t));

	if (!letter)
		return; /* they are there, but not known to be: a restart finds them by name */
	letter->plan = plan;
	letter->bytes = bytes;
	letter->n = n;
	memcpy(letter->indices, indices, n * sizeof(uint64_t));
	letter->letter = (struct letter){.fn = on_durable, .arg = letter};
	plan->letters++;
	mailbox_post(plan->d->mailbox, &letter->letter);
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

/* A user's own URL is read as that user or not at all: credentials come with a job or an order. */
static int find_remote(struct stage *stage, struct larder_error *err)
{
	const struct inv_tree *tree = &stage->plan->tree;
	struct interest *one;

	own_remote_unref(stage->remote);
	stage->remote = NULL;
	if (tree->owner == INV_OWNER_SITE || *tree->origin == '/')
		return 0;
	DL_FOREACH(stage->interests, one)
	if (one->remote && !stage->remote)
		stage->remote = own_remote_ref(one->remote);
	if (stage->remote)
		return 0;
	return larder_error_set(
		err, EACCES,
		"%s is read with its owner's credentials, and nobody is here with them: "
		"run a job with it, or larder stage %s=%.200s",
		tree->origin, tree->name, tree->origin);
}

void stage_transfer(struct stage *stage)
{
	struct stage_plan *plan = stage->plan;
	struct larder_error err = {0};
	struct transfer_params params = {
		.want = {.manifest_fd = plan->manifest_fd,
			 .base_manifest_fd = plan->base_manifest_fd,
			 .digests_fd = plan->digests_fd,
			 .base_digests_fd = plan->base_digests_fd,
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

	if (find_remote(stage, &err)) {
		stage_end(stage, -err.code, &err);
		return;
	}
	params.options = stage->remote ? &stage->remote->options : NULL;
	stage->phase = STAGE_RUNNING;
	stage->began_ms = stage->rate_ms = clock_mono_ms();
	stage->d->running_transfers++;
	log_event(LOG_LEVEL_INFO, "stage.begin",
		  "dataset=%s:%s fetch_bytes=%llu fetch_shards=%llu link_bytes=%llu origin=%s",
		  plan->tree.name, plan->tree.version, (unsigned long long)plan->sums.fetch_bytes,
		  (unsigned long long)plan->sums.fetch_shards,
		  (unsigned long long)plan->sums.link_bytes, plan->tree.origin);
	if (transfer_start(stage->d->pool, origins, &params, &stage->transfer, &err))
		stage_end(stage, -err.code, &err);
}

/* What can wait and finds no room is wanted no more: the tree has not failed. */
static void give_up(struct stage *stage, int rc, const struct larder_error *err)
{
	struct interest *one;

	while ((one = stage->interests)) {
		DL_DELETE(stage->interests, one);
		one->stage = NULL;
		one->done(one, rc, err);
	}
	stage_end(stage, -ECANCELED, err);
}

void stage_admitted(struct stage *stage, int rc, const struct larder_error *err)
{
	if (rc && stage_low(stage)) {
		give_up(stage, rc, err);
		return;
	}
	if (rc) {
		stage_end(stage, rc, err);
		return;
	}
	stage->phase = STAGE_QUEUED;
	stage_start_next(stage->d);
}

void stages_close(struct larderd *d)
{
	struct stage *stage, *tmp;

	HASH_ITER(hh, d->stages, stage, tmp)
	{
		struct interest *one, *next;

		DL_FOREACH_SAFE(stage->interests, one, next)
		stage_leave(one);
	}
}
