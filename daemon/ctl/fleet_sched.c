/*
 * Owns the questions that one program answers for all nodes. Asks no node itself.
 * Called by the verbs that take --fleet, and by explain.
 */
#include "ctl/fleet_sched.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/network.h"
#include "larder/cleanup.h"
#include "larder/text.h"

bool fleet_sched_there(void)
{
	struct network_settings settings;

	network_settings_read(&settings);
	return settings.sched[0];
}

static int ask(const struct fleet_request *request, larder_row_fn fn, void *arg, char *note,
	       struct larder_error *err)
{
	struct network_settings settings;
	struct larder_client *client = NULL;
	int rc;

	network_settings_read(&settings);
	rc = network_open_sched(&settings, &client, err);
	if (!rc)
		rc = larder_client_call(client, request->type, request->msg, request->answer_ms, fn,
					arg, note, err);
	larder_client_close(client);
	return rc;
}

/* --- a table */

struct table {
	struct sheets *sheets;
	unsigned int silent;
};

static void say_silent(const struct larder_msg_SILENT *row)
{
	char ago[32];

	if (row->since_s > 0)
		ctl_complain("%s has not answered for %s: %s", row->node,
			     larder_duration_format((time(NULL) - row->since_s) * 1000, ago,
						    sizeof(ago)),
			     row->why);
	else
		ctl_complain("%s has never answered: %s", row->node, row->why);
}

static int take_row(struct larder_row *row, void *arg, struct larder_error *err)
{
	struct table *table = arg;

	if (row->type == LARDER_MSG_SILENT) {
		table->silent++;
		say_silent(row->msg);
		return 0;
	}
	if (row->type == LARDER_MSG_TEXT)
		return sheets_note(table->sheets, NULL,
				   ((const struct larder_msg_TEXT *)row->msg)->text, err);
	return sheets_add(table->sheets, NULL, row->type, row->msg, err);
}

int fleet_sched_table(struct ctl *ctl, const struct fleet_request *request,
		      const unsigned int *types)
{
	struct table table = {0};
	struct larder_error err = {0};
	char note[LARDER_ERROR_MAX];
	int rc, code = CTL_DONE;

	if (sheets_create(ctl, types, 0, &table.sheets, &err) != 0) {
		ctl_complain_error(&err);
		return CTL_USAGE;
	}
	rc = ask(request, take_row, &table, note, &err);
	if (!rc && !ctl->options.quiet)
		rc = sheets_note(table.sheets, NULL, note, &err);
	if (rc) {
		ctl_complain("larder-sched: %s", err.text);
		code = rc == -ENOTCONN || rc == -ECONNREFUSED || rc == -ETIMEDOUT
			       ? CTL_UNREACHABLE
			       : ctl_exit_code(rc);
	} else if (sheets_print(table.sheets, stdout, &err) != 0) {
		code = ctl_complain_error(&err);
	} else if (table.silent) {
		code = CTL_FAILED;
	}
	sheets_destroy(table.sheets);
	return code;
}

/* --- who holds it */

static int take_holders(struct larder_row *row, void *arg, struct larder_error *err)
{
	const struct larder_msg_FLEET_TREE *tree = row->msg;
	char **list = arg, *longer = NULL;

	if (row->type == LARDER_MSG_SILENT)
		say_silent(row->msg);
	if (row->type != LARDER_MSG_FLEET_TREE || !*tree->node_list)
		return 0;
	if (asprintf(&longer, "%s%s%s", *list ? *list : "", *list ? "," : "", tree->node_list) < 0)
		return larder_error_set(err, ENOMEM, "out of memory");
	free(*list);
	*list = longer;
	return 0;
}

int fleet_sched_holders(const char *pattern, char **list, struct larder_error *err)
{
	const struct larder_msg_FLEET_LIST msg = {.pattern = pattern};
	const struct fleet_request request = {LARDER_MSG_FLEET_LIST, &msg, FLEET_ANSWER_MS};
	int rc;

	*list = NULL;
	rc = ask(&request, take_holders, list, NULL, err);
	if (rc) {
		free(*list);
		*list = NULL;
		return rc;
	}
	return *list ? 0 : larder_error_set(err, ENOENT, "no node of the fleet holds %s", pattern);
}
