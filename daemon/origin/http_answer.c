/*
 * Owns: judging answers of web servers, and the sentences about them; joining URLs.
 * Must not: talk to a server, or believe one more than its headers prove.
 * Called by: http.c, http_request.c.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "larder/text.h"
#include "origin/http_answer.h"

/* Digits alone; no sign, no blank, no overflow. */
static const char *digits(const char *at, uint64_t *value)
{
	const char *start = at;

	*value = 0;
	for (; *at >= '0' && *at <= '9'; at++) {
		if (__builtin_mul_overflow(*value, 10u, value) ||
		    __builtin_add_overflow(*value, (uint64_t)(*at - '0'), value))
			return NULL;
	}
	return at > start ? at : NULL;
}

int http_range_parse(const char *text, uint64_t *first, uint64_t *last, uint64_t *total)
{
	const char *at = text;

	if (!at || strncasecmp(at, "bytes ", 6) != 0)
		return -EINVAL;
	at = digits(at + 6, first);
	if (!at || *at != '-')
		return -EINVAL;
	at = digits(at + 1, last);
	if (!at || *at != '/')
		return -EINVAL;
	at = digits(at + 1, total);
	if (!at || *at || *first > *last || *last >= *total)
		return -EINVAL;
	return 0;
}

static int other_size(uint64_t is, uint64_t size, struct larder_error *err)
{
	return larder_error_set(err, ESTALE,
				"changed at the origin: it has %" PRIu64 " bytes, and %" PRIu64
				" were expected; publish a new version",
				is, size);
}

static int judge_range(const struct http_answer *answer, const struct http_expect *expect,
		       struct larder_error *err)
{
	uint64_t first, last, total;
	char shown[128];

	if (!expect->from && !expect->part)
		return larder_error_set(
			err, EPROTO,
			"the server sent a part of the file, and all of it was asked for");
	if (http_range_parse(answer->range, &first, &last, &total))
		return larder_error_set(err, EPROTO,
					"the server sent a part of the file and does not say which "
					"(Content-Range \"%s\")",
					larder_text_quote(answer->range ? answer->range : "",
							  SIZE_MAX, shown, sizeof(shown)));
	if (total != expect->size)
		return other_size(total, expect->size, err);
	if (first != expect->from)
		return larder_error_set(err, EPROTO,
					"the server sent bytes from %" PRIu64
					" on, and those from %" PRIu64 " on were asked for",
					first, expect->from);
	return 0;
}

/* Both have told: then it must be the same. */
static bool same_version(const struct http_answer *answer, const struct http_expect *expect)
{
	if (*expect->etag && answer->etag && strcmp(answer->etag, expect->etag) != 0)
		return false;
	return expect->modified_s < 0 || answer->modified_s < 0 ||
	       (answer->modified_s >= expect->modified_s &&
		answer->modified_s <= expect->modified_s + expect->slack_s);
}

int http_answer_judge(const struct http_answer *answer, const struct http_expect *expect,
		      uint64_t *skip, struct larder_error *err)
{
	char shown[64];
	int rc = 0;

	if (answer->encoding && strcasecmp(answer->encoding, "identity") != 0)
		return larder_error_set(
			err, EPROTO,
			"the server sent it with Content-Encoding \"%s\" although the plain file was "
			"asked for; switch that off for this path",
			larder_text_quote(answer->encoding, SIZE_MAX, shown, sizeof(shown)));
	*skip = 0;
	if (answer->status == 206)
		rc = judge_range(answer, expect, err);
	else if (answer->length >= 0 && (uint64_t)answer->length != expect->size)
		rc = other_size((uint64_t)answer->length, expect->size, err);
	else
		*skip = expect->from;
	if (!rc && !same_version(answer, expect))
		rc = larder_error_set(err, ESTALE,
				      "changed at the origin while it was read (ETag or "
				      "Last-Modified differ); publish a new version");
	return rc;
}

int http_status_refuse(long status, bool tls, struct larder_error *err)
{
	switch (status) {
	case 401:
		return larder_error_set(
			err, EACCES,
			"the server wants to know who asks (HTTP status 401); a dataset of "
			"the catalog is read with no credentials but a client certificate, "
			"a user's own with those of that user's file");
	case 407:
		return larder_error_set(
			err, EACCES,
			"the proxy wants to know who asks (HTTP status 407); let it "
			"know this node by its address, or set http_no_proxy");
	case 400:
	case 495:
	case 496:
		return larder_error_set(
			err, EACCES, "the server refuses the request (HTTP status %ld)%s", status,
			tls ? "; where it asks for a certificate, name one with http_client_cert, or "
			      "--client-cert for publish"
			    : "");
	case 403:
		return larder_error_set(
			err, EACCES, "the server does not let this node read it (HTTP status %ld)",
			status);
	case 404:
	case 410:
		return larder_error_set(
			err, ENOENT,
			"it is not there any more (HTTP status %ld); put it back or "
			"publish a new version",
			status);
	case 412:
		return larder_error_set(err, ESTALE,
					"changed at the origin while it was read (HTTP status "
					"412); publish a new version");
	case 416:
		return larder_error_set(err, ESTALE,
					"changed at the origin: it ends before the byte that was "
					"reached (HTTP status 416); publish a new version");
	case 408:
	case 429:
	case 503: return larder_error_set(err, EAGAIN, "HTTP status %ld", status);
	default: break;
	}
	if (status >= 500)
		return larder_error_set(err, EIO, "HTTP status %ld", status);
	return larder_error_set(err, EPROTO, "an HTTP%s answer that larder cannot use (status %ld)",
				tls ? "S" : "", status);
}

static bool plain(unsigned char c)
{
	return isascii(c) && (isalnum(c) || strchr("/-._~!$&'()*+,;=:@", c));
}

char *http_url_join(const char *base, const char *path)
{
	size_t len = strlen(base);
	char *url = malloc(len + 3 * strlen(path) + 2), *at = url;

	if (!url)
		return NULL;
	memcpy(at, base, len);
	at += len;
	if (len && at[-1] != '/')
		*at++ = '/';
	for (; *path; path++) {
		unsigned char c = (unsigned char)*path;

		if (plain(c))
			*at++ = (char)c;
		else
			at += sprintf(at, "%%%02X", c);
	}
	*at = '\0';
	return url;
}

bool http_host_allowed(const char *host, const char *own, const char *const *list, unsigned int n)
{
	if (strcasecmp(host, own) == 0)
		return true;
	for (unsigned int i = 0; i < n; i++)
		if (strcasecmp(host, list[i]) == 0)
			return true;
	return false;
}
