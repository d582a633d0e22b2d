/*
 * Pending jobs whose constraint has features of ours (--dataset-placement=require): what nodes must
 * keep for them, and who is to be let go, because Slurm holds a job that no node can take. Pure.
 */
#ifndef SCHED_BOUND_H
#define SCHED_BOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sched/model.h"

struct bound_job {
	uint32_t id, nodes; /* at least so many nodes */
	bool refused;	    /* Slurm says BadConstraints, which is a hold */
	const char *ours;   /* sorted, comma separated; borrowed during the call */
};

struct bound_params {
	int64_t now_ms;
	int64_t silent_ms; /* how long a holder may be down or drained before others are tried */
	bool settled;	   /* every node has answered or had the time to: what is not seen is not */
};

/* why: static. */
typedef void (*bound_fn)(uint32_t job_id, const char *why, void *arg);

struct bound;

/* NULL on ENOMEM. */
struct bound *bound_create(void);
void bound_destroy(struct bound *bound);
/* These are all of them now; since when one waits is kept. 0 or -ENOMEM. */
int bound_update(struct bound *bound, const struct bound_job *jobs, size_t n, int64_t now_ms);
/* Does any job wait? */
bool bound_some(const struct bound *bound);
/* Does a job wait for this feature? */
bool bound_needs(const struct bound *bound, const char *feature);
/*
 * The jobs that cannot start where their data is: too few nodes are to have all its features, or
 * none of these has taken jobs for silent_ms, or Slurm refuses them though nodes have the features.
 */
void bound_stuck(struct bound *bound, const struct model *model, const struct bound_params *params,
		 bound_fn fn, void *arg);
/* Each of them, for a stop that takes all features along. */
void bound_all(const struct bound *bound, bound_fn fn, void *arg);

#endif
