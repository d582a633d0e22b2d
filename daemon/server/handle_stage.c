/*
 * Answers STAGE and WATCH: bring a dataset here, and follow it until it is.
 * Takes no lease: what is staged ahead may be evicted again (pin it). Called by dispatch.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "larder/text.h"
#include "log/log.h"
#include "server/access.h"
#include "server/admit.h"
#include "server/dataset.h"
#include "server/dispatch.h"
#include "server/order.h"
#include "server/pick.h"

/* --- STAGE */

struct staging {
	struct session *session;
	struct larder_spec spec;
	struct access_ask *ask;
	uint32_t priority;
};

static void staging_free(void *arg)
{
	struct staging *staging = arg;

	access_cancel(staging->ask);
	larder_spec_fini(&staging->spec);
	free(staging);
}

static int admit_order(struct larderd *d, struct inv_tree *tree, struct larder_error *err)
{
	int rc = inventory_begin(d->inv, err);

	if (rc)
		return rc;
	rc = admit_tree(d, tree, err);
	if (rc >= 0 && inventory_commit(d->inv, err))
		rc = -err->code;
	if (rc < 0)
		inventory_rollback(d->inv);
	return rc;
}

static void stage_answer(struct session *session, const struct inv_tree *tree, int rc)
{
	char note[256], size[32];

	if (rc == 1 && tree->state == LARDER_TREE_READY)
		snprintf(note, sizeof(note), "%s:%s is ready here", tree->name, tree->version);
	else
		snprintf(note, sizeof(note), "%s:%s (%s): %s", tree->name, tree->version,
			 larder_size_format(tree->bytes, size, sizeof(size)),
			 rc ? "its transfer was under way already" : "staging has begun");
	session_done(session, note);
}

static void on_allowed(const struct access_answer *answer, void *arg)
{
	struct staging *staging = arg;
	struct session *session = staging->session;
	struct larderd *d = session_daemon(session);
	struct larder_error err = {0};
	struct inv_tree tree;
	int rc = answer->rc;

	staging->ask = NULL;
	session_park(session, NULL, NULL);
	if (rc)
		err = *answer->err;
	if (!rc) {
		dataset_describe(&staging->spec, answer->head, session_uid(session), &tree);
		rc = admit_order(d, &tree, &err);
		if (rc == 0 && tree.owner == INV_OWNER_SITE && !session_admin(session))
			rc = admit_quarantine(d, &tree, staging->spec.subset, &err);
	}
	if (rc == 0)
		rc = order_stage(d, tree.id, fcntl(answer->manifest_fd, F_DUPFD_CLOEXEC, 3),
				 staging->spec.subset, staging->priority, answer->remote, &err);
	if (rc < 0)
		session_fail(session, &err);
	else
		stage_answer(session, &tree, rc);
	staging_free(staging);
}

void handle_STAGE(struct session *session, const void *msg)
{
	const struct larder_msg_STAGE *m = msg;
	struct larderd *d = session_daemon(session);
	struct staging *staging = calloc(1, sizeof(*staging));
	struct larder_error err = {0};
	struct access_question question = {
		.uid = session_uid(session), .gid = session_gid(session), .fresh = true};

	if (d->drained[0]) {
		free(staging);
		session_refuse(session, EAGAIN, "this node takes no datasets now: %s", d->drained);
		return;
	}
	if (!staging || larder_spec_parse(m->spec, &staging->spec, &err)) {
		free(staging);
		session_refuse(session, err.code ? err.code : ENOMEM, "%s",
			       err.text[0] ? err.text : "out of memory");
		return;
	}
	if (m->priority && !session_fleet(session)) {
		staging_free(staging);
		session_refuse(
			session, EPERM,
			"--priority is for admins: it puts this before what jobs wait for; leave it away");
		return;
	}
	staging->session = session;
	staging->priority = m->priority;
	question.spec = &staging->spec;
	question.timeout_ms = staging->spec.kind == LARDER_SPEC_OWN ? d->config.wait_max
								    : d->config.check_timeout;
	session_park(session, staging_free, staging);
	if (access_ask(d, &question, on_allowed, staging, &staging->ask, &err)) {
		session_fail(session, &err);
		staging_free(staging);
	}
}

