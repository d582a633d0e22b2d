/*
 * The simulator of fleets: small traces whose figures can be told by hand, and files of traces.
 * Must not depend on the made-up load's exact figures: those are the bench's.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../bench/sim/sim.h"
#include "scratch.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define GB	 UINT64_C(1000000000)

/* One job a line of the table, one dataset each. */
static struct sim_trace trace_of(struct sim_dataset *datasets, size_t n_datasets,
				 struct sim_job *jobs, uint32_t *refs, size_t n_jobs)
{
	for (size_t i = 0; i < n_jobs; i++) {
		jobs[i].nodes = jobs[i].nodes ? jobs[i].nodes : 1;
		jobs[i].first = (uint32_t)i;
		jobs[i].n = 1;
	}
	return (struct sim_trace){.datasets = datasets,
				  .n_datasets = n_datasets,
				  .jobs = jobs,
				  .n_jobs = n_jobs,
				  .refs = refs,
				  .n_refs = n_jobs};
}

static struct sim_result run_of(const struct sim_trace *trace, const struct sim_config *config)
{
	struct sim_result result;

	assert_int_equal(sim_run(trace, config, &result, NULL), 0);
	return result;
}

static void test_one_node_counts_as_by_hand(void **state)
{
	struct sim_dataset datasets[] = {{"a", 10 * GB, 100}, {"b", 10 * GB, 50}};
	/* a is brought, then there; b is brought; both stay */
	struct sim_job jobs[] = {{.at_s = 0, .run_s = 10},
				 {.at_s = 1000, .run_s = 10},
				 {.at_s = 2000, .run_s = 10},
				 {.at_s = 3000, .run_s = 10}};
	uint32_t refs[] = {0, 0, 1, 0};
	struct sim_trace trace = trace_of(datasets, 2, jobs, refs, 4);
	struct sim_config config = {.nodes = 1, .slots = 1, .capacity = 100 * GB, .seed = 1};
	struct sim_result r = run_of(&trace, &config);

	(void)state;
	assert_int_equal(r.jobs, 4);
	assert_int_equal(r.missed, 2);
	assert_int_equal(r.hits, 2);
	assert_int_equal(r.misses, 2);
	assert_true(r.staged_s == 150 && r.all_s == 350);
	assert_true(r.queued_s == 0);
}

static void test_what_does_not_fit_is_evicted_or_refused(void **state)
{
	struct sim_dataset datasets[] = {
		{"a", 10 * GB, 100}, {"b", 10 * GB, 100}, {"c", 90 * GB, 9}};
	struct sim_job jobs[] = {{.at_s = 0, .run_s = 1},
				 {.at_s = 10000, .run_s = 1},
				 {.at_s = 20000, .run_s = 1},
				 {.at_s = 30000, .run_s = 1}};
	uint32_t refs[] = {0, 1, 0, 2};
	struct sim_trace trace = trace_of(datasets, 3, jobs, refs, 4);
	struct sim_config config = {
		.policy = EVICT_LRU, .nodes = 1, .slots = 1, .capacity = 15 * GB, .seed = 1};
	struct sim_result r = run_of(&trace, &config);

	(void)state;
	assert_int_equal(r.missed, 4);
	assert_int_equal(r.refused, 1);
	/* a, b's room at the cost of a part of a, that part again, and c from its origin */
	assert_true(r.staged_s > 209 && r.staged_s < 309);
}

static void test_two_jobs_at_once_bring_it_once(void **state)
{
	struct sim_dataset datasets[] = {{"a", 10 * GB, 100}};
	struct sim_job jobs[] = {{.at_s = 0, .run_s = 10}, {.at_s = 50, .run_s = 10}};
	uint32_t refs[] = {0, 0};
	struct sim_trace trace = trace_of(datasets, 1, jobs, refs, 2);
	struct sim_config config = {.nodes = 1, .slots = 2, .capacity = 100 * GB, .seed = 1};
	struct sim_result r = run_of(&trace, &config);

	(void)state;
	assert_int_equal(r.misses, 1);
	assert_int_equal(r.joins, 1);
	assert_true(r.staged_s == 100);
}

/* Eight jobs, one after the other, on eight nodes. */
static void test_affinity_finds_the_holder_and_chance_does_not(void **state)
{
	struct sim_dataset datasets[] = {{"a", GB, 10}};
	struct sim_job jobs[8];
	uint32_t refs[8] = {0};
	struct sim_trace trace;
	struct sim_config config = {
		.affinity = true, .nodes = 200, .slots = 1, .capacity = 100 * GB, .seed = 1};

	(void)state;
	for (size_t i = 0; i < COUNT(jobs); i++)
		jobs[i] = (struct sim_job){.at_s = 1000.0 * (double)i, .run_s = 1};
	trace = trace_of(datasets, 1, jobs, refs, COUNT(jobs));
	assert_int_equal(run_of(&trace, &config).missed, 1);
	config.affinity = false;
	assert_in_range(run_of(&trace, &config).missed, 6, 8);
	/* the holder is busy: elsewhere at once, and then there are two */
	config.affinity = true;
	jobs[0].run_s = 1500;
	config.seed = 2;
	assert_int_equal(run_of(&trace, &config).missed, 2);
	assert_true(run_of(&trace, &config).queued_s == 0);
}

