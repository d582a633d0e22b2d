/*
 * Owns where a job's nodes can be asked: the admin's file, larder-sched's word, name and port.
 * Must not hold the job up for it: one question, within its time. Called by fleet.c.
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "conf/conf.h"
#include "fleet/call.h"
#include "fleet/frames.h"
#include "larder/cleanup.h"
#include "larder/wire.h"
#include "prolog/prolog.h"

#define SCHED_NODE "larder-sched" /* whom a credential for it is bound to */

char *prolog_address_in(const char *text, const char *node)
{
	size_t len = strlen(node);

	for (const char *line = text; line && *line;) {
		const char *end = strchrnul(line, '\n');
		const char *at = line + strspn(line, " \t");

		if (strncmp(at, node, len) == 0 && (at[len] == ' ' || at[len] == '\t')) {
			at += len + strspn(at + len, " \t");
			return strndup(at, strcspn(at, " \t\r\n"));
		}
		line = *end ? end + 1 : end;
	}
	return NULL;
}

/* --- larder-sched */

static void take_address(const struct prolog_job *job, const struct larder_msg_NODE_ADDRESS *row,
			 char **addresses)
{
	for (size_t i = 0; i < job->n_nodes; i++)
		if (!addresses[i] && *row->address && strcmp(job->nodes[i], row->node) == 0)
			addresses[i] = strdup(row->address);
}

int prolog_take_addresses(uint8_t *answer, size_t len, const struct prolog_job *job,
			  char **addresses, struct larder_error *err)
{
	struct larder_head head;
	union frames_row row;

	while (frames_next(&answer, &len, &head, &row, err) > 0) {
		if (head.type == LARDER_MSG_DONE)
			return 0;
		if (head.type == LARDER_MSG_ERROR)
			return larder_error_set(err, row.ERROR.code ? (int)row.ERROR.code : EIO,
						"%s", row.ERROR.text);
		if (head.type == LARDER_MSG_NODE_ADDRESS) /* of a silent node nothing is needed */
			take_address(job, &row.NODE_ADDRESS, addresses);
	}
	return larder_error_set(err, EPROTO, "its answer is not what was asked for");
}

static int call_sched(const struct prolog_options *options, const struct prolog_job *job,
		      struct fleet_caller *caller, char **addresses, struct larder_error *err)
{
	const struct larder_msg_NODES ask = {.node_list = job->node_list};
	const struct passwd *user = getpwnam(options->sched_user);
	auto_free uint8_t *request = NULL, *answer = NULL;
	struct fleet_call call = {
		.address = options->sched, .node = SCHED_NODE, .timeout_ms = options->timeout_ms};

	if (!user)
		return larder_error_set(err, ENOENT, "nobody here is called %s",
					options->sched_user);
	if (larder_msg_encode(LARDER_MSG_NODES, 1, &ask, &request, &call.len, err))
		return -err->code;
	call.to = user->pw_uid;
	call.request = request;
	fleet_call_all(caller, &call, 1, NULL, NULL);
	answer = call.answer;
	if (call.rc)
		return larder_error_set(err, -call.rc, "%s", call.err.text);
	return prolog_take_addresses(answer, call.answer_len, job, addresses, err);
}

static bool some_missing(const struct prolog_job *job, char *const *addresses)
{
	for (size_t i = 0; i < job->n_nodes; i++)
		if (!addresses[i])
			return true;
	return false;
}

/* --- all three */

int prolog_addresses(const struct prolog_options *options, const struct prolog_job *job,
		     struct fleet_caller *caller, char **addresses, struct larder_error *err)
{
	auto_free char *text = NULL;
	struct larder_error why = {0};

	/* What cannot be read or asked leaves the names, which is better than nothing. */
	if (options->addresses && config_slurp(options->addresses, &text, &why))
		syslog(LOG_WARNING, "%s", why.text);
	for (size_t i = 0; text && i < job->n_nodes; i++)
		addresses[i] = prolog_address_in(text, job->nodes[i]);
	if (options->sched && some_missing(job, addresses) &&
	    call_sched(options, job, caller, addresses, &why))
		syslog(LOG_WARNING, "job=%u larder-sched at %s: %s", job->id, options->sched,
		       why.text);
	for (size_t i = 0; i < job->n_nodes; i++)
		if (!addresses[i] &&
		    asprintf(&addresses[i], "%s:%u", job->nodes[i], options->port) < 0) {
			addresses[i] = NULL;
			return larder_error_set(err, ENOMEM, "out of memory");
		}
	return 0;
}
