/*
 * Owns the requests of jobs: each dataset's way from its check to READY, and the one outcome.
 * Stages nothing and asks no origin itself. Driven by ACQUIRE, by answers of checks and by stages.
 */
#include "server/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "log/log.h"
#include "server/admit.h"
#include "server/names.h"
#include "server/own_remote.h"
#include "server/timers.h"

/* --- finding and letting go */

struct request *request_get(struct larderd *d, uint32_t job_id, uint32_t run)
{
	struct request_key key = {job_id, run};
	struct request *request;

	HASH_FIND(hh, d->requests, &key, sizeof(key), request);
	return request;
}

struct request *request_latest(struct larderd *d, uint32_t job_id)
{
	struct request *request, *tmp, *latest = NULL;

	HASH_ITER(hh, d->requests, request, tmp)
	if (request->key.job_id == job_id && (!latest || request->key.run > latest->key.run))
		latest = request;
	return latest;
}

/* Is there a run of that job up to this one? Leases never stand without their job's row. */
static bool has_earlier(struct larderd *d, uint32_t job_id, uint32_t run_max)
{
	struct request *request, *tmp;

	HASH_ITER(hh, d->requests, request, tmp)
	if (request->key.job_id == job_id && request->key.run <= run_max)
		return true;
	return false;
}

/* That of a user's own dataset has no name: its room is taken as long as it is open. */
static void close_manifest(struct want *want)
{
	larder_cleanup_fd(&want->manifest_fd);
	want->manifest_fd = -1;
}

static void want_fini(struct want *want)
{
	access_cancel(want->ask);
	want->ask = NULL;
	stage_leave(&want->interest);
	own_remote_unref(want->interest.remote);
	want->interest.remote = NULL;
	close_manifest(want);
	larder_spec_fini(&want->spec);
}

static void request_destroy(struct request *request)
{
	request_wait_end(request);
	HASH_DEL(request->d->requests, request);
	for (unsigned int i = 0; i < request->n_wants; i++)
		want_fini(&request->wants[i]);
	free(request->wants);
	free(request->specs);
	free(request);
}

/* Whoever waits for it is told when it is destroyed. Its row is gone already, and stays gone. */
static void request_give_up(struct request *request)
{
	request->outcome = LARDER_OUTCOME_CANCELLED;
	snprintf(request->text, sizeof(request->text), "the job is over");
	request_log(request);
}

int request_release(struct larderd *d, uint32_t job_id, uint32_t run_max, uint32_t *released,
		    struct larder_error *err)
{
	struct request *request, *tmp;
	uint32_t leases = 0;
	int rc;

	if (inventory_begin(d->inv, err))
		return -err->code;
	rc = inventory_lease_release(d->inv, job_id, run_max, clock_s(), &leases, err);
	if (!rc && leases)
		rc = inventory_event_add(d->inv, clock_s(), "release", "job=%u run=%u leases=%u",
					 job_id, run_max, leases);
	if (released)
		*released = leases;
	if (!rc)
		rc = inventory_job_delete(d->inv, job_id, run_max, err);
	if (!rc || rc == -ENOENT)
		rc = inventory_commit(d->inv, err);
	if (rc) {
		inventory_rollback(d->inv);
		return rc;
	}
	HASH_ITER(hh, d->requests, request, tmp)
	{
		if (request->key.job_id != job_id || request->key.run > run_max)
			continue;
		if (request->outcome == LARDER_OUTCOME_PENDING)
			request_give_up(request);
		request_destroy(request);
	}
	return 0;
}

/* --- outcomes */

static void want_drop(struct want *want)
{
	access_cancel(want->ask);
	want->ask = NULL;
	stage_leave(&want->interest);
}

/* Whoever asked knows the outcome. */
static void told(struct request *request)
{
	timers_rows_soon(request->d);
	request_log(request);
}

