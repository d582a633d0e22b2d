/*
 * How fast all transfers of a pool may go together: bytes a second that may change at any time.
 */
#ifndef XFER_LIMIT_H
#define XFER_LIMIT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct limit {
	pthread_mutex_t lock;
	int64_t free_ns; /* (lock) CLOCK_MONOTONIC: when what was promised is through */
	_Atomic uint64_t bytes_per_s; /* 0: none */
};

void limit_init(struct limit *limit, uint64_t bytes_per_s);
void limit_fini(struct limit *limit);
/* From any thread; who waits by the old rate goes on at once. */
void limit_set(struct limit *limit, uint64_t bytes_per_s);
/* Waits for the turn of so many bytes. 0, or -ECANCELED soon after *stop is set. */
int limit_take(struct limit *limit, uint64_t bytes, const _Atomic bool *stop);
/* How much to ask for at once, so that others come in between: at least `least`, at most `most`. */
uint64_t limit_portion(const struct limit *limit, uint64_t least, uint64_t most);

#endif
