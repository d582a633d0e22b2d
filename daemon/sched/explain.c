/*
 * Owns the sentences about one dataset in the fleet. Pure. Called by serve.c.
 */
#include "sched/explain.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "sched/nodeset.h"

struct speech {
	explain_fn fn;
	void *arg;
	struct larder_error *err;
};

static int __attribute__((format(printf, 2, 3)))
say(const struct speech *speech, const char *fmt, ...)
{
	auto_free char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL;
		return larder_error_set(speech->err, ENOMEM, "out of memory");
	}
	return speech->fn(text, speech->arg, speech->err);
}

/* The copies of a kind, folded; NULL when there are none. To free. */
static char *those(const struct view_set *set, bool (*is)(const struct view_copy *))
{
	auto_free const char **names = calloc(set->n + 1, sizeof(*names));
	size_t n = 0;

	for (unsigned int i = 0; names && i < set->n; i++)
		if (is(&set->copies[i]))
			names[n++] = set->copies[i].name;
	return n ? nodeset_fold(names, n) : NULL;
}

static bool is_ready(const struct view_copy *copy)
{
	return copy->state == LARDER_TREE_READY;
}

static bool is_idle(const struct view_copy *copy)
{
	return is_ready(copy) && copy->usable && copy->idle;
}

static bool is_busy(const struct view_copy *copy)
{
	return is_ready(copy) && copy->usable && !copy->idle;
}

static bool is_closed(const struct view_copy *copy)
{
	return is_ready(copy) && !copy->usable;
}

/* Staging and partial copies, one by one: each is as far as it is. */
static int say_partial(const struct speech *speech, const struct view_set *set)
{
	int rc = 0;

	for (unsigned int i = 0; i < set->n && !rc; i++) {
		const struct view_copy *copy = &set->copies[i];

		if (is_ready(copy))
			continue;
		rc = say(speech, "%s has %.0f %% of it (%s)", copy->name,
			 set->bytes ? 100.0 * (double)copy->present_bytes / (double)set->bytes : 0,
			 larder_tree_state_word(copy->state));
	}
	return rc;
}

/* Where a job would start soonest. */
static int say_start(const struct speech *speech, const struct view_set *set)
{
	auto_free char *idle = those(set, is_idle), *busy = those(set, is_busy),
		       *closed = those(set, is_closed);
	int rc = 0;

	if (idle)
		rc = say(speech, "a job would start at once, without staging, on: %s", idle);
	if (!rc && busy)
		rc = say(speech, "these have it, but run jobs now: %s", busy);
	if (!rc && closed)
		rc = say(speech, "these have it, but take no jobs (down or drained): %s", closed);
	return rc;
}

static int by_time(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return left < right ? -1 : left > right;
}

/* The median of what nodes measured. */
static int say_elsewhere(const struct speech *speech, const struct view_set *set)
{
	auto_free int64_t *times = calloc(set->n + 1, sizeof(*times));
	char text[64], size[32];
	size_t n = 0;

	if (!times)
		return larder_error_set(speech->err, ENOMEM, "out of memory");
	for (unsigned int i = 0; i < set->n; i++)
		if (set->copies[i].stage_ms > 0)
			times[n++] = set->copies[i].stage_ms;
	larder_size_format(set->bytes, size, sizeof(size));
	if (!n)
		return say(speech,
			   "elsewhere it must be staged first: %s; nobody measured how long "
			   "that takes",
			   size);
	qsort(times, n, sizeof(*times), by_time);
	larder_duration_format(times[n / 2], text, sizeof(text));
	return say(speech,
		   "elsewhere it must be staged first: %s, which took %s (the median of %zu)", size,
		   text, n);
}

int explain_set(const struct view_set *set, explain_fn fn, void *arg, struct larder_error *err)
{
	const struct speech speech = {fn, arg, err};
	auto_free char *ready = those(set, is_ready);
	char size[32];
	int rc;

	larder_size_format(set->bytes, size, sizeof(size));
	rc = ready ? say(&speech, "%s (%s) is ready on %u node%s: %s", set->label, size, set->ready,
			 set->ready == 1 ? "" : "s", ready)
		   : say(&speech, "%s (%s) is ready on no node", set->label, size);
	if (!rc)
		rc = say_partial(&speech, set);
	if (!rc)
		rc = say_start(&speech, set);
	return rc ? rc : say_elsewhere(&speech, set);
}