/* --- WATCH */

struct watch {
	struct onlooker onlooker; /* hears of the end at once; rows come by the timer */
	struct session *session;
	struct larderd *d;
	uint64_t tree_id;
	char name[DATASET_LABEL_MAX];
	int64_t until_ms; /* 0: no end */
	sd_event_source *timer;
};

static void watch_free(void *arg)
{
	struct watch *watch = arg;

	stage_look_away(&watch->onlooker);
	sd_event_source_disable_unref(watch->timer);
	free(watch);
}

/* The end of it: what the tree's row says. */
static void watch_end(struct watch *watch, struct session *session)
{
	struct larder_error err = {0};
	struct inv_tree tree;

	if (inventory_tree_get(watch->d->inv, watch->tree_id, &tree, &err))
		session_refuse(session, ENOENT, "%s is not on this node any more", watch->name);
	else if (tree.state == LARDER_TREE_READY)
		session_done(session, "ready");
	else if (tree.state == LARDER_TREE_FAILED)
		session_refuse(session, EIO, "%s", tree.error);
	else
		session_refuse(session, EAGAIN,
			       "%s is %s and nothing is staging it (larder stage %s)", watch->name,
			       larder_tree_state_word(tree.state), watch->name);
}

static void watch_over(struct onlooker *onlooker)
{
	struct watch *watch = CONTAINER(onlooker, struct watch, onlooker);

	watch_end(watch, watch->session);
	watch_free(watch);
}

static void watch_tell(struct watch *watch)
{
	struct larder_msg_TRANSFER row;
	char label[DATASET_LABEL_MAX], engine[64];

	stage_describe(watch->onlooker.stage, &row, label, engine);
	session_row(watch->session, LARDER_MSG_TRANSFER, &row);
	session_flush_rows(watch->session);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *arg)
{
	struct watch *watch = arg;
	struct session *session = watch->session;

	(void)usec;
	if (watch->until_ms && clock_mono_ms() > watch->until_ms) {
		session_refuse(session, ETIMEDOUT, "%s is not ready yet", watch->name);
		watch_free(watch);
		return 0;
	}
	watch_tell(watch);
	sd_event_source_set_time_relative(source, 500000);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void watch_begin(struct session *session, const struct inv_tree *tree, int64_t timeout_ms)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	struct larderd *d = session_daemon(session);
	struct stage *stage = stage_of(d, tree->id);

	if (!watch) {
		session_refuse(session, ENOMEM, "out of memory");
		return;
	}
	*watch = (struct watch){.session = session, .d = d, .tree_id = tree->id};
	watch->onlooker.over = watch_over;
	dataset_label(tree, watch->name);
	if (timeout_ms > 0 && __builtin_add_overflow(clock_mono_ms(), timeout_ms, &watch->until_ms))
		watch->until_ms = INT64_MAX;
	if (!stage || sd_event_add_time_relative(d->event, &watch->timer, CLOCK_MONOTONIC, 500000,
						 0, on_tick, watch) < 0) {
		watch_over(&watch->onlooker);
		return;
	}
	stage_look_on(stage, &watch->onlooker);
	session_park(session, watch_free, watch);
	watch_tell(watch);
}

static void on_picked(struct session *session, const struct inv_tree *tree, void *arg)
{
	const int64_t *timeout_ms = arg;

	watch_begin(session, tree, *timeout_ms);
}

void handle_WATCH(struct session *session, const void *msg)
{
	const struct larder_msg_WATCH *m = msg;
	int64_t *timeout_ms = malloc(sizeof(*timeout_ms));

	if (timeout_ms)
		*timeout_ms = m->timeout_ms;
	pick_tree(session, m->spec, on_picked, timeout_ms);
}
