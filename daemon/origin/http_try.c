/*
 * Owns: the tries that a fetch may take: when it is asked for again, when it is given up.
 * Must not: make requests, or sleep.
 * Called by: http_loop.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "larder/clock.h"
#include "origin/http.h"

#define BASE_MS	      250
#define CAP_MS	      15000
#define PATIENCE_MS   120000
#define STALL_BYTES_S 1024
#define RENEW_BYTES                                                                                \
	((uint64_t)64 * 1024 * 1024) /* that much farther: the count of tries begins anew */

/* --- after a request */

static uint32_t random_number(void)
{
	uint32_t number = 0;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != (ssize_t)sizeof(number))
		number = (uint32_t)clock_mono_ms() * 2654435761u;
	return number;
}

static bool budget_take(struct http_source *source)
{
	return atomic_fetch_add(&source->retried, 1) < source->options.retry_budget;
}

static int give_up(struct http_fetch *fetch, int rc, enum retry_class class)
{
	size_t len = strlen(fetch->why.text);

	if (fetch->after_ms > PATIENCE_MS)
		snprintf(fetch->why.text + len, sizeof(fetch->why.text) - len,
			 "; the server wants to be left alone for %lld s",
			 (long long)(fetch->after_ms / 1000));
	else if (class != RETRY_NEVER)
		snprintf(fetch->why.text + len, sizeof(fetch->why.text) - len,
			 " (%s; given up after %u tries)", retry_class_text(class), fetch->failed);
	return rc;
}

/* It failed in a way that may pass, or not. 1: once more, later. */
static int try_again(struct http_fetch *fetch, int rc, enum retry_class class)
{
	const struct retry_policy policy = {
		.retries = fetch->source->options.retries,
		.base_ms = BASE_MS,
		.cap_ms = CAP_MS,
		.patience_ms = PATIENCE_MS,
	};
	int64_t delay_ms;

	if (fetch->reached - fetch->mark >= RENEW_BYTES) {
		fetch->mark = fetch->reached;
		fetch->failed = 0;
	}
	delay_ms =
		retry_delay_ms(&policy, class, ++fetch->failed, fetch->after_ms, random_number());
	if (delay_ms < 0 || !budget_take(fetch->source))
		return give_up(fetch, rc, class);
	fetch->due_ms = clock_mono_ms() + delay_ms;
	return 1;
}

static int follow(struct http_fetch *fetch)
{
	int rc = http_follow(fetch, &fetch->at);

	if (rc == 1 && ++fetch->redirects > HTTP_REDIRECTS_MAX)
		rc = larder_error_set(&fetch->why, EPROTO,
				      "the server redirects more than %d times",
				      HTTP_REDIRECTS_MAX);
	return rc;
}

int http_try_answered(struct http_fetch *fetch, CURLcode code)
{
	enum retry_class class = RETRY_NEVER;
	int rc = code ? 0 : follow(fetch);

	if (rc)
		return rc;
	rc = http_request_outcome(fetch, code, &class);
	if (!rc && fetch->head)
		curl_easy_getinfo(fetch->handle->curl, CURLINFO_FILETIME_T, &fetch->modified_s);
	/* A way that redirects showed may be another one the next time. */
	if (rc) {
		free(fetch->at);
		fetch->at = strdup(fetch->url);
		fetch->redirects = 0;
		if (!fetch->at)
			return larder_error_set(&fetch->why, ENOMEM, "no memory for a request");
	}
	return rc ? try_again(fetch, rc, class) : 0;
}

/* --- while it is under way */

static int still_wanted(struct http_fetch *fetch)
{
	const _Atomic bool *stop = fetch->source->options.stop;
	int rc = 0;

	if (stop && atomic_load_explicit(stop, memory_order_relaxed))
		rc = -ECANCELED;
	else if (fetch->put)
		rc = fetch->put(NULL, 0, fetch->arg);
	return rc ? larder_error_set(&fetch->why, rc, "it is not wanted any more") : 0;
}

static int in_time(struct http_fetch *fetch)
{
	int64_t allowed_ms = fetch->source->options.total_timeout_ms;

	if (!allowed_ms || clock_mono_ms() - fetch->begun_ms < allowed_ms)
		return 0;
	return larder_error_set(&fetch->why, ETIMEDOUT,
				"not all of it came within %lld s, which is what "
				"http_total_timeout allows",
				(long long)(allowed_ms / 1000));
}

/* Too few bytes in a window of the time that was spent waiting for servers. */
static bool stalls(struct http_fetch *fetch, int64_t polled_ns)
{
	int64_t window_ms = fetch->source->options.stall_timeout_ms;

	if (fetch->state != HTTP_ASKING || polled_ns - fetch->window_ns < window_ms * 1000000)
		return false;
	fetch->stalled = fetch->window_bytes < (uint64_t)window_ms * STALL_BYTES_S / 1000;
	fetch->window_ns = polled_ns;
	fetch->window_bytes = 0;
	return fetch->stalled;
}

int http_try_watch(struct http_fetch *fetch, int64_t polled_ns)
{
	int rc = still_wanted(fetch);

	if (!rc)
		rc = in_time(fetch);
	if (rc)
		fetch->rc = rc;
	return rc || stalls(fetch, polled_ns) ? -ECANCELED : 0;
}
