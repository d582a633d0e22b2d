/*
 * What an HTTP answer means, by its text alone: no libcurl, no connection. For origin/http*.c and
 * their tests.
 */
#ifndef ORIGIN_HTTP_ANSWER_H
#define ORIGIN_HTTP_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/manifest.h"
#include "larder/error.h"

/* "bytes 5-9/10". -EINVAL: anything else, also a total that is not told ("*"). */
int http_range_parse(const char *text, uint64_t *first, uint64_t *last, uint64_t *total);

/* The headers that matter; NULL: not there. length -1: not told. */
struct http_answer {
	long status;
	int64_t length;
	int64_t modified_s; /* -1: not told */
	const char *range, *encoding, *etag;
};

/* What was asked for, and what earlier answers for the same shard said. */
struct http_expect {
	uint64_t size;	    /* by manifest or listing */
	uint64_t from;	    /* the byte asked for; 0: all of it, without a range (but see part) */
	bool part;	    /* a range was asked for, also from 0 */
	int64_t modified_s; /* -1: any */
	int64_t slack_s;    /* it may be this much later */
	const char *etag;   /* "": any */
};

/*
 * Is this a 200 or 206 that goes on with what is there? *skip: bytes at its begin that are there
 * already. -ESTALE: another size or another version; -EPROTO: no answer to what was asked.
 */
int http_answer_judge(const struct http_answer *answer, const struct http_expect *expect,
		      uint64_t *skip, struct larder_error *err);
/* The sentence of a status that is no success. -EACCES, -ENOENT, -ESTALE, -EAGAIN, -EPROTO. */
int http_status_refuse(long status, bool tls, struct larder_error *err);

/* base + "/" + path, percent-encoded where it must be. To free; NULL: no memory. */
char *http_url_join(const char *base, const char *path);
/* Does the list, or own, have this host? Case does not matter. */
bool http_host_allowed(const char *host, const char *own, const char *const *list, unsigned int n);

#endif
