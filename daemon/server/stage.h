/*
 * A stage brings a tree to READY (or as far as is wanted): make its directories, plan, have room
 * reserved, transfer, account. One per tree at a time: who wants the same joins.
 */
#ifndef SERVER_STAGE_H
#define SERVER_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/hash.h"
#include "server/larderd.h"

struct own_remote;

/* Somebody who wants the tree; embedded in what wants. A stage that nobody wants is cancelled. */
struct interest {
	struct interest *prev, *next;
	struct stage *stage;	   /* NULL: not in any */
	const char *subset;	   /* NULL: all of it; borrowed */
	bool planned;		   /* the transfer under way covers it */
	bool low;		   /* it can wait: for a job that is to come */
	uint32_t priority;	   /* among the low ones, among the others; larger goes first */
	struct own_remote *remote; /* of a user's own URL: as whom it is asked; borrowed; NULL */
	/* Once; the interest is in no stage any more. rc 0: what was wanted is there, durable. */
	void (*done)(struct interest *interest, int rc, const struct larder_error *err);
};

/* Somebody who only looks on: holds nothing, and is told when the stage is over. */
struct onlooker {
	struct onlooker *prev, *next;
	struct stage *stage; /* NULL: not at any */
	/* Once; the stage is over, the tree's row says how, and the onlooker is at none any more.
	 */
	void (*over)(struct onlooker *onlooker);
};

enum stage_phase {
	STAGE_BLOCKED,	 /* the tree is being trimmed or checked: begins when that is over */
	STAGE_PLANNING,	 /* a worker makes directories and reads manifests */
	STAGE_ADMITTING, /* waits for room */
	STAGE_QUEUED,	 /* waits for its turn */
	STAGE_RUNNING,
};

struct stage {
	UT_hash_handle hh;
	uint64_t tree_id; /* key */
	struct larderd *d;
	struct inv_tree tree;
	struct node_tier *tier;
	enum stage_phase phase;
	struct interest *interests;
	struct onlooker *onlookers;
	struct letter letter;	 /* to begin */
	struct stage_plan *plan; /* what the worker made: stage_plan.h */
	struct transfer *transfer;
	struct own_remote *remote;		/* of the transfer; its own reference */
	int manifest_fd;			/* for making the tree; -1: it has its manifest */
	uint64_t need_bytes, need_inodes;	/* to reserve */
	uint64_t held_bytes, held_inodes;	/* still reserved */
	uint64_t durable_shards, durable_bytes; /* of this stage */
	int64_t began_ms;			/* of the transfer */
	int64_t rate_ms;			/* for the rate of the last seconds */
	uint64_t rate_bytes, rate;
	bool retried; /* once after ENOSPC */
	bool cancelled;
	bool ending;
};

/*
 * Joins or starts. manifest_fd: taken; -1 when the tree has its manifest already. Returns 1 when it
 * joined a stage under way, 0 when it started one; done() comes later, never from in here.
 */
int stage_join(struct larderd *d, uint64_t tree_id, int manifest_fd, struct interest *interest,
	       struct larder_error *err);
/* done() is not called any more. The last one to leave cancels. */
void stage_leave(struct interest *interest);
/* over() comes when the stage is over; unless it leaves before. */
void stage_look_on(struct stage *stage, struct onlooker *onlooker);
void stage_look_away(struct onlooker *onlooker);
/* Do only such want it that can wait? */
bool stage_low(const struct stage *stage);
/* The stage of a tree, NULL: none. */
struct stage *stage_of(struct larderd *d, uint64_t tree_id);
/* Is this tree filled, or linked from, just now? */
bool stage_uses(struct larderd *d, uint64_t tree_id);
/* What it was blocked by is over. */
void stage_unblock(struct larderd *d, uint64_t tree_id);

/* space.c's answer to space_ask: room is reserved (rc 0), or there is none. */
void stage_admitted(struct stage *stage, int rc, const struct larder_error *err);

/* For status, AWAIT and metrics. */
void stage_describe(struct stage *stage, struct larder_msg_TRANSFER *row, char label[],
		    char engine[64]);
/* All are cancelled and over when this returns; for the end of the daemon. */
void stages_close(struct larderd *d);

#endif
