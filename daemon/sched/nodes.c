/*
 * Owns what is known of nodes and jobs from slurmctld and from nodes_file: where nodes are asked,
 * what features they have, which jobs are planned where.
 * Must not keep the lock while slurmctld is awaited. Called by the control thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "larder/text.h"
#include "log/log.h"
#include "sched/control.h"
#include "sched/feature.h"

#define DIFFERENT "!" /* no list of ours: what is wanted differs from it */

/* --- nodes_file */

static int take_line(struct sched *sched, const char *path, int number, char *line,
		     struct larder_error *err)
{
	char name[256], address[300], more[2];
	struct node *node;

	line[strcspn(line, "#\n")] = '\0';
	if (line[strspn(line, " \t")] == '\0')
		return 0;
	if (sscanf(line, "%255s %299s %1s", name, address, more) != 2 || !strchr(address, ':'))
		return larder_error_set(err, EINVAL, "%s:%d: a line is NAME HOST:PORT", path,
					number);
	node = model_node(&sched->model, name);
	if (!node || model_set_text(&node->address, address))
		return larder_error_set(err, ENOMEM, "out of memory");
	node->fixed_address = true;
	return 0;
}

int nodes_file_read(struct sched *sched, struct larder_error *err)
{
	const char *path = sched->config.nodes_file;
	auto_file FILE *file = *path ? fopen(path, "re") : NULL;
	auto_free char *line = NULL;
	size_t room = 0;
	int rc = 0;

	if (*path && !file)
		return larder_error_set(err, errno, "nodes_file %s: %s", path, strerror(errno));
	sched_lock(sched);
	for (int number = 1; file && !rc && getline(&line, &room, file) > 0; number++)
		rc = take_line(sched, path, number, line, err);
	sched_unlock(sched);
	return rc;
}

/* --- slurmctld's nodes */

static int set_address(struct sched *sched, struct node *node, const char *host)
{
	auto_free char *address = NULL;

	if (node->fixed_address)
		return 0;
	if (asprintf(&address, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host,
		     sched->config.node_port) < 0) {
		address = NULL;
		return -ENOMEM;
	}
	return model_set_text(&node->address, address);
}

/* Ours as slurmctld has them; what the two lists do not agree on is to be set again. */
static int set_have(struct node *node, const char *features, const char *active)
{
	auto_free char *all = features_ours(features), *now = features_ours(active);

	if (!all || !now)
		return -ENOMEM;
	return model_set_text(&node->have, strcmp(all, now) == 0 ? all : DIFFERENT);
}

/* node NAME ADDRESS USABLE IDLE FEATURES ACTIVE */
static int take_node(char **fields, unsigned int n, void *arg, struct larder_error *err)
{
	struct sched *sched = arg;
	struct node *node;
	int rc = -EPROTO;

	if (n != 7 || strcmp(fields[0], "node") != 0)
		return larder_error_set(err, EPROTO, "a line that is no node's");
	sched_lock(sched);
	node = model_node(&sched->model, fields[1]);
	rc = node ? set_address(sched, node, fields[2]) : -ENOMEM;
	if (!rc)
		rc = set_have(node, fields[5], fields[6]);
	if (!rc) {
		node->usable = strcmp(fields[3], "1") == 0;
		node->idle = strcmp(fields[4], "1") == 0;
		node->in_slurm = node->listed = true;
	}
	sched_unlock(sched);
	return rc ? larder_error_set(err, rc, "out of memory") : 0;
}

static void unlist(struct sched *sched)
{
	sched_lock(sched);
	for (struct node *node = sched->model.nodes; node; node = node->hh.next)
		node->listed = false;
	sched_unlock(sched);
}

/* A node that was taken out of slurm.conf is asked no more. */
static void drop_unlisted(struct sched *sched)
{
	sched_lock(sched);
	for (struct node *node = sched->model.nodes; node; node = node->hh.next) {
		node->changed = true; /* once a round all are chosen anew */
		if (node->listed || !node->in_slurm)
			continue;
		node->in_slurm = false;
		if (node->fixed_address)
			continue;
		free(node->address);
		node->address = NULL;
		model_node_here(node, false);
	}
	sched_unlock(sched);
}

static int ask_nodes(struct control *c, struct larder_error *err)
{
	bool same;
	int rc;

	unlist(c->sched);
	rc = ctld_ask(c->ctld, "nodes", c->wake_fd, &same, take_node, c->sched, err);
	if (!rc && !same)
		drop_unlisted(c->sched);
	return rc;
}

/* --- slurmctld's jobs */

struct jobs {
	struct ahead_job *items;
	struct bound_job *bound; /* as many places; the first n_bound are used */
	size_t n, room, n_bound;
};

