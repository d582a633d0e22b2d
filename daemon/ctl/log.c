/*
 * `larder log`: the audit log, and with -f what is added to it.
 * It must not change anything.
 * Called through the table of commands.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ctl/fleet.h"
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

int ctl_log(struct ctl *ctl)
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
