/*
 * What the thread of the inventory and its checkpoints share: private to inventory_sync.c and
 * inventory_checkpoint.c.
 */
#ifndef STORE_INVENTORY_SYNC_H
#define STORE_INVENTORY_SYNC_H

#include <pthread.h>

#include "store/inventory_sql.h"

struct waiter {
	struct waiter *next;
	uint64_t ticket;
	inventory_barrier_fn fn;
	void *arg;
};

struct inv_sync {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake, rested;
	int wal_fd, event_fd;
	sqlite3 *db;	    /* the thread's own */
	sqlite3_stmt *mark; /* its small commit */
	/* under lock */
	uint64_t asked;	   /* the last ticket */
	uint64_t done;	   /* tickets up to this are answered */
	uint64_t good;	   /* and up to this well */
	int stuck;	   /* -errno of the first failure; for ever */
	int64_t log_bytes; /* pages in the log after the last commit */
	int64_t due_bytes; /* checkpoint above this */
	bool insisting;	   /* the control thread's commits wait */
	uint64_t commits;
	bool stop;
	int64_t mark_bytes; /* the thread's: pages in the log after its small commit */
	int64_t page_bytes;
	/* the control thread's */
	struct waiter *first, **last;
};

/* --- inventory_checkpoint.c; all but the first with the lock held */
int inv_checkpoint_open(struct inventory *inv, struct inv_sync *s, struct larder_error *err);
/* Is the log long enough to be copied? */
bool inv_checkpoint_due(const struct inv_sync *s);
/* Waits until nobody commits, a barrier is asked for, or the log is urgent. True: copy it now. */
bool inv_checkpoint_wait(struct inv_sync *s);
/* The lock is let go while it runs. */
void inv_checkpoint_run(struct inv_sync *s);

#endif
