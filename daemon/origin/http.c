/*
 * Owns: origins at http:// and https://: their connections, kept from shard to shard, and the tries
 * that one shard may take.
 * Must not: hold more of a shard than libcurl's buffer, know credentials, or list.
 * Called by: xfer and scan, through source_ops, from many threads at once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "origin/http.h"
#include "origin/origins.h"

#define BASE_MS	    250
#define CAP_MS	    15000
#define PATIENCE_MS 120000
#define RENEW_BYTES                                                                                \
	((uint64_t)64 * 1024 * 1024) /* that much farther: the count of tries begins anew */

int64_t http_mono_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool http_owns(const char *origin)
{
	return strncmp(origin, "http://", 7) == 0 || strncmp(origin, "https://", 8) == 0;
}

static void handle_free(struct http_handle *handle)
{
	curl_easy_cleanup(handle->curl);
	free(handle);
}

void http_source_fini(struct http_source *source)
{
	while (source->idle) {
		struct http_handle *handle = source->idle;

		source->idle = handle->next;
		handle_free(handle);
	}
	pthread_cond_destroy(&source->change);
	pthread_mutex_destroy(&source->lock);
	curl_slist_free_all(source->headers);
	if (source->sign.secret)
		explicit_bzero(source->sign.secret, strlen(source->sign.secret));
	free(source->sign.secret);
	free(source->sign.key_id);
	free(source->sign.scheme);
	http_login_fini(&source->login);
	free(source->root);
	free(source->host);
}

static void http_close(struct source *base)
{
	struct http_source *source = (struct http_source *)base;

	if (!source)
		return;
	http_source_fini(source);
	free(source);
}

/* The text behind "://" has no user, and a query has no place: paths are put behind it. */
static int check_root(const char *origin, struct larder_error *err)
{
	if (strpbrk(origin, "?#"))
		return larder_error_set(
			err, EINVAL,
			"origin %s: leave out what begins with ? or #; paths of files "
			"are put behind an origin",
			origin);
	return 0;
}

static char *host_of(const char *origin)
{
	CURLU *url = curl_url();
	char *part = NULL, *host = NULL;

	if (url && !curl_url_set(url, CURLUPART_URL, origin, 0) &&
	    !curl_url_get(url, CURLUPART_HOST, &part, 0))
		host = strdup(part);
	curl_free(part);
	curl_url_cleanup(url);
	return host;
}

int http_source_init(struct http_source *source, const char *origin, const char *url,
		     const struct source_options *options, struct larder_error *err)
{
	pthread_mutex_init(&source->lock, NULL);
	pthread_cond_init(&source->change, NULL);
	source->tls = strncmp(url, "https:", 6) == 0;
	source->options = options ? *options : SOURCE_OPTIONS_DEFAULT;
	if (curl_global_init(CURL_GLOBAL_DEFAULT)) /* counted and thread-safe since 7.84 */
		return larder_error_set(err, EIO, "libcurl does not start");
	source->root = strdup(origin);
	source->host = host_of(url);
	if (!source->root || !source->host)
		return larder_error_set(err, EINVAL, "origin %s is no URL that can be read", url);
	return 0;
}

static char *plain_url(const struct http_source *source, const char *path)
{
	return http_url_join(source->root, path);
}

static int plain_refuse(const struct http_source *source, const struct http_refusal *refusal,
			struct larder_error *err)
{
	return http_status_refuse(refusal->status, source->tls, err);
}

static const struct http_dialect plain = {.url = plain_url, .refuse = plain_refuse};

static int http_open(const char *origin, const struct source_as *as,
		     const struct source_options *options, struct source **out,
		     struct larder_error *err)
{
	struct http_source *source;
	int rc = check_root(origin, err);

	(void)as; /* nobody's ids count at a web server */
	if (rc)
		return rc;
	source = calloc(1, sizeof(*source));
	if (!source)
		return larder_error_set(err, ENOMEM, "no memory for origin %s", origin);
	source->base.ops = &source_http;
	source->dialect = &plain;
	rc = http_source_init(source, origin, origin, options, err);
	if (!rc && source->tls && source->options.login_text)
		rc = http_login_find(source->options.login_text, origin, &source->login, err);
	if (rc) {
		http_close(&source->base);
		return rc;
	}
	*out = &source->base;
	return 0;
}

/* --- connections */

static struct http_handle *handle_take(struct http_source *source)
{
	struct http_handle *handle;

	pthread_mutex_lock(&source->lock);
	while (!source->idle && source->made >= source->options.connections)
		pthread_cond_wait(&source->change, &source->lock);
	handle = source->idle;
	if (handle)
		source->idle = handle->next;
	else
		source->made++;
	pthread_mutex_unlock(&source->lock);
	if (handle)
		return handle;
	handle = calloc(1, sizeof(*handle));
	if (handle)
		handle->curl = curl_easy_init();
	if (handle && handle->curl)
		return handle;
	free(handle);
	pthread_mutex_lock(&source->lock);
	source->made--;
	pthread_cond_signal(&source->change);
	pthread_mutex_unlock(&source->lock);
	return NULL;
}

static void handle_give(struct http_source *source, struct http_handle *handle)
{
	pthread_mutex_lock(&source->lock);
	handle->next = source->idle;
	source->idle = handle;
	pthread_cond_signal(&source->change);
	pthread_mutex_unlock(&source->lock);
}

/* --- tries */

