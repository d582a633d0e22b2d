/*
 * What placement and eviction policy give a fleet: the daemon's own policy code, driven by a trace
 * of jobs. Must not touch a disk or look at a clock, but to read a trace. Run by fleet-sim.sh; by
 * hand: fleet_sim --help.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/text.h"
#include "sim/sim.h"

enum placement { RANDOM, AFFINITY, BOTH };

struct options {
	struct sim_load load;
	const char *trace;
	uint64_t capacity;
	enum placement placement;
	int policy; /* enum evict_policy; -1: each */
	FILE *json; /* NULL: none */
};

static const struct argp_option arguments[] = {
	{"nodes", 'n', "N", 0, "nodes of the fleet (64; with a trace: as many as it names)", 0},
	{"slots", 's', "N", 0, "jobs that a node takes at once (1)", 0},
	{"capacity", 'c', "SIZE", 0, "of each node's cache (4T)", 0},
	{"placement", 'p', "random|affinity|both", 0, "where jobs go (both)", 0},
	{"policy", 'e', "gdsf|s3fifo|lru|all", 0, "who is evicted (all)", 0},
	{"trace", 't', "FILE", 0,
	 "what `larder log --trace` recorded, instead of a load that is made up", 0},
	{"jobs", 'j', "N", 0, "made-up jobs for each node (100)", 0},
	{"datasets", 'd', "N", 0, "made-up datasets (300)", 0},
	{"bytes", 'b', "SIZE", 0, "of all datasets together (7T)", 0},
	{"busy", 'u', "SHARE", 0, "of the slots that is taken (0.5)", 0},
	{"zipf", 'z', "S", 0, "exponent of how often datasets are used (0.6)", 0},
	{"seed", 'S', "N", 0, "of chance (1)", 0},
	{"json", 'J', "FILE", 0, "append a line of JSON for each row", 0},
	{0},
};

static uint32_t number(const char *text, struct argp_state *state)
{
	uint64_t value;

	if (larder_u64_parse(text, &value, NULL) || !value || value > UINT32_MAX)
		argp_error(state, "%s: a number from 1 is wanted", text);
	return (uint32_t)value;
}

static uint64_t size(const char *text, struct argp_state *state)
{
	struct larder_error err = {0};
	uint64_t bytes = 0;

	if (larder_size_parse(text, &bytes, &err))
		argp_error(state, "%s", err.text);
	return bytes;
}

static double share(const char *text, struct argp_state *state)
{
	char *end;
	double value = strtod(text, &end);

	if (*end || !(value > 0) || value > 1)
		argp_error(state, "%s: a share between 0 and 1 is wanted", text);
	return value;
}

static enum placement placement(const char *text, struct argp_state *state)
{
	static const char *const words[] = {"random", "affinity", "both"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(text, words[i]))
			return (enum placement)i;
	argp_error(state, "%s: random, affinity or both", text);
	return BOTH;
}

static int policy(const char *text, struct argp_state *state)
{
	int value = evict_policy_parse(text);

	if (value < 0 && strcmp(text, "all") != 0)
		argp_error(state, "%s: gdsf, s3fifo, lru or all", text);
	return value < 0 ? -1 : value;
}

