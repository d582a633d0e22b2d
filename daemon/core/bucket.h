/*
 * A token bucket: so many a second, and a burst after a rest. Pure: the clock is an argument. Who
 * spends more than there is leaves a debt, and the next one waits until it is paid; so what cannot
 * be known ahead (how many bytes a read brings) is spent afterwards.
 */
#ifndef CORE_BUCKET_H
#define CORE_BUCKET_H

#include <stdint.h>

/* Zeroed: no limit. */
struct bucket {
	uint64_t per_s; /* 0: no limit */
	uint64_t burst; /* what may gather */
	double level;	/* negative: a debt */
	int64_t at_ns;	/* when the level was right */
};

/* A new rate, at any time. A bucket without a limit before begins full; else level and debt stay,
 * as far as the new burst allows. */
void bucket_set(struct bucket *bucket, uint64_t per_s, uint64_t burst, int64_t now_ns);
/* Nanoseconds until it holds `need` (at most the burst is ever waited for); 0: now. */
int64_t bucket_wait_ns(struct bucket *bucket, uint64_t need, int64_t now_ns);
void bucket_spend(struct bucket *bucket, uint64_t n, int64_t now_ns);

#endif
