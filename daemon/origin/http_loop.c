/*
 * Owns: one thread's multi handle: which fetches are asked for, when, and what wakes it.
 * Must not: know why something is fetched.
 * Called by: http_run, http_stripe.c, http_many.c; each loop by one thread at a time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "larder/clock.h"
#include "origin/http.h"

/* --- life */

static struct http_loop *loop_create(void)
{
	struct http_loop *loop = calloc(1, sizeof(*loop));

	if (loop)
		loop->multi = curl_multi_init();
	if (loop && loop->multi)
		return loop;
	free(loop);
	return NULL;
}

void http_loop_free(struct http_loop *loop)
{
	while (loop->idle) {
		struct http_handle *handle = loop->idle;

		loop->idle = handle->next;
		curl_easy_cleanup(handle->curl);
		free(handle);
	}
	curl_multi_cleanup(loop->multi);
	free(loop);
}

struct http_loop *http_loop_take(struct http_source *source)
{
	struct http_loop *loop;

	pthread_mutex_lock(&source->lock);
	loop = source->idle;
	if (loop)
		source->idle = loop->next;
	pthread_mutex_unlock(&source->lock);
	return loop ? loop : loop_create();
}

void http_loop_give(struct http_source *source, struct http_loop *loop)
{
	pthread_mutex_lock(&source->lock);
	loop->next = source->idle;
	source->idle = loop;
	pthread_mutex_unlock(&source->lock);
}

/* --- fetches come and go */

/* Room at a gate was made for one of this loop's. */
static void on_room(void *arg)
{
	struct http_loop *loop = arg;

	curl_multi_wakeup(loop->multi);
}

void http_loop_add(struct http_loop *loop, struct http_fetch *fetch)
{
	fetch->loop = loop;
	fetch->state = HTTP_QUEUED;
	fetch->after_ms = -1;
	if (!fetch->begun_ms)
		fetch->begun_ms = clock_mono_ms();
	fetch->mark = fetch->reached;
	fetch->own = fetch->shared = (struct gate_place){.wake = on_room, .arg = loop};
	fetch->at = fetch->url ? strdup(fetch->url) : NULL;
	fetch->next = loop->fetches;
	loop->fetches = fetch;
}

/* The request is over or given up: handle and room are the next one's. */
static void let_go(struct http_loop *loop, struct http_fetch *fetch)
{
	if (fetch->handle) {
		http_request_end(fetch, loop->multi);
		fetch->handle->next = loop->idle;
		loop->idle = fetch->handle;
		fetch->handle = NULL;
	}
	if (fetch->limit)
		origin_limit_leave(fetch->limit, &fetch->shared);
	fetch->limit = NULL;
	gate_leave(&fetch->source->gate, &fetch->own);
}

static void forget(struct http_loop *loop, struct http_fetch *fetch)
{
	struct http_fetch **at = &loop->fetches;

	while (*at != fetch)
		at = &(*at)->next;
	*at = fetch->next;
	let_go(loop, fetch);
	fetch->state = HTTP_OVER;
	free(fetch->at);
	free(fetch->url);
	fetch->at = fetch->url = NULL;
}

void http_loop_drop(struct http_loop *loop, struct http_fetch *fetch)
{
	if (fetch->loop == loop && fetch->state != HTTP_OVER)
		forget(loop, fetch);
}

static void finish(struct http_loop *loop, struct http_fetch *fetch, int rc)
{
	forget(loop, fetch);
	fetch->over(fetch, rc);
}

/* --- a turn */

static struct http_handle *handle_take(struct http_loop *loop)
{
	struct http_handle *handle = loop->idle;

	if (handle) {
		loop->idle = handle->next;
		return handle;
	}
	handle = calloc(1, sizeof(*handle));
	if (handle)
		handle->curl = curl_easy_init();
	if (handle && handle->curl)
		return handle;
	free(handle);
	return NULL;
}

static int ask(struct http_loop *loop, struct http_fetch *fetch)
{
	int rc = -ENOMEM;

	fetch->handle = fetch->at ? handle_take(loop) : NULL;
	if (fetch->handle)
		rc = http_request_begin(fetch, loop->multi);
	if (rc)
		return larder_error_set(&fetch->why, ENOMEM, "no memory for a request");
	fetch->state = HTTP_ASKING;
	return 0;
}

/* Has it all that a request needs? Else *due_ms is when to look again, or room will wake us. */
static bool may_ask(struct http_fetch *fetch, int64_t now_ms)
{
	struct http_source *source = fetch->source;
	int64_t wait_ms;

	if (fetch->due_ms > now_ms || !gate_enter(&source->gate, &fetch->own))
		return false;
	if (!fetch->limit)
		fetch->limit = origin_limit_of(source->options.limits, source->root, fetch->url);
	if (!fetch->limit)
		return true;
	if (!origin_limit_enter(fetch->limit, &fetch->shared))
		return false;
	wait_ms = origin_limit_request_ms(fetch->limit);
	fetch->due_ms = now_ms + wait_ms;
	return !wait_ms;
}

