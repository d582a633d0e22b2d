/*
 * The verbs that only look: ls, show, jobs, explain, df, metrics.
 * They must not change anything.
 * Called through the table of commands.
 */
#include <stdio.h>
#include <string.h>

#include "ctl/fleet_sched.h"
#include "ctl/whole.h"

static int ls_fleet(struct ctl *ctl, const char *pattern)
{
	static const unsigned int types[] = {LARDER_MSG_FLEET_TREE, 0};
	const struct larder_msg_FLEET_LIST msg = {.pattern = pattern};
	const struct fleet_request request = {LARDER_MSG_FLEET_LIST, &msg, FLEET_ANSWER_MS};

	return fleet_sched_table(ctl, &request, types);
}

int ctl_ls(struct ctl *ctl)
{
	static const unsigned int types[] = {LARDER_MSG_TREE, 0};
	const struct larder_msg_LIST msg = {.pattern = ctl->n_args ? ctl->args[0] : ""};
	const struct fleet_request request = {LARDER_MSG_LIST, &msg, FLEET_ANSWER_MS};

	if (ctl->options.fleet)
		return ls_fleet(ctl, msg.pattern);
	return fleet_table(ctl, &request, types, 0);
}

int ctl_show(struct ctl *ctl)
{
	static const unsigned int types[] = {
		LARDER_MSG_TREE,   LARDER_MSG_TRANSFER, LARDER_MSG_LEASE, LARDER_MSG_PINNED,
		LARDER_MSG_SOURCE, LARDER_MSG_SHARD,	LARDER_MSG_EVENT, 0};
	const struct larder_msg_SHOW msg = {.spec = ctl->args[0]};
	const struct fleet_request request = {LARDER_MSG_SHOW, &msg, FLEET_ANSWER_MS};

	/* Everything there is to know, without -l. */
	ctl->options.longer = true;
	return fleet_table(ctl, &request, types, LARDER_MSG_TREE);
}

int ctl_jobs(struct ctl *ctl)
{
	static const unsigned int types[] = {LARDER_MSG_JOB, LARDER_MSG_LEASE, 0};
	const struct larder_msg_JOBS msg = {};
	const struct fleet_request request = {LARDER_MSG_JOBS, &msg, FLEET_ANSWER_MS};

	return fleet_table(ctl, &request, types, 0);
}

int ctl_explain(struct ctl *ctl)
{
	static const unsigned int types[] = {LARDER_MSG_LINE, 0};
	const struct larder_msg_EXPLAIN msg = {.what = ctl->args[0]};
	const struct fleet_request request = {LARDER_MSG_EXPLAIN, &msg, FLEET_ANSWER_MS};
	const struct larder_msg_FLEET_EXPLAIN far = {.spec = ctl->args[0]};
	const struct fleet_request question = {LARDER_MSG_FLEET_EXPLAIN, &far, FLEET_ANSWER_MS};
	/* A dataset may be elsewhere; a job's waiting is its node's to explain. JSON is one
	 * document. */
	bool elsewhere = !ctl->options.nodes && !ctl->options.json && fleet_sched_there() &&
			 ctl->args[0][strspn(ctl->args[0], "0123456789")] != '\0';
	struct larder_error err = {0};
	int code;

	if (elsewhere && whole_needed(&err) != 0)
		return ctl_complain_error(&err);
	code = fleet_table(ctl, &request, types, 0);
	if (!elsewhere)
		return code;
	return fleet_sched_table(ctl, &question, types);
}

int ctl_df(struct ctl *ctl)
{
	static const unsigned int types[] = {LARDER_MSG_TIER, 0};
	const struct larder_msg_DF msg = {};
	const struct fleet_request request = {LARDER_MSG_DF, &msg, FLEET_ANSWER_MS};

	return fleet_table(ctl, &request, types, 0);
}

/* --- metrics: text for a program, printed as it came */

static int print_text(struct larder_row *row, void *arg, struct larder_error *err)
{
	const char *text;

	(void)arg;
	(void)err;
	if (row->type != LARDER_MSG_TEXT)
		return 0;
	text = ((const struct larder_msg_TEXT *)row->msg)->text;
	fputs(text, stdout);
	if (*text && text[strlen(text) - 1] != '\n')
		putchar('\n');
	return 0;
}

static int ask_metrics(struct ctl *ctl, size_t node, struct larder_client *client, void *arg,
		       struct larder_error *err)
{
	const struct larder_msg_METRICS msg = {};

	(void)arg;
	if (ctl->n_nodes > 1)
		printf("# node %s\n", ctl->nodes[node]);
	return larder_client_call(client, LARDER_MSG_METRICS, &msg, FLEET_ANSWER_MS, print_text,
				  NULL, NULL, err);
}

int ctl_metrics(struct ctl *ctl)
{
	return fleet_each(ctl, ask_metrics, NULL);
}
