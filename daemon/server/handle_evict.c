/*
 * Answers EVICT: one dataset, or so many bytes. A lease is never overruled.
 * Chooses by no score of its own. Called by dispatch, for admins.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "server/dataset.h"
#include "server/dispatch.h"
#include "server/evictor.h"
#include "server/holders.h"
#include "server/pick.h"

struct evict_order {
	bool force, dry_run;
};

static void send_freed(struct session *session, uint64_t tree_id, uint64_t bytes, const char *why)
{
	struct larder_error ignored;
	struct inv_tree tree;
	char label[DATASET_LABEL_MAX];

	if (inventory_tree_get(session_daemon(session)->inv, tree_id, &tree, &ignored))
		return;
	session_row(session, LARDER_MSG_FREED,
		    &(struct larder_msg_FREED){.dataset = dataset_label(&tree, label),
					       .bytes = bytes,
					       .shards = tree.present_shards,
					       .why = why});
}

/* An eviction under way whose session waits; it outlives the session. */
struct leaving {
	struct session *session; /* NULL: the client is gone */
};

static void leaving_left(void *arg)
{
	struct leaving *leaving = arg;

	leaving->session = NULL;
}

static void on_gone(int rc, const struct larder_error *err, void *arg)
{
	auto_free struct leaving *leaving = arg;

	if (leaving->session)
		session_end(leaving->session, rc, err);
}

/* Who holds it, for the admin who asked. */
static void refuse_held(struct session *session, const struct inv_tree *tree,
			const struct larder_error *err)
{
	struct larderd *d = session_daemon(session);
	char holders[512];

	if (!holders_text(d, tree->id, 0, 0, true, holders, sizeof(holders)))
		session_fail(session, err);
	else
		session_refuse(session, err->code,
			       "%s: %s; wait for it, or take it away with --force", err->text,
			       holders);
}

static void evict_one(struct session *session, const struct inv_tree *tree, void *arg)
{
	const struct evict_order *order = arg;
	struct larderd *d = session_daemon(session);
	struct leaving *leaving = calloc(1, sizeof(*leaving));
	struct larder_error err = {0};
	int rc = leaving ? evictor_may(d, tree, order->force, &err)
			 : larder_error_set(&err, ENOMEM, "out of memory");

	if (!rc)
		send_freed(session, tree->id, tree->present_bytes, "asked for");
	if (!rc && !order->dry_run) {
		leaving->session = session;
		rc = evictor_evict(d, tree->id, "asked for", order->force, on_gone, leaving, &err);
		if (!rc) {
			session_park(session, leaving_left, leaving);
			return;
		}
	}
	free(leaving);
	if (rc)
		refuse_held(session, tree, &err);
	else
		session_done(session, "");
}

/* All that would go, in order; acts unless it is a rehearsal. */
static int evict_bytes_in(struct session *session, struct node_tier *tier, uint64_t bytes,
			  bool dry_run, uint64_t *got, struct larder_error *err)
{
	struct larderd *d = session_daemon(session);
	auto_free struct evict_victim *victims = NULL;
	struct evict_plan plan;

	if (evictor_choose(d, tier, bytes, 0, EVICT_ANY, &victims, &plan, err))
		return -err->code;
	for (size_t i = 0; i < plan.n_victims; i++)
		send_freed(session, victims[i].id, victims[i].bytes, victims[i].why);
	*got += plan.bytes;
	return dry_run ? 0 : evictor_make_room(d, tier, bytes, 0, EVICT_ANY, true, &plan, err);
}

static void evict_bytes(struct session *session, uint64_t bytes, bool dry_run)
{
	struct larderd *d = session_daemon(session);
	struct larder_error err = {0};
	uint64_t got = 0;
	int rc = 0;

	for (unsigned int i = 0; i < d->config.n_tiers && got < bytes && !rc; i++)
		if (d->tiers[i].tier)
			rc = evict_bytes_in(session, &d->tiers[i], bytes - got, dry_run, &got,
					    &err);
	if (!rc && got < bytes)
		rc = larder_error_set(
			&err, ENOSPC,
			"only %llu of %llu bytes can go: the rest is leased, pinned or being staged",
			(unsigned long long)got, (unsigned long long)bytes);
	session_end(session, rc, &err);
}

void handle_EVICT(struct session *session, const void *msg)
{
	const struct larder_msg_EVICT *m = msg;
	struct evict_order *order;

	if (m->bytes && m->spec[0]) {
		session_refuse(session, EINVAL, "name a dataset or a number of bytes, not both");
		return;
	}
	if (m->bytes) {
		evict_bytes(session, m->bytes, m->dry_run);
		return;
	}
	order = calloc(1, sizeof(*order));
	if (order)
		*order = (struct evict_order){.force = m->force, .dry_run = m->dry_run};
	pick_tree(session, m->spec, evict_one, order);
}