int http_still_wanted(struct http_fetch *fetch)
{
	const _Atomic bool *stop = fetch->source->options.stop;

	if (!fetch->rc && stop && atomic_load_explicit(stop, memory_order_relaxed))
		fetch->rc = larder_error_set(&fetch->why, ECANCELED, "it is not wanted any more");
	if (!fetch->rc && fetch->put) {
		fetch->rc = fetch->put(NULL, 0, fetch->arg);
		if (fetch->rc)
			larder_error_set(&fetch->why, fetch->rc, "it is not wanted any more");
	}
	return fetch->rc;
}

static int wait_ms(struct http_fetch *fetch, int64_t ms)
{
	int64_t until = http_mono_ms() + ms, now;

	while ((now = http_mono_ms()) < until) {
		int64_t nap = until - now < HTTP_WANTED_MS ? until - now : HTTP_WANTED_MS;
		struct timespec sleep = {.tv_nsec = (long)nap * 1000000};

		if (http_still_wanted(fetch))
			return fetch->rc;
		nanosleep(&sleep, NULL);
	}
	return 0;
}

static uint32_t random_number(void)
{
	uint32_t number = 0;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != (ssize_t)sizeof(number))
		number = (uint32_t)http_mono_ms() * 2654435761u;
	return number;
}

static bool budget_take(struct http_source *source)
{
	return atomic_fetch_add(&source->retried, 1) < source->options.retry_budget;
}

static int give_up(struct http_fetch *fetch, int rc, enum retry_class class, unsigned int failed)
{
	size_t len = strlen(fetch->why.text);

	if (fetch->after_ms > PATIENCE_MS)
		snprintf(fetch->why.text + len, sizeof(fetch->why.text) - len,
			 "; the server wants to be left alone for %lld s",
			 (long long)(fetch->after_ms / 1000));
	else if (class != RETRY_NEVER)
		snprintf(fetch->why.text + len, sizeof(fetch->why.text) - len,
			 " (%s; given up after %u tries)", retry_class_text(class), failed);
	return rc;
}

/* Until all is there, or it is not worth another try. */
static int try_all(struct http_fetch *fetch)
{
	const struct retry_policy policy = {
		.retries = fetch->source->options.retries,
		.base_ms = BASE_MS,
		.cap_ms = CAP_MS,
		.patience_ms = PATIENCE_MS,
	};
	enum retry_class class = RETRY_NEVER;
	uint64_t mark = fetch->reached;
	unsigned int failed = 0;
	int64_t delay_ms;
	int rc;

	while ((rc = http_request(fetch, &class))) {
		if (fetch->reached - mark >= RENEW_BYTES) {
			mark = fetch->reached;
			failed = 0;
		}
		delay_ms =
			retry_delay_ms(&policy, class, ++failed, fetch->after_ms, random_number());
		if (delay_ms < 0 || !budget_take(fetch->source))
			return give_up(fetch, rc, class, failed);
		rc = wait_ms(fetch, delay_ms);
		if (rc)
			return rc;
	}
	return 0;
}

int http_run(struct http_fetch *fetch, struct larder_error *err)
{
	struct http_source *source = fetch->source;
	int rc = -ENOMEM;

	larder_error_set(&fetch->why, ENOMEM, "no memory for a connection");
	fetch->after_ms = -1;
	fetch->handle = fetch->url ? handle_take(source) : NULL;
	if (fetch->handle) {
		rc = try_all(fetch);
		if (!rc && fetch->head)
			curl_easy_getinfo(fetch->handle->curl, CURLINFO_FILETIME_T,
					  &fetch->modified_s);
		handle_give(source, fetch->handle);
	}
	free(fetch->url);
	if (rc && err)
		*err = fetch->why;
	return rc;
}

int http_source_fetch(struct source *base, const struct shard *shard, uint64_t offset,
		      int (*put)(const void *data, size_t len, void *arg), void *arg,
		      struct larder_error *err)
{
	struct http_source *source = (struct http_source *)base;
	struct http_fetch fetch = {
		.source = source,
		.url = source->dialect->url(source, shard->path),
		.size = shard->size,
		.start = offset,
		.reached = offset,
		.put = put,
		.arg = arg,
		.unverified = source->options.unverified || shard->undigested,
		.modified_s = (source->options.unverified || shard->undigested) && shard->mtime_ns
				      ? shard->mtime_ns / 1000000000
				      : -1,
		.slack_s = source->dialect->modified_slack_s,
	};

	return http_run(&fetch, err);
}

int http_source_look(struct source *base, const char *path, struct source_entry *entry,
		     struct larder_error *err)
{
	struct http_source *source = (struct http_source *)base;
	struct http_fetch fetch = {.source = source,
				   .url = source->dialect->url(source, path),
				   .head = true,
				   .modified_s = -1};
	auto_free char *shown = larder_path_encode(path);
	int rc = http_run(&fetch, err);

	if (rc) {
		larder_error_prefix(err, "%s from %s", shown ? shown : "?", source->root);
		return rc;
	}
	*entry = (struct source_entry){
		.path = path,
		.type = SHARD_FILE,
		.size = fetch.size,
		.mtime_ns = fetch.modified_s > 0 ? fetch.modified_s * 1000000000 : 0,
		.mode = 0644,
	};
	return 0;
}

const struct source_ops source_http = {
	.kind = "http",
	.owns = http_owns,
	.open = http_open,
	.close = http_close,
	.fetch = http_source_fetch,
	.look = http_source_look,
};
