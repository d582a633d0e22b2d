/* What happens by itself: reconcile, watermarks, metrics, scrub, Slurm's timeout. */
#ifndef SERVER_TIMERS_H
#define SERVER_TIMERS_H

#include "server/larderd.h"

int timers_start(struct larderd *d, struct larder_error *err);
void timers_stop(struct larderd *d);
/* The rows of what was just granted, if anything was, are made in a moment. */
void timers_rows_soon(struct larderd *d);

/* start.c's: rows of a tier whose disk was swapped. */
int forget_tier(struct larderd *d, struct node_tier *tier, const char *id,
		struct larder_error *err);

#endif
