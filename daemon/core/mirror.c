/*
 * Owns: the choice among the origins of a dataset.
 * Must not: look at a clock, or talk to an origin.
 * Called by: xfer/sources.c.
 */
#include "core/mirror.h"

#define MUCH_FASTER   1.5  /* than one that is preferred: then preference is only a word */
#define RESCUE_AFTER  1000 /* ms: before that a rate is no rate */
#define RESCUE_FASTER 4
#define RESCUE_TRY    3000 /* ms to go: then one that nobody knows may be better */
#define FAILED_MAX    3	   /* in a row: others first, as long as there are any */

static double rate(const struct mirror *m)
{
	return (double)m->bytes / (double)(m->busy_ms ? m->busy_ms : 1);
}

static bool proved(const struct mirror *m)
{
	return m->shards && (m->bytes >= MIRROR_PROVED_BYTES || m->shards >= MIRROR_PROVED_SHARDS);
}

static bool sound(const struct mirror *m)
{
	return m->usable && m->failed < FAILED_MAX;
}

/* One shard at a time, and only once a better one has proved itself: nothing waits for a slow one.
 */
static bool to_be_tried(const struct mirror *m)
{
	return sound(m) && !proved(m) && !m->running && !m->failed;
}

static unsigned int first_usable(const struct mirror *mirrors, unsigned int n)
{
	unsigned int best = n;

	for (unsigned int i = 0; i < n; i++) {
		if (!mirrors[i].usable)
			continue;
		if (best == n || mirrors[i].failed < mirrors[best].failed)
			best = i;
	}
	return best == n ? 0 : best;
}

unsigned int mirror_choose(const struct mirror *mirrors, unsigned int n)
{
	unsigned int best = n;

	for (unsigned int i = 0; i < n; i++) {
		if (!sound(&mirrors[i]))
			continue;
		if (best == n) {
			best = i;
			if (!proved(&mirrors[i]))
				return i;
		} else if (to_be_tried(&mirrors[i])) {
			return i;
		} else if (proved(&mirrors[i]) &&
			   rate(&mirrors[i]) > rate(&mirrors[best]) * MUCH_FASTER) {
			best = i;
		}
	}
	return best == n ? first_usable(mirrors, n) : best;
}

static unsigned int one_to_try(const struct mirror *mirrors, unsigned int n, unsigned int now)
{
	for (unsigned int i = 0; i < n; i++)
		if (i != now && to_be_tried(&mirrors[i]))
			return i;
	return n;
}

unsigned int mirror_rescue(const struct mirror *mirrors, unsigned int n, unsigned int now,
			   uint64_t bytes, uint64_t size, uint64_t ms)
{
	double left_ms, best_ms;
	unsigned int best = n;

	if (ms < RESCUE_AFTER || bytes >= size)
		return n;
	for (unsigned int i = 0; i < n; i++)
		if (i != now && sound(&mirrors[i]) && proved(&mirrors[i]) &&
		    (best == n || rate(&mirrors[i]) > rate(&mirrors[best])))
			best = i;
	left_ms = bytes ? (double)(size - bytes) * (double)ms / (double)bytes
			: (double)ms * RESCUE_FASTER * 1000;
	if (best == n)
		return left_ms > RESCUE_TRY ? one_to_try(mirrors, n, now) : n;
	if (rate(&mirrors[best]) <= 0)
		return n;
	best_ms = (double)size / rate(&mirrors[best]);
	return left_ms > best_ms * RESCUE_FASTER && left_ms > RESCUE_AFTER ? best : n;
}
