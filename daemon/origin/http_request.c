/*
 * Owns: one request: what libcurl's callbacks do with the bytes, and which class its failures are
 * of. Must not: wait, or try again. Called by: http_loop.c, http_try.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "origin/http.h"

#define DISCARD_MAX                                                                                \
	((uint64_t)64 * 1024) /* of an error page, so that the connection can be kept              \
			       */

static int refuse(struct http_fetch *fetch, int rc)
{
	fetch->rc = rc;
	return rc;
}

/* --- the answer's head */

static const char *header(CURL *curl, const char *name)
{
	struct curl_header *found;

	if (curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &found) != CURLHE_OK)
		return NULL;
	return found->value;
}

static void read_answer(CURL *curl, struct http_answer *answer)
{
	curl_off_t length = -1, modified = -1;

	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
	curl_easy_getinfo(curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	curl_easy_getinfo(curl, CURLINFO_FILETIME_T, &modified);
	answer->length = length;
	answer->modified_s = modified;
	answer->range = header(curl, "Content-Range");
	answer->encoding = header(curl, "Content-Encoding");
	answer->etag = header(curl, "ETag");
	if (answer->etag && strncmp(answer->etag, "W/", 2) == 0)
		answer->etag = NULL; /* promises the same meaning, not the same bytes */
}

static bool is_success(long status)
{
	return status == 200 || status == 206;
}

/* Once an answer's head is there, at its first byte or at its end. */
static int judge(struct http_fetch *fetch)
{
	struct http_answer answer = {0};
	struct http_expect expect = {
		.size = fetch->size,
		.from = fetch->reached,
		.modified_s = fetch->modified_s,
		.slack_s = fetch->slack_s,
		.part = fetch->part,
		.etag = fetch->etag,
	};

	fetch->judged = true;
	read_answer(fetch->handle->curl, &answer);
	if (!is_success(answer.status))
		return 0;
	if (fetch->head) {
		if (answer.length < 0)
			return refuse(fetch, larder_error_set(&fetch->why, EPROTO,
							      "the server does not tell its size "
							      "(no Content-Length)"));
		fetch->size = expect.size = (uint64_t)answer.length;
	}
	if (fetch->sizeless)
		fetch->size = expect.size =
			answer.length < 0 ? UINT64_MAX : (uint64_t)answer.length;
	if (http_answer_judge(&answer, &expect, &fetch->skip, &fetch->why))
		return refuse(fetch, -fetch->why.code);
	if (answer.status == 200 && fetch->only_part && fetch->start)
		return refuse(fetch, larder_error_set(&fetch->why, ENOTSUP,
						      "the server does not send parts"));
	if (answer.status == 200) { /* all of it, whatever was asked for */
		if (fetch->part)
			atomic_store(&fetch->source->whole, true);
		fetch->end = fetch->size;
	}
	if (!*fetch->etag && answer.etag && strlen(answer.etag) < sizeof(fetch->etag))
		strcpy(fetch->etag, answer.etag);
	if (answer.modified_s >= 0) {
		fetch->modified_s = answer.modified_s;
		fetch->slack_s = 0;
	}
	return 0;
}

/* --- bytes */

/* More than was asked for: the file has grown, or a part is longer than it should be. */
static int too_much(struct http_fetch *fetch)
{
	if (fetch->end < fetch->size)
		return larder_error_set(&fetch->why, EPROTO,
					"the server sent bytes behind %" PRIu64
					", which was the last one asked for",
					fetch->end - 1);
	return larder_error_set(&fetch->why, ESTALE,
				"changed at the origin: it has grown beyond the "
				"expected %" PRIu64 " bytes; publish a new version",
				fetch->size);
}

static int put_bytes(struct http_fetch *fetch, const char *data, size_t len)
{
	if (fetch->skip) {
		size_t skip = fetch->skip < len ? (size_t)fetch->skip : len;

		fetch->skip -= skip;
		data += skip;
		len -= skip;
	}
	if (len > fetch->end - fetch->reached)
		return refuse(fetch, too_much(fetch));
	if (!len)
		return 0;
	fetch->rc = fetch->put(data, len, fetch->arg);
	if (fetch->rc)
		larder_error_set(&fetch->why, fetch->rc, "it is not wanted any more");
	fetch->reached += len;
	return fetch->rc;
}

static void keep_page(struct http_fetch *fetch, const char *data, size_t len)
{
	size_t room = sizeof(fetch->page) - fetch->page_len;

	if (len > room)
		len = room;
	memcpy(fetch->page + fetch->page_len, data, len);
	fetch->page_len += len;
}

/*
 * libcurl reads as long as the socket has bytes, which may be megabytes in one turn of the loop: a
 * debt must stop it in between, or a low limit is broken by each of them.
 */
static bool in_debt(const struct http_fetch *fetch)
{
	return fetch->limit && origin_limit_read_ms(fetch->limit);
}

static size_t on_bytes(char *data, size_t size, size_t n, void *arg)
{
	struct http_fetch *fetch = arg;
	size_t len = size * n;
	long status = 0;

	fetch->paused = in_debt(fetch);
	if (fetch->paused)
		return CURL_WRITEFUNC_PAUSE;
	fetch->window_bytes += len;
	if (fetch->limit)
		origin_limit_spend(fetch->limit, len);
	if (!fetch->judged && judge(fetch))
		return 0;
	curl_easy_getinfo(fetch->handle->curl, CURLINFO_RESPONSE_CODE, &status);
	if (is_success(status))
		return put_bytes(fetch, data, len) ? 0 : len;
	keep_page(fetch, data, len);
	fetch->discarded += len;
	return fetch->discarded > DISCARD_MAX ? 0 : len;
}

/* --- what is asked */

static void set_range(struct http_fetch *fetch)
{
	char range[64];

	fetch->part = fetch->reached || fetch->end < fetch->size;
	if (!fetch->part)
		return;
	if (fetch->end < fetch->size)
		snprintf(range, sizeof(range), "%" PRIu64 "-%" PRIu64, fetch->reached,
			 fetch->end - 1);
	else
		snprintf(range, sizeof(range), "%" PRIu64 "-", fetch->reached);
	curl_easy_setopt(fetch->handle->curl, CURLOPT_RANGE, range);
}

static void begin(struct http_fetch *fetch)
{
	fetch->judged = fetch->paused = false;
	fetch->skip = fetch->discarded = 0;
	fetch->page_len = 0;
	if (fetch->sizeless) {
		fetch->reached = 0;
		fetch->size = UINT64_MAX;
	}
	if (!fetch->end || fetch->sizeless)
		fetch->end = fetch->size;
	fetch->after_ms = -1;
	fetch->stalled = false;
	fetch->window_ns = fetch->loop->polled_ns;
	fetch->window_bytes = 0;
	fetch->handle->why[0] = '\0';
}

int http_request_begin(struct http_fetch *fetch, CURLM *multi)
{
	CURL *curl = fetch->handle->curl;

	begin(fetch);
	if (http_request_headers(fetch, &fetch->headers))
		return -ENOMEM;
	curl_easy_reset(curl);
	http_set_options(fetch, fetch->at);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, fetch->handle->why);
	curl_easy_setopt(curl, CURLOPT_URL, fetch->at);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fetch->headers);
	curl_easy_setopt(curl, CURLOPT_FILETIME, 1L);
	curl_easy_setopt(curl, CURLOPT_NOBODY, fetch->head ? 1L : 0L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, fetch);
	curl_easy_setopt(curl, CURLOPT_PRIVATE, fetch);
	set_range(fetch);
	return curl_multi_add_handle(multi, curl) ? -ENOMEM : 0;
}

