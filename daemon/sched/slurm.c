/*
 * Owns the talk with slurmctld: the one file of larder-sched that includes slurm.h.
 * Must not decide anything, nor run in the process that serves: libslurm may hang.
 * Called by slurm_helper.c and publisher.c, each in a process of its own.
 */
#include "sched/slurm.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "sched/feature.h"
#include "sched/token.h"

/* libslurm answers with -1 and errno, or with the error itself. */
static int error_of(int rc)
{
	if (rc > 0)
		return rc;
	return errno > 0 ? errno : EIO;
}

static int fail(const char *what, int error, struct larder_error *err)
{
	return larder_error_set(err, EIO, "slurmctld, asked for %s: %s (%d)", what,
				slurm_strerror(error), error);
}

void slurm_begin(void)
{
	slurm_init(NULL);
}

/*
 * Nodes that are powered down are brought up for a job: they hold nothing, but jobs start there.
 * Unknown are all of them after a restart of slurmctld, until they say what they were before.
 */
static bool usable(uint32_t state)
{
	uint32_t base = state & NODE_STATE_BASE;

	return base != NODE_STATE_DOWN && base != NODE_STATE_ERROR && base != NODE_STATE_FUTURE &&
	       !(state & (NODE_STATE_DRAIN | NODE_STATE_FAIL));
}

static int say_node(const node_info_t *info, int (*fn)(const struct slurm_node *, void *),
		    void *arg)
{
	struct slurm_node node = {
		.name = info->name,
		.address = info->node_addr ? info->node_addr : info->name,
		.features = info->features ? info->features : "",
		/* "Same as features if NULL" */
		.active = info->features_act ? info->features_act
			  : info->features   ? info->features
					     : "",
		.usable = usable(info->node_state),
		.idle = (info->node_state & NODE_STATE_BASE) == NODE_STATE_IDLE,
	};

	return info->name && *info->name ? fn(&node, arg) : 0;
}

int slurm_nodes_each(time_t *since, bool *same, int (*fn)(const struct slurm_node *, void *),
		     void *arg, struct larder_error *err)
{
	node_info_msg_t *nodes = NULL;
	int rc = 0;

	if (same)
		*same = false;
	errno = 0;
	rc = slurm_load_node(since ? *since : 0, &nodes, SHOW_ALL);
	if (rc != SLURM_SUCCESS) {
		int error = error_of(rc);

		if (same && error == SLURM_NO_CHANGE_IN_DATA) {
			*same = true;
			return 0;
		}
		return fail("nodes", error, err);
	}
	if (since)
		*since = nodes->last_update;
	for (uint32_t i = 0; !rc && i < nodes->record_count; i++)
		rc = say_node(&nodes->node_array[i], fn, arg);
	slurm_free_node_info_msg(nodes);
	return rc;
}

/* "n[1-2],n7" as "n1,n2,n7". To free; NULL without memory. */
static char *expand(const char *hostlist)
{
	/* hostlist_t was a pointer's name until 23.11. */
	__typeof__(slurm_hostlist_create(NULL)) list;
	char *text = NULL, *name;
	size_t room;
	FILE *out;

	if (!hostlist || !*hostlist)
		return strdup("");
	list = slurm_hostlist_create(hostlist);
	out = list ? open_memstream(&text, &room) : NULL;
	for (bool first = true; out && (name = slurm_hostlist_shift(list)); first = false) {
		fprintf(out, "%s%s", first ? "" : ",", name);
		free(name);
	}
	if (out && fclose(out)) {
		free(text);
		text = NULL;
	}
	if (list)
		slurm_hostlist_destroy(list);
	return text;
}

