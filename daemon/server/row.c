/*
 * Owns the making of rows that several verbs send. Changes nothing.
 * Used by the handlers of the CLI's verbs.
 */
#include "server/row.h"

#include <stdio.h>
#include <string.h>

#include "server/dataset.h"
#include "server/names.h"
#include "server/stage.h"

void row_tree(struct session *session, const struct inv_tree *tree, const struct inv_hold *hold)
{
	struct larderd *d = session_daemon(session);
	char owner[64] = "";
	struct stage *stage = stage_of(d, tree->id);

	if (tree->owner != INV_OWNER_SITE)
		names_user(d, tree->owner, owner, sizeof(owner));
	session_row(
		session, LARDER_MSG_TREE,
		&(struct larder_msg_TREE){
			.id = tree->id,
			.name = tree->name,
			.version = tree->version,
			.digest = tree->digest,
			.state = tree->state,
			.tier = tree->tier,
			.owner = owner,
			.access = tree->access,
			.origin = tree->origin,
			.shards = tree->shards,
			.bytes = tree->bytes,
			.present_shards = stage ? stage->tree.present_shards : tree->present_shards,
			.present_bytes = stage ? stage->tree.present_bytes : tree->present_bytes,
			.leases = hold->leases,
			.pins = hold->pins,
			.uses = (uint64_t)(tree->uses + 0.5),
			.last_use_s = tree->last_use_s,
			.admitted_s = tree->admitted_s,
			.stage_ms = tree->stage_ms,
			.error = tree->error,
			.first_use = tree->first_use,
		});
}

struct row_walk {
	struct session *session;
	const struct inv_tree *tree;
};

void row_lease(struct session *session, const struct inv_tree *tree, const struct inv_lease *lease)
{
	char label[DATASET_LABEL_MAX], user[64];

	session_row(
		session, LARDER_MSG_LEASE,
		&(struct larder_msg_LEASE){
			.dataset = dataset_label(tree, label),
			.job_id = lease->job_id,
			.run = lease->run,
			.user = names_user(session_daemon(session), lease->uid, user, sizeof(user)),
			.since_s = lease->since_s,
			.bytes = tree->present_bytes,
		});
}

static int send_lease(const struct inv_lease *lease, void *arg)
{
	struct row_walk *walk = arg;

	if (session_admin(walk->session) || lease->uid == session_uid(walk->session))
		row_lease(walk->session, walk->tree, lease);
	return 0;
}

void row_leases(struct session *session, const struct inv_tree *tree)
{
	struct row_walk walk = {session, tree};
	struct larder_error ignored;

	inventory_lease_each(session_daemon(session)->inv, tree->id, 0, send_lease, &walk,
			     &ignored);
}

static int send_pin(const struct inv_pin *pin, void *arg)
{
	struct row_walk *walk = arg;
	char label[DATASET_LABEL_MAX], user[64];
	bool theirs = session_admin(walk->session) || pin->uid == session_uid(walk->session);

	session_row(walk->session, LARDER_MSG_PINNED,
		    &(struct larder_msg_PINNED){
			    .dataset = dataset_label(walk->tree, label),
			    .user = theirs ? names_user(session_daemon(walk->session), pin->uid,
							user, sizeof(user))
					   : "another user",
			    .until_s = pin->until_s,
			    .bytes = walk->tree->present_bytes,
			    .reason = theirs ? pin->reason : "",
		    });
	return 0;
}

void row_pins(struct session *session, const struct inv_tree *tree)
{
	struct row_walk walk = {session, tree};
	struct larder_error ignored;

	inventory_pin_each(session_daemon(session)->inv, tree->id, send_pin, &walk, &ignored);
}

static int send_source(const struct inv_source *source, void *arg)
{
	struct row_walk *walk = arg;
	uint64_t ms = source->busy_ms > 0 ? (uint64_t)source->busy_ms : 1;
	char label[DATASET_LABEL_MAX];

	session_row(walk->session, LARDER_MSG_SOURCE,
		    &(struct larder_msg_SOURCE){
			    .dataset = dataset_label(walk->tree, label),
			    .origin = source->origin,
			    .bytes = source->bytes,
			    .shards = source->shards,
			    .bytes_per_s = (uint64_t)((double)source->bytes * 1000 / (double)ms),
		    });
	return 0;
}

void row_sources(struct session *session, const struct inv_tree *tree)
{
	struct row_walk walk = {session, tree};
	struct larder_error ignored;

	inventory_source_each(session_daemon(session)->inv, tree->id, send_source, &walk, &ignored);
}

void row_event(struct session *session, const struct inv_event *event)
{
	session_row(session, LARDER_MSG_EVENT,
		    &(struct larder_msg_EVENT){.seq = event->seq,
					       .at_s = event->at_s,
					       .what = event->what,
					       .text = event->text});
}
