/*
 * What a kind of origin that speaks HTTP is made from: the connections and tries of http.c, with
 * its own URLs, signatures and sentences. For origin/http*.c and origin/s3*.c.
 */
#ifndef ORIGIN_HTTP_KIND_H
#define ORIGIN_HTTP_KIND_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/source.h"
#include "origin/gate.h"
#include "origin/http_login.h"

struct curl_slist;
struct http_loop;
struct http_source;

/* What an answer that is no success has told. page: how its body begins. */
struct http_refusal {
	long status;
	const char *page;
	size_t page_len;
};

/* What kinds that speak HTTP do each in its own way. */
struct http_dialect {
	/* Of a path below the origin. To free; NULL: no memory. */
	char *(*url)(const struct http_source *source, const char *path);
	/* The sentence. -EACCES, -ENOENT, -ESTALE, -EAGAIN, …. */
	int (*refuse)(const struct http_source *source, const struct http_refusal *refusal,
		      struct larder_error *err);
	/* A transfer that goes on asks with If-Match (412 when it changed), not with If-Range. */
	bool if_match;
	/* Listings and answers may round a time differently: by how much. */
	int64_t modified_slack_s;
};

/* How requests are signed (libcurl's SigV4). */
struct http_sign {
	char *scheme; /* "aws:amz:REGION:SERVICE"; NULL: not at all */
	char *key_id, *secret;
};

struct http_source {
	struct source base; /* first */
	char *root;	    /* as the origin is written */
	char *host;	    /* that is asked */
	bool tls;
	const struct http_dialect *dialect;
	struct http_sign sign;	    /* owned; the secret is wiped at the end */
	struct http_login login;    /* a user's own */
	struct curl_slist *headers; /* beside the usual ones, owned */
	struct source_options options;
	struct gate gate; /* requests under way */
	pthread_mutex_t lock;
	struct http_loop *idle;	      /* (lock) */
	_Atomic unsigned int retried; /* of the budget */
	_Atomic unsigned int large;   /* requests for large shards under way */
	_Atomic bool whole;	      /* the server sends no parts */
	_Atomic int64_t own_spare;    /* bytes; where the options share none */
	_Atomic int64_t *spare;	      /* for parts that come ahead of their turn */
};

/*
 * The common part of a kind's open: base, which is zeroed memory of the kind's own struct, is
 * filled for requests to `url` (any path of the server that will be asked). On failure it is still
 * to be given to http_source_fini, as at close.
 */
int http_source_init(struct http_source *source, const char *origin, const char *url,
		     const struct source_options *options, struct larder_error *err);
void http_source_fini(struct http_source *source);
/* One more header, "Name: value", for every request. -ENOMEM. */
int http_source_header(struct http_source *source, const char *line);
/* source_ops of kinds whose struct begins with a struct http_source. */
int http_source_fetch(struct source *base, const struct shard *shard, uint64_t offset,
		      int (*put)(const void *data, size_t len, void *arg), void *arg,
		      struct larder_error *err);
int http_source_fetch_many(struct source *base, const struct source_feed *feed);
int http_source_look(struct source *base, const char *path, struct source_entry *entry,
		     struct larder_error *err);
/*
 * All that is at a URL of the source's server, of at most max bytes: text (to free, a NUL behind
 * it). Tried again as shards are. -E2BIG: more.
 */
int http_source_document(struct http_source *source, const char *url, size_t max, char **text,
			 size_t *len, struct larder_error *err);

#endif
