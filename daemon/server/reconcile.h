/*
 * No lease outlives its job: leases are compared with Slurm's jobs every reconcile_every and at
 * start. Nothing is released while slurmctld gives no answer.
 */
#ifndef SERVER_RECONCILE_H
#define SERVER_RECONCILE_H

#include "server/larderd.h"

/* At start: jobs of an earlier boot go at once, unless a step of theirs still answers here. */
int reconcile_boot(struct larderd *d, struct larder_error *err);
/* Asks about every job that is old enough and not seen alive here. */
void reconcile_now(struct larderd *d);

#endif
