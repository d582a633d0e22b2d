/*
 * Owns what is told of plans: an OUTCOME to who made it, rows and lines to people. Changes nothing
 * but what it finds dropped. Used by ahead.c, JOBS and EXPLAIN.
 */
#include <stdio.h>

#include "larder/clock.h"
#include "server/ahead.h"
#include "server/ahead_inside.h"
#include "server/dataset.h"
#include "server/names.h"

/* What was brought may have been dropped since. */
static void item_look(struct item *item, struct inv_tree *tree)
{
	struct larder_error ignored;

	if (item->state != ITEM_READY)
		return;
	if (!inventory_tree_get(item->plan->d->inv, item->tree_id, tree, &ignored) &&
	    (tree->state == LARDER_TREE_READY || item->spec->subset))
		return;
	item->state = ITEM_FAILED;
	snprintf(item->text, sizeof(item->text), "%s was dropped again: jobs needed the room",
		 item->spec->name);
}

static void add_progress(struct item *item, struct larder_msg_OUTCOME *row)
{
	struct larder_msg_TRANSFER now;
	struct inv_tree tree = {0};
	char label[DATASET_LABEL_MAX], engine[64];

	item_look(item, &tree);
	if (item->interest.stage) {
		stage_describe(item->interest.stage, &now, label, engine);
		row->done_bytes += now.done_bytes;
		row->need_bytes += now.need_bytes;
		if (now.eta_ms > row->eta_ms)
			row->eta_ms = now.eta_ms;
	} else if (item->state == ITEM_READY) {
		row->done_bytes += tree.present_bytes;
		row->need_bytes += tree.present_bytes;
	}
	if (item->state == ITEM_FAILED && row->state != LARDER_OUTCOME_FAILED) {
		row->state = LARDER_OUTCOME_FAILED;
		row->text = item->text;
	} else if (item->state < ITEM_READY && row->state == LARDER_OUTCOME_READY) {
		row->state = LARDER_OUTCOME_PENDING;
	}
}

struct larder_msg_OUTCOME plan_outcome(struct plan *plan)
{
	struct larder_msg_OUTCOME row = {.state = LARDER_OUTCOME_READY,
					 .text = "",
					 .deadline_ms = plan->until_ms - clock_mono_ms()};

	for (size_t i = 0; i < plan->list.count; i++)
		add_progress(&plan->items[i], &row);
	return row;
}

void ahead_rows(struct session *session)
{
	struct larderd *d = session_daemon(session);
	struct plan *plan, *tmp;
	char user[64], text[320];

	HASH_ITER(hh, d->plans, plan, tmp)
	{
		struct larder_msg_OUTCOME now;

		if (!session_admin(session) && plan->uid != session_uid(session))
			continue;
		now = plan_outcome(plan);
		snprintf(text, sizeof(text), "staged ahead%s%s", *now.text ? ": " : "", now.text);
		session_row(session, LARDER_MSG_JOB,
			    &(struct larder_msg_JOB){
				    .job_id = plan->job_id,
				    .user = names_user(d, plan->uid, user, sizeof(user)),
				    .specs = plan->specs,
				    .state = now.state,
				    .since_s = plan->since_s,
				    .text = text,
			    });
	}
}

bool ahead_explain(struct session *session, uint32_t job_id)
{
	struct plan *plan = plan_of(session_daemon(session), job_id);
	struct larder_msg_OUTCOME now;
	char text[512];

	if (!plan || (!session_admin(session) && plan->uid != session_uid(session)))
		return false;
	now = plan_outcome(plan);
	snprintf(
		text, sizeof(text),
		"job %u is to come: what it asked for is staged ahead here, at low priority: %s%s%s",
		job_id, larder_outcome_word(now.state), *now.text ? ": " : "", now.text);
	session_row(session, LARDER_MSG_LINE, &(struct larder_msg_LINE){.text = text});
	return true;
}
