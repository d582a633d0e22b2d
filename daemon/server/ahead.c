/*
 * Owns the plans for jobs that are to come, one a job, and which trees were brought for them.
 * Takes no lease: a plan never keeps a running job's data or room from it. Answers AHEAD and
 * FORGET. Called by dispatch, and by a job's request when the job is here.
 */
#include "server/ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "log/log.h"
#include "server/access.h"
#include "server/admit.h"
#include "server/ahead_inside.h"
#include "server/dataset.h"
#include "server/dispatch.h"

#define PLANS_MAX  1024u
#define TTL_MIN_MS 1000
#define TTL_MAX_MS 3600000

/* A tree that was brought for a job that has not come yet. */
struct spare {
	UT_hash_handle hh;
	uint64_t tree_id;
};

/* --- spares */

static void spare_add(struct larderd *d, uint64_t tree_id)
{
	struct spare *spare;

	HASH_FIND(hh, d->spares, &tree_id, sizeof(tree_id), spare);
	if (spare || !(spare = calloc(1, sizeof(*spare))))
		return; /* without the mark it is a tree like others */
	spare->tree_id = tree_id;
	HASH_ADD(hh, d->spares, tree_id, sizeof(tree_id), spare);
}

static void spare_drop(struct larderd *d, struct spare *spare)
{
	HASH_DEL(d->spares, spare);
	free(spare);
}

static bool planned(struct larderd *d, uint64_t tree_id)
{
	struct plan *plan, *tmp;

	HASH_ITER(hh, d->plans, plan, tmp)
	for (size_t i = 0; i < plan->list.count; i++)
		if (plan->items[i].tree_id == tree_id)
			return true;
	return false;
}

bool ahead_spare(struct larderd *d, const struct inv_tree *tree, bool *held)
{
	struct spare *spare;

	*held = false;
	HASH_FIND(hh, d->spares, &tree->id, sizeof(tree->id), spare);
	if (!spare)
		return false;
	if (tree->hits) { /* a job used it: it is a tree like others now */
		spare_drop(d, spare);
		return false;
	}
	*held = planned(d, tree->id);
	return true;
}

/* --- staging */

static void plan_answer(struct plan *plan)
{
	struct larder_msg_OUTCOME row = plan_outcome(plan);
	struct session *session = plan->asker;

	if (!session || plan->checking)
		return;
	plan->asker = NULL;
	session_park(session, NULL, NULL);
	session_row(session, LARDER_MSG_OUTCOME, &row);
	session_done(session, "");
}

static void item_failed(struct item *item, const struct larder_error *err)
{
	item->state = ITEM_FAILED;
	snprintf(item->text, sizeof(item->text), "%.255s", err->text);
}

static void on_staged(struct interest *interest, int rc, const struct larder_error *err)
{
	struct item *item = CONTAINER(interest, struct item, interest);

	if (rc) {
		item_failed(item, err);
		return;
	}
	item->state = ITEM_READY;
	if (item->brought)
		spare_add(item->plan->d, item->tree_id);
}

static int item_admit(struct item *item, const struct access_answer *answer,
		      struct larder_error *err)
{
	struct plan *plan = item->plan;
	struct larderd *d = plan->d;
	struct inv_tree tree;
	int rc;

	dataset_describe(item->spec, answer->head, plan->uid, &tree);
	if (inventory_begin(d->inv, err))
		return -err->code;
	rc = admit_tree(d, &tree, err);
	if (rc >= 0 && inventory_commit(d->inv, err))
		rc = -err->code;
	if (rc < 0) {
		inventory_rollback(d->inv);
		return rc;
	}
	item->tree_id = tree.id;
	item->state = rc ? ITEM_READY : ITEM_STAGING;
	if (rc)
		return 0;
	item->brought = tree.hits == 0 && !stage_of(d, tree.id);
	item->interest = (struct interest){.done = on_staged,
					   .subset = item->spec->subset,
					   .low = true,
					   .priority = plan->priority};
	rc = stage_join(d, tree.id, fcntl(answer->manifest_fd, F_DUPFD_CLOEXEC, 3), &item->interest,
			err);
	return rc < 0 ? rc : 0;
}

