/*
 * Conditions whose deadlines are of the monotonic clock: a clock that somebody sets neither ends a
 * wait nor makes it last.
 */
#ifndef LARDER_COND_H
#define LARDER_COND_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* 0 or -errno. */
static inline int cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int rc = pthread_condattr_init(&attr);

	if (rc)
		return -rc;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	rc = pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
	return -rc;
}

/* Until then by clock_mono_ms(), or until it is woken. 0 or ETIMEDOUT. */
static inline int cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ms)
{
	const struct timespec until = {.tv_sec = until_ms / 1000,
				       .tv_nsec = until_ms % 1000 * 1000000};

	return pthread_cond_timedwait(cond, lock, &until);
}

#endif