void request_settle(struct request *request, enum larder_outcome outcome, const char *text)
{
	struct larderd *d = request->d;
	struct larder_error err = {0};
	bool lost = outcome == LARDER_OUTCOME_FAILED || outcome == LARDER_OUTCOME_CANCELLED;

	request->outcome = outcome;
	snprintf(request->text, sizeof(request->text), "%s", text ? text : "");
	for (unsigned int i = 0; i < request->n_wants; i++) {
		close_manifest(&request->wants[i]); /* stages have taken theirs */
		if (lost)
			want_drop(&request->wants[i]);
	}
	if (lost && inventory_lease_release(d->inv, request->key.job_id, request->key.run,
					    clock_s(), NULL, &err))
		log_event(LOG_LEVEL_ERR, "lease.release", "job=%u error=\"%s\"",
			  request->key.job_id, err.text);
	if (!(request->ready_saved && outcome == LARDER_OUTCOME_READY) &&
	    request_save(request, outcome, &err))
		log_event(LOG_LEVEL_ERR, "job.save", "job=%u error=\"%s\"", request->key.job_id,
			  err.text);
	request_wait_end(request); /* answers first: a log may be slow */
	if (!request->starting)
		told(request);
}

enum larder_outcome request_add_up(const struct request *request, const struct want **failed)
{
	bool pending = false, bypass = false;

	*failed = NULL;
	for (unsigned int i = 0; i < request->n_wants; i++) {
		const struct want *want = &request->wants[i];

		if (want->state == WANT_FAILED && !*failed)
			*failed = want;
		pending |= want->state == WANT_CHECKING || want->state == WANT_RESOLVED;
		pending |= want->state == WANT_STAGING && request->wait_ms != LARDER_WAIT_NONE;
		bypass |= want->state == WANT_BYPASS;
	}
	if (*failed)
		return LARDER_OUTCOME_FAILED;
	if (pending)
		return LARDER_OUTCOME_PENDING;
	for (unsigned int i = 0; i < request->n_wants; i++)
		if (request->wants[i].state == WANT_STAGING)
			return LARDER_OUTCOME_PARTIAL;
	return bypass ? LARDER_OUTCOME_BYPASS : LARDER_OUTCOME_READY;
}

void request_update(struct request *request)
{
	const struct want *failed;
	enum larder_outcome outcome;

	if (request->outcome != LARDER_OUTCOME_PENDING)
		return;
	outcome = request_add_up(request, &failed);
	if (outcome != LARDER_OUTCOME_PENDING)
		request_settle(request, outcome, failed ? failed->err.text : "");
}

void want_failed(struct want *want, int rc, const struct larder_error *err)
{
	struct larderd *d = want->request->d;

	want->err = *err;
	want->err.code = rc < 0 ? -rc : rc;
	want->state =
		want->request->bypass_on_fail && want_bypassable(want) ? WANT_BYPASS : WANT_FAILED;
	inventory_count(d->inv,
			want->state == WANT_BYPASS ? INV_COUNTER_bypasses : INV_COUNTER_failures,
			1);
	log_event(LOG_LEVEL_WARNING, "dataset.failed", "job=%u dataset=%s state=%s error=\"%s\"",
		  want->request->key.job_id, want->spec.name, want_word(want), err->text);
}

/* --- starting */

int request_apply_fixed(struct larder_spec_list *list, const char *fixed, struct larder_error *err)
{
	struct larder_spec_list said;

	if (!fixed[0])
		return 0;
	if (larder_spec_list_parse(fixed, &said, err))
		return larder_error_prefix(err, "what submission fixed");
	for (size_t i = 0; i < list->count; i++)
		for (size_t k = 0; k < said.count; k++) {
			struct larder_spec *spec = &list->items[i], *fix = &said.items[k];

			if (spec->kind != LARDER_SPEC_CATALOG || fix->kind != spec->kind ||
			    strcmp(spec->name, fix->name) != 0)
				continue;
			/* a version typed may be an alias (latest, stable): the fixed one is what
			 * it stood for */
			memcpy(spec->version, fix->version, sizeof(spec->version));
			if (!strncmp(fix->digest, spec->digest, strlen(spec->digest)))
				memcpy(spec->digest, fix->digest, sizeof(spec->digest));
		}
	larder_spec_list_fini(&said);
	return 0;
}