CURLcode http_request_go_on(struct http_fetch *fetch)
{
	fetch->paused = false;
	return curl_easy_pause(fetch->handle->curl, CURLPAUSE_CONT);
}

void http_request_end(struct http_fetch *fetch, CURLM *multi)
{
	CURL *curl = fetch->handle->curl;

	curl_multi_remove_handle(multi, curl);
	/* The callbacks and headers of this request are gone with it. */
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, NULL);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
	curl_slist_free_all(fetch->headers);
	fetch->headers = NULL;
}

/* --- what became of it */

static enum retry_class class_of_code(const struct http_fetch *fetch, CURLcode code)
{
	double connected = 0;

	curl_easy_getinfo(fetch->handle->curl, CURLINFO_PRETRANSFER_TIME, &connected);
	switch ((int)code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR: return RETRY_CONNECT;
	case CURLE_OPERATION_TIMEDOUT: return connected > 0 ? RETRY_STALL : RETRY_CONNECT;
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM: return RETRY_RESET;
	case CURLE_PARTIAL_FILE: return RETRY_TRUNCATED;
	case CURLE_ABORTED_BY_CALLBACK: return fetch->stalled ? RETRY_STALL : RETRY_NEVER;
	default: return RETRY_NEVER;
	}
}

static int code_failed(struct http_fetch *fetch, CURLcode code, enum retry_class *class)
{
	const char *why = *fetch->handle->why ? fetch->handle->why : curl_easy_strerror(code);
	char shown[CURL_ERROR_SIZE];

	*class = class_of_code(fetch, code);
	if (fetch->refused.code && code == CURLE_COULDNT_CONNECT) {
		*class = RETRY_NEVER;
		fetch->why = fetch->refused;
		return -fetch->why.code;
	}
	if (fetch->stalled)
		return larder_error_set(
			&fetch->why, ETIMEDOUT,
			"at byte %" PRIu64 " less than 1 KiB/s came for %lld s", fetch->reached,
			(long long)(fetch->source->options.stall_timeout_ms / 1000));
	larder_text_quote(why, SIZE_MAX, shown, sizeof(shown));
	if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
		return larder_error_set(
			&fetch->why, EPROTO,
			"the server's certificate is not trusted: %s; a CA of your own "
			"is named with http_ca_file, or --ca-file for publish",
			shown);
	return larder_error_set(&fetch->why, *class == RETRY_CONNECT ? EHOSTUNREACH : EIO,
				"at byte %" PRIu64 ": %s", fetch->reached, shown);
}

