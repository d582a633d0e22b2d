/*
 * Owns: the arithmetic of token buckets.
 * Must not: look at a clock, sleep, or lock.
 * Called by: origin/limits.c.
 */
#include "core/bucket.h"

#define NS_PER_S    1e9
#define DEBT_S_MAX  60 /* a debt of more is forgotten: one huge read must not stop a day's work */
#define WAIT_NS_MAX ((int64_t)DEBT_S_MAX * 1000000000)

/* A clock that steps back brings nothing and takes nothing. */
static void refill(struct bucket *bucket, int64_t now_ns)
{
	if (now_ns > bucket->at_ns)
		bucket->level +=
			(double)(now_ns - bucket->at_ns) / NS_PER_S * (double)bucket->per_s;
	bucket->at_ns = now_ns;
	if (bucket->level > (double)bucket->burst)
		bucket->level = (double)bucket->burst;
}

void bucket_set(struct bucket *bucket, uint64_t per_s, uint64_t burst, int64_t now_ns)
{
	if (bucket->per_s)
		refill(bucket, now_ns);
	else
		bucket->level = (double)burst;
	bucket->per_s = per_s;
	bucket->burst = burst;
	bucket->at_ns = now_ns;
	if (bucket->level > (double)burst)
		bucket->level = (double)burst;
}

int64_t bucket_wait_ns(struct bucket *bucket, uint64_t need, int64_t now_ns)
{
	double missing;

	if (!bucket->per_s)
		return 0;
	refill(bucket, now_ns);
	missing = (double)(need < bucket->burst ? need : bucket->burst) - bucket->level;
	if (missing <= 0)
		return 0;
	missing = missing / (double)bucket->per_s * NS_PER_S + 1;
	return missing < (double)WAIT_NS_MAX ? (int64_t)missing : WAIT_NS_MAX;
}

void bucket_spend(struct bucket *bucket, uint64_t n, int64_t now_ns)
{
	double debt = -(double)bucket->per_s * DEBT_S_MAX;

	if (!bucket->per_s)
		return;
	refill(bucket, now_ns);
	bucket->level -= (double)n;
	if (bucket->level < debt)
		bucket->level = debt;
}
