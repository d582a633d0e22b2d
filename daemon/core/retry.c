/*
 * Owns: the classes of failures at remote origins, and the waits between tries.
 * Must not: sleep, look at a clock, or draw random numbers.
 * Called by: the remote kinds of origins.
 */
#include "core/retry.h"

enum retry_class retry_class_of_status(long status)
{
	if (status == 429 || status == 503)
		return RETRY_BUSY;
	if (status == 408 || (status >= 500 && status <= 599 && status != 501 && status != 505))
		return RETRY_SERVER;
	return RETRY_NEVER;
}

/* base × 2^(failed - 1), never above the cap; does not overflow however often it failed. */
static int64_t doubled(const struct retry_policy *policy, unsigned int failed)
{
	int64_t wait = policy->base_ms;

	while (--failed && wait < policy->cap_ms)
		wait *= 2;
	return wait < policy->cap_ms ? wait : policy->cap_ms;
}

int64_t retry_delay_ms(const struct retry_policy *policy, enum retry_class class,
		       unsigned int failed, int64_t after_ms, uint32_t random)
{
	int64_t wait;

	if (class == RETRY_NEVER || failed > policy->retries)
		return -1;
	if (after_ms > policy->patience_ms)
		return -1;
	wait = doubled(policy, failed ? failed : 1);
	wait -= wait / 2 * (random % 1024) / 1024;
	if (after_ms > wait)
		wait = after_ms + after_ms / 8 * (random % 1024) / 1024;
	return wait;
}

const char *retry_class_text(enum retry_class class)
{
	switch (class) {
	case RETRY_CONNECT: return "no connection";
	case RETRY_BUSY: return "the server asks for patience";
	case RETRY_SERVER: return "the server failed";
	case RETRY_RESET: return "the connection broke";
	case RETRY_STALL: return "the transfer stalled";
	case RETRY_TRUNCATED: return "the answer ended early";
	case RETRY_NEVER:
	default: return "refused";
	}
}
