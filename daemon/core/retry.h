/*
 * Whether and when something at a remote origin is tried again: pure, so that it can be tested
 * without a network or a clock.
 */
#ifndef CORE_RETRY_H
#define CORE_RETRY_H

#include <stdbool.h>
#include <stdint.h>

enum retry_class {
	RETRY_NEVER,	 /* the same would come again: 401, 403, 404, 416, a changed file, … */
	RETRY_CONNECT,	 /* no name, no connection, none in time */
	RETRY_BUSY,	 /* 429, 503: the server asks for patience, and may say how much */
	RETRY_SERVER,	 /* any other 5xx, and 408 */
	RETRY_RESET,	 /* the connection broke */
	RETRY_STALL,	 /* too few bytes for too long */
	RETRY_TRUNCATED, /* the answer ended early */
};

struct retry_policy {
	unsigned int retries; /* of one shard, beside the first try */
	int64_t base_ms, cap_ms;
	int64_t patience_ms; /* a longer Retry-After ends it at once */
};

/* Of an HTTP status that is no success. */
enum retry_class retry_class_of_status(long status);
/*
 * How long to wait before the next try, after `failed` failures (at least 1). The wait doubles up
 * to the cap; `random` (any number) takes up to half of it away, so that nodes do not come back
 * together. after_ms: what the server asked for, -1: nothing; never less than that, and up to an
 * eighth more. -1: give up.
 */
int64_t retry_delay_ms(const struct retry_policy *policy, enum retry_class class,
		       unsigned int failed, int64_t after_ms, uint32_t random);
/* For sentences: "the connection broke". */
const char *retry_class_text(enum retry_class class);

#endif