static void on_allowed(const struct access_answer *answer, void *arg)
{
	struct item *item = arg;
	struct larder_error err = {0};

	item->ask = NULL;
	item->plan->checking--;
	if (answer->rc)
		item_failed(item, answer->err);
	else if (item_admit(item, answer, &err))
		item_failed(item, &err);
	plan_answer(item->plan);
}

static void item_begin(struct item *item)
{
	struct plan *plan = item->plan;
	struct larder_error err = {0};
	const struct access_question question = {.spec = item->spec,
						 .uid = plan->uid,
						 .gid = plan->gid,
						 .fresh = true,
						 .timeout_ms = plan->d->config.check_timeout};

	if (item->spec->kind != LARDER_SPEC_CATALOG)
		larder_error_set(&err, ENOTSUP,
				 "%s is a user's own dataset: those are not staged ahead",
				 item->spec->name);
	else if (!access_ask(plan->d, &question, on_allowed, item, &item->ask, &err))
		return;
	plan->checking--;
	item_failed(item, &err);
}

/* --- plans */

static void plan_destroy(struct plan *plan)
{
	for (size_t i = 0; plan->items && i < plan->list.count; i++) {
		access_cancel(plan->items[i].ask);
		stage_leave(&plan->items[i].interest);
	}
	free(plan->items);
	larder_spec_list_fini(&plan->list);
	free(plan->specs);
	free(plan->fixed);
	free(plan);
}

static void plan_drop(struct plan *plan, const char *why)
{
	log_event(LOG_LEVEL_INFO, "ahead.end", "job=%u why=%s", plan->job_id, why);
	HASH_DEL(plan->d->plans, plan);
	if (plan->asker)
		session_refuse(plan->asker, ECANCELED, "the plan for job %u has ended",
			       plan->job_id);
	plan_destroy(plan);
}

struct plan *plan_of(struct larderd *d, uint32_t job_id)
{
	struct plan *plan;

	HASH_FIND(hh, d->plans, &job_id, sizeof(job_id), plan);
	return plan;
}

void ahead_forget(struct larderd *d, uint32_t job_id)
{
	struct plan *plan = plan_of(d, job_id);

	if (plan)
		plan_drop(plan, "over");
}

void ahead_expire(struct larderd *d)
{
	struct plan *plan, *tmp;
	struct spare *spare, *other;
	struct larder_error ignored;
	struct inv_tree tree;

	HASH_ITER(hh, d->plans, plan, tmp)
	if (clock_mono_ms() > plan->until_ms)
		plan_drop(plan, "expired");
	HASH_ITER(hh, d->spares, spare, other)
	if (inventory_tree_get(d->inv, spare->tree_id, &tree, &ignored) == -ENOENT)
		spare_drop(d, spare);
}

void ahead_close(struct larderd *d)
{
	struct plan *plan, *tmp;
	struct spare *spare, *other;

	HASH_ITER(hh, d->plans, plan, tmp)
	plan_drop(plan, "stop");
	HASH_ITER(hh, d->spares, spare, other)
	spare_drop(d, spare);
}

static struct plan *plan_create(struct larderd *d, const struct larder_msg_AHEAD *m,
				struct larder_error *err)
{
	struct plan *plan = calloc(1, sizeof(*plan));

