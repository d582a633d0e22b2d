/*
 * Answers what the CLI asks about trees, jobs, space and the log: LIST, SHOW, JOBS, STATUS, DF,
 * LOG, PING. Changes nothing; shows users only what they may read. Called by dispatch.
 */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "server/ahead.h"
#include "server/dataset.h"
#include "server/dispatch.h"
#include "server/names.h"
#include "server/request.h"
#include "server/row.h"
#include "server/space.h"
#include "server/visible.h"

void handle_PING(struct session *session, const void *msg)
{
	(void)msg;
	session_done(session, LARDER_VERSION);
}

/* --- LIST and SHOW */

struct list {
	struct session *session;
	const char *pattern;
	struct inv_hold *holds;
	size_t n_holds;
	size_t sent;
};

static int send_match(const struct inv_tree *tree, void *arg)
{
	struct list *list = arg;
	struct inv_hold hold;
	char label[DATASET_LABEL_MAX];

	if (*list->pattern && fnmatch(list->pattern, tree->name, 0) &&
	    fnmatch(list->pattern, dataset_label(tree, label), 0))
		return 0;
	hold = inventory_hold_of(list->holds, list->n_holds, tree->id);
	row_tree(list->session, tree, &hold);
	list->sent++;
	return 0;
}

static void send_list(struct session *session, const struct visible *visible, void *arg)
{
	struct list list = {.session = session, .pattern = arg};
	struct larder_error err = {0};

	if (inventory_holds(session_daemon(session)->inv, &list.holds, &list.n_holds, &err)) {
		session_fail(session, &err);
		return;
	}
	visible_each(visible, send_match, &list);
	free(list.holds);
	if (*list.pattern && !list.sent)
		session_refuse(session, ENOENT, "%s is not on this node", list.pattern);
	else
		session_done(session, "");
}

void handle_LIST(struct session *session, const void *msg)
{
	const struct larder_msg_LIST *m = msg;
	char *pattern = strdup(m->pattern);

	if (!pattern)
		session_refuse(session, ENOMEM, "out of memory");
	else
		visible_look(session, NULL, send_list, pattern, free);
}

struct show {
	struct larder_spec spec;
	char text[256];
	char label[DATASET_LABEL_MAX];
	struct session *session;
	size_t sent;
	struct larder_error err;
};

static void show_free(void *arg)
{
	struct show *show = arg;

	larder_spec_fini(&show->spec);
	free(show);
}

static int send_history(const struct inv_event *event, void *arg)
{
	struct show *show = arg;
	const char *at = strstr(event->text, show->label);
	size_t len = strlen(show->label);

	/* "dataset=NAME:VERSION " and nothing longer */
	if (at && at > event->text && at[-1] == '=' && (at[len] == ' ' || at[len] == '\0'))
		row_event(show->session, event);
	return 0;
}

static int send_one(struct session *session, const struct inv_tree *tree, struct show *show)
{
	struct inv_hold hold = {.tree = tree->id};
	struct inventory *inv = session_daemon(session)->inv;
	struct larder_error ignored;

	if (inventory_lease_count(inv, tree->id, &hold.leases, &show->err))
		return -show->err.code;
	inventory_pin_count(inv, tree->id, &hold.pins, &ignored);
	row_tree(session, tree, &hold);
	row_leases(session, tree);
	row_pins(session, tree);
	row_sources(session, tree);
	if (!session_admin(session))
		return 0; /* the log names other users' jobs */
	dataset_label(tree, show->label);
	inventory_event_each(inv, 0, 1000, "", send_history, show, &ignored);
	return 0;
}

static int send_fitting(const struct inv_tree *tree, void *arg)
{
	struct show *show = arg;

	if ((show->spec.version[0] && strcmp(show->spec.version, tree->version) != 0) ||
	    strncmp(show->spec.digest, tree->digest, strlen(show->spec.digest)) != 0)
		return 0;
	show->sent++;
	return send_one(show->session, tree, show);
}

static void send_show(struct session *session, const struct visible *visible, void *arg)
{
	struct show *show = arg;

	show->session = session;
	visible_each(visible, send_fitting, show);
	if (show->err.code)
		session_fail(session, &show->err);
	else if (!show->sent)
		session_refuse(session, ENOENT, "%s is not on this node (larder ls shows what is)",
			       show->text);
	else
		session_done(session, "");
}

void handle_SHOW(struct session *session, const void *msg)
{
	const struct larder_msg_SHOW *m = msg;
	struct show *show = calloc(1, sizeof(*show));
	struct larder_error err = {0};

	if (!show || larder_spec_parse(m->spec, &show->spec, &err)) {
		free(show);
		session_refuse(session, err.code ? err.code : ENOMEM, "%s",
			       err.text[0] ? err.text : "out of memory");
		return;
	}
	snprintf(show->text, sizeof(show->text), "%s", m->spec);
	visible_look(session, show->spec.name, send_show, show, show_free);
}

/* --- JOBS */

static int send_job_lease(const struct inv_lease *lease, void *arg)
{
	struct session *session = arg;
	struct larder_error ignored;
	struct inv_tree tree;

	if ((session_admin(session) || lease->uid == session_uid(session)) &&
	    !inventory_tree_get(session_daemon(session)->inv, lease->tree, &tree, &ignored))
		row_lease(session, &tree, lease);
	return 0;
}