static error_t take(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'n': o->load.nodes = number(arg, state); break;
	case 's': o->load.slots = number(arg, state); break;
	case 'c': o->capacity = size(arg, state); break;
	case 'p': o->placement = placement(arg, state); break;
	case 'e': o->policy = policy(arg, state); break;
	case 't': o->trace = arg; break;
	case 'j': o->load.jobs_per_node = number(arg, state); break;
	case 'd': o->load.datasets = number(arg, state); break;
	case 'b': o->load.bytes = size(arg, state); break;
	case 'u': o->load.busy = share(arg, state); break;
	case 'S': o->load.seed = number(arg, state); break;
	case 'z': o->load.zipf = share(arg, state); break;
	case 'J':
		o->json = fopen(arg, "a");
		if (!o->json)
			argp_failure(state, 1, errno, "%s", arg);
		break;
	case ARGP_KEY_ARG: argp_error(state, "%s: no arguments, only options", arg); break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static double percent(double part, double whole)
{
	return whole > 0 ? 100 * part / whole : 0;
}

static void show(const struct options *o, const struct sim_config *config,
		 const struct sim_result *r)
{
	static const char *const policies[] = {"gdsf", "s3fifo", "lru"};
	const char *where = config->affinity ? "affinity" : "random";
	double jobs = (double)r->jobs, missed = percent((double)r->missed, jobs);
	double not_saved = percent(r->staged_s, r->all_s);

	printf("%7u  %-9s %-7s %9" PRIu64 " %7.1f %13.1f %9.1f %9.1f %6.1f %8" PRIu64 "\n",
	       config->nodes, where, policies[config->policy], r->jobs, missed, r->staged_s / jobs,
	       not_saved, r->queued_s / jobs, 100 * r->busy, r->refused);
	fflush(stdout);
	if (!o->json)
		return;
	fprintf(o->json,
		"{\"summary\":\"fleet-sim\",\"nodes\":%u,\"capacity\":%" PRIu64
		",\"placement\":\"%s\",\"policy\":\"%s\",\"jobs\":%" PRIu64
		",\"missed\":%.2f,\"stage_s\":%.2f,\"not_saved\":%.2f,\"refused\":%" PRIu64 "}\n",
		config->nodes, config->capacity, where, policies[config->policy], r->jobs, missed,
		r->staged_s / jobs, not_saved, r->refused);
}

static int run_all(const struct options *o, const struct sim_trace *trace, struct larder_error *err)
{
	int rc = 0;

	for (int affinity = 0; affinity < 2; affinity++) {
		for (int p = EVICT_GDSF; p <= EVICT_LRU && !rc; p++) {
			const struct sim_config config = {
				.policy = (enum evict_policy)p,
				.affinity = affinity,
				.nodes = o->load.nodes,
				.slots = o->load.slots,
				.capacity = o->capacity,
				.seed = o->load.seed,
			};
			struct sim_result result;

			if ((o->placement != BOTH && (int)o->placement != affinity) ||
			    (o->policy >= 0 && o->policy != p))
				continue;
			rc = sim_run(trace, &config, &result, err);
			if (!rc)
				show(o, &config, &result);
		}
	}
	return rc;
}

static int simulate(struct options *o, struct larder_error *err)
{
	struct sim_trace trace;
	int rc = o->trace ? sim_trace_read(o->trace, &trace, err)
			  : sim_trace_make(&o->load, &trace, err);

	if (!rc && !o->load.nodes)
		o->load.nodes = (uint32_t)trace.n_nodes;
	if (!rc)
		printf("  nodes  placement policy       jobs  missed  staging s/job not saved  queued s   busy  refused\n");
	if (!rc)
		rc = run_all(o, &trace, err);
	sim_trace_free(&trace);
	return rc;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = arguments,
		.parser = take,
		.doc = "Shows what placement and eviction policy give a fleet of larderd.\v"
		       "missed: jobs that had to bring data, in %. not saved: seconds of staging, in % of "
		       "what they would be without a cache.",
	};
	struct options o = {
		.load = {.seed = 1,
			 .slots = 1,
			 .busy = 0.5,
			 .datasets = 300,
			 .bytes = UINT64_C(7) << 40,
			 .once = 0.3,
			 .zipf = 0.6,
			 .run_s = 3600,
			 .jobs_per_node = 100},
		.capacity = UINT64_C(4) << 40,
		.placement = BOTH,
		.policy = -1,
	};
	struct larder_error err = {0};
	int rc;

	argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (!o.trace && !o.load.nodes)
		o.load.nodes = 64;
	rc = simulate(&o, &err);
	if (o.json)
		fclose(o.json);
	if (rc) {
		fprintf(stderr, "fleet_sim: %s\n", err.text);
		return 1;
	}
	return 0;
}