static void test_a_job_of_several_nodes_waits_for_all_of_them(void **state)
{
	struct sim_dataset datasets[] = {{"a", GB, 10}};
	struct sim_job jobs[] = {{.at_s = 0, .run_s = 90, .nodes = 2},
				 {.at_s = 1, .run_s = 1, .nodes = 2}};
	uint32_t refs[] = {0, 0};
	struct sim_trace trace = trace_of(datasets, 1, jobs, refs, 2);
	struct sim_config config = {
		.affinity = true, .nodes = 3, .slots = 1, .capacity = 100 * GB, .seed = 1};
	struct sim_result r = run_of(&trace, &config);
	struct larder_error err = {0};

	(void)state;
	assert_true(r.queued_s == 99);
	assert_int_equal(r.hits, 2);
	config.nodes = 1;
	assert_int_equal(sim_run(&trace, &config, &r, &err), -EINVAL);
	assert_non_null(strstr(err.text, "2 nodes"));
}

static void test_the_same_seed_gives_the_same_figures(void **state)
{
	struct sim_load load = {.seed = 7,
				.nodes = 16,
				.slots = 1,
				.busy = 0.5,
				.datasets = 50,
				.bytes = 1000 * GB,
				.once = 0.3,
				.zipf = 0.6,
				.run_s = 3600,
				.jobs_per_node = 50};
	struct sim_config config = {.nodes = 16, .slots = 1, .capacity = 300 * GB, .seed = 7};
	struct sim_trace one, two;
	struct sim_result a, b;

	(void)state;
	assert_int_equal(sim_trace_make(&load, &one, NULL), 0);
	assert_int_equal(sim_trace_make(&load, &two, NULL), 0);
	a = run_of(&one, &config);
	b = run_of(&two, &config);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(a.jobs, 800);
	assert_in_range((uint64_t)(a.busy * 100), 40, 60);
	assert_true(a.misses > 100 && a.hits > 50);
	sim_trace_free(&one);
	sim_trace_free(&two);
}

static void test_a_recorded_trace_is_read(void **state)
{
	static const char text[] = "# larder trace 1\n"
				   "100 n1 7 u1 a:v1 5000 miss 12.5 60\n"
				   "100 n2 7 u1 a:v1 5000 hit 0 61\n"
				   "100 n1 7 u1 b:v1 1000 miss 3 60\n"
				   "160.5 n2 8 u2 a:v1 5000 hit 0 5\n";
	char *dir = scratch_create();
	const char *path = scratch_path(dir, "trace");
	struct sim_trace trace;

	(void)state;
	scratch_write(path, text, sizeof(text) - 1);
	assert_int_equal(sim_trace_read(path, &trace, NULL), 0);
	assert_int_equal(trace.n_nodes, 2);
	assert_int_equal(trace.n_jobs, 2);
	assert_int_equal(trace.jobs[0].nodes, 2);
	assert_int_equal(trace.jobs[0].n, 2);
	assert_true(trace.jobs[0].at_s == 0 && trace.jobs[0].run_s == 61);
	assert_true(trace.jobs[1].at_s == 60.5 && trace.jobs[1].n == 1);
	assert_int_equal(trace.n_datasets, 2);
	assert_int_equal(trace.datasets[0].bytes, 5000);
	assert_true(trace.datasets[0].stage_s == 12.5);
	sim_trace_free(&trace);
	scratch_destroy(dir);
}

static void test_bad_traces_are_refused_by_line(void **state)
{
	static const char *const bad[] = {
		"100 n1 7 u1 a:v1 5000 miss 12.5\n",
		"100 n1 7 u1 a:v1 5000 miss 12.5 60 more\n",
		"-1 n1 7 u1 a:v1 5000 miss 12.5 60\n",
		"x n1 7 u1 a:v1 5000 miss 12.5 60\n",
		"100 n1 7 u1 a:v1 many miss 12.5 60\n",
		"100 n1 7 u1 a:v1 5000 miss nan 60\n",
		"# nothing\n",
		"",
	};
	char *dir = scratch_create();

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		const char *path = scratch_path(dir, "trace");
		struct larder_error err = {0};
		struct sim_trace trace;

		scratch_write(path, bad[i], strlen(bad[i]));
		assert_int_not_equal(sim_trace_read(path, &trace, &err), 0);
		assert_non_null(strstr(err.text, i < 6 ? "line 1" : "no job"));
		sim_trace_free(&trace);
	}
	scratch_destroy(dir);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_node_counts_as_by_hand),
		cmocka_unit_test(test_what_does_not_fit_is_evicted_or_refused),
		cmocka_unit_test(test_two_jobs_at_once_bring_it_once),
		cmocka_unit_test(test_affinity_finds_the_holder_and_chance_does_not),
		cmocka_unit_test(test_a_job_of_several_nodes_waits_for_all_of_them),
		cmocka_unit_test(test_the_same_seed_gives_the_same_figures),
		cmocka_unit_test(test_a_recorded_trace_is_read),
		cmocka_unit_test(test_bad_traces_are_refused_by_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