void handle_JOBS(struct session *session, const void *msg)
{
	struct larder_error err = {0};
	struct larderd *d = session_daemon(session);
	struct request *request, *tmp;
	char user[64];

	(void)msg;
	HASH_ITER(hh, d->requests, request, tmp)
	{
		if (!session_admin(session) && request->uid != session_uid(session))
			continue;
		session_row(session, LARDER_MSG_JOB,
			    &(struct larder_msg_JOB){
				    .job_id = request->key.job_id,
				    .run = request->key.run,
				    .user = names_user(d, request->uid, user, sizeof(user)),
				    .specs = request->specs,
				    .state = request->outcome,
				    .since_s = request->since_s,
				    .text = request->text,
			    });
	}
	ahead_rows(session);
	session_end(session, inventory_lease_each(d->inv, 0, 0, send_job_lease, session, &err),
		    &err);
}

/* --- DF and STATUS */

static void send_tier(struct session *session, struct node_tier *tier)
{
	struct larderd *d = session_daemon(session);
	struct larder_msg_TIER row = {
		.name = tier->config->name, .path = tier->config->path, .problem = tier->problem};
	struct larder_error err = {0};
	struct quota_tier look;

	if (tier->tier && !tier_alive(tier->tier, &err) && !space_look(d, tier, &look, &err)) {
		if (inventory_tree_held(d->inv, row.name, &row.leased, &row.pinned, &err))
			row.problem = err.text;
		row.capacity = look.capacity_bytes < look.size_bytes ? look.capacity_bytes
								     : look.size_bytes;
		row.used = look.tree_bytes;
		row.reserved = look.reserved_bytes;
		row.trash = look.trash_bytes;
		row.free = look.free_bytes;
		row.floor = look.floor_bytes;
		row.inodes_free = look.inodes ? look.inodes_free : UINT64_MAX;
		space_marks(tier, &look, &row.evict_above, &row.evict_down_to);
	} else if (err.code) {
		row.problem = err.text;
	}
	session_row(session, LARDER_MSG_TIER, &row);
}

static void send_tiers(struct session *session)
{
	struct larderd *d = session_daemon(session);

	for (unsigned int i = 0; i < d->config.n_tiers; i++)
		send_tier(session, &d->tiers[i]);
}

void handle_DF(struct session *session, const void *msg)
{
	(void)msg;
	send_tiers(session);
	session_done(session, "");
}

static int count_lease(const struct inv_lease *lease, void *arg)
{
	uint32_t *n = arg;

	(void)lease;
	(*n)++;
	return 0;
}

static int send_counter(enum inv_counter counter, const char *name, const char *unit,
			const char *help, uint64_t value, void *arg)
{
	(void)counter;
	(void)unit;
	session_row(arg, LARDER_MSG_COUNTER,
		    &(struct larder_msg_COUNTER){.name = name, .help = help, .value = value});
	return 0;
}

static bool transfer_visible(const struct session *session, struct larderd *d,
			     const struct stage *stage)
{
	return access_known(d, &stage->tree, session_uid(session), session_admin(session)) == 1;
}

void handle_STATUS(struct session *session, const void *msg)
{
	struct larderd *d = session_daemon(session);
	struct larder_error err = {0};
	struct stage *stage, *tmp;
	uint32_t leases = 0;

	(void)msg;
	if (inventory_lease_each(d->inv, 0, 0, count_lease, &leases, &err)) {
		session_fail(session, &err);
		return;
	}
	session_row(session, LARDER_MSG_NODE,
		    &(struct larder_msg_NODE){
			    .node = d->node,
			    .version = LARDER_VERSION,
			    .started_s = d->started_s,
			    .drained = d->drained,
			    .leases = leases,
			    .jobs = HASH_COUNT(d->requests),
			    .transfers = HASH_COUNT(d->stages),
			    .engine = xfer_pool_engine(d->pool),
		    });
	send_tiers(session);
	HASH_ITER(hh, d->stages, stage, tmp)
	{
		struct larder_msg_TRANSFER row;
		char label[DATASET_LABEL_MAX], engine[64];

		if (!transfer_visible(session, d, stage))
			continue;
		stage_describe(stage, &row, label, engine);
		session_row(session, LARDER_MSG_TRANSFER, &row);
	}
	inventory_counter_each(d->inv, send_counter, session, &err);
	session_done(session, "");
}

/* --- LOG */

static int send_event(const struct inv_event *event, void *arg)
{
	row_event(arg, event);
	return 0;
}

void handle_LOG(struct session *session, const void *msg)
{
	const struct larder_msg_LOG *m = msg;
	struct larder_error err = {0};

	if (!session_admin(session)) {
		session_refuse(
			session, EPERM,
			"the audit log names every user's jobs: it is for root and members of admin_groups");
		return;
	}
	session_end(session,
		    inventory_event_each(session_daemon(session)->inv, m->after_seq,
					 m->limit > 100000 ? 100000 : m->limit, m->what, send_event,
					 session, &err),
		    &err);
}
