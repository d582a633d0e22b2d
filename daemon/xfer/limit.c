/*
 * Owns the promise of bytes a second: each who asks gets the next place in time, and sleeps until
 * it comes. Must not know what is copied.
 * Called by the pool's threads, and by the server when larder.conf is read again.
 */
#include <errno.h>
#include <time.h>

#include "larder/clock.h"
#include "xfer/limit.h"

#define NS_PER_S INT64_C(1000000000)
#define BURST_NS (NS_PER_S / 10) /* what was not used is kept for so long */
#define NAP_NS	 (NS_PER_S / 20) /* between looks whether it is still wanted */
#define PORTIONS 16u		 /* a second */

void limit_init(struct limit *limit, uint64_t bytes_per_s)
{
	pthread_mutex_init(&limit->lock, NULL);
	limit->free_ns = 0;
	atomic_init(&limit->bytes_per_s, bytes_per_s);
}

void limit_fini(struct limit *limit)
{
	pthread_mutex_destroy(&limit->lock);
}

void limit_set(struct limit *limit, uint64_t bytes_per_s)
{
	pthread_mutex_lock(&limit->lock);
	if (atomic_exchange(&limit->bytes_per_s, bytes_per_s) != bytes_per_s)
		limit->free_ns = 0;
	pthread_mutex_unlock(&limit->lock);
}

/* The place in time for so many bytes at this rate; the next one's is behind it. */
static int64_t reserve(struct limit *limit, uint64_t bytes, uint64_t rate)
{
	/* a double is exact enough, and no product overflows */
	int64_t span = (int64_t)((double)bytes / (double)rate * (double)NS_PER_S);
	int64_t now = clock_mono_ns(), at;

	pthread_mutex_lock(&limit->lock);
	if (limit->free_ns < now - BURST_NS)
		limit->free_ns = now - BURST_NS;
	at = limit->free_ns;
	limit->free_ns += span;
	pthread_mutex_unlock(&limit->lock);
	return at;
}

int limit_take(struct limit *limit, uint64_t bytes, const _Atomic bool *stop)
{
	uint64_t rate = atomic_load_explicit(&limit->bytes_per_s, memory_order_relaxed);
	int64_t at, left;

	if (!rate || !bytes)
		return 0;
	at = reserve(limit, bytes, rate);
	while ((left = at - clock_mono_ns()) > 0) {
		struct timespec nap = {.tv_nsec = left < NAP_NS ? left : NAP_NS};

		if (atomic_load_explicit(stop, memory_order_relaxed))
			return -ECANCELED;
		if (atomic_load_explicit(&limit->bytes_per_s, memory_order_relaxed) != rate)
			break;
		nanosleep(&nap, NULL);
	}
	return 0;
}

uint64_t limit_portion(const struct limit *limit, uint64_t least, uint64_t most)
{
	uint64_t rate = atomic_load_explicit(&limit->bytes_per_s, memory_order_relaxed);
	uint64_t portion = rate / PORTIONS / least * least;

	if (!rate || portion > most)
		return most;
	return portion < least ? least : portion;
}
