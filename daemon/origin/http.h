/*
 * What the files of the http kind share. For origin/http*.c alone.
 */
#ifndef ORIGIN_HTTP_H
#define ORIGIN_HTTP_H

#include <curl/curl.h>

#include "core/retry.h"
#include "origin/http_answer.h"
#include "origin/http_kind.h"

#define HTTP_REDIRECTS_MAX 5
#define HTTP_WANTED_MS	   100 /* how soon a wait notices that it is not wanted any more */

/* A connection, kept for the next shard. */
struct http_handle {
	struct http_handle *next;
	CURL *curl;
	char why[CURL_ERROR_SIZE];
};

/* One shard on its way, over all requests that it takes. */
struct http_fetch {
	struct http_source *source;
	struct http_handle *handle;
	char *url;
	uint64_t size, start, reached; /* put from start up to reached */
	bool head;		       /* only look */
	bool sizeless; /* the size is the answer's to tell; begun anew when it broke off */
	int (*put)(const void *data, size_t len, void *arg);
	void *arg;
	char etag[256];	 /* of the first answer, strong; "": none */
	bool unverified; /* no digest will be compared: the server must prove that it is the same */
	int64_t modified_s; /* of the first answer, or the listing's; -1: none */
	int64_t slack_s;    /* the answer may be this much later: only with the listing's */
	/* of the request under way */
	bool judged;
	uint64_t skip;	    /* bytes of this answer that are there already */
	uint64_t discarded; /* of an answer that is no success */
	char page[2048];    /* how those began */
	size_t page_len;
	int rc; /* what ends it for good; the sentence is in why */
	struct larder_error why;
	char host[256];		     /* that is asked, after redirects; for the filter */
	struct larder_error refused; /* an address that must not be connected to; code 0: none */
	int64_t after_ms;	     /* Retry-After; -1: none */
	/* of the stall watch */
	int64_t window_ms, put_ms, asked_ms;
	uint64_t window_bytes;
	bool stalled;
};

/*
 * A fetch from its first request to its last try, on one of the source's connections. Frees
 * fetch->url (NULL: no memory). 0 or -errno.
 */
int http_run(struct http_fetch *fetch, struct larder_error *err);

int64_t http_mono_ms(void);
/* -ECANCELED or what put answered, in fetch->rc; 0: still wanted. */
int http_still_wanted(struct http_fetch *fetch);

/*
 * One request for what is missing, with its redirects. 0 all is there; else -errno with the
 * sentence in fetch->why, and whether it is worth another try in *class.
 */
int http_request(struct http_fetch *fetch, enum retry_class *class);

/* To free with curl_slist_free_all; NULL: there are none. -ENOMEM. */
int http_request_headers(struct http_fetch *fetch, struct curl_slist **headers);
/* All options of the handle but the callbacks, the headers and the range. */
void http_set_options(struct http_fetch *fetch, const char *url);

/* After an answer: 1 *url (owned) is the next one, 0 it is no redirect, -errno in fetch->why. */
int http_follow(struct http_fetch *fetch, char **url);

#endif
