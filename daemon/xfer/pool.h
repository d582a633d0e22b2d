/*
 * The inside of the pool, for pool.c (memory, start and stop) and turns.c (the threads).
 */
#ifndef XFER_POOL_H
#define XFER_POOL_H

#include "xfer/internal.h"

struct xfer_pool {
	pthread_mutex_t lock;
	pthread_cond_t change;
	struct transfer *transfers; /* (lock) a ring: the first is the next to have a turn */
	unsigned int n_transfers;   /* (lock) */
	unsigned int idle;	    /* (lock) threads that wait */
	unsigned int large_running; /* (lock) */
	bool stopping;		    /* (lock) */
	struct lane *lanes;
	unsigned int n_lanes, started;
	unsigned int per_transfer;
	unsigned int flows; /* of one transfer: threads with many small shards under way */
	struct engine_mapping mapping; /* the lanes' memory */
	size_t small_bytes;
	bool uring;
	struct xfer_manners manners; /* the cgroup is borrowed */
	struct limit limit;
	struct ways ways;
	struct larder_error problem;	      /* with the manners */
	const struct source_options *options; /* borrowed */
	char engine[LARDER_ERROR_MAX + 16];
};

/* Under the lock. */
void pool_unlink(struct xfer_pool *pool, const struct transfer *transfer);
/* A thread's life; arg is its lane. */
void *lane_thread(void *arg);

#endif
