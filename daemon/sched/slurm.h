/*
 * libslurm, for the two processes of larder-sched that may wait for slurmctld: the helper, which
 * reads, and the publisher, which changes. Calls may hang for 18 s and more.
 */
#ifndef SCHED_SLURM_H
#define SCHED_SLURM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "larder/error.h"

struct slurm_node {
	const char *name, *address;
	const char *features, *active; /* comma separated, never NULL */
	bool usable;		       /* jobs may start there: not down, drained, off */
	bool idle;
};

/* A job that is pending or on nodes, and has our token. */
struct slurm_ahead_job {
	uint32_t id;
	uint32_t uid, gid;
	bool pending;
	int64_t start_s;   /* pending: as planned, 0: not planned */
	const char *nodes; /* planned, or its own: names parted by commas, "" none */
	const char *specs; /* text for larder_spec_list_parse */
	/* pending: */
	const char *ours;   /* of its constraint, as constraint_split gives them; "" none */
	uint32_t min_nodes; /* how many nodes it wants at least */
	bool refused;	    /* BadConstraints: slurmctld holds it until features change */
};

void slurm_begin(void);
/* Only when something changed since *since, which it moves on; *same otherwise. NULL: always. */
int slurm_nodes_each(time_t *since, bool *same, int (*fn)(const struct slurm_node *node, void *arg),
		     void *arg, struct larder_error *err);
/* All of them, each time: slurmctld does not count a plan as a change. */
int slurm_jobs_each(int (*fn)(const struct slurm_ahead_job *job, void *arg), void *arg,
		    struct larder_error *err);
/* Both lists of all these nodes (a hostlist), in one request. */
int slurm_features_set(const char *hostlist, const char *features, const char *active,
		       struct larder_error *err);

/*
 * Takes our features out of a pending job's constraint; what else is there stays, and larder.lua
 * does not put them in again. 0 also when there is nothing to take out.
 */
int slurm_job_free(uint32_t job_id, struct larder_error *err);

#endif
