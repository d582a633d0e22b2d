/*
 * Owns the numbers of changes since somebody first asked for the inventory, and sums kept with
 * them. Answers INVENTORY. Trees are read when they changed, never all of them for an idle poll.
 * Decides nothing. Told by the inventory of every write; called by dispatch.
 */
#include "server/stand.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <utlist.h>

#include "core/evict.h"
#include "core/quota.h"
#include "server/dataset.h"
#include "server/dispatch.h"
#include "server/hash.h"
#include "server/request.h"
#include "server/stage.h"

#define GONE_MAX  1024u /* evicted trees that are remembered; who missed more is told all */
#define SPACE_MS  10000 /* how old what statvfs said may be */
#define SCORE_GIB 1073741824.0

/* A tree, present or gone, and when it last changed. */
struct note {
	UT_hash_handle hh;
	struct note *prev, *next; /* by seq, the oldest first */
	uint64_t id;
	uint64_t seq;
	bool gone;
	bool dirty; /* its share of the sums is of before the change */
	uint64_t used, leased, pinned;
	uint32_t leases;
};

struct stand {
	uint64_t incarnation, seq;
	uint64_t floor; /* a `since` below it would miss trees that went */
	struct note *by_id, *by_seq;
	unsigned int n_gone;
	bool broken; /* a change could not be noted */
	uint64_t used, leased, pinned;
	uint32_t leases;
	uint64_t capacity, free; /* as of looked_ms */
	int64_t looked_ms;
};

/* --- taking note */

static void on_touched(uint64_t tree, void *arg)
{
	struct stand *stand = arg;
	struct note *note;

	HASH_FIND(hh, stand->by_id, &tree, sizeof(tree), note);
	if (note) {
		DL_DELETE(stand->by_seq, note);
	} else {
		note = calloc(1, sizeof(*note));
		if (!note) {
			stand->broken = true;
			return;
		}
		note->id = tree;
		HASH_ADD(hh, stand->by_id, id, sizeof(note->id), note);
	}
	note->seq = ++stand->seq;
	note->dirty = true;
	DL_APPEND(stand->by_seq, note);
}

static int note_all(const struct inv_tree *tree, void *arg)
{
	on_touched(tree->id, arg);
	return 0;
}

static struct stand *stand_begin(struct larderd *d, struct larder_error *err)
{
	struct stand *stand = calloc(1, sizeof(*stand));
	int rc;

