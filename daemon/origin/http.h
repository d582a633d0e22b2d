/*
 * What the files of the http kind share. For origin/http*.c alone.
 */
#ifndef ORIGIN_HTTP_H
#define ORIGIN_HTTP_H

#include <curl/curl.h>

#include "core/retry.h"
#include "origin/http_answer.h"
#include "origin/http_kind.h"
#include "origin/limits.h"

#define HTTP_REDIRECTS_MAX 5
#define HTTP_WANTED_MS	   100 /* how soon a wait notices that it is not wanted any more */
#define HTTP_LARGE_BYTES   ((uint64_t)1024 * 1024) /* from here on a shard has a connection alone */

/* An easy handle, kept for the next request. */
struct http_handle {
	struct http_handle *next;
	CURL *curl;
	char why[CURL_ERROR_SIZE];
};

enum http_state {
	HTTP_QUEUED, /* is to be asked for as soon as it may: see due_ms and the gates */
	HTTP_ASKING, /* in the loop's multi handle */
	HTTP_OVER,
};

/* A shard, or a part of one, on its way, over all requests that it takes. */
struct http_fetch {
	struct http_fetch *next; /* of the loop */
	struct http_loop *loop;
	struct http_source *source;
	struct http_handle *handle; /* while it is asked for */
	char *url;		    /* owned */
	uint64_t size;		    /* of the whole shard */
	uint64_t start, end;	    /* what is wanted of it; end 0: all to the size */
	uint64_t reached;	    /* put from start up to here */
	bool head;		    /* only look */
	bool sizeless;	/* the size is the answer's to tell; begun anew when it broke off */
	bool only_part; /* -ENOTSUP where the server answers with all of it */
	int (*put)(const void *data, size_t len, void *arg);
	/* Once, from a turn of the loop, which has forgotten it; rc 0 or -errno with why. */
	void (*over)(struct http_fetch *fetch, int rc);
	void *arg;
	char etag[256];	 /* of the first answer, strong; "": none */
	bool unverified; /* no digest will be compared: the server must prove that it is the same */
	int64_t modified_s; /* of the first answer, or the listing's; -1: none */
	int64_t slack_s;    /* the answer may be this much later: only with the listing's */
	/* of its tries */
	enum http_state state;
	unsigned int failed;
	uint64_t mark;		  /* reached when the count of tries began */
	int64_t due_ms, begun_ms; /* the next try, the first one */
	struct gate_place own, shared;
	struct origin_limit *limit; /* that it is inside of, or waits at */
	/* of the request under way */
	char *at; /* its URL: redirects lead on */
	struct curl_slist *headers;
	unsigned int redirects;
	bool part;   /* a range was asked for */
	bool paused; /* libcurl keeps its next bytes until the origin's limit allows them */
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
	/* of the stall watch, in time that the loop waited for servers */
	int64_t window_ns;
	uint64_t window_bytes;
	bool stalled;
};

/* Many fetches on one thread. Kept with its connections for the source's next call. */
struct http_loop {
	struct http_loop *next; /* of the source's idle ones */
	CURLM *multi;
	struct http_handle *idle;
	struct http_fetch *fetches;
	int64_t polled_ns; /* spent waiting for servers */
	int64_t held_ns;   /* spent waiting until the origin's limit allowed more */
	int64_t watched_ms;
};

/* --- http.c */
/* For a shard of the source's from offset on; put, over and arg are to be set. */
void http_fetch_init(struct http_fetch *fetch, struct http_source *source,
		     const struct shard *shard, uint64_t offset);

/* --- http_loop.c */
/* A loop of the source's, for the calling thread. NULL: no memory. */
struct http_loop *http_loop_take(struct http_source *source);
void http_loop_give(struct http_source *source, struct http_loop *loop);
void http_loop_free(struct http_loop *loop);
/* From now on its turns are taken; fetch->url NULL ends it with -ENOMEM. */
void http_loop_add(struct http_loop *loop, struct http_fetch *fetch);
/* Waits for something to happen (at most HTTP_WANTED_MS) and has it done. */
void http_loop_turn(struct http_loop *loop);
/* Ends a fetch of the loop without a word (over is not called). Nothing of it is left. */
void http_loop_drop(struct http_loop *loop, struct http_fetch *fetch);

/* --- http_try.c */
/* A request of it is over. 0: all is there; 1: it is to be asked for again (due_ms); -errno. */
int http_try_answered(struct http_fetch *fetch, CURLcode code);
/* Wanted still, not stalled, in time? -errno with the sentence; polled_ns is the loop's. */
int http_try_watch(struct http_fetch *fetch, int64_t polled_ns);

/*
 * A fetch from its first request to its last try, alone on a loop of the source. Frees fetch->url
 * (NULL: no memory). 0 or -errno.
 */
int http_run(struct http_fetch *fetch, struct larder_error *err);

/* --- http_request.c */
/* Into the multi handle: a request for what is missing. -ENOMEM. */
int http_request_begin(struct http_fetch *fetch, CURLM *multi);
/* What it was paused for is over: as curl_easy_pause, which hands on what it kept. */
CURLcode http_request_go_on(struct http_fetch *fetch);
/* Takes it out again. */
void http_request_end(struct http_fetch *fetch, CURLM *multi);
/*
 * What became of it: 0 all is there; else -errno with the sentence in fetch->why, and whether it is
 * worth another try in *class.
 */
int http_request_outcome(struct http_fetch *fetch, CURLcode code, enum retry_class *class);

/* --- http_setup.c */
/* To free with curl_slist_free_all; NULL: there are none. -ENOMEM. */
int http_request_headers(struct http_fetch *fetch, struct curl_slist **headers);
/* All options of the handle but the callbacks, the headers and the range. */
void http_set_options(struct http_fetch *fetch, const char *url);

/* --- http_stripe.c */
/* A large shard in order from `offset`, over as many connections as help. */
int http_stripe(struct http_source *source, const struct shard *shard, uint64_t offset,
		int (*put)(const void *data, size_t len, void *arg), void *arg,
		struct larder_error *err);

/* --- http_redirect.c */
/* After an answer: 1 *url (owned) is the next one, 0 it is no redirect, -errno in fetch->why. */
int http_follow(struct http_fetch *fetch, char **url);

#endif
