/*
 * Owns a request's questions: may the user see each dataset, and what is it.
 * Answers none of them (access.c does). Called by request_start, and by admit.c for what is not
 * there any more.
 */
#include <fcntl.h>
#include <stdio.h>

#include "larder/clock.h"
#include "server/admit.h"
#include "server/dataset.h"
#include "server/own_remote.h"
#include "server/request.h"

/* Kept from now until the want is gone. */
static void want_remote(struct want *want, const struct access_answer *answer)
{
	own_remote_unref(want->interest.remote);
	want->interest.remote = own_remote_ref(answer->remote);
}

static void on_answer(const struct access_answer *answer, void *arg)
{
	struct want *want = arg;
	struct request *request = want->request;

	want->ask = NULL;
	if (answer->rc) {
		want_failed(want, answer->rc, answer->err);
	} else {
		dataset_describe(&want->spec, answer->head, request->uid, &want->tree);
		want->described = true;
		want->state = WANT_RESOLVED;
		want_remote(want, answer);
		if (want->manifest_fd < 0 && answer->manifest_fd >= 0)
			want->manifest_fd = fcntl(answer->manifest_fd, F_DUPFD_CLOEXEC, 3);
	}
	if (--request->checking == 0)
		request_admit(request);
}

static void want_describe_own(struct want *want)
{
	struct inv_tree *tree = &want->tree;

	snprintf(tree->name, sizeof(tree->name), "%s", want->spec.name);
	snprintf(tree->version, sizeof(tree->version), "%s", LARDER_OWN_VERSION);
	snprintf(tree->origin, sizeof(tree->origin), "%s", want->spec.origin);
	tree->owner = want->request->uid;
	want->described = true;
	want->state = WANT_RESOLVED;
}

static void want_check(struct want *want, bool fresh)
{
	struct request *request = want->request;
	struct larderd *d = request->d;
	struct larder_error err = {0};
	int64_t left = request->deadline_ms - clock_mono_ms();
	struct access_question question = {
		.spec = &want->spec,
		.uid = request->uid,
		.gid = request->gid,
		.fresh = fresh,
		/* a scan may take as long as staging may; a look into the catalog may not */
		.timeout_ms = want->spec.kind == LARDER_SPEC_OWN && left > d->config.check_timeout
				      ? left
				      : d->config.check_timeout,
	};
	int rc;

	if (request->mode == LARDER_MODE_BYPASS && want->spec.kind == LARDER_SPEC_OWN) {
		want_describe_own(want); /* the job reads its own path as its own user: nothing to
					    check or to scan */
		return;
	}
	want->state = WANT_CHECKING;
	request->checking++;
	rc = access_ask(d, &question, on_answer, want, &want->ask, &err);
	if (rc < 0)
		on_answer(&(struct access_answer){.rc = rc, .err = &err, .manifest_fd = -1}, want);
}

void request_check(struct request *request, bool fresh)
{
	request->checking++; /* answers from memory come at once: none of them is the last */
	for (unsigned int i = 0; i < request->n_wants; i++) {
		struct want *want = &request->wants[i];
		bool missing = want->state == WANT_RESOLVED && fresh && want->manifest_fd < 0 &&
			       !want->tree.id;

		if ((!fresh && want->state == WANT_CHECKING) || missing)
			want_check(want, fresh);
	}
	if (--request->checking == 0)
		request_admit(request);
}
