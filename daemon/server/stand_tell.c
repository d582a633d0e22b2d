/*
 * Owns what is told of the inventory: rows, and everything of it in pieces, so that nobody waits
 * for who asks for ten thousand trees. Answers INVENTORY. Keeps no numbers. Called by dispatch.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/evict.h"
#include "core/quota.h"
#include "larder/clock.h"
#include "server/dataset.h"
#include "server/dispatch.h"
#include "server/request.h"
#include "server/stage.h"
#include "server/stand.h"
#include "server/stand_inside.h"

#define SCORE_GIB 1073741824.0
#define PIECE	  128 /* trees that are read before others have their turn: some milliseconds */

/* --- rows */

static uint64_t milli(double value)
{
	double scaled = value * 1000;

	if (!(scaled > 0))
		return 0;
	return scaled < 1e18 ? (uint64_t)scaled : (uint64_t)1e18;
}

void stand_send_held(struct session *session, const struct inv_tree *tree, uint32_t leases,
		     uint32_t pins)
{
	struct larderd *d = session_daemon(session);
	const struct stage *stage = stage_of(d, tree->id);
	double uses = evict_decay(tree->uses, clock_s() - tree->last_use_s,
				  d->config.use_half_life / 1000);
	const struct evict_candidate candidate = {.bytes = dataset_footprint(tree),
						  .stage_ms = tree->stage_ms,
						  .uses = uses,
						  .base = tree->base};
	char owner[16] = "";

	if (tree->owner != INV_OWNER_SITE)
		snprintf(owner, sizeof(owner), "%u", tree->owner);
	session_row(
		session, LARDER_MSG_HELD,
		&(struct larder_msg_HELD){
			.id = tree->id,
			.name = tree->name,
			.version = tree->version,
			.digest = tree->digest,
			.state = tree->state,
			.owner = owner,
			.access = tree->access,
			.shards = tree->shards,
			.bytes = tree->bytes,
			.present_bytes = stage ? stage->tree.present_bytes : tree->present_bytes,
			.leases = leases,
			.pins = pins,
			.uses_milli = milli(uses),
			.last_use_s = tree->last_use_s,
			.stage_ms = tree->stage_ms,
			.score_milli = milli(evict_score(&candidate, d->inflation) * SCORE_GIB),
		});
}

/* seq: up to which the asker knows everything now. */
static void send_stand(struct session *session, uint64_t seq, bool full)
{
	struct larderd *d = session_daemon(session);
	const struct stand *stand = d->stand;
	uint64_t reserved = 0;

	stand_look_at_tiers(d);
	for (unsigned int i = 0; i < d->config.n_tiers; i++)
		reserved = quota_add(reserved, d->tiers[i].reserved_bytes);
	session_row(session, LARDER_MSG_STAND,
		    &(struct larder_msg_STAND){
			    .incarnation = stand->incarnation,
			    .seq = seq,
			    .full = full,
			    .node = d->node,
			    .version = LARDER_VERSION,
			    .drained = d->drained,
			    .capacity = stand->capacity,
			    .used = stand->used,
			    .leased = stand->leased,
			    .pinned = stand->pinned,
			    .reserved = reserved,
			    .free = stand->free,
			    .leases = stand->leases,
			    .transfers = HASH_COUNT(d->stages),
			    .jobs = HASH_COUNT(d->requests),
		    });
}

/* --- everything, in pieces */

/* One who is told all. The trees are those of its beginning; what changes meanwhile is news. */
struct telling {
	struct session *session;
	struct larderd *d;
	sd_event_source *source;
	uint64_t incarnation, seq;
	size_t n, at;
	uint64_t ids[];
};

static void telling_end(struct telling *telling)
{
	sd_event_source_disable_unref(telling->source);
	free(telling);
}

static void telling_left(void *arg)
{
	telling_end(arg);
}

static int tell_piece(struct telling *telling, struct larder_error *err)
{
	struct stand *stand = telling->d->stand;

	if (!stand || stand->broken || stand->incarnation != telling->incarnation)
		return larder_error_set(err, EAGAIN, "the inventory began anew; ask again");
	for (unsigned int i = 0; i < PIECE && telling->at < telling->n; i++) {
		struct note *note;

		HASH_FIND(hh, stand->by_id, &telling->ids[telling->at], sizeof(uint64_t), note);
		telling->at++;
		if (note && stand_settle(telling->session, note, 0, true, err))
			return -err->code;
	}
	return telling->at < telling->n ? 0 : stand_news(telling->session, stand->seq, err);
}

static int on_turn(sd_event_source *source, void *arg)
{
	struct telling *telling = arg;
	struct session *session = telling->session;
	struct larder_error err = {0};
	int rc = tell_piece(telling, &err);

	(void)source;
	if (!rc && telling->at < telling->n)
		return 0;
	session_park(session, NULL, NULL);
	if (rc) {
		if (rc != -EAGAIN)
			stand_forget(telling->d); /* some are settled and some are not */
		session_fail(session, &err);
	} else {
		send_stand(session, telling->seq, true);
		session_done(session, "");
	}
	telling_end(telling);
	return 0;
}

static int tell_all(struct session *session, struct larder_error *err)
{
	struct larderd *d = session_daemon(session);
	size_t all = HASH_COUNT(d->stand->by_id);
	struct telling *telling = calloc(1, sizeof(*telling) + all * sizeof(uint64_t));
	int rc;

	if (!telling)
		return larder_error_set(err, ENOMEM, "out of memory");
	telling->session = session;
	telling->d = d;
	telling->incarnation = d->stand->incarnation;
	telling->seq = d->stand->seq;
	for (const struct note *note = d->stand->by_id; note; note = note->hh.next)
		if (!note->gone)
			telling->ids[telling->n++] = note->id;
	rc = sd_event_add_defer(d->event, &telling->source, on_turn, telling);
	if (rc >= 0)
		rc = sd_event_source_set_enabled(telling->source, SD_EVENT_ON);
	if (rc < 0) {
		telling_end(telling);
		return larder_error_set(err, rc, "event loop: %s", strerror(-rc));
	}
	session_park(session, telling_left, telling);
	return 0;
}

void handle_INVENTORY(struct session *session, const void *msg)
{
	const struct larder_msg_INVENTORY *m = msg;
	struct larderd *d = session_daemon(session);
	struct larder_error err = {0};
	bool full;

	if (d->stand && d->stand->broken)
		stand_forget(d);
	if (!d->stand && stand_begin(d, &err)) {
		session_fail(session, &err);
		return;
	}
	full = m->incarnation != d->stand->incarnation || m->since < d->stand->floor ||
	       m->since > d->stand->seq;
	if (full) {
		if (tell_all(session, &err))
			session_fail(session, &err);
		return;
	}
	if (stand_news(session, m->since, &err)) {
		stand_forget(d); /* some are settled and some are not: begin anew */
		session_fail(session, &err);
		return;
	}
	send_stand(session, d->stand->seq, false);
	session_done(session, "");
}
