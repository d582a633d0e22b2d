/*
 * Owns: what libcurl is told of a request: headers, limits, TLS, signing.
 * Must not: make requests.
 * Called by: http_request.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "origin/http.h"
#include "origin/http_filter.h"

#define BUFFER_LARGE ((uint64_t)128 * 1024)
#define BUFFER_STEP  ((uint64_t)32 * 1024)
#define HEAD_BYTES   2048 /* of an answer, before its bytes */

static int add_header(struct curl_slist **list, const char *line)
{
	struct curl_slist *more = curl_slist_append(*list, line);

	if (!more)
		return -ENOMEM;
	*list = more;
	return 0;
}

int http_source_header(struct http_source *source, const char *line)
{
	return add_header(&source->headers, line);
}

/* If-Range takes a strong ETag, or a time; without either a range is asked for plainly. */
int http_request_headers(struct http_fetch *fetch, struct curl_slist **headers)
{
	const struct http_source *source = fetch->source;
	struct curl_slist *list = NULL;
	char line[sizeof(fetch->etag) + 16];
	int rc = 0;

	for (const struct curl_slist *l = source->headers; !rc && l; l = l->next)
		rc = add_header(&list, l->data);
	if (!rc && fetch->reached && *fetch->etag) {
		snprintf(line, sizeof(line), "%s: %s",
			 source->dialect->if_match ? "If-Match" : "If-Range", fetch->etag);
		rc = add_header(&list, line);
	}
	if (rc)
		curl_slist_free_all(list);
	else
		*headers = list;
	return rc;
}

static void set_sign(struct http_fetch *fetch)
{
	const struct http_sign *sign = &fetch->source->sign;
	CURL *curl = fetch->handle->curl;

	if (!sign->scheme)
		return;
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L); /* what is signed is what is asked */
	curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, sign->scheme);
	curl_easy_setopt(curl, CURLOPT_USERNAME, sign->key_id); /* it may have a colon */
	curl_easy_setopt(curl, CURLOPT_PASSWORD, sign->secret);
}

/* --- of a user's own URL */

/* libcurl is about to connect: the last word, after all redirects and the resolver's. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct http_fetch *fetch = arg;
	int fd;

	(void)purpose;
	if (http_filter_address(fetch->source->options.filter, fetch->host, &address->addr,
				&fetch->refused))
		return CURL_SOCKET_BAD;
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static void note_host(struct http_fetch *fetch, const char *text)
{
	CURLU *url = curl_url();
	char *host = NULL;

	*fetch->host = '\0';
	if (url && !curl_url_set(url, CURLUPART_URL, text, 0) &&
	    !curl_url_get(url, CURLUPART_HOST, &host, 0))
		snprintf(fetch->host, sizeof(fetch->host), "%s", host);
	curl_free(host);
	curl_url_cleanup(url);
}

/* A proxy would connect to what it likes. */
static void set_filter(struct http_fetch *fetch, const char *url)
{
	CURL *curl = fetch->handle->curl;

	fetch->refused.code = 0;
	if (!fetch->source->options.filter)
		return;
	note_host(fetch, url);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, fetch);
}

/* Never in the clear, and never to where a redirect leads. */
static void set_login(struct http_fetch *fetch, const char *url)
{
	const struct http_login *login = &fetch->source->login;
	CURL *curl = fetch->handle->curl;

	if (strncmp(url, "https:", 6) != 0 || !http_same_server(url, fetch->source->root))
		return;
	if (login->bearer) {
		curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
		curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, login->bearer);
	} else if (login->user) {
		curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(curl, CURLOPT_USERNAME, login->user);
		curl_easy_setopt(curl, CURLOPT_PASSWORD, login->password);
	}
}

/* --- how */

/* One read for a small shard, and not more memory than that: many are under way at once. */
static long buffer_bytes(const struct http_fetch *fetch)
{
	uint64_t want = fetch->size + HEAD_BYTES;

	if (fetch->sizeless || fetch->head)
		return (long)BUFFER_STEP;
	if (want >= BUFFER_LARGE)
		return (long)BUFFER_LARGE;
	return (long)((want + BUFFER_STEP - 1) / BUFFER_STEP * BUFFER_STEP);
}

/*
 * Many small shards share a connection where HTTP/2 is offered. A large one gains nothing from
 * frames, and a connection of its own is not held up by others.
 */
static void set_version(const struct http_fetch *fetch)
{
	CURL *curl = fetch->handle->curl;

	if (!fetch->sizeless && !fetch->head && fetch->size >= HTTP_LARGE_BYTES) {
		curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
		return;
	}
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(curl, CURLOPT_PIPEWAIT, fetch->source->tls ? 1L : 0L);
}

static void set_text(CURL *curl, CURLoption option, const char *text)
{
	if (text && *text)
		curl_easy_setopt(curl, option, text);
}

/* Nothing configured: libcurl goes by the environment. */
static void set_proxy(CURL *curl, const struct source_options *options)
{
	if (options->proxy && strcmp(options->proxy, "none") == 0)
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
	else
		set_text(curl, CURLOPT_PROXY, options->proxy);
	set_text(curl, CURLOPT_NOPROXY, options->no_proxy);
}

void http_set_options(struct http_fetch *fetch, const char *url)
{
	const struct source_options *options = &fetch->source->options;
	CURL *curl = fetch->handle->curl;
	const char *protocols = strncmp(url, "https:", 6) == 0 ? "https" : "http,https";

	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, protocols);
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L); /* each one is judged here */
	curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
	set_text(curl, CURLOPT_CAINFO, options->ca_file);
	if (!options->filter) { /* never in a user's name: it says who the node is */
		set_text(curl, CURLOPT_SSLCERT, options->client_cert);
		set_text(curl, CURLOPT_SSLKEY, options->client_key);
	}
	set_proxy(curl, options);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_timeout_ms);
	set_version(fetch);
	/* Not among our own headers, for those are signed, and gateways change this one. */
	curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "identity");
	curl_easy_setopt(curl, CURLOPT_HTTP_CONTENT_DECODING, 0L);
	curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, buffer_bytes(fetch));
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "larder/" LARDER_VERSION);
	set_sign(fetch);
	set_filter(fetch, url);
	set_login(fetch, url);
}
