/*
 * `larder log`: the audit log, with -f what is added to it, with --trace as the simulator reads it.
 * It must not change anything.
 * Called through the table of commands.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/fleet.h"
#include "ctl/trace.h"
#include "larder/cleanup.h"

struct reading {
	struct sheets *sheets;
	uint64_t *after; /* the last entry that was shown, a node each */
	uint32_t limit;
	size_t node;
	const char *name;
};

static int take_event(struct larder_row *row, void *arg, struct larder_error *err)
{
	struct reading *reading = arg;
	const struct larder_msg_EVENT *event = row->msg;

	if (row->type != LARDER_MSG_EVENT)
		return 0;
	if (event->seq > reading->after[reading->node])
		reading->after[reading->node] = event->seq;
	return sheets_add(reading->sheets, reading->name, row->type, row->msg, err);
}

static int ask_log(struct ctl *ctl, size_t node, struct larder_client *client, void *arg,
		   struct larder_error *err)
{
	struct reading *reading = arg;
	const struct larder_msg_LOG msg = {
		.after_seq = reading->after[node],
		.limit = reading->limit,
		.what = ctl->options.what ? ctl->options.what : "",
	};

	reading->node = node;
	reading->name = fleet_node(ctl, node);
	return larder_client_call(client, LARDER_MSG_LOG, &msg, FLEET_ANSWER_MS, take_event,
				  reading, NULL, err);
}

static int read_once(struct ctl *ctl, struct reading *reading)
{
	static const unsigned int types[] = {LARDER_MSG_EVENT, 0};
	struct larder_error err = {0};
	int code;

	if (sheets_create(ctl, types, 0, &reading->sheets, &err) != 0) {
		ctl_complain_error(&err);
		return CTL_USAGE;
	}
	code = fleet_each(ctl, ask_log, reading);
	if (sheets_count(reading->sheets, LARDER_MSG_EVENT) > 0) {
		if (sheets_print(reading->sheets, stdout, &err) != 0)
			code = ctl_complain_error(&err);
		/* One head is enough for all that follows. */
		ctl->options.no_header = true;
	} else if (ctl->options.json && !ctl->options.follow && code == CTL_DONE) {
		if (sheets_print(reading->sheets, stdout, &err) != 0)
			code = ctl_complain_error(&err);
	}
	sheets_destroy(reading->sheets);
	return code;
}

static int log_table(struct ctl *ctl)
{
	auto_free uint64_t *after = calloc(ctl->n_nodes, sizeof(*after));
	struct reading reading = {.after = after};
	int code;

	if (!after) {
		ctl_complain("out of memory");
		return CTL_FAILED;
	}
	if (ctl->options.limit > UINT32_MAX)
		ctl->options.limit = UINT32_MAX;
	reading.limit = (uint32_t)ctl->options.limit;
	code = read_once(ctl, &reading);
	while (ctl->options.follow && code == CTL_DONE) {
		sleep(1);
		reading.limit = UINT32_MAX;
		code = read_once(ctl, &reading);
	}
	return code;
}

/* --- as a trace */

struct tracing {
	struct trace *trace;
	const char *node;
};

static int trace_row(struct larder_row *row, void *arg, struct larder_error *err)
{
	struct tracing *tracing = arg;

	if (row->type != LARDER_MSG_EVENT)
		return 0;
	return trace_event(tracing->trace, tracing->node, row->msg, err);
}

static int trace_node(struct ctl *ctl, size_t node, struct larder_client *client, void *arg,
		      struct larder_error *err)
{
	const struct larder_msg_LOG msg = {.limit = UINT32_MAX, .what = ""};
	struct tracing tracing = {.trace = arg, .node = ctl->nodes[node]};
	char host[HOST_NAME_MAX + 1] = "node";
	int rc;

	if (!tracing.node && gethostname(host, sizeof(host) - 1) == 0)
		host[strcspn(host, ".")] = '\0';
	if (!tracing.node)
		tracing.node = host;
	rc = larder_client_call(client, LARDER_MSG_LOG, &msg, FLEET_ANSWER_MS, trace_row, &tracing,
				NULL, err);
	trace_node_end(tracing.trace);
	return rc;
}

static int log_trace(struct ctl *ctl)
{
	struct trace *trace = NULL;
	int code;

	if (trace_create(stdout, ctl->options.names, &trace)) {
		ctl_complain("out of memory");
		return CTL_FAILED;
	}
	code = fleet_each(ctl, trace_node, trace);
	trace_destroy(trace);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	ctl_complain("standard output: %s", strerror(errno));
	return CTL_FAILED;
}

int ctl_log(struct ctl *ctl)
{
	if (ctl->options.trace)
		return log_trace(ctl);
	return log_table(ctl);
}
