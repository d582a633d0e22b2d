/*
 * Owns the way back: requests from the inventory after a restart, those under way begun again where
 * they stood. Releases nothing: that is reconcile's. Called once, at start.
 */
#include <stdlib.h>
#include <string.h>

#include <errno.h>

#include "larder/cleanup.h"
#include "server/admit.h"
#include "server/log.h"
#include "server/request.h"

/* Rows are collected first: starting a request writes, and a walk must not. */
struct row_list {
	struct inv_job *rows;
	size_t n, room;
};

static int collect_row(const struct inv_job *job, void *arg)
{
	struct row_list *list = arg;

	if (list->n == list->room) {
		size_t room = list->room ? list->room * 2 : 16;
		struct inv_job *more = reallocarray(list->rows, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		list->rows = more;
		list->room = room;
	}
	list->rows[list->n++] = *job;
	return 0;
}

static int begin_again(struct larderd *d, const struct inv_job *job, struct larder_error *err)
{
	struct request *request;
	int rc = request_start(d,
			       &(struct request_params){
				       .job_id = job->job_id,
				       .run = job->run,
				       .uid = job->uid,
				       .gid = job->gid,
				       .specs = job->specs,
				       .mode = (enum larder_mode)job->mode,
				       .wait_ms = job->wait_ms,
				       .on_fail = (enum larder_on_fail)job->on_fail,
				       .since_s = job->since_s,
			       },
			       &request, err);

	if (!rc)
		request_started(request);
	return rc;
}

static int parse_views(struct request *request, char *views, struct larder_error *err)
{
	char *rest = views, *line;

	request->wants = calloc(LARDER_SPECS_MAX, sizeof(struct want));
	if (!request->wants)
		return larder_error_set(err, ENOMEM, "out of memory");
	while ((line = strsep(&rest, "\n")) && request->n_wants < LARDER_SPECS_MAX) {
		struct want *want = &request->wants[request->n_wants];

		if (!*line)
			continue;
		want->request = request;
		if (want_parse(want, line, err))
			return -err->code;
		request->n_wants++;
	}
	return 0;
}

/* What was still being staged for a job that runs already (--dataset-wait=none) goes on. */
static void stage_on(struct request *request)
{
	for (unsigned int i = 0; i < request->n_wants; i++)
		if (request->wants[i].state == WANT_STAGING)
			admit_join(&request->wants[i]);
}

static int restore_settled(struct larderd *d, struct inv_job *job, struct larder_error *err)
{
	struct request *request = calloc(1, sizeof(*request));

	if (!request)
		return larder_error_set(err, ENOMEM, "out of memory");
	*request = (struct request){
		.key = {job->job_id, job->run},
		.d = d,
		.uid = job->uid,
		.gid = job->gid,
		.mode = (enum larder_mode)job->mode,
		.wait_ms = job->wait_ms,
		.bypass_on_fail = job->on_fail == LARDER_ON_FAIL_BYPASS,
		.outcome = job->outcome,
		.since_s = job->since_s,
		.since_ms = now_mono_ms(),
		.deadline_why = "",
		.specs = strdup(job->specs),
	};
	memcpy(request->text, job->text, sizeof(request->text));
	HASH_ADD(hh, d->requests, key, sizeof(request->key), request);
	if (!request->specs)
		return larder_error_set(err, ENOMEM, "out of memory");
	if (parse_views(request, job->views, err))
		return -err->code;
	stage_on(request);
	return 0;
}

int requests_restore(struct larderd *d, struct larder_error *err)
{
	struct row_list list = {0};
	int rc = inventory_job_each(d->inv, collect_row, &list, err);

	for (size_t i = 0; i < list.n && !rc; i++) {
		struct inv_job *job = &list.rows[i];

		rc = job->outcome == LARDER_OUTCOME_PENDING ? begin_again(d, job, err)
							    : restore_settled(d, job, err);
		if (rc)
			log_event(LOG_LEVEL_ERR, "job.restore", "job=%u error=\"%s\"", job->job_id,
				  err->text);
		rc = 0; /* one damaged row must not keep the daemon from starting */
	}
	free(list.rows);
	return rc;
}
