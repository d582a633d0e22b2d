/*
 * What pool, transfers and shards share. For xfer/ alone.
 *
 * pool->lock guards the list of transfers and every field of a transfer marked (lock). Nothing
 * that may block is called under it.
 */
#ifndef XFER_INTERNAL_H
#define XFER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "larder/manifest.h"
#include "xfer/engine.h"
#include "xfer/limit.h"
#include "xfer/transfer.h"
#include "xfer/want.h"
#include "xfer/way.h"

#define SMALL_BYTES   ((uint64_t)1024 * 1024) /* up to this a shard is read whole */
#define SLICE_BLOCKS  256u		      /* of a large one, before others are let in */
#define LARGE_AT_ONCE 4u		      /* large shards of one transfer in flight */
#define BATCH_MAX     8u		      /* small shards that a thread takes at once */
#define QUEUE_LOW     32u		      /* items below which a transfer is fed again */
#define QUEUE_FEED    64u		      /* items of one feeding */

/* One shard to bring, on its way through queue and threads. */
struct item {
	struct item *next;
	enum want_kind kind;
	struct shard shard; /* strings point into text */
	bool large;
	/* of the attempt under way */
	unsigned int origin;   /* index into transfer->origins */
	unsigned int tried;    /* bits: origins that failed */
	bool retried;	       /* the one retry after a digest mismatch is spent */
	enum engine_side side; /* whose fault the last failure was */
	struct way_choice way; /* of a large one */
	dev_t tier;
	int64_t began_ns;
	bool rested; /* between slices: its time says nothing */
	int in, out; /* -1: not open. Stay open while a large shard rests between slices */
	struct engine_copy copy;
	struct larder_error *first; /* what the first origin said; owned */
	char text[];
};

struct origin_slot {
	const char *url;	      /* owned by the transfer */
	const struct source_ops *ops; /* NULL: of a kind that is not known */
	struct source *source;
	int rc; /* of opening; 0 until it was tried */
	struct larder_error err;
};

enum transfer_phase { PHASE_COPYING, PHASE_SYNCING, PHASE_DONE };
enum clone_state { CLONE_UNTRIED, CLONE_WORKS, CLONE_REFUSED };

struct transfer {
	struct transfer *next; /* (lock) */
	struct xfer_pool *pool;
	struct transfer_params params; /* origins, groups and subsets copied; the rest borrowed */
	char **urls;
	gid_t *groups;
	char **subsets;
	struct origin_slot *origins;
	unsigned int n_origins;
	pthread_mutex_t origin_lock;	/* of the slots */
	_Atomic unsigned int preferred; /* the origin that worked last */
	_Atomic int clone;		/* enum clone_state */
	struct want_stream *stream;	/* the feeding thread's */

	struct item *head, *tail;		     /* (lock) */
	unsigned int queued, running, large_running; /* (lock) */
	bool feeding, fed, finishing;		     /* (lock) */
	bool dropped;				     /* (lock) something wanted was not done */
	int rc;					     /* (lock) the first failure */
	struct larder_error err;		     /* (lock) */

	_Atomic bool halt; /* cancelled or failed: nothing new is started */
	_Atomic uint64_t done_shards, done_bytes, origin_bytes, linked_bytes;
	_Atomic uint64_t digest_mismatches, origin_errors;
	_Atomic int phase;
	_Atomic(const char *) engine; /* of the last large one */
	_Atomic int place;	      /* enum way_place, of the last one */
	_Atomic bool small;	      /* some were small */
};

/* A thread of the pool. Only it touches its engines and its memory. */
struct lane {
	struct xfer_pool *pool;
	pthread_t thread;
	struct engine_memory memory;
	struct engine *sync, *uring; /* opened when first needed */
};

/* --- pool.c */
void pool_lock(struct xfer_pool *pool);
void pool_unlock(struct xfer_pool *pool);
/* Puts a new transfer into the round. -ESHUTDOWN. */
int pool_add(struct xfer_pool *pool, struct transfer *transfer);
/* Under the lock: takes it out; wakes threads. */
void pool_remove(struct xfer_pool *pool, struct transfer *transfer);
void pool_wake(struct xfer_pool *pool);
/* Does another transfer wait for a thread while none is idle? */
bool pool_contended(struct xfer_pool *pool, const struct transfer *transfer);
struct ways *pool_ways(struct xfer_pool *pool);
struct limit *pool_limit(struct xfer_pool *pool);
/* Of one transfer. */
unsigned int pool_threads(const struct xfer_pool *pool);
size_t pool_small_bytes(const struct xfer_pool *pool);
const struct source_options *pool_options(const struct xfer_pool *pool);
/* The thread's engine for such a copy. */
int lane_engine(struct lane *lane, bool uring, struct engine **engine, struct larder_error *err);

/* --- transfer.c: a thread's turns */
void transfer_feed(struct transfer *transfer);
void transfer_run(struct transfer *transfer, struct lane *lane, struct item *item);
/* Nothing of the list is wanted any more. */
void transfer_drop(struct transfer *transfer, struct item *list);
void transfer_finish(struct transfer *transfer);
void item_free(struct item *item);
/* Where the bytes of this pair come from and go to, also for whoever looks on. */
enum way_place transfer_place(struct transfer *transfer, int in, int out, dev_t *tier);

/* --- sources.c */
int sources_init(struct transfer *transfer, const struct source_ops *const *ops,
		 struct larder_error *err);
/* Opens it when it is the first use. Borrowed. */
int sources_get(struct transfer *transfer, unsigned int origin, struct source **source,
		struct larder_error *err);
void sources_close(struct transfer *transfer);
/*
 * After a failure: is there another origin to try (item->origin is set then)? Remembers what the
 * first one said, and gives it back in *err with its code in *rc when none is left.
 */
bool sources_next(struct transfer *transfer, struct item *item, int *rc, struct larder_error *err);
/* This origin stood in for another: where that is not there at all, it goes on doing so. */
void sources_worked(struct transfer *transfer, unsigned int origin);

/* --- shard.c: 0 done, 1 a slice is over and more is left, -errno */
int item_run(struct lane *lane, struct transfer *transfer, struct item *item,
	     struct larder_error *err);
/* Opens a small one's source and begins to read it; what fails here fails again when it runs. */
void item_begin(struct transfer *transfer, struct item *item);
/* Lets go what an item that rested between slices holds. */
void item_drop(struct item *item);

/* --- large.c: one attempt at a large shard; results as item_run's */
int large_run(struct lane *lane, struct transfer *transfer, struct item *item,
	      struct larder_error *err);
/* One attempt at any shard of an origin that only streams. */
int stream_run(struct lane *lane, struct transfer *transfer, struct item *item,
	       struct source *source, struct larder_error *err);

/* --- verify.c */
/* Nothing may follow the manifest's last byte, and the size must still be the manifest's. */
int verify_end(int in, struct item *item, struct larder_error *err);
/* -EBADMSG, or -ESTALE when `in` (-1: none) shows that the file was changed since. */
int verify_digest(struct transfer *transfer, struct item *item, struct digest got, int in,
		  struct larder_error *err);
/* Reads all of fd in order into copy->digest. */
int verify_read(int fd, struct engine_copy *copy, const struct engine_memory *memory,
		struct larder_error *err);

#endif
