/*
 * A fleet of nodes, a trace of jobs, and what the real policy code (core/evict.h, core/quota.h)
 * makes of them. No disk, no clock; the same trace and seed give the same figures.
 */
#ifndef BENCH_SIM_H
#define BENCH_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/evict.h"
#include "larder/error.h"

/* --- the trace --- */

struct sim_dataset {
	char *name; /* owned */
	uint64_t bytes;
	double stage_s; /* to bring all of it to a node */
};

struct sim_job {
	double at_s;  /* submitted; from the first job's on */
	double run_s; /* without staging */
	uint32_t nodes;
	uint32_t first, n; /* its datasets: refs[first .. first+n) */
};

struct sim_trace {
	struct sim_dataset *datasets;
	struct sim_job *jobs; /* by at_s */
	uint32_t *refs;
	size_t n_datasets, n_jobs, n_refs;
	size_t n_nodes; /* that the trace was recorded on; 0: made up */
};

/* What a site might look like; PITFALLS' figures are its defaults. */
struct sim_load {
	uint64_t seed;
	uint32_t nodes, slots;
	double busy;	   /* share of the slots that is taken, without staging */
	uint32_t datasets; /* of `bytes` together, sizes log-normal */
	uint64_t bytes;
	double once;  /* share of the datasets that one job uses, and no other */
	double zipf;  /* exponent of how often the others are used */
	double run_s; /* mean, exponential */
	uint32_t jobs_per_node;
};

/* Both 0 or -errno with a sentence; sim_trace_free afterwards in any case. */
int sim_trace_make(const struct sim_load *load, struct sim_trace *trace, struct larder_error *err);
int sim_trace_read(const char *path, struct sim_trace *trace, struct larder_error *err);
void sim_trace_free(struct sim_trace *trace);

/* A generator that is the same everywhere. */
struct sim_random {
	uint64_t state;
};
uint64_t sim_next(struct sim_random *random);
double sim_unit(struct sim_random *random); /* [0, 1) */

/* --- one node's cache --- */

/* What a node holds, or remembers, of a dataset. */
struct sim_tree {
	uint32_t dataset;
	uint32_t leases;
	uint32_t hits;
	bool present;
	uint64_t bytes; /* that are there */
	double uses, base;
	uint64_t last_seq, admitted_seq;
	double last_use_s, admitted_s, last_lease_end_s, ready_s;
};

struct sim_node {
	uint32_t id;
	struct sim_tree **trees; /* those present */
	size_t n, room;
	uint64_t used, capacity;
	uint64_t seq;
	double inflation;
};

/* What one choice of victims needs; grows. */
struct sim_scratch {
	struct evict_candidate *candidates;
	struct evict_victim *victims;
	struct sim_tree **trees;
	size_t room;
};

struct sim_policy {
	enum evict_policy policy;
	struct sim_scratch scratch;
	const struct sim_dataset *datasets;
	/* A dataset came to a node (whole) or is not whole there any more. */
	void (*changed)(void *arg, uint32_t node, uint32_t dataset, bool whole);
	void *arg;
};

enum sim_found { SIM_HIT, SIM_JOIN, SIM_MISS, SIM_REFUSED };

/*
 * A job on this node wants it now: leased, brought if need be, room made by the policy. *wait_s:
 * until it is there. SIM_REFUSED: no room can be made; it is read from the origin, *wait_s says how
 * long that takes. sim_release afterwards in any case.
 */
enum sim_found sim_acquire(struct sim_policy *policy, struct sim_node *node, struct sim_tree *tree,
			   double now_s, double *wait_s);
void sim_release(struct sim_tree *tree, double now_s);

/* All (node, dataset) that ever met: open addressing, never more than half full. */
struct sim_trees {
	uint64_t *keys; /* 0: free */
	struct sim_tree **trees;
	size_t size, n;
};

/* Made when it is asked for first. NULL without memory. */
struct sim_tree *sim_tree_of(struct sim_trees *trees, uint32_t node, uint32_t dataset);
void sim_trees_free(struct sim_trees *trees);

/* --- a run --- */

struct sim_config {
	enum evict_policy policy;
	bool affinity;
	uint32_t nodes, slots;
	uint64_t capacity;
	uint64_t seed;
};

struct sim_result {
	uint64_t jobs, missed; /* a job missed when a node of it had to bring something */
	uint64_t hits, joins, misses, refused; /* datasets on nodes */
	double staged_s, all_s; /* seconds of staging; and if there were no cache at all */
	double queued_s;	/* waited for a node, all jobs together */
	double busy;		/* share of the slots that was taken, staging included */
};

int sim_run(const struct sim_trace *trace, const struct sim_config *config,
	    struct sim_result *result, struct larder_error *err);

#endif