static int number_of(const char *text, uint64_t max, uint64_t *number)
{
	return larder_u64_parse(text, number, NULL) || *number > max ? -EPROTO : 0;
}

static int jobs_grow(struct jobs *jobs)
{
	size_t room = jobs->room ? jobs->room * 2 : 64;
	struct ahead_job *items = reallocarray(jobs->items, room, sizeof(*items));
	struct bound_job *bound;

	if (!items)
		return -ENOMEM;
	jobs->items = items;
	bound = reallocarray(jobs->bound, room, sizeof(*bound));
	if (!bound)
		return -ENOMEM;
	jobs->bound = bound;
	jobs->room = room;
	return 0;
}

/* What of its constraint is ours. */
static int take_bound(struct jobs *jobs, const struct ahead_job *job, char **fields,
		      struct larder_error *err)
{
	uint64_t nodes;
	char *ours;

	if (number_of(fields[1], UINT32_MAX, &nodes))
		return larder_error_set(err, EPROTO, "a line that is no job's");
	if (!*fields[0] || !job->pending)
		return 0;
	ours = strdup(fields[0]);
	if (!ours)
		return larder_error_set(err, ENOMEM, "out of memory");
	jobs->bound[jobs->n_bound++] = (struct bound_job){.id = job->id,
							  .nodes = (uint32_t)nodes,
							  .refused = strcmp(fields[2], "1") == 0,
							  .ours = ours};
	return 0;
}

/* job ID PENDING UID GID START NODES SPECS OURS MIN-NODES REFUSED */
static int take_job(char **fields, unsigned int n, void *arg, struct larder_error *err)
{
	struct jobs *jobs = arg;
	uint64_t id, uid, gid, start;
	struct ahead_job *job;

	if (n != 11 || strcmp(fields[0], "job") != 0 || number_of(fields[1], UINT32_MAX, &id) ||
	    number_of(fields[3], UINT32_MAX, &uid) || number_of(fields[4], UINT32_MAX, &gid) ||
	    number_of(fields[5], INT64_MAX, &start))
		return larder_error_set(err, EPROTO, "a line that is no job's");
	if (jobs->n == jobs->room && jobs_grow(jobs))
		return larder_error_set(err, ENOMEM, "out of memory");
	job = &jobs->items[jobs->n];
	*job = (struct ahead_job){.id = (uint32_t)id,
				  .uid = (uint32_t)uid,
				  .gid = (uint32_t)gid,
				  .pending = strcmp(fields[2], "1") == 0,
				  .start_s = (int64_t)start,
				  .nodes = strdup(fields[6]),
				  .specs = strdup(fields[7])};
	jobs->n++;
	if (!job->nodes || !job->specs)
		return larder_error_set(err, ENOMEM, "out of memory");
	return take_bound(jobs, job, &fields[8], err);
}

static void jobs_fini(struct jobs *jobs)
{
	for (size_t i = 0; i < jobs->n; i++) {
		free((char *)(uintptr_t)jobs->items[i].nodes);
		free((char *)(uintptr_t)jobs->items[i].specs);
	}
	for (size_t i = 0; i < jobs->n_bound; i++)
		free((char *)(uintptr_t)jobs->bound[i].ours);
	free(jobs->items);
	free(jobs->bound);
}

/* Without an answer the plan stands as it is. */
static int ask_jobs(struct control *c, struct larder_error *err)
{
	struct jobs jobs = {0};
	bool same;
	int rc = ctld_ask(c->ctld, "jobs", c->wake_fd, &same, take_job, &jobs, err);

	if (!rc && !same) {
		if (c->sched->config.ahead)
			rc = ahead_update(c->ahead, jobs.items, jobs.n, clock_s(), orders_ahead, c);
		if (!rc)
			rc = bound_update(c->bound, jobs.bound, jobs.n_bound, clock_mono_ms());
		if (rc)
			larder_error_set(err, ENOMEM, "out of memory");
	}
	jobs_fini(&jobs);
	return rc;
}

void nodes_ask_slurm(struct control *c)
{
	struct sched *sched = c->sched;
	struct larder_error err = {0};
	int rc = ask_nodes(c, &err);

	if (!rc && (sched->config.ahead || sched->config.features))
		rc = ask_jobs(c, &err);
	if (rc == -ECANCELED)
		return;
	if (rc && !c->ctld_failures)
		log_event(LOG_LEVEL_WARNING, "slurm.silent", "error=\"%s\"", err.text);
	if (!rc && c->ctld_failures)
		log_event(LOG_LEVEL_INFO, "slurm.answers", "failures=%u", c->ctld_failures);
	c->ctld_failures = rc ? c->ctld_failures + 1 : 0;
	sched_lock(sched);
	sched->ctld_answers = !rc;
	sched_unlock(sched);
}
