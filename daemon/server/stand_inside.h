/* What stand.c and stand_tell.c share: the changes, and how one of them is told. */
#ifndef SERVER_STAND_INSIDE_H
#define SERVER_STAND_INSIDE_H

#include "server/hash.h"
#include "server/larderd.h"
#include "server/session.h"

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

/* Begins a new incarnation. 0 or -errno; d->stand is NULL then. */
int stand_begin(struct larderd *d, struct larder_error *err);
/* Reads a tree that changed, and adds it up; sends it when the asker does not know it yet: changed
 * after `since`, or there when all is told. 0 or -errno. */
int stand_settle(struct session *session, struct note *note, uint64_t since, bool full,
		 struct larder_error *err);
/* All that changed after `since`, and what is not added up yet. 0 or -errno. */
int stand_news(struct session *session, uint64_t since, struct larder_error *err);
/* How full the tiers are, as of the last ten seconds. */
void stand_look_at_tiers(struct larderd *d);
/* --- stand_tell.c */
void stand_send_held(struct session *session, const struct inv_tree *tree, uint32_t leases,
		     uint32_t pins);

#endif
