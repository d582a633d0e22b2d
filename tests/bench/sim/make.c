/*
 * Owns traces that are made up: datasets, how often each is used, when jobs come.
 * Must not use any chance but the seed's.
 * Called by fleet_sim.c and trace.c.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "sim.h"

#define SIGMA 1.2 /* of the logarithm of a dataset's size: the largest of 300 is some 30 means */

/* Bytes a second of the three origins: a fast parallel file system, a busy one, a distant store. */
static const double origins[] = {2e9, 5e8, 1e8};

/* splitmix64 */
uint64_t sim_next(struct sim_random *random)
{
	uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

double sim_unit(struct sim_random *random)
{
	return (double)(sim_next(random) >> 11) * 0x1p-53;
}

static double exponential(struct sim_random *random, double mean)
{
	return -mean * log(1 - sim_unit(random));
}

static double normal(struct sim_random *random)
{
	double radius = sqrt(-2 * log(1 - sim_unit(random)));

	return radius * cos(2 * 3.14159265358979323846 * sim_unit(random));
}

static int make_datasets(const struct sim_load *load, struct sim_random *random,
			 struct sim_trace *trace)
{
	double weights = 0;
	auto_free double *weight = calloc(load->datasets, sizeof(*weight));

	trace->datasets = calloc(load->datasets, sizeof(*trace->datasets));
	if (!weight || !trace->datasets)
		return -ENOMEM;
	trace->n_datasets = load->datasets;
	for (uint32_t i = 0; i < load->datasets; i++)
		weights += weight[i] = exp(SIGMA * normal(random));
	for (uint32_t i = 0; i < load->datasets; i++) {
		struct sim_dataset *to = &trace->datasets[i];
		double share = weight[i] / weights;
		double speed = origins[sim_next(random) % (sizeof(origins) / sizeof(origins[0]))];

		to->bytes = (uint64_t)(share * (double)load->bytes) + 1;
		to->stage_s = 0.5 + (double)to->bytes / speed;
		if (asprintf(&to->name, "dataset-%u:v1", i) < 0)
			return to->name = NULL, -ENOMEM;
	}
	return 0;
}

/* Sums of 1/rank^zipf, for drawing by bisection. */
static double *popularity(uint32_t n, double zipf)
{
	double *sums = calloc(n, sizeof(*sums)), sum = 0;

	for (uint32_t i = 0; sums && i < n; i++)
		sums[i] = sum += pow((double)i + 1, -zipf);
	return sums;
}

static uint32_t draw(const double *sums, uint32_t n, struct sim_random *random)
{
	double at = sim_unit(random) * sums[n - 1];
	uint32_t low = 0, high = n - 1;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (sums[middle] > at)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Poisson arrivals that keep that share of the slots busy. Datasets from `many` on have one job. */
static void make_jobs(const struct sim_load *load, struct sim_random *random, const double *sums,
		      uint32_t many, struct sim_trace *trace)
{
	double gap = load->run_s / (load->busy * load->nodes * load->slots), at = 0;

	for (size_t i = 0; i < trace->n_jobs; i++) {
		trace->jobs[i] = (struct sim_job){
			.at_s = at,
			.run_s = exponential(random, load->run_s),
			.nodes = 1,
			.first = (uint32_t)i,
			.n = 1,
		};
		trace->refs[i] = draw(sums, many, random);
		at += exponential(random, gap);
	}
	for (uint32_t i = many; i < load->datasets; i++)
		trace->refs[sim_next(random) % trace->n_jobs] = i;
}

int sim_trace_make(const struct sim_load *load, struct sim_trace *trace, struct larder_error *err)
{
	struct sim_random random = {load->seed};
	uint32_t many = load->datasets - (uint32_t)(load->once * load->datasets);
	auto_free double *sums = popularity(many, load->zipf);

	*trace = (struct sim_trace){0};
	trace->n_jobs = trace->n_refs = (size_t)load->jobs_per_node * load->nodes;
	trace->jobs = calloc(trace->n_jobs, sizeof(*trace->jobs));
	trace->refs = calloc(trace->n_refs, sizeof(*trace->refs));
	if (!sums || !trace->jobs || !trace->refs || make_datasets(load, &random, trace))
		return larder_error_set(err, ENOMEM, "out of memory");
	make_jobs(load, &random, sums, many, trace);
	return 0;
}

void sim_trace_free(struct sim_trace *trace)
{
	for (size_t i = 0; i < trace->n_datasets; i++)
		free(trace->datasets[i].name);
	free(trace->datasets);
	free(trace->jobs);
	free(trace->refs);
	*trace = (struct sim_trace){0};
}
