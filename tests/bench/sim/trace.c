/*
 * Owns traces that were recorded: what `larder log --trace` wrote, as jobs.
 * Must not trust a line: each is checked, and the first bad one is named.
 * Called by fleet_sim.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The default function falls through its switch, which clang warns of. */
#define HASH_FUNCTION HASH_OAT
#include <uthash.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "sim.h"

/* A line: a dataset of a job on a node. larder(1), TRACES. */
struct line {
	double at_s, run_s, stage_s;
	uint64_t bytes;
	char *node, *job, *dataset;
};

struct name {
	UT_hash_handle hh;
	uint32_t index;
	char text[];
};

struct reading {
	struct sim_trace *trace;
	struct name *nodes, *datasets;
	struct line *lines;
	size_t n, room, room_datasets;
};

static void names_free(struct name *names)
{
	struct name *name, *next;

	HASH_ITER(hh, names, name, next)
	{
		HASH_DEL(names, name);
		free(name);
	}
}

/* Its number, a new one if it is new. NULL without memory. */
static struct name *name_of(struct name **names, const char *text)
{
	struct name *name;
	size_t len = strlen(text);

	HASH_FIND(hh, *names, text, len, name);
	if (name)
		return name;
	name = malloc(sizeof(*name) + len + 1);
	if (!name)
		return NULL;
	memcpy(name->text, text, len + 1);
	name->index = HASH_COUNT(*names);
	HASH_ADD_KEYPTR(hh, *names, name->text, len, name);
	return name;
}

/* A dataset is as large as its largest line says, and takes as long as its slowest staging of all
 * of it. */
static int see_dataset(struct reading *r, const struct line *line)
{
	struct name *name = name_of(&r->datasets, line->dataset);
	struct sim_trace *trace = r->trace;
	struct sim_dataset *dataset;

	if (!name)
		return -ENOMEM;
	if (name->index == trace->n_datasets) {
		if (trace->n_datasets == r->room_datasets) {
			size_t room = r->room_datasets ? 2 * r->room_datasets : 64;
			struct sim_dataset *more =
				reallocarray(trace->datasets, room, sizeof(*more));

			if (!more)
				return -ENOMEM;
			trace->datasets = more;
			r->room_datasets = room;
		}
		trace->datasets[trace->n_datasets++] =
			(struct sim_dataset){.name = strdup(line->dataset), .bytes = 1};
	}
	dataset = &trace->datasets[name->index];
	if (line->bytes > dataset->bytes)
		dataset->bytes = line->bytes;
	if (line->stage_s > dataset->stage_s)
		dataset->stage_s = line->stage_s;
	return 0;
}

static bool seconds(const char *text, double *value)
{
	char *end;

	*value = strtod(text, &end);
	return !*end && *value >= 0 && *value < 1e12;
}

