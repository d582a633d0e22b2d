/*
 * Owns a run: which jobs wait, which nodes are free, who holds what, and the sums.
 * Must not decide who is evicted (node.c does, by the daemon's code).
 * Called by fleet_sim.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "sim.h"

/* A set of nodes. */
struct bits {
	uint64_t *words;
};

struct running {
	double end_s;
	uint32_t job, node;
};

struct run {
	const struct sim_trace *trace;
	const struct sim_config *config;
	struct sim_result *result;
	struct sim_random random;
	struct sim_policy policy;
	struct sim_node *nodes;
	uint32_t *slots;		 /* free ones, each node */
	uint32_t *free, *place, n_free;	 /* nodes with a free slot, and where each stands there */
	struct bits free_bits, *holders; /* the latter by dataset, words NULL: nobody yet */
	uint32_t *n_holders;
	uint32_t *picked; /* for one job */
	size_t words;
	struct running *heap; /* the earliest end first */
	size_t n_running, heap_room;
	struct sim_trees trees;
	size_t next, waiting; /* jobs[waiting..next) are in the queue */
	double now_s, slot_s;
	bool failed;
};

/* --- small sets --- */

static void bit_set(struct bits *bits, uint32_t i, bool on)
{
	if (on)
		bits->words[i / 64] |= UINT64_C(1) << (i % 64);
	else
		bits->words[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

static bool bit_get(const struct bits *bits, uint32_t i)
{
	return bits->words && bits->words[i / 64] >> (i % 64) & 1;
}

static void node_free(struct run *run, uint32_t node)
{
	if (run->slots[node]++)
		return;
	run->place[node] = run->n_free;
	run->free[run->n_free++] = node;
	bit_set(&run->free_bits, node, true);
}

static void node_take(struct run *run, uint32_t node)
{
	uint32_t last;

	if (--run->slots[node])
		return;
	last = run->free[--run->n_free];
	run->free[run->place[node]] = last;
	run->place[last] = run->place[node];
	bit_set(&run->free_bits, node, false);
}

static void changed(void *arg, uint32_t node, uint32_t dataset, bool whole)
{
	struct run *run = arg;
	struct bits *bits = &run->holders[dataset];

	if (!bits->words && !(bits->words = calloc(run->words, sizeof(*bits->words)))) {
		run->failed = true;
		return;
	}
	if (bit_get(bits, node) == whole)
		return;
	bit_set(bits, node, whole);
	run->n_holders[dataset] += whole ? 1 : UINT32_MAX;
}

/* --- which nodes --- */

/* The job's dataset that the fewest nodes hold, of those that any holds. false: none. */
static bool rarest(const struct run *run, const struct sim_job *job, uint32_t *dataset)
{
	bool found = false;

	for (uint32_t i = 0; i < job->n; i++) {
		uint32_t ref = run->trace->refs[job->first + i];

		if (!run->n_holders[ref])
			continue;
		if (!found || run->n_holders[ref] < run->n_holders[*dataset])
			*dataset = ref;
		found = true;
	}
	return found;
}

/* Word i of the nodes that hold all of the job's datasets. */
static uint64_t all_holders(const struct run *run, const struct sim_job *job, size_t word)
{
	uint64_t all = ~UINT64_C(0);

	for (uint32_t i = 0; i < job->n; i++) {
		const struct bits *bits = &run->holders[run->trace->refs[job->first + i]];

		all &= bits->words ? bits->words[word] : 0;
	}
	return all;
}

static bool anybody_has_all(const struct run *run, const struct sim_job *job)
{
	for (size_t i = 0; i < run->words; i++)
		if (all_holders(run, job, i))
			return true;
	return false;
}

/*
 * Free nodes that Slurm would prefer after larder.lua: those with all datasets or, if there are
 * none in the fleet, with the rarest. All that the job needs, or none: *n stays 0.
 */
static void preferred(struct run *run, const struct sim_job *job, uint32_t *nodes, uint32_t *n)
{
	size_t from = (size_t)(sim_next(&run->random) % run->words);
	uint32_t only = 0, count = 0;
	bool all;

	if (!rarest(run, job, &only))
		return;
	all = job->n == 1 || anybody_has_all(run, job);
	for (size_t i = 0; i < run->words && count < job->nodes; i++) {
		size_t word = (from + i) % run->words;
		uint64_t some = run->free_bits.words[word] & (all ? all_holders(run, job, word)
								  : run->holders[only].words[word]);

		for (; some && count < job->nodes; some &= some - 1)
			nodes[count++] = (uint32_t)word * 64 + (uint32_t)__builtin_ctzll(some);
	}
	*n = count == job->nodes ? count : 0;
}

/* By chance, without repeating one. */
static void any_nodes(struct run *run, uint32_t want, uint32_t *nodes)
{
	for (uint32_t i = 0; i < want; i++) {
		uint32_t at = i + (uint32_t)(sim_next(&run->random) % (run->n_free - i));
		uint32_t other = run->free[i];

		nodes[i] = run->free[at];
		run->free[i] = nodes[i];
		run->free[at] = other;
		run->place[nodes[i]] = i;
		run->place[other] = at;
	}
}

static int heap_push(struct run *run, struct running item)
{
	size_t at = run->n_running;

	if (at == run->heap_room) {
		size_t room = at ? 2 * at : 1024;
		struct running *more = reallocarray(run->heap, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		run->heap = more;
		run->heap_room = room;
	}
	run->n_running++;
	for (; at && run->heap[(at - 1) / 2].end_s > item.end_s; at = (at - 1) / 2)
		run->heap[at] = run->heap[(at - 1) / 2];
	run->heap[at] = item;
	return 0;
}

static struct running heap_pop(struct run *run)
{
	struct running top = run->heap[0], last = run->heap[--run->n_running];
	size_t at = 0, child;

	while ((child = 2 * at + 1) < run->n_running) {
		if (child + 1 < run->n_running &&
		    run->heap[child + 1].end_s < run->heap[child].end_s)
			child++;
		if (last.end_s <= run->heap[child].end_s)
			break;
		run->heap[at] = run->heap[child];
		at = child;
	}
	run->heap[at] = last;
	return top;
}

static void count_found(struct sim_result *result, enum sim_found found)
{
	switch (found) {
	case SIM_HIT: result->hits++; break;
	case SIM_JOIN: result->joins++; break;
	case SIM_MISS: result->misses++; break;
	case SIM_REFUSED: result->refused++; break;
	}
}

/* Acquires all datasets there. Seconds until all are; *missed says whether one had to be brought.
 */
static double start_on(struct run *run, const struct sim_job *job, uint32_t node, bool *missed)
{
	double longest = 0;

	for (uint32_t i = 0; i < job->n; i++) {
		uint32_t dataset = run->trace->refs[job->first + i];
		struct sim_tree *tree = sim_tree_of(&run->trees, node, dataset);
		enum sim_found found;
		double wait_s;

		if (!tree) {
			run->failed = true;
			return 0;
		}
		found = sim_acquire(&run->policy, &run->nodes[node], tree, run->now_s, &wait_s);
		count_found(run->result, found);
		run->result->all_s += run->trace->datasets[dataset].stage_s;
		if (found == SIM_MISS || found == SIM_REFUSED) {
			run->result->staged_s += wait_s;
			*missed = true;
		}
		longest = wait_s > longest ? wait_s : longest;
	}
	return longest;
}

static void start_job(struct run *run, uint32_t index)
{
	const struct sim_job *job = &run->trace->jobs[index];
	uint32_t *nodes = run->picked, n = 0;
	double longest = 0;
	bool missed = false;

	if (run->config->affinity)
		preferred(run, job, nodes, &n);
	if (!n)
		any_nodes(run, job->nodes, nodes);
	for (uint32_t i = 0; i < job->nodes; i++) {
		double wait_s = start_on(run, job, nodes[i], &missed);

		longest = wait_s > longest ? wait_s : longest;
		node_take(run, nodes[i]);
	}
	run->result->jobs++;
	run->result->missed += missed;
	run->result->queued_s += run->now_s - job->at_s;
	for (uint32_t i = 0; i < job->nodes; i++) {
		run->slot_s += longest + job->run_s;
		if (heap_push(run,
			      (struct running){run->now_s + longest + job->run_s, index, nodes[i]}))
			run->failed = true;
	}
}

static void end_job(struct run *run, const struct running *done)
{
	const struct sim_job *job = &run->trace->jobs[done->job];

	for (uint32_t i = 0; i < job->n; i++) {
		struct sim_tree *tree =
			sim_tree_of(&run->trees, done->node, run->trace->refs[job->first + i]);

		if (tree)
			sim_release(tree, run->now_s);
	}
	node_free(run, done->node);
}

/* First come, first served: the head of the queue waits until there are nodes enough. */
static void start_waiting(struct run *run)
{
	while (run->waiting < run->next && !run->failed &&
	       run->trace->jobs[run->waiting].nodes <= run->n_free)
		start_job(run, (uint32_t)run->waiting++);
}

/* The next arrival, or the next end: of all nodes that are free at that moment. */
static void step(struct run *run)
{
	bool left = run->next < run->trace->n_jobs;
	double arrival_s = left ? run->trace->jobs[run->next].at_s : 0;

	if (!run->n_running || (left && arrival_s < run->heap[0].end_s)) {
		run->now_s = arrival_s;
		run->next++;
		start_waiting(run);
		return;
	}
	run->now_s = run->heap[0].end_s;
	while (run->n_running && run->heap[0].end_s <= run->now_s) {
		struct running done = heap_pop(run);

		end_job(run, &done);
	}
	start_waiting(run);
}

static int run_begin(struct run *run)
{
	uint32_t nodes = run->config->nodes;

	run->words = (nodes + 63) / 64;
	run->nodes = calloc(nodes, sizeof(*run->nodes));
	run->slots = calloc(nodes, sizeof(*run->slots));
	run->free = calloc(nodes, sizeof(*run->free));
	run->place = calloc(nodes, sizeof(*run->place));
	run->free_bits.words = calloc(run->words, sizeof(uint64_t));
	run->holders = calloc(run->trace->n_datasets, sizeof(*run->holders));
	run->picked = calloc(nodes, sizeof(*run->picked));
	run->n_holders = calloc(run->trace->n_datasets, sizeof(*run->n_holders));
	if (!run->nodes || !run->slots || !run->free || !run->place || !run->free_bits.words ||
	    !run->holders || !run->picked || !run->n_holders)
		return -ENOMEM;
	for (uint32_t i = 0; i < nodes; i++) {
		run->nodes[i] = (struct sim_node){.id = i, .capacity = run->config->capacity};
		for (uint32_t s = 0; s < run->config->slots; s++)
			node_free(run, i);
	}
	return 0;
}

static void run_end(struct run *run)
{
	for (uint32_t i = 0; run->nodes && i < run->config->nodes; i++)
		free(run->nodes[i].trees);
	for (size_t i = 0; run->holders && i < run->trace->n_datasets; i++)
		free(run->holders[i].words);
	sim_trees_free(&run->trees);
	free(run->nodes);
	free(run->slots);
	free(run->free);
	free(run->place);
	free(run->free_bits.words);
	free(run->holders);
	free(run->picked);
	free(run->policy.scratch.candidates);
	free(run->policy.scratch.victims);
	free(run->policy.scratch.trees);
	free(run->n_holders);
	free(run->heap);
}

int sim_run(const struct sim_trace *trace, const struct sim_config *config,
	    struct sim_result *result, struct larder_error *err)
{
	struct run run = {
		.trace = trace,
		.config = config,
		.result = result,
		.random = {config->seed},
		.policy = {.policy = config->policy,
			   .datasets = trace->datasets,
			   .changed = changed,
			   .arg = &run},
	};
	int rc = 0;

	*result = (struct sim_result){0};
	for (size_t i = 0; i < trace->n_jobs && !rc; i++)
		if (trace->jobs[i].nodes > config->nodes)
			rc = larder_error_set(
				err, EINVAL,
				"a job of the trace has %u nodes; --nodes %u is too few",
				trace->jobs[i].nodes, config->nodes);
	if (!rc && run_begin(&run))
		rc = larder_error_set(err, ENOMEM, "out of memory");
	while (!rc && (run.waiting < trace->n_jobs || run.n_running)) {
		step(&run);
		if (run.failed)
			rc = larder_error_set(err, ENOMEM, "out of memory");
	}
	if (run.now_s > 0)
		result->busy = run.slot_s / (run.now_s * config->nodes * config->slots);
	run_end(&run);
	return rc;
}
