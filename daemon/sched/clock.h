/* The two clocks. */
#ifndef SCHED_CLOCK_H
#define SCHED_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Seconds since the epoch: what rows, files and people are told. */
static inline int64_t clock_s(void)
{
	return time(NULL);
}

/* Milliseconds, never going back: what deadlines are counted in. */
static inline int64_t clock_mono_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

#endif
