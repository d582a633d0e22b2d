/*
 * Owns the asking of a job's nodes: what each is asked next, what they answer.
 * A dataset goes from MAY (the job's user) through STAGE and WATCH to its end. Must not decide when
 * to stop. Called by main.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet/call.h"
#include "fleet/frames.h"
#include "larder/cleanup.h"
#include "larder/text.h"
#include "larder/wire.h"
#include "prolog/prolog.h"

#define AT_ONCE	     64
#define FAILURES_MAX 3	 /* in a row, of a node that has answered before */
#define PRIORITY     10	 /* before what people ordered, behind nothing */
#define WATCH_MS     500 /* one look at one dataset */

struct prolog_fleet {
	const struct prolog_options *options;
	const struct prolog_job *job;
	char **texts; /* of the job's specs */
	struct prolog_node *nodes;
	struct fleet_call *calls;
	struct fleet_caller *caller;
};

static int prepare(struct prolog_fleet *fleet)
{
	size_t n = fleet->job->n_nodes, specs = fleet->job->specs.count;

	fleet->nodes = calloc(n + 1, sizeof(*fleet->nodes));
	fleet->calls = calloc(n + 1, sizeof(*fleet->calls));
	fleet->texts = calloc(specs + 1, sizeof(*fleet->texts));
	if (!fleet->nodes || !fleet->calls || !fleet->texts)
		return -ENOMEM;
	for (size_t i = 0; i < specs; i++)
		if (!(fleet->texts[i] = larder_spec_format(&fleet->job->specs.items[i])))
			return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (!(fleet->nodes[i].steps = calloc(specs + 1, sizeof(enum prolog_step))))
			return -ENOMEM;
	return 0;
}

static int find_addresses(struct prolog_fleet *fleet, struct larder_error *err)
{
	auto_free char **addresses = calloc(fleet->job->n_nodes + 1, sizeof(char *));
	int rc = addresses ? prolog_addresses(fleet->options, fleet->job, fleet->caller, addresses,
					      err)
			   : larder_error_set(err, ENOMEM, "out of memory");

	for (size_t i = 0; addresses && i < fleet->job->n_nodes; i++) {
		fleet->nodes[i].name = fleet->job->nodes[i];
		fleet->nodes[i].address = addresses[i];
	}
	return rc;
}

int prolog_fleet_create(const struct prolog_options *options, const struct prolog_job *job,
			struct prolog_fleet **out, struct larder_error *err)
{
	struct prolog_fleet *fleet = calloc(1, sizeof(*fleet));
	int rc;

	*out = fleet;
	if (!fleet)
		return larder_error_set(err, ENOMEM, "out of memory");
	fleet->options = options;
	fleet->job = job;
	if (prepare(fleet))
		return larder_error_set(err, ENOMEM, "out of memory");
	rc = fleet_caller_create(options->munge_socket, AT_ONCE, AT_ONCE, &fleet->caller, err);
	return rc ? rc : find_addresses(fleet, err);
}

void prolog_fleet_destroy(struct prolog_fleet *fleet)
{
	if (!fleet)
		return;
	for (size_t i = 0; fleet->nodes && i < fleet->job->n_nodes; i++) {
		free(fleet->nodes[i].address);
		free(fleet->nodes[i].steps);
	}
	for (size_t i = 0; fleet->texts && fleet->texts[i]; i++)
		free(fleet->texts[i]);
	if (fleet->caller)
		fleet_caller_destroy(fleet->caller);
	free(fleet->texts);
	free(fleet->nodes);
	free(fleet->calls);
	free(fleet);
}

const struct prolog_node *prolog_fleet_nodes(const struct prolog_fleet *fleet)
{
	return fleet->nodes;
}

/* --- what is asked */

static bool at_end(enum prolog_step step)
{
	return step == PROLOG_READY || step == PROLOG_FAILED;
}

static bool node_waits(const struct prolog_fleet *fleet, const struct prolog_node *node)
{
	for (size_t i = 0; !node->silent && i < fleet->job->specs.count; i++)
		if (!at_end(node->steps[i]))
			return true;
	return false;
}

static int add_step(const struct prolog_fleet *fleet, size_t i, enum prolog_step step,
		    struct frames *frames)
{
	const struct larder_spec *spec = &fleet->job->specs.items[i];
	const struct larder_msg_MAY may = {.uid = fleet->job->uid,
					   .gid = fleet->job->gid,
					   .name = spec->name,
					   .version = spec->version};
	const struct larder_msg_STAGE stage = {.spec = fleet->texts[i], .priority = PRIORITY};
	const struct larder_msg_WATCH watch = {.spec = fleet->texts[i], .timeout_ms = WATCH_MS};

