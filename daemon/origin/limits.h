/*
 * What the site allows at a remote origin, over all transfers of the daemon together: connections,
 * bytes and requests a second. For server/ (the rules) and origin/http* (keeping to them).
 */
#ifndef ORIGIN_LIMITS_H
#define ORIGIN_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "larder/error.h"

struct origin_limits;
struct origin_limit;
struct gate_place;

/* match: a host ("h", "h:8080"), or how an origin begins ("https://h/dir", "s3://bucket"). 0 of
 * any limit: none. */
struct origin_rule {
	const char *match;
	unsigned int connections;
	uint64_t bytes_per_s;
	unsigned int requests_per_s;
};

/* Is this a match that can be meant? -EINVAL with a sentence. By its text alone. */
int origin_rule_check(const char *match, struct larder_error *err);

/* NULL: no memory. */
struct origin_limits *origin_limits_create(void);
void origin_limits_destroy(struct origin_limits *limits);
/*
 * From now on these rules, also for transfers under way; what they are about keeps its debts. A
 * rule that is not given any more limits nothing. -ENOMEM: as before.
 */
int origin_limits_set(struct origin_limits *limits, const struct origin_rule *rules, unsigned int n,
		      struct larder_error *err);

/*
 * The longest match for an origin as it is written, and the URL that is asked; NULL: none, also of
 * limits NULL. Valid as long as limits are.
 */
struct origin_limit *origin_limit_of(struct origin_limits *limits, const char *origin,
				     const char *url);
/* A connection of those allowed? As gate_enter. */
bool origin_limit_enter(struct origin_limit *limit, struct gate_place *place);
void origin_limit_leave(struct origin_limit *limit, struct gate_place *place);
/* Takes a request: 0, or how long it has to wait (then none was taken). */
int64_t origin_limit_request_ms(struct origin_limit *limit);
/* How long nothing may be read; 0: read, and say how much it was. */
int64_t origin_limit_read_ms(struct origin_limit *limit);
void origin_limit_spend(struct origin_limit *limit, uint64_t bytes);

#endif
