/*
 * Whatever is O(shards) or may block on a disk runs here, off the control thread: planning, making
 * a tree's directories, emptying the trash, reading a tree again.
 */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "larder/error.h"
#include "server/mailbox.h"

struct worker_pool;

/* One piece of work; embedded in what it works on. */
struct work {
	struct work *next;
	struct letter letter;
	struct worker_pool *pool;
	void (*run)(struct work *work);	 /* on a worker's thread */
	void (*done)(struct work *work); /* then on the control thread */
};

int worker_pool_create(struct mailbox *mailbox, unsigned int threads, struct worker_pool **pool,
		       struct larder_error *err);
/* Waits for what runs; what is still queued runs too. done()s are in the mailbox afterwards. */
void worker_pool_destroy(struct worker_pool *pool);
/* pool NULL (the end of the daemon): at once, in the calling thread. */
void worker_run(struct worker_pool *pool, struct work *work);

#endif