/* TIME NODE JOB USER DATASET BYTES FOUND STAGE-SECONDS RUN-SECONDS */
static int take_line(struct reading *r, char *text)
{
	char *words[9], *save = NULL;
	struct line line = {0};
	size_t n = 0;

	while (n < 9 && (words[n] = strtok_r(n ? NULL : text, " \n", &save)))
		n++;
	if (n < 9 || strtok_r(NULL, " \n", &save) || !seconds(words[0], &line.at_s) ||
	    larder_u64_parse(words[5], &line.bytes, NULL) || !seconds(words[7], &line.stage_s) ||
	    !seconds(words[8], &line.run_s))
		return -EINVAL;
	line.node = words[1];
	line.job = words[2];
	line.dataset = words[4];
	if (r->n == r->room) {
		size_t room = r->room ? 2 * r->room : 1024;
		struct line *more = reallocarray(r->lines, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		r->lines = more;
		r->room = room;
	}
	if (see_dataset(r, &line) || !name_of(&r->nodes, line.node))
		return -ENOMEM;
	line.node = strdup(line.node);
	line.job = strdup(line.job);
	line.dataset = strdup(line.dataset);
	r->lines[r->n++] = line;
	return line.node && line.job && line.dataset ? 0 : -ENOMEM;
}

static int read_lines(struct reading *r, const char *path, FILE *f, struct larder_error *err)
{
	auto_free char *text = NULL;
	size_t room = 0, number = 0;

	while (getline(&text, &room, f) >= 0) {
		int rc;

		number++;
		if (text[0] == '#' || text[0] == '\n')
			continue;
		rc = take_line(r, text);
		if (rc)
			return larder_error_set(
				err, -rc,
				rc == -ENOMEM
					? "out of memory"
					: "%s: line %zu is no line of a trace: TIME NODE JOB "
					  "USER DATASET BYTES FOUND STAGE-SECONDS RUN-SECONDS",
				path, number);
	}
	if (!r->n)
		return larder_error_set(err, ENODATA, "%s: no job is in it", path);
	return 0;
}

/* By job, then the lines of one job by node. */
static int by_job(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	int rc = strcmp(x->job, y->job);

	return rc ? rc : strcmp(x->node, y->node);
}

static int by_time(const void *a, const void *b)
{
	const struct sim_job *x = a, *y = b;

	if (x->at_s != y->at_s)
		return x->at_s < y->at_s ? -1 : 1;
	return (x->first > y->first) - (x->first < y->first);
}

/* lines[from..to) are one job's: its datasets are those of its first node, its time the longest. */
static void take_job(struct reading *r, size_t from, size_t to)
{
	struct sim_trace *trace = r->trace;
	struct sim_job job = {
		.at_s = r->lines[from].at_s, .nodes = 1, .first = (uint32_t)trace->n_refs};

	for (size_t i = from; i < to; i++) {
		const struct line *line = &r->lines[i];
		struct name *name;

		if (i > from && strcmp(line->node, line[-1].node) != 0)
			job.nodes++;
		job.at_s = line->at_s < job.at_s ? line->at_s : job.at_s;
		job.run_s = line->run_s > job.run_s ? line->run_s : job.run_s;
		HASH_FIND(hh, r->datasets, line->dataset, strlen(line->dataset), name);
		if (job.nodes == 1 && name) {
			trace->refs[trace->n_refs++] = name->index;
			job.n++;
		}
	}
	trace->jobs[trace->n_jobs++] = job;
}

static int make_jobs(struct reading *r, struct larder_error *err)
{
	struct sim_trace *trace = r->trace;

	trace->jobs = calloc(r->n, sizeof(*trace->jobs));
	trace->refs = calloc(r->n, sizeof(*trace->refs));
	if (!trace->jobs || !trace->refs)
		return larder_error_set(err, ENOMEM, "out of memory");
	qsort(r->lines, r->n, sizeof(*r->lines), by_job);
	for (size_t from = 0, to; from < r->n; from = to) {
		for (to = from + 1; to < r->n && !strcmp(r->lines[to].job, r->lines[from].job);)
			to++;
		take_job(r, from, to);
	}
	qsort(trace->jobs, trace->n_jobs, sizeof(*trace->jobs), by_time);
	for (size_t i = trace->n_jobs; i-- > 0;)
		trace->jobs[i].at_s -= trace->jobs[0].at_s;
	trace->n_nodes = HASH_COUNT(r->nodes);
	/* Never staged while it was recorded: as the daemon guesses (core/evict.c). */
	for (size_t i = 0; i < trace->n_datasets; i++)
		if (trace->datasets[i].stage_s <= 0)
			trace->datasets[i].stage_s = 0.5 + (double)trace->datasets[i].bytes / 200e6;
	return 0;
}

int sim_trace_read(const char *path, struct sim_trace *trace, struct larder_error *err)
{
	struct reading r = {.trace = trace};
	FILE *f = strcmp(path, "-") ? fopen(path, "r") : stdin;
	int rc;

	*trace = (struct sim_trace){0};
	if (!f)
		return larder_error_set(err, errno, "%s: %s", path, strerror(errno));
	rc = read_lines(&r, path, f, err);
	if (!rc)
		rc = make_jobs(&r, err);
	if (f != stdin)
		fclose(f);
	names_free(r.nodes);
	names_free(r.datasets);
	for (size_t i = 0; i < r.n; i++) {
		free(r.lines[i].node);
		free(r.lines[i].job);
		free(r.lines[i].dataset);
	}
	free(r.lines);
	return rc;
}
