/*
 * Owns how a request is written down: its row in the inventory, the lines that people read.
 * Changes no state of a request. Used by request.c, attach.c and the listings.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "larder/text.h"
#include "log/log.h"
#include "server/admit.h"
#include "server/dataset.h"
#include "server/request.h"

const char *want_word(const struct want *want)
{
	switch (want->state) {
	case WANT_READY: return "ready";
	case WANT_BYPASS: return "bypass";
	case WANT_FAILED: return "failed";
	case WANT_CHECKING:
	case WANT_RESOLVED:
	case WANT_STAGING: break;
	}
	return "partial";
}

bool want_bypassable(const struct want *want)
{
	if (want->described)
		return want->tree.origin[0] == '/';
	return want->spec.kind == LARDER_SPEC_OWN && want->spec.origin &&
	       want->spec.origin[0] == '/';
}

void want_line(const struct want *want, char *buf, size_t len)
{
	const struct larderd *d = want->request->d;
	const struct inv_tree *tree = &want->tree;
	char size[32];
	unsigned int hit = tree->bytes ? (unsigned int)(want->hit_bytes * 100 / tree->bytes) : 100;

	larder_size_format(tree->bytes, size, sizeof(size));
	if (want->state == WANT_BYPASS)
		snprintf(buf, len, "%s:%s from the origin, %s%s%s", want->spec.name, tree->version,
			 want->described ? tree->origin : want->spec.origin,
			 want->err.text[0] ? ": " : "", want->err.text);
	else if (want->state == WANT_READY)
		snprintf(buf, len, "%s:%s ready at %s/%s/%s (%s, %llu files; %u %% from cache)",
			 tree->name, tree->version, d->config.view_root, tree->name, tree->version,
			 size, (unsigned long long)tree->shards, hit);
	else
		snprintf(buf, len, "%s:%s partial at %s/%s/%s (%s, %llu files; still being staged)",
			 tree->name, tree->version, d->config.view_root, tree->name, tree->version,
			 size, (unsigned long long)tree->shards);
}

void want_pairs(const struct want *want, char buf[WANT_PAIRS_MAX])
{
	const struct request *request = want->request;

	snprintf(buf, WANT_PAIRS_MAX,
		 "job=%u run=%u uid=%u dataset=%s:%s state=%s found=%s bytes=%llu",
		 request->key.job_id, request->key.run, request->uid, want->tree.name,
		 want->tree.version, want_word(want), want->found ? want->found : "none",
		 (unsigned long long)want->tree.bytes);
}

/* A want as a line: fields parted by tabs, which no field can hold. -E2BIG when it does not fit. */
static int write_view(const struct want *want, char *buf, size_t room)
{
	const char *origin = want->described ? want->tree.origin : want->spec.origin;
	int n = snprintf(buf, room, "%s\t%llu\t%llu\t%s\t%s\t%s\t%llu\t%llu\t%s\t%s\n",
			 want_word(want), (unsigned long long)want->tree.id,
			 (unsigned long long)want->hit_bytes, want->spec.name, want->tree.version,
			 want->tree.digest, (unsigned long long)want->tree.shards,
			 (unsigned long long)want->tree.bytes,
			 want->spec.subset ? want->spec.subset : "", origin ? origin : "");

	return n < 0 || (size_t)n >= room ? -E2BIG : n;
}

static int write_views(const struct request *request, char *buf, size_t room)
{
	size_t len = 0;

	buf[0] = '\0';
	for (unsigned int i = 0; i < request->n_wants; i++) {
		int n = write_view(&request->wants[i], buf + len, room - len);

		if (n < 0)
			return n;
		len += (size_t)n;
	}
	return 0;
}

int request_describe(const struct request *request, enum larder_outcome outcome,
		     struct inv_job *job, struct larder_error *err)
{
	job->job_id = request->key.job_id;
	job->run = request->key.run;
	job->uid = request->uid;
	job->gid = request->gid;
	job->outcome = outcome;
	job->mode = request->mode;
	job->on_fail = request->bypass_on_fail ? LARDER_ON_FAIL_BYPASS : LARDER_ON_FAIL_FAIL;
	job->wait_ms = request->wait_ms;
	job->since_s = request->since_s;
	snprintf(job->specs, sizeof(job->specs), "%s", request->specs);
	snprintf(job->boot_id, sizeof(job->boot_id), "%s", request->d->boot_id);
	snprintf(job->text, sizeof(job->text), "%s", request->text);
	if (write_views(request, job->views, sizeof(job->views)))
		return larder_error_set(err, E2BIG, "too many datasets to remember");
	return 0;
}

int request_save(struct request *request, enum larder_outcome outcome, struct larder_error *err)
{
	struct inventory *inv = request->d->inv;
	struct inv_job job; /* 20 KB of room, of which little is written */

	if (request_describe(request, outcome, &job, err) || inventory_job_put(inv, &job, err))
		return -err->code;
	if (!request->counted)
		request->counted = !inventory_count(inv, INV_COUNTER_acquires, 1);
	return 0;
}

static enum want_state state_of_word(const char *word)
{
	if (!strcmp(word, "ready"))
		return WANT_READY;
	if (!strcmp(word, "bypass"))
		return WANT_BYPASS;
	return !strcmp(word, "failed") ? WANT_FAILED : WANT_STAGING;
}

int want_parse(struct want *want, const char *line, struct larder_error *err)
{
	auto_free char *copy = strdup(line);
	char *rest = copy, *field[10];
	struct inv_tree *tree = &want->tree;

	if (!copy)
		return larder_error_set(err, ENOMEM, "out of memory");
	for (int i = 0; i < 10; i++) {
		field[i] = strsep(&rest, "\t");
		if (!field[i])
			return larder_error_set(err, EINVAL, "a job's row is damaged: \"%s\"",
						line);
	}
	want->state = state_of_word(field[0]);
	tree->id = strtoull(field[1], NULL, 10);
	want->hit_bytes = strtoull(field[2], NULL, 10);
	snprintf(want->spec.name, sizeof(want->spec.name), "%s", field[3]);
	snprintf(tree->name, sizeof(tree->name), "%s", field[3]);
	snprintf(tree->version, sizeof(tree->version), "%s", field[4]);
	snprintf(tree->digest, sizeof(tree->digest), "%s", field[5]);
	tree->shards = strtoull(field[6], NULL, 10);
	tree->bytes = strtoull(field[7], NULL, 10);
	want->spec.subset = field[8][0] ? strdup(field[8]) : NULL;
	snprintf(tree->origin, sizeof(tree->origin), "%s", field[9]);
	if (!strcmp(tree->version, LARDER_OWN_VERSION)) { /* no dataset of the catalog has it */
		want->spec.kind = LARDER_SPEC_OWN;
		want->spec.origin = strdup(tree->origin);
		if (!want->spec.origin)
			return larder_error_set(err, ENOMEM, "out of memory");
	}
	want->described = true;
	want->manifest_fd = -1;
	return 0;
}

void request_log(const struct request *request)
{
	log_event(LOG_LEVEL_INFO, "job.outcome",
		  "job=%u run=%u uid=%u specs=%s outcome=%s ms=%lld text=\"%s\"",
		  request->key.job_id, request->key.run, request->uid, request->specs,
		  larder_outcome_word(request->outcome),
		  (long long)(clock_mono_ms() - request->since_ms), request->text);
}
