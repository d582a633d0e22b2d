/*
 * The two clocks, one name each. The monotonic one never goes back and stands still while the
 * machine sleeps: deadlines are counted in it.
 */
#ifndef LARDER_CLOCK_H
#define LARDER_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Seconds since the epoch: what rows, files and people are told. */
static inline int64_t clock_s(void)
{
	return time(NULL);
}

static inline int64_t clock_mono_ns(void)
{
	struct timespec now = {0};

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int64_t clock_mono_ms(void)
{
	return clock_mono_ns() / 1000000;
}

#endif