	switch (step) {
	case PROLOG_MAY: return frames_add(frames, LARDER_MSG_MAY, 1, &may, NULL);
	case PROLOG_STAGE: return frames_add(frames, LARDER_MSG_STAGE, 1, &stage, NULL);
	case PROLOG_WATCH: return frames_add(frames, LARDER_MSG_WATCH, 1, &watch, NULL);
	case PROLOG_READY:
	case PROLOG_FAILED: break;
	}
	return 0;
}

/* One frame for each dataset that is not at its end. To free; NULL without memory. */
static uint8_t *encode_all(const struct prolog_fleet *fleet, const struct prolog_node *node,
			   size_t *len)
{
	struct frames frames = {0};

	for (size_t i = 0; i < fleet->job->specs.count; i++)
		if (add_step(fleet, i, node->steps[i], &frames)) {
			frames_fini(&frames);
			return NULL;
		}
	*len = frames.len;
	return frames.bytes;
}

/* --- answers */

/* Was it the end of what one dataset was asked? Then *step is what comes next. */
static bool take_frame(unsigned int type, const union frames_row *row, enum prolog_step *step,
		       char why[LARDER_ERROR_MAX])
{
	if (type == LARDER_MSG_DONE) {
		(*step)++;
		return true;
	}
	if (type != LARDER_MSG_ERROR)
		return false;
	if (*step != PROLOG_WATCH || row->ERROR.code != ETIMEDOUT) {
		*step = PROLOG_FAILED;
		snprintf(why, LARDER_ERROR_MAX, "%s", row->ERROR.text);
	}
	return true;
}

int prolog_answer(uint8_t *answer, size_t len, enum prolog_step *steps, size_t n,
		  char why[LARDER_ERROR_MAX])
{
	struct larder_head head;
	union frames_row row;
	size_t at = 0;
	int rc;

	while ((rc = frames_next(&answer, &len, &head, &row, NULL)) > 0) {
		while (at < n && at_end(steps[at]))
			at++;
		if (at == n)
			return -EPROTO;
		at += take_frame(head.type, &row, &steps[at], why);
	}
	while (at < n && at_end(steps[at]))
		at++;
	return rc == 0 && at == n ? 0 : -EPROTO;
}

/* A node that never answered is left at once; one that did may miss a question or two. */
static void take_failure(struct prolog_node *node, const char *why)
{
	snprintf(node->why, sizeof(node->why), "%s", why);
	node->silent = !node->answered || ++node->failures >= FAILURES_MAX;
}

static void take_call(struct prolog_fleet *fleet, struct fleet_call *call)
{
	struct prolog_node *node = call->arg;

	if (call->rc) {
		take_failure(node, call->err.text);
	} else if (prolog_answer(call->answer, call->answer_len, node->steps,
				 fleet->job->specs.count, node->why)) {
		take_failure(node, "its answer is not what was asked for");
	} else {
		node->answered = true;
		node->failures = 0;
	}
	free(call->answer);
	free((void *)(uintptr_t)call->request);
}

void prolog_fleet_step(struct prolog_fleet *fleet, const _Atomic int *stop, size_t *waiting)
{
	size_t n = 0;

	for (size_t i = 0; i < fleet->job->n_nodes; i++) {
		struct prolog_node *node = &fleet->nodes[i];
		uint8_t *request;
		size_t len;

		if (!node_waits(fleet, node) || !(request = encode_all(fleet, node, &len)))
			continue;
		fleet->calls[n++] = (struct fleet_call){
			.address = node->address,
			.node = node->name,
			.to = 0,
			.request = request,
			.len = len,
			.timeout_ms = fleet->options->timeout_ms +
				      WATCH_MS * (int64_t)fleet->job->specs.count,
			.arg = node};
	}
	fleet_call_all(fleet->caller, fleet->calls, n, NULL, stop);
	for (size_t i = 0; i < n; i++)
		take_call(fleet, &fleet->calls[i]);
	*waiting = 0;
	for (size_t i = 0; i < fleet->job->n_nodes; i++)
		*waiting += node_waits(fleet, &fleet->nodes[i]);
}
