/*
 * Owns how entries of the audit log become lines of a trace: acquire, stage.done and release of one
 * job put together. Must not ask a daemon. The format is told in larder(1), TRACES. Called by
 * log.c; tested by test_ctl_trace.c.
 */
#include "ctl/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

/* The default function falls through its switch, which clang warns of. */
#define HASH_FUNCTION HASH_OAT
#include <uthash.h>
#include <utlist.h>

#include "larder/text.h"

/* A dataset that a job has and has not given back. */
struct held {
	struct held *prev, *next;
	int64_t since_s, stage_ms;
	uint32_t job, run, uid;
	uint64_t bytes;
	bool waits; /* for its staging */
	char found[8];
	char dataset[LARDER_NAME_MAX + LARDER_VERSION_MAX + 2];
};

struct user {
	UT_hash_handle hh;
	uint32_t uid;
	unsigned int number;
};

struct trace {
	FILE *out;
	bool names;
	struct held *held;
	struct user *users;
};

int trace_create(FILE *out, bool names, struct trace **trace)
{
	*trace = calloc(1, sizeof(**trace));
	if (!*trace)
		return -ENOMEM;
	(*trace)->out = out;
	(*trace)->names = names;
	fputs("# larder trace 1: TIME NODE JOB USER DATASET BYTES FOUND STAGE-SECONDS RUN-SECONDS\n",
	      out);
	return 0;
}

void trace_node_end(struct trace *trace)
{
	struct held *held, *next;

	DL_FOREACH_SAFE(trace->held, held, next)
	{
		DL_DELETE(trace->held, held);
		free(held);
	}
}

void trace_destroy(struct trace *trace)
{
	struct user *user, *next;

	if (!trace)
		return;
	trace_node_end(trace);
	HASH_ITER(hh, trace->users, user, next)
	{
		HASH_DEL(trace->users, user);
		free(user);
	}
	free(trace);
}

/* The value of `key=` in an event's text, cut at the next blank. false: it is not there, or is too
 * long. */
static bool word(const char *text, const char *key, char *out, size_t size)
{
	size_t len = strlen(key);

	while (strncmp(text, key, len) != 0 || text[len] != '=') {
		text = strchr(text, ' ');
		if (!text)
			return false;
		text++;
	}
	text += len + 1;
	len = strcspn(text, " ");
	if (!len || len >= size)
		return false;
	memcpy(out, text, len);
	out[len] = '\0';
	return true;
}

static bool number(const char *text, const char *key, uint64_t max, uint64_t *value)
{
	char digits[24];

	return word(text, key, digits, sizeof(digits)) &&
	       larder_u64_parse(digits, value, NULL) == 0 && *value <= max;
}

static int take_acquire(struct trace *trace, const struct larder_msg_EVENT *event)
{
	uint64_t job, run, uid, bytes;
	struct held *held = calloc(1, sizeof(*held));

	if (!held)
		return -ENOMEM;
	/* Entries of before there were traces have no bytes. */
	if (!number(event->text, "job", UINT32_MAX, &job) ||
	    !number(event->text, "run", UINT32_MAX, &run) ||
	    !number(event->text, "uid", UINT32_MAX, &uid) ||
	    !number(event->text, "bytes", UINT64_MAX, &bytes) ||
	    !word(event->text, "found", held->found, sizeof(held->found)) ||
	    !word(event->text, "dataset", held->dataset, sizeof(held->dataset))) {
		free(held);
		return 0;
	}
	held->job = (uint32_t)job;
	held->run = (uint32_t)run;
	held->uid = (uint32_t)uid;
	held->bytes = bytes;
	held->since_s = event->at_s;
	held->waits = strcmp(held->found, "hit") != 0;
	DL_APPEND(trace->held, held);
	return 0;
}

static void take_stage(struct trace *trace, const struct larder_msg_EVENT *event)
{
	char dataset[sizeof(trace->held->dataset)];
	struct held *held;
	uint64_t ms;

	if (!word(event->text, "dataset", dataset, sizeof(dataset)) ||
	    !number(event->text, "ms", INT64_MAX, &ms))
		return;
	DL_FOREACH(trace->held, held)
	{
		if (held->waits && strcmp(held->dataset, dataset) == 0) {
			held->stage_ms = (int64_t)ms;
			held->waits = false;
		}
	}
}

/* Writes into buf and returns it; NULL without memory. */
static const char *user_text(struct trace *trace, uint32_t uid, char *buf, size_t len)
{
	struct passwd *pw = trace->names ? getpwuid(uid) : NULL;
	struct user *user;

	if (trace->names) {
		if (pw)
			snprintf(buf, len, "%s", pw->pw_name);
		else
			snprintf(buf, len, "%" PRIu32, uid);
		return buf;
	}
	HASH_FIND(hh, trace->users, &uid, sizeof(uid), user);
	if (!user) {
		user = calloc(1, sizeof(*user));
		if (!user)
			return NULL;
		user->uid = uid;
		user->number = HASH_COUNT(trace->users) + 1;
		HASH_ADD(hh, trace->users, uid, sizeof(user->uid), user);
	}
	snprintf(buf, len, "u%u", user->number);
	return buf;
}

static int write_line(struct trace *trace, const char *node, const struct held *held, int64_t end_s)
{
	char user[64];
	int64_t run_ms = (end_s - held->since_s) * 1000 - held->stage_ms;

	if (!user_text(trace, held->uid, user, sizeof(user)))
		return -ENOMEM;
	fprintf(trace->out,
		"%" PRId64 " %s %" PRIu32 ".%" PRIu32 " %s %s %" PRIu64 " %s %.3f %.3f\n",
		held->since_s, node, held->job, held->run, user, held->dataset, held->bytes,
		held->found, (double)held->stage_ms / 1000,
		run_ms > 0 ? (double)run_ms / 1000 : 0.0);
	return 0;
}

/* As the daemon releases: all runs of the job up to that one. */
static int take_release(struct trace *trace, const char *node, const struct larder_msg_EVENT *event)
{
	struct held *held, *next;
	uint64_t job, run;
	int rc = 0;

	if (!number(event->text, "job", UINT32_MAX, &job) ||
	    !number(event->text, "run", UINT32_MAX, &run))
		return 0;
	DL_FOREACH_SAFE(trace->held, held, next)
	{
		if (held->job != job || held->run > run)
			continue;
		if (!rc)
			rc = write_line(trace, node, held, event->at_s);
		DL_DELETE(trace->held, held);
		free(held);
	}
	return rc;
}

int trace_event(struct trace *trace, const char *node, const struct larder_msg_EVENT *event,
		struct larder_error *err)
{
	int rc = 0;

	if (strcmp(event->what, "acquire") == 0)
		rc = take_acquire(trace, event);
	else if (strcmp(event->what, "stage.done") == 0)
		take_stage(trace, event);
	else if (strcmp(event->what, "release") == 0)
		rc = take_release(trace, node, event);
	return rc ? larder_error_set(err, -rc, "out of memory") : 0;
}