static int take_specs(struct request *request, struct larder_spec_list *list,
		      struct larder_error *err)
{
	request->specs = larder_spec_list_format(list);
	request->wants = calloc(list->count + 1, sizeof(struct want));
	if (!request->wants || !request->specs)
		return larder_error_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < list->count; i++) {
		struct want *want = &request->wants[request->n_wants++];

		want->request = request;
		want->manifest_fd = -1;
		want->spec = list->items[i];
		list->items[i] = (struct larder_spec){0};
	}
	return 0;
}

static bool bypass_wanted(const struct larderd *d, enum larder_on_fail on_fail)
{
	if (on_fail == LARDER_ON_FAIL_DEFAULT)
		return !strcmp(d->config.on_fail, "bypass");
	return on_fail == LARDER_ON_FAIL_BYPASS;
}

static struct request *request_make(struct larderd *d, const struct request_params *p,
				    struct larder_spec_list *list, struct larder_error *err)
{
	struct request *request = calloc(1, sizeof(*request));
	int64_t now = clock_s();
	char user[64];

	if (!request) {
		larder_error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	*request = (struct request){
		.key = {p->job_id, p->run},
		.d = d,
		.uid = p->uid,
		.gid = p->gid,
		.mode = p->mode,
		.wait_ms = p->wait_ms,
		.bypass_on_fail = bypass_wanted(d, p->on_fail),
		.outcome = LARDER_OUTCOME_PENDING,
		.starting = true,
		.since_s = p->since_s ? p->since_s : now,
	};
	request->since_ms = clock_mono_ms() - (now - request->since_s) * 1000;
	names_user(d, p->uid, user,
		   sizeof(user)); /* asked now, so that it is known when a sentence needs it */
	HASH_ADD(hh, d->requests, key, sizeof(request->key), request);
	if (take_specs(request, list, err)) {
		request_destroy(request);
		return NULL;
	}
	return request;
}

static struct request *same_request(struct larderd *d, const struct request_params *p,
				    const struct larder_spec_list *list)
{
	struct request *request = request_get(d, p->job_id, p->run);
	auto_free char *specs = request ? larder_spec_list_format(list) : NULL;

	return specs && request->uid == p->uid && !strcmp(request->specs, specs) ? request : NULL;
}

int request_start(struct larderd *d, const struct request_params *p, struct request **out,
		  struct larder_error *err)
{
	struct larder_spec_list list = {0};
	struct request *request = NULL;
	int rc = larder_spec_list_parse(p->specs, &list, err);

	if (!rc)
		rc = request_apply_fixed(&list, p->fixed ? p->fixed : "", err);
	if (!rc && (*out = same_request(d, p, &list))) {
		larder_spec_list_fini(&list);
		return 0; /* the prolog asks again */
	}
	/* earlier runs, and a job of the same number whose epilog was lost */
	if (!rc && has_earlier(d, p->job_id, p->run))
		rc = request_release(d, p->job_id, p->run, NULL, err);
	if (!rc && !(request = request_make(d, p, &list, err)))
		rc = -err->code;
	larder_spec_list_fini(&list);
	if (rc)
		return rc;
	*out = request;
	request_deadline(request);
	if (d->drained[0]) {
		for (unsigned int i = 0; i < request->n_wants; i++) {
			larder_error_set(err, EAGAIN, "this node takes no datasets now: %s",
					 d->drained);
			want_failed(&request->wants[i], -EAGAIN, err);
		}
		request_update(request);
		return 0;
	}
	request_check(request, false);
	if (request->outcome == LARDER_OUTCOME_PENDING) /* a hit is over already */
		request_wait_begin(request);
	return 0;
}

void request_started(struct request *request)
{
	if (request->starting && request->outcome != LARDER_OUTCOME_PENDING)
		told(request);
	request->starting = false;
}

void requests_close(struct larderd *d)
{
	struct request *request, *tmp;

	HASH_ITER(hh, d->requests, request, tmp)
	request_destroy(request);
}
