/*
 * Questions to slurmctld: a process of our own asks them, for libslurm can hang for many seconds.
 * It is killed at the deadline and started anew with the next question.
 */
#ifndef SCHED_CTLD_H
#define SCHED_CTLD_H

#include <stdbool.h>
#include <stdint.h>

#include "larder/error.h"

struct ctld;

/* A line's fields, parted at tabs; fields[0] is its kind. Changed in place; gone after the call. */
typedef int (*ctld_line_fn)(char **fields, unsigned int n, void *arg, struct larder_error *err);

/* Starts nothing yet. slurm_conf "": Slurm's own. 0 or -ENOMEM. */
int ctld_create(const char *slurm_conf, int64_t timeout_ms, struct ctld **ctld,
		struct larder_error *err);
void ctld_destroy(struct ctld *ctld);
/*
 * Asks ("nodes", "jobs"), waits for the whole answer, then gives each line to fn. *same: nothing
 * changed since the last answer, and there are no lines. wake_fd: readable ends the waiting with
 * -ECANCELED. -ETIMEDOUT, -EIO with slurmctld's sentence.
 */
int ctld_ask(struct ctld *ctld, const char *question, int wake_fd, bool *same, ctld_line_fn fn,
	     void *arg, struct larder_error *err);

#endif
