/* What stage.c and stage_end.c share: the turns of a stage. */
#ifndef SERVER_STAGE_INSIDE_H
#define SERVER_STAGE_INSIDE_H

#include "server/stage.h"

/* News from a transfer's threads. */
struct stage_letter {
	struct letter letter;
	struct stage *stage;	 /* of a transfer that is over */
	struct stage_plan *plan; /* of durable shards */
	int rc;
	struct larder_error err;
	uint64_t bytes;
	size_t n;
	uint64_t indices[];
};

/* A letter's: the first round, or another one. arg: the stage. */
void stage_begin(void *arg);
/* A round is over. Tells whom it served; begins again for who came later; else frees the stage. */
void stage_end(struct stage *stage, int rc, const struct larder_error *err);
/* Shards are durable: into the inventory. */
void stage_account(struct stage *stage, const struct stage_letter *letter,
		   struct larder_error *err);
/* Its turn has come. */
void stage_transfer(struct stage *stage);
/* A place among the running transfers is free. */
void stage_start_next(struct larderd *d);

#endif
