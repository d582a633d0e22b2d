/*
 * Owns: origins at http:// and https://: opening them, and what is fetched from them how.
 * Must not: know credentials, or list.
 * Called by: xfer and scan, through source_ops, from many threads at once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "origin/http.h"
#include "origin/origins.h"

static bool http_owns(const char *origin)
{
	return strncmp(origin, "http://", 7) == 0 || strncmp(origin, "https://", 8) == 0;
}

void http_source_fini(struct http_source *source)
{
	while (source->idle) {
		struct http_loop *loop = source->idle;

		source->idle = loop->next;
		http_loop_free(loop);
	}
	gate_fini(&source->gate);
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
	source->tls = strncmp(url, "https:", 6) == 0;
	source->options = options ? *options : SOURCE_OPTIONS_DEFAULT;
	gate_init(&source->gate, source->options.connections);
	source->own_spare = SOURCE_SPARE_BYTES;
	source->spare = source->options.spare ? source->options.spare : &source->own_spare;
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

/* --- shards */

void http_fetch_init(struct http_fetch *fetch, struct http_source *source,
		     const struct shard *shard, uint64_t offset)
{
	*fetch = (struct http_fetch){
		.source = source,
		.url = source->dialect->url(source, shard->path),
		.size = shard->size,
		.start = offset,
		.reached = offset,
		.unverified = source->options.unverified || shard->undigested,
		.modified_s = (source->options.unverified || shard->undigested) && shard->mtime_ns
				      ? shard->mtime_ns / 1000000000
				      : -1,
		.slack_s = source->dialect->modified_slack_s,
	};
}

int http_source_fetch(struct source *base, const struct shard *shard, uint64_t offset,
		      int (*put)(const void *data, size_t len, void *arg), void *arg,
		      struct larder_error *err)
{
	struct http_source *source = (struct http_source *)base;
	struct http_fetch fetch;

	/* Where nobody compares a digest, one answer is the only proof of one version. */
	if (shard->size >= HTTP_LARGE_BYTES && !source->options.unverified && !shard->undigested)
		return http_stripe(source, shard, offset, put, arg, err);
	http_fetch_init(&fetch, source, shard, offset);
	fetch.put = put;
	fetch.arg = arg;
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
	.fetch_many = http_source_fetch_many,
	.look = http_source_look,
};
