/*
 * What is staged ahead of jobs: pairs of a pending job and a node that Slurm plans for it. Pure:
 * slurmctld's jobs and a clock in, orders out.
 */
#ifndef SCHED_AHEAD_H
#define SCHED_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "larder/error.h"

/* A job with data, as slurmctld has it. Strings borrowed. */
struct ahead_job {
	uint32_t id, uid, gid;
	bool pending;
	int64_t start_s;   /* planned; 0: not */
	const char *nodes; /* parted by commas: planned, or its own when it runs */
	const char *specs;
};

struct ahead_params {
	unsigned int max; /* pairs */
	int64_t horizon_s, ttl_ms;
};

/* An order for a node. forget: the plan changed. Strings borrowed during the call. */
struct ahead_order {
	bool forget;
	const char *node;
	uint32_t job_id, uid, gid;
	const char *specs;
	int64_t start_s;
};
typedef void (*ahead_order_fn)(const struct ahead_order *order, void *arg);

struct ahead;

/* NULL on ENOMEM. */
struct ahead *ahead_create(const struct ahead_params *params);
void ahead_destroy(struct ahead *ahead);
/*
 * All of slurmctld's jobs that have data: new pairs are due at once; pairs that are planned no more
 * are forgotten, with an order unless the job runs on that node, where its own request takes over,
 * and after a TTL when the job has no plan at all: it is being planned again.
 * The jobs that start first win. 0 or -ENOMEM.
 */
int ahead_update(struct ahead *ahead, const struct ahead_job *jobs, size_t n, int64_t now_s,
		 ahead_order_fn fn, void *arg);
/* Orders that are due: new ones, and each again after a third of its TTL. */
void ahead_due(struct ahead *ahead, int64_t now_ms, ahead_order_fn fn, void *arg);
/* A node did not get its orders: all of them are due again. */
void ahead_again(struct ahead *ahead, const char *node);
/* For shutdown: every pair is forgotten, with an order. */
void ahead_forget_all(struct ahead *ahead, ahead_order_fn fn, void *arg);
size_t ahead_count(const struct ahead *ahead);

#endif
