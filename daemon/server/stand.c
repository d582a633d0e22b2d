/*
 * Owns the numbers of changes since somebody first asked for the inventory, and sums kept with
 * them. Trees are read when they changed, never all of them for an idle poll.
 * Decides nothing. Told by the inventory of every write; called by stand_tell.c.
 */
#include "server/stand.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <utlist.h>

#include "larder/clock.h"
#include "server/dataset.h"
#include "server/stand_inside.h"

#define GONE_MAX 1024u /* evicted trees that are remembered; who missed more is told all */
#define SPACE_MS 10000 /* how old what statvfs said may be */

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

int stand_begin(struct larderd *d, struct larder_error *err)
{
	struct stand *stand = calloc(1, sizeof(*stand));
	int rc;

	if (!stand)
		return larder_error_set(err, ENOMEM, "out of memory");
	if (getrandom(&stand->incarnation, sizeof(stand->incarnation), 0) < 0)
		stand->incarnation = (uint64_t)clock_mono_ms();
	stand->incarnation |= 1; /* never 0, which an asker begins with */
	stand->looked_ms = -SPACE_MS;
	d->stand = stand;
	rc = inventory_tree_each(d->inv, NULL, note_all, stand, err);
	if (rc || stand->broken) {
		stand_forget(d);
		return rc ? rc : larder_error_set(err, ENOMEM, "out of memory");
	}
	inventory_watch(d->inv, on_touched, stand);
	return 0;
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

/* Reads a tree that changed; sends it when the asker does not know yet. */
int stand_settle(struct session *session, struct note *note, uint64_t since, bool full,
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
		stand_send_held(session, &tree, leases, pins);
	else if (news && !full)
		session_row(session, LARDER_MSG_GONE, &(struct larder_msg_GONE){.id = note->id});
	return 0;
}

void stand_look_at_tiers(struct larderd *d)
{
	struct stand *stand = d->stand;
	struct larder_error ignored;

	if (clock_mono_ms() - stand->looked_ms < SPACE_MS)
		return;
	stand->looked_ms = clock_mono_ms();
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

/* From the newest change back to the last that is known. */
int stand_news(struct session *session, uint64_t since, struct larder_error *err)
{
	struct stand *stand = session_daemon(session)->stand;
	struct note *note = stand->by_seq ? stand->by_seq->prev : NULL;

	while (note && (note->seq > since || note->dirty)) {
		if (stand_settle(session, note, since, false, err))
			return -err->code;
		note = note == stand->by_seq ? NULL : note->prev;
	}
	trim_gone(stand);
	return 0;
}