	if (!plan)
		goto fail;
	*plan = (struct plan){.job_id = m->job_id,
			      .d = d,
			      .uid = m->uid,
			      .gid = m->gid,
			      .since_s = clock_s(),
			      .specs = strdup(m->specs),
			      .fixed = strdup(m->fixed)};
	if (larder_spec_list_parse(m->specs, &plan->list, err) ||
	    request_apply_fixed(&plan->list, m->fixed, err))
		goto fail;
	plan->items = calloc(plan->list.count + 1, sizeof(*plan->items));
	if (!plan->specs || !plan->fixed || !plan->items)
		goto fail;
	for (size_t i = 0; i < plan->list.count; i++) {
		plan->items[i].plan = plan;
		plan->items[i].spec = &plan->list.items[i];
	}
	HASH_ADD(hh, d->plans, job_id, sizeof(plan->job_id), plan);
	return plan;
fail:
	if (!err->code)
		larder_error_set(err, ENOMEM, "out of memory");
	if (plan)
		plan_destroy(plan);
	return NULL;
}

static void plan_begin(struct plan *plan)
{
	log_event(LOG_LEVEL_INFO, "ahead.begin", "job=%u uid=%u priority=%u", plan->job_id,
		  plan->uid, plan->priority);
	plan->checking = (unsigned int)plan->list.count;
	for (size_t i = 0; i < plan->list.count; i++)
		item_begin(&plan->items[i]);
}

static void plan_renew(struct plan *plan, const struct larder_msg_AHEAD *m)
{
	int64_t ttl = m->ttl_ms < TTL_MIN_MS ? TTL_MIN_MS : m->ttl_ms;

	plan->until_ms = clock_mono_ms() + (ttl < TTL_MAX_MS ? ttl : TTL_MAX_MS);
	plan->priority = m->priority;
	for (size_t i = 0; i < plan->list.count; i++)
		plan->items[i].interest.priority = m->priority;
}

static bool same_plan(const struct plan *plan, const struct larder_msg_AHEAD *m)
{
	return plan->uid == m->uid && plan->gid == m->gid && !strcmp(plan->specs, m->specs) &&
	       !strcmp(plan->fixed, m->fixed);
}

static void asker_left(void *arg)
{
	struct plan *plan = arg;

	plan->asker = NULL;
}

/* 0 or -errno: may a plan for that job be made or kept? */
static int may_plan(struct larderd *d, const struct larder_msg_AHEAD *m, const struct plan *plan,
		    struct larder_error *err)
{
	if (d->drained[0])
		return larder_error_set(err, EAGAIN, "this node takes no datasets now: %s",
					d->drained);
	if (m->job_id == 0)
		return larder_error_set(err, EINVAL, "a job's number is needed");
	if (plan && plan->asker)
		return larder_error_set(err, EALREADY, "job %u is being looked into just now",
					m->job_id);
	if (!plan && HASH_COUNT(d->plans) >= PLANS_MAX)
		return larder_error_set(err, EAGAIN, "this node has plans for %u jobs already",
					PLANS_MAX);
	if (request_latest(d, m->job_id))
		return larder_error_set(err, EEXIST, "job %u is on this node already", m->job_id);
	return 0;
}

void handle_AHEAD(struct session *session, const void *msg)
{
	const struct larder_msg_AHEAD *m = msg;
	struct larderd *d = session_daemon(session);
	struct plan *plan = plan_of(d, m->job_id);
	struct larder_error err = {0};

	if (may_plan(d, m, plan, &err)) {
		session_fail(session, &err);
		return;
	}
	if (plan && !same_plan(plan, m)) {
		plan_drop(plan, "changed");
		plan = NULL;
	}
	if (plan) {
		plan_renew(plan, m);
	} else {
		plan = plan_create(d, m, &err);
		if (!plan) {
			session_fail(session, &err);
			return;
		}
		plan_renew(plan, m);
		plan_begin(plan);
	}
	plan->asker = session;
	session_park(session, asker_left, plan);
	plan_answer(plan);
}

void handle_FORGET(struct session *session, const void *msg)
{
	const struct larder_msg_FORGET *m = msg;

	ahead_forget(session_daemon(session), m->job_id);
	session_done(session, "");
}