static int status_failed(struct http_fetch *fetch, long status, enum retry_class *class)
{
	const struct http_source *source = fetch->source;
	const struct http_refusal refusal = {status, fetch->page, fetch->page_len};
	curl_off_t after_s = 0;

	*class = retry_class_of_status(status);
	if (!curl_easy_getinfo(fetch->handle->curl, CURLINFO_RETRY_AFTER, &after_s) && after_s > 0)
		fetch->after_ms = after_s > INT32_MAX ? (int64_t)INT32_MAX * 1000 : after_s * 1000;
	return source->dialect->refuse(source, &refusal, &fetch->why);
}

/* An answer without validators may be another version: nobody compares digests when publishing. */
static int may_go_on(struct http_fetch *fetch, int rc, enum retry_class *class)
{
	if (*class == RETRY_NEVER || fetch->reached == fetch->start || fetch->sizeless ||
	    !fetch->unverified || *fetch->etag || fetch->modified_s >= 0)
		return rc;
	*class = RETRY_NEVER;
	return larder_error_set(&fetch->why, EIO,
				"it broke off at byte %" PRIu64
				", and the server gives neither ETag "
				"nor Last-Modified to go on safely; publish again",
				fetch->reached);
}

int http_request_outcome(struct http_fetch *fetch, CURLcode code, enum retry_class *class)
{
	long status = 0;

	*class = RETRY_NEVER;
	curl_easy_getinfo(fetch->handle->curl, CURLINFO_RESPONSE_CODE, &status);
	if (fetch->rc)
		return fetch->rc;
	if (status && !is_success(status) && (!code || fetch->discarded))
		return may_go_on(fetch, status_failed(fetch, status, class), class);
	if (!code && !fetch->judged && judge(fetch))
		return fetch->rc;
	/* Every byte is there: how the connection ended after them does not matter. */
	if (fetch->judged && is_success(status) && fetch->reached == fetch->end)
		return 0;
	if (!code && (fetch->head || (fetch->sizeless && fetch->size == UINT64_MAX)))
		return 0;
	if (code)
		return may_go_on(fetch, code_failed(fetch, code, class), class);
	*class = RETRY_TRUNCATED;
	larder_error_set(&fetch->why, EIO, "it ends at byte %" PRIu64 " of %" PRIu64,
			 fetch->reached, fetch->end);
	return may_go_on(fetch, -EIO, class);
}
