/*
 * Asks the daemons of one node or of many, and puts their answers together.
 * It must not know what a verb asks.
 * Called by every verb that asks larderd.
 */
#include <errno.h>
#include <stdio.h>

#include "ctl/fleet.h"
#include "ctl/fleet_lines.h"

const char *fleet_node(const struct ctl *ctl, size_t node)
{
	return ctl->n_nodes > 1 || ctl->options.fleet ? ctl->nodes[node] : NULL;
}

static int node_complain(const struct ctl *ctl, size_t node, const struct larder_error *err)
{
	if (!fleet_node(ctl, node))
		return ctl_complain_error(err);
	ctl_complain("%s: %s", ctl->nodes[node], err->text);
	return ctl_exit_code(-err->code);
}

static int node_run(struct ctl *ctl, size_t node, struct fleet_line *line, fleet_fn fn, void *arg)
{
	struct larder_error err = {0};
	int code, rc;

	if (line->rc != 0) {
		node_complain(ctl, node, &line->err);
		return CTL_UNREACHABLE;
	}
	rc = fn(ctl, node, line->client, arg, &err);
	if (rc == 0) {
		code = CTL_DONE;
	} else {
		code = node_complain(ctl, node, &err);
		/* It died or was stopped while it worked for us. */
		if (rc == -ECONNRESET || rc == -EPIPE)
			code = CTL_UNREACHABLE;
	}
	larder_client_close(line->client);
	return code;
}

int fleet_each(struct ctl *ctl, fleet_fn fn, void *arg)
{
	struct fleet_lines *lines = NULL;
	struct larder_error err = {0};
	int all = CTL_FAILED;

	if (fleet_lines_create(ctl, &lines, &err))
		return ctl_complain_error(&err);
	for (size_t i = 0; i < ctl->n_nodes; i++) {
		int code = node_run(ctl, i, fleet_line(lines, i), fn, arg);

		if (i == 0)
			all = code;
		else if (code != all)
			all = CTL_FAILED;
	}
	fleet_lines_destroy(lines);
	return all;
}

struct answer {
	struct sheets *sheets;
	const char *node;
};

static int take_row(struct larder_row *row, void *arg, struct larder_error *err)
{
	const struct answer *answer = arg;

	/* TEXT and LINE are both sentences; METRICS, which means TEXT as it is, has its own reader.
	 */
	if (row->type == LARDER_MSG_TEXT)
		return sheets_note(answer->sheets, answer->node,
				   ((const struct larder_msg_TEXT *)row->msg)->text, err);
	return sheets_add(answer->sheets, answer->node, row->type, row->msg, err);
}

int fleet_ask(struct ctl *ctl, size_t node, struct larder_client *client,
	      const struct fleet_request *request, struct sheets *sheets, struct larder_error *err)
{
	struct answer answer = {sheets, fleet_node(ctl, node)};
	char note[LARDER_ERROR_MAX];
	int rc = larder_client_call(client, request->type, request->msg, request->answer_ms,
				    take_row, &answer, note, err);

	if (rc != 0 || ctl->options.quiet)
		return rc;
	return sheets_note(sheets, answer.node, note, err);
}

struct plain_verb {
	const struct fleet_request *request;
	struct sheets *sheets;
};

static int ask_plainly(struct ctl *ctl, size_t node, struct larder_client *client, void *arg,
		       struct larder_error *err)
{
	const struct plain_verb *plain = arg;

	return fleet_ask(ctl, node, client, plain->request, plain->sheets, err);
}

int fleet_table(struct ctl *ctl, const struct fleet_request *request, const unsigned int *types,
		unsigned int upright)
{
	struct plain_verb plain = {.request = request};
	struct larder_error err = {0};
	int code;

	if (sheets_create(ctl, types, upright, &plain.sheets, &err) != 0) {
		ctl_complain_error(&err);
		return CTL_USAGE;
	}
	code = fleet_each(ctl, ask_plainly, &plain);
	/* One node that failed has nothing to show; of several, the others have. */
	if ((code == CTL_DONE || ctl->n_nodes > 1) && sheets_print(plain.sheets, stdout, &err) != 0)
		code = ctl_complain_error(&err);
	sheets_destroy(plain.sheets);
	return code;
}