/* Starts what may be; *until_ms is when the next one may. */
static void start_due(struct http_loop *loop, int64_t *until_ms)
{
	int64_t now_ms = clock_mono_ms();
	struct http_fetch *next;

	for (struct http_fetch *fetch = loop->fetches; fetch; fetch = next) {
		int rc;

		next = fetch->next;
		if (fetch->state != HTTP_QUEUED)
			continue;
		if (!fetch->at || may_ask(fetch, now_ms))
			rc = ask(loop, fetch);
		else
			rc = 1;
		if (rc == 1 && fetch->due_ms > now_ms && fetch->due_ms < *until_ms)
			*until_ms = fetch->due_ms;
		if (rc < 0) {
			finish(loop, fetch, rc);
			next = loop->fetches; /* over() may have changed the list */
		}
	}
}

static void answered(struct http_loop *loop, struct http_fetch *fetch, CURLcode code)
{
	int rc;

	rc = http_try_answered(fetch, code);
	if (rc != 1) {
		finish(loop, fetch, rc);
		return;
	}
	let_go(loop, fetch);
	fetch->state = HTTP_QUEUED;
}

static unsigned int collect(struct http_loop *loop)
{
	unsigned int n = 0;
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(loop->multi, &left))) {
		struct http_fetch *fetch = NULL;
		CURLcode code = msg->data.result;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&fetch);
		answered(loop, fetch, code); /* msg is gone with the handle */
		n++;
	}
	return n;
}

/* What is not wanted, stalls or takes too long. */
static void watch(struct http_loop *loop)
{
	int64_t now_ms = clock_mono_ms();
	struct http_fetch *next;

	if (now_ms - loop->watched_ms < HTTP_WANTED_MS)
		return;
	loop->watched_ms = now_ms;
	for (struct http_fetch *fetch = loop->fetches; fetch; fetch = next) {
		next = fetch->next;
		if (!http_try_watch(fetch, loop->polled_ns))
			continue;
		if (fetch->state == HTTP_ASKING)
			answered(loop, fetch, CURLE_ABORTED_BY_CALLBACK);
		else
			finish(loop, fetch, fetch->rc);
		next = loop->fetches;
	}
}

/* What was read was more than the origin's limit allows: nothing is read until that is paid. */
static int64_t read_wait_ms(const struct http_loop *loop)
{
	int64_t longest_ms = 0;

	for (const struct http_fetch *fetch = loop->fetches; fetch; fetch = fetch->next) {
		int64_t wait_ms = 0;

		if (fetch->state == HTTP_ASKING && fetch->limit)
			wait_ms = origin_limit_read_ms(fetch->limit);
		if (wait_ms > longest_ms)
			longest_ms = wait_ms;
	}
	return longest_ms < HTTP_WANTED_MS ? longest_ms : HTTP_WANTED_MS;
}

static bool any_paused(const struct http_loop *loop)
{
	const struct http_fetch *fetch = loop->fetches;

	while (fetch && !fetch->paused)
		fetch = fetch->next;
	return fetch;
}

/* Those that a debt stopped. Each may pause again, after as much as is allowed. */
static void go_on(struct http_loop *loop)
{
	struct http_fetch *next;

	for (struct http_fetch *fetch = loop->fetches; fetch; fetch = next) {
		CURLcode code;

		next = fetch->next;
		if (fetch->state != HTTP_ASKING || !fetch->paused)
			continue;
		code = http_request_go_on(fetch);
		if (!code)
			continue;
		answered(loop, fetch, code); /* over() may have changed the list */
		next = loop->fetches;
	}
}

/* No stall of the server's: this time is not among polled_ns. */
static void pause_reading(struct http_loop *loop, int64_t ms)
{
	struct timespec sleep = {.tv_nsec = (long)ms * 1000000}; /* at most HTTP_WANTED_MS */
	int64_t began_ns = clock_mono_ns();

	nanosleep(&sleep, NULL);
	loop->held_ns += clock_mono_ns() - began_ns;
	watch(loop);
}

void http_loop_turn(struct http_loop *loop)
{
	int64_t until_ms = clock_mono_ms() + HTTP_WANTED_MS, began_ns, pause_ms;
	int running = 0, wait_ms;

	start_due(loop, &until_ms);
	pause_ms = read_wait_ms(loop);
	if (pause_ms) {
		pause_reading(loop, pause_ms);
		return;
	}
	go_on(loop);
	curl_multi_perform(loop->multi, &running);
	watch(loop);
	if (collect(loop) || !loop->fetches || any_paused(loop))
		return;
	wait_ms = (int)(until_ms - clock_mono_ms());
	began_ns = clock_mono_ns();
	if (wait_ms > 0)
		curl_multi_poll(loop->multi, NULL, 0, wait_ms, NULL);
	loop->polled_ns += clock_mono_ns() - began_ns;
}

/* --- one fetch alone */

static void alone_over(struct http_fetch *fetch, int rc)
{
	fetch->rc = rc;
}

int http_run(struct http_fetch *fetch, struct larder_error *err)
{
	struct http_loop *loop = http_loop_take(fetch->source);

	if (!loop) {
		free(fetch->url);
		return larder_error_set(err, ENOMEM, "no memory for a connection");
	}
	fetch->over = alone_over;
	http_loop_add(loop, fetch);
	while (fetch->state != HTTP_OVER)
		http_loop_turn(loop);
	http_loop_give(fetch->source, loop);
	if (fetch->rc && err)
		*err = fetch->why;
	return fetch->rc;
}