static int say_job(const slurm_job_info_t *info, int (*fn)(const struct slurm_ahead_job *, void *),
		   void *arg)
{
	uint32_t base = info->job_state & JOB_STATE_BASE;
	bool pending = base == JOB_PENDING;
	auto_free char *specs = NULL, *nodes = NULL, *ours = NULL, *theirs = NULL;

	if ((!pending && base != JOB_RUNNING && base != JOB_SUSPENDED) ||
	    (info->job_state & JOB_COMPLETING))
		return 0;
	specs = token_specs(info->admin_comment);
	nodes = specs ? expand(pending ? info->sched_nodes : info->nodes) : NULL;
	if (!nodes || (pending && info->features &&
		       constraint_split(info->features, &ours, &theirs) == -ENOMEM))
		return 0;
	struct slurm_ahead_job job = {
		.id = info->job_id,
		.uid = info->user_id,
		.gid = info->group_id,
		.pending = pending,
		.start_s = info->start_time > 0 ? (int64_t)info->start_time : 0,
		.nodes = nodes,
		.specs = larder_text_printable(specs),
		.ours = ours ? ours : "",
		.min_nodes = info->num_nodes,
		.refused = info->state_reason == FAIL_BAD_CONSTRAINTS,
	};

	return fn(&job, arg);
}

int slurm_jobs_each(int (*fn)(const struct slurm_ahead_job *, void *), void *arg,
		    struct larder_error *err)
{
	job_info_msg_t *jobs = NULL;
	int rc;

	errno = 0;
	rc = slurm_load_jobs(0, &jobs, SHOW_ALL);
	if (rc != SLURM_SUCCESS)
		return fail("jobs", error_of(rc), err);
	for (uint32_t i = 0; !rc && i < jobs->record_count; i++)
		rc = say_job(&jobs->job_array[i], fn, arg);
	slurm_free_job_info_msg(jobs);
	return rc;
}

int slurm_features_set(const char *hostlist, const char *features, const char *active,
		       struct larder_error *err)
{
	auto_free char *names = strdup(hostlist), *all = strdup(features), *now = strdup(active);
	update_node_msg_t msg;
	int rc;

	if (!names || !all || !now)
		return larder_error_set(err, ENOMEM, "out of memory");
	slurm_init_update_node_msg(&msg);
	msg.node_names = names;
	msg.features = all;
	msg.features_act = now;
	errno = 0;
	rc = slurm_update_node(&msg);
	return rc == SLURM_SUCCESS ? 0 : fail("features", error_of(rc), err);
}

/* Our hand is off it: larder.lua reads this again when the constraint is changed. */
static char *free_comment(const char *comment)
{
	size_t len = strlen(comment);
	const char *gap = len && comment[len - 1] != ';' ? " " : "";
	char *text;

	if (strstr(comment, TOKEN_KEEP))
		return strdup(comment);
	return asprintf(&text, "%s%s%s", comment, gap, TOKEN_KEEP) < 0 ? NULL : text;
}

static int free_job(const slurm_job_info_t *info, struct larder_error *err)
{
	auto_free char *ours = NULL, *theirs = NULL, *comment = NULL, *specs = NULL;
	job_desc_msg_t msg;
	int rc;

	if ((info->job_state & JOB_STATE_BASE) != JOB_PENDING || !info->features)
		return 0;
	specs = token_specs(info->admin_comment);
	rc = specs ? constraint_split(info->features, &ours, &theirs) : -ENOENT;
	comment = rc ? NULL : free_comment(info->admin_comment);
	if (rc == -ENOENT)
		return 0;
	if (!comment)
		return larder_error_set(err, ENOMEM, "out of memory");
	slurm_init_job_desc_msg(&msg);
	msg.job_id = info->job_id;
	msg.features = theirs;
	msg.admin_comment = comment;
	errno = 0;
	rc = slurm_update_job(&msg);
	return rc == SLURM_SUCCESS ? 0 : fail("a job's constraint", error_of(rc), err);
}

int slurm_job_free(uint32_t job_id, struct larder_error *err)
{
	job_info_msg_t *jobs = NULL;
	int rc;

	errno = 0;
	rc = slurm_load_job(&jobs, job_id, SHOW_ALL);
	if (rc != SLURM_SUCCESS)
		return error_of(rc) == ESLURM_INVALID_JOB_ID ? 0 : fail("a job", error_of(rc), err);
	for (uint32_t i = 0; !rc && i < jobs->record_count; i++)
		if (jobs->job_array[i].job_id == job_id) /* an array's tasks have others */
			rc = free_job(&jobs->job_array[i], err);
	slurm_free_job_info_msg(jobs);
	return rc;
}