	if (!stand) {
		larder_error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (getrandom(&stand->incarnation, sizeof(stand->incarnation), 0) < 0)
		stand->incarnation = (uint64_t)now_mono_ms();
	stand->incarnation |= 1; /* never 0, which an asker begins with */
	stand->looked_ms = -SPACE_MS;
	d->stand = stand;
	rc = inventory_tree_each(d->inv, NULL, note_all, stand, err);
	if (rc || stand->broken) {
		stand_forget(d);
		if (!rc)
			larder_error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	inventory_watch(d->inv, on_touched, stand);
	return stand;
}

void stand_forget(struct larderd *d)
{
	struct stand *stand = d->stand;
	struct note *note, *tmp;

	if (!stand)
		return;
	d->stand = NULL;
	inventory_watch(d->inv, NULL, NULL);
	HASH_ITER(hh, stand->by_id, note, tmp)
	{
		HASH_DEL(stand->by_id, note);
		free(note);
	}
	free(stand);
}

/* --- sums */

static void sums_take(struct stand *stand, struct note *note, const struct inv_tree *tree,
		      uint32_t leases, uint32_t pins)
{
	bool here = tree && tree->state != LARDER_TREE_EVICTING;
	uint64_t bytes = here ? dataset_footprint(tree) : 0;

	stand->used += bytes - note->used;
	stand->leased += (leases ? bytes : 0) - note->leased;
	stand->pinned += (pins ? bytes : 0) - note->pinned;
	stand->leases += leases - note->leases;
	note->used = bytes;
	note->leased = leases ? bytes : 0;
	note->pinned = pins ? bytes : 0;
	note->leases = leases;
	note->dirty = false;
}

/* Trees that went long ago make place; who did not hear of them is told all. */
static void trim_gone(struct stand *stand)
{
	struct note *note, *tmp;

	if (stand->n_gone <= GONE_MAX)
		return;
	DL_FOREACH_SAFE(stand->by_seq, note, tmp)
	{
		if (!note->gone)
			continue;
		stand->floor = note->seq;
		DL_DELETE(stand->by_seq, note);
		HASH_DEL(stand->by_id, note);
		free(note);
		if (--stand->n_gone <= GONE_MAX / 2)
			return;
	}
}

/* --- rows */

static uint64_t milli(double value)
{
	double scaled = value * 1000;

	if (!(scaled > 0))
		return 0;
	return scaled < 1e18 ? (uint64_t)scaled : (uint64_t)1e18;
}

static void send_held(struct session *session, const struct inv_tree *tree, uint32_t leases,
		      uint32_t pins)
{
	struct larderd *d = session_daemon(session);
	const struct stage *stage = stage_of(d, tree->id);
	double uses =
		evict_decay(tree->uses, now_s() - tree->last_use_s, d->config.use_half_life / 1000);
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

/* Reads a tree that changed; sends it when the asker does not know yet. */
static int settle(struct session *session, struct note *note, uint64_t since, bool full,
		  struct larder_error *err)
{
	struct larderd *d = session_daemon(session);
	bool news = full ? !note->gone : note->seq > since;
	uint32_t leases = 0, pins = 0;
	struct inv_tree tree;
	int rc;

	if (!news && !note->dirty)
		return 0;
	rc = note->gone ? -ENOENT : inventory_tree_get(d->inv, note->id, &tree, err);
	if (!rc)
		rc = inventory_lease_count(d->inv, note->id, &leases, err);
	if (!rc)
		rc = inventory_pin_count(d->inv, note->id, &pins, err);
	if (rc && rc != -ENOENT)
		return rc;
	if (rc && !note->gone)
		d->stand->n_gone++;
	note->gone = rc != 0;
	sums_take(d->stand, note, rc ? NULL : &tree, leases, pins);
	if (news && !rc)
		send_held(session, &tree, leases, pins);
	else if (news && !full)
		session_row(session, LARDER_MSG_GONE, &(struct larder_msg_GONE){.id = note->id});
	return 0;
}

static void look_at_tiers(struct larderd *d)
{
	struct stand *stand = d->stand;
	struct larder_error ignored;

	if (now_mono_ms() - stand->looked_ms < SPACE_MS)
		return;
	stand->looked_ms = now_mono_ms();
	stand->capacity = stand->free = 0;
	for (unsigned int i = 0; i < d->config.n_tiers; i++) {
		const struct node_tier *tier = &d->tiers[i];
		struct tier_space space;
		uint64_t capacity;

		if (!tier->tier || tier_space(tier->tier, &space, &ignored))
			continue;
		capacity = config_share_of(tier->config->capacity, space.size);
		stand->capacity += capacity < space.size ? capacity : space.size;
		stand->free += space.free;
	}
}

static void send_stand(struct session *session, bool full)
{
	struct larderd *d = session_daemon(session);
	const struct stand *stand = d->stand;
	uint64_t reserved = 0;

	look_at_tiers(d);
	for (unsigned int i = 0; i < d->config.n_tiers; i++)
		reserved = quota_add(reserved, d->tiers[i].reserved_bytes);
	session_row(session, LARDER_MSG_STAND,
		    &(struct larder_msg_STAND){
			    .incarnation = stand->incarnation,
			    .seq = stand->seq,
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

/* From the newest change back to the last that is known; all the list when all is told. */
static int send_news(struct session *session, uint64_t since, bool full, struct larder_error *err)
{
	struct stand *stand = session_daemon(session)->stand;
	struct note *note = stand->by_seq ? stand->by_seq->prev : NULL;

	while (note && (full || note->seq > since || note->dirty)) {
		if (settle(session, note, since, full, err))
			return -err->code;
		note = note == stand->by_seq ? NULL : note->prev;
	}
	trim_gone(stand);
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
	if (!d->stand && !stand_begin(d, &err)) {
		session_fail(session, &err);
		return;
	}
	full = m->incarnation != d->stand->incarnation || m->since < d->stand->floor ||
	       m->since > d->stand->seq;
	if (send_news(session, m->since, full, &err)) {
		stand_forget(d); /* some are settled and some are not: begin anew */
		session_fail(session, &err);
		return;
	}
	send_stand(session, full);
	session_done(session, "");
}
