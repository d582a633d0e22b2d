/*
 * Owns the way back: requests from the inventory after a restart, those under way begun again where
 * they stood. Releases nothing: that is reconcile's. Called once, at start.
 */
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "log/log.h"
#include "server/admit.h"
#include "server/dataset.h"
#include "server/own_remote.h"
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

/* The user's credentials are there again; what was found is what the job holds, or it is not. */
static void on_asked_again(const struct access_answer *answer, void *arg)
{
	struct want *want = arg;
	struct larder_error err = {0};

	want->ask = NULL;
	if (answer->rc)
		err = *answer->err;
	else if (strcmp(answer->head->digest, want->tree.digest) != 0)
		larder_error_set(&err, ESTALE, "%s changed at its origin while it was staged",
				 want->spec.name);
	if (err.code) {
		want_failed(want, -err.code, &err);
		return;
	}
	want->interest.remote = own_remote_ref(answer->remote);
	if (answer->manifest_fd >= 0) /* it may have died before the tree was made */
		want->manifest_fd = fcntl(answer->manifest_fd, F_DUPFD_CLOEXEC, 3);
	admit_join(want);
}

static void ask_again(struct want *want)
{
	struct request *request = want->request;
	struct larder_error err = {0};
	const struct access_question question = {
		.spec = &want->spec,
		.uid = request->uid,
		.gid = request->gid,
		.timeout_ms = request->d->config.wait_max,
	};

	if (access_ask(request->d, &question, on_asked_again, want, &want->ask, &err))
		want_failed(want, -err.code, &err);
}

/*
 * A user's own URL: its credentials were in the memory of the daemon that was. And a tree that was
 * not made yet: the manifest's copy is in none.
 */
static bool must_ask(struct larderd *d, const struct want *want)
{
	const struct tree_key key = dataset_key(&want->tree);
	struct node_tier *tier = dataset_tier(d, want->tree.tier);
	auto_fd int fd = -1;

	return (want->spec.kind == LARDER_SPEC_OWN && *want->tree.origin != '/') || !tier ||
	       tree_open_manifest(tier->tier, &key, &fd, NULL);
}

/* What was still being staged for a job that runs already (--dataset-wait=none) goes on. */
static void stage_on(struct request *request)
{
	for (unsigned int i = 0; i < request->n_wants; i++) {
		struct want *want = &request->wants[i];

		if (want->state != WANT_STAGING)
			continue;
		if (must_ask(request->d, want))
			ask_again(want);
		else
			admit_join(want);
	}
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
		.since_ms = clock_mono_ms(),
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
