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

static int encode_step(const struct prolog_fleet *fleet, size_t i, enum prolog_step step,
		       uint8_t **frame, size_t *len)
{
	const struct larder_spec *spec = &fleet->job->specs.items[i];
	const struct larder_msg_MAY may = {.uid = fleet->job->uid,
					   .gid = fleet->job->gid,
					   .name = spec->name,
					   .version = spec->version};
	const struct larder_msg_STAGE stage = {.spec = fleet->texts[i], .priority = PRIORITY};
	const struct larder_msg_WATCH watch = {.spec = fleet->texts[i], .timeout_ms = WATCH_MS};

	switch (step) {
	case PROLOG_MAY: return larder_msg_encode(LARDER_MSG_MAY, 1, &may, frame, len, NULL);
	case PROLOG_STAGE: return larder_msg_encode(LARDER_MSG_STAGE, 1, &stage, frame, len, NULL);
	case PROLOG_WATCH: return larder_msg_encode(LARDER_MSG_WATCH, 1, &watch, frame, len, NULL);
	case PROLOG_READY:
	case PROLOG_FAILED: break;
	}
	return -EINVAL;
}

/* One frame for each dataset that is not at its end. To free; NULL without memory. */
static uint8_t *encode_all(const struct prolog_fleet *fleet, const struct prolog_node *node,
			   size_t *len)
{
	auto_free uint8_t *all = NULL;

	*len = 0;
	for (size_t i = 0; i < fleet->job->specs.count; i++) {
		auto_free uint8_t *frame = NULL;
		uint8_t *more;
		size_t n;

		if (at_end(node->steps[i]))
			continue;
		if (encode_step(fleet, i, node->steps[i], &frame, &n))
			return NULL;
		more = realloc(all, *len + n);
		if (!more)
			return NULL;
		all = more;
		memcpy(all + *len, frame, n);
		*len += n;
	}
	return take_ptr(&all);
}

/* --- answers */

static enum prolog_step step_after(enum prolog_step step, bool done, uint32_t code)
{
	if (done)
		return step + 1;
	return step == PROLOG_WATCH && code == ETIMEDOUT ? PROLOG_WATCH : PROLOG_FAILED;
}

/* DONE or ERROR: 1, with the step that comes next; a row: 0; -EPROTO. */
static int take_frame(unsigned int type, uint8_t *body, size_t len, enum prolog_step *step,
		      char why[LARDER_ERROR_MAX])
{
	struct larder_msg_ERROR error = {0};

	if (type == LARDER_MSG_DONE) {
		*step = step_after(*step, true, 0);
		return 1;
	}
	if (type != LARDER_MSG_ERROR)
		return 0;
	if (larder_msg_decode(type, body, len, &error, NULL))
		return -EPROTO;
	*step = step_after(*step, false, error.code);
	if (*step == PROLOG_FAILED)
		snprintf(why, LARDER_ERROR_MAX, "%s", error.text);
	return 1;
}

int prolog_answer(uint8_t *answer, size_t len, enum prolog_step *steps, size_t n,
		  char why[LARDER_ERROR_MAX])
{
	struct larder_head head;
	size_t at = 0;

	for (; len;
	     answer += LARDER_FRAME_HEAD + head.length, len -= LARDER_FRAME_HEAD + head.length) {
		auto_free uint8_t *body = NULL;
		int rc;

		if (len < LARDER_FRAME_HEAD || larder_head_decode(answer, &head, NULL) ||
		    head.length > len - LARDER_FRAME_HEAD)
			return -EPROTO;
		while (at < n && at_end(steps[at]))
			at++;
		body = calloc(1, head.length + 1);
		if (at == n || !body)
			return -EPROTO;
		memcpy(body, answer + LARDER_FRAME_HEAD, head.length);
		rc = take_frame(head.type, body, head.length, &steps[at], why);
		if (rc < 0)
			return rc;
		at += (size_t)rc;
	}
	while (at < n && at_end(steps[at]))
		at++;
	return at == n ? 0 : -EPROTO;
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
