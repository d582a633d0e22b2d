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

#include "core/mirror.h"
#include "larder/manifest.h"
#include "xfer/engine.h"
#include "xfer/limit.h"
#include "xfer/transfer.h"
#include "xfer/want.h"
#include "xfer/way.h"

#define SMALL_BYTES   ((uint64_t)1024 * 1024) /* up to this a shard is read whole */
#define SLICE_BLOCKS  256u		      /* of a large one, before others are let in */
#define LARGE_AT_ONCE 4u		      /* large shards of one transfer in flight */
#define BATCH_MAX     ENGINE_WHOLES	      /* small shards that a thread takes at once */
#define QUEUE_LOW     128u		      /* items below which a transfer is fed again */
#define QUEUE_FEED    256u		      /* items of one feeding */

/* One shard to bring, on its way through queue and threads. */
struct item {
	struct item *next;
	enum want_kind kind;
	struct shard shard; /* strings point into text */
	bool large;
	bool flows; /* one of many small ones that a thread has under way */
	/* of the attempt under way */
	unsigned int origin;	  /* index into transfer->origins */
	unsigned int tried;	  /* bits: origins that failed */
	bool retried;		  /* the one retry after a digest mismatch is spent */
	unsigned int next_origin; /* when rescued */
	uint64_t paced_bytes;	  /* that it had brought then */
	bool rescued;		  /* it was taken from a slow origin once */
	bool chosen;		  /* origin is settled, and counted as running there */
	int64_t began_ms;	  /* of the attempt */
	enum engine_side side;	  /* whose fault the last failure was */
	struct way_choice way;	  /* of a large one */
	struct way_pair pair;
	int64_t began_ns;
	bool rested; /* between slices: its time says nothing */
	int in, out; /* -1: not open. Stay open while a large shard rests between slices */
	struct engine_copy copy;
	const unsigned char *data;  /* all of it, in the thread's memory; NULL: to be read */
	struct larder_error *first; /* what the first origin said; owned */
	char text[];
};

struct origin_slot {
	const char *url;	      /* owned by the transfer */
	const struct source_ops *ops; /* NULL: of a kind that is not known */
	struct source *source;
	int rc; /* of opening; 0 until it was tried */
	struct larder_error err;
	struct mirror record; /* how it does; under mirror_lock, as all from here */
	uint64_t kept_bytes, kept_shards, kept_ms; /* in whole shards, and what those took */
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
	pthread_mutex_t origin_lock; /* of the slots; held while one is opened, which may block */
	pthread_mutex_t mirror_lock; /* of how they do; the last to be taken */
	_Atomic int clone;	     /* enum clone_state */
	struct want_stream *stream;  /* the feeding thread's */
	bool streams; /* the preferred origin gives many small shards to one thread */

	struct item *head, *tail;		     /* (lock) */
	unsigned int queued, running, large_running; /* (lock) */
	unsigned int flows;			     /* (lock) threads with many small ones */
	bool feeding, fed, finishing;		     /* (lock) */
	bool dropped;				     /* (lock) something wanted was not done */
	int rc;					     /* (lock) the first failure */
	struct larder_error err;		     /* (lock) */
	char *bad;				     /* (lock) path of the shard that failed so */

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
	bool used;		     /* since it last gave its memory back */
	bool spoilt;		     /* what a batch has in it is there no more */
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
/*
 * A small shard more for a thread that has others of this transfer and origin under way. Feeds the
 * queue when it runs low. NULL: there is none now, or another transfer waits.
 */
struct item *pool_take_small(struct xfer_pool *pool, struct transfer *transfer,
			     unsigned int origin);
size_t pool_small_bytes(const struct xfer_pool *pool);
/* Threads of one transfer that have many small shards under way. */
unsigned int pool_flows(const struct xfer_pool *pool);
const struct source_options *pool_options(const struct xfer_pool *pool);
/* The thread's engine for such a copy. */
int lane_engine(struct lane *lane, bool uring, struct engine **engine, struct larder_error *err);

/* --- queue.c */
/* A thread's turn: more of the manifest into the queue. */
void transfer_feed(struct transfer *transfer);
/*
 * Small ones that follow in the queue and go together with batch[0], as many as have room in so
 * much memory; no more than a thread's share of what waits. How many there are, with the first.
 */
unsigned int transfer_take_more(struct transfer *transfer, struct item *batch[BATCH_MAX],
				size_t room);

/* To the front of the queue. */
void transfer_put_back(struct transfer *transfer, struct item *item);
void item_free(struct item *item);

/* --- transfer.c: a thread's turns */
/* The first failure is the transfer's; item NULL: it is about no shard. */
void transfer_fail(struct transfer *transfer, const struct item *item, int rc,
		   const struct larder_error *err);
void transfer_run(struct transfer *transfer, struct lane *lane, struct item *item);
/* Nobody wants this one any more: the transfer ends without it. */
void transfer_drop_one(struct transfer *transfer, struct item *item);
/* Runs what was taken, and says how it ended. The rest of a large shard goes to the queue's front.
 */
void transfer_run_one(struct transfer *transfer, struct lane *lane, struct item *item);
/* A shard of a flow is whole in memory (rc 0), or could not be had. Takes the item. */
void transfer_arrived(struct transfer *transfer, struct item *item, int rc,
		      const unsigned char *data, struct larder_error *err);
/* Nothing of the list is wanted any more. */
void transfer_drop(struct transfer *transfer, struct item *list);
void transfer_finish(struct transfer *transfer);

/* --- sources.c */
int sources_init(struct transfer *transfer, const struct source_ops *const *ops,
		 struct larder_error *err);
/* Opens it when it is the first use. Borrowed. */
int sources_get(struct transfer *transfer, unsigned int origin, struct source **source,
		struct larder_error *err);
void sources_close(struct transfer *transfer);
/* Where this shard is to be had from, unless that is settled; sources_begin settles it. */
unsigned int sources_choose(struct transfer *transfer, const struct item *item);
/* An attempt at item->origin begins; ends, with all bytes (rc 0) or not. */
void sources_begin(struct transfer *transfer, struct item *item);
void sources_end(struct transfer *transfer, struct item *item, int rc);
/*
 * `bytes` of the attempt are there: -EREMCHG when another origin is so much faster that it pays to
 * begin anew (item->next_origin is that one then), once for each shard.
 */
int sources_pace(struct transfer *transfer, struct item *item, uint64_t bytes);
/*
 * After a failure: is there another origin to try (item->origin is set then)? Remembers what the
 * first one said, and gives it back in *err with its code in *rc when none is left.
 */
bool sources_next(struct transfer *transfer, struct item *item, int *rc, struct larder_error *err);

/* --- shard.c: 0 done, 1 a slice is over and more is left, -errno */
int item_run(struct lane *lane, struct transfer *transfer, struct item *item,
	     struct larder_error *err);
/* Opens a small one's source (item->in); what fails here fails again when it runs. */
void item_begin(struct transfer *transfer, struct item *item);
/*
 * A flow's shard: digests, writes, gives to the sink. 0 done; 1 it is to be tried again, from
 * item->origin; -errno.
 */
int item_arrived(struct transfer *transfer, struct item *item, int rc, const unsigned char *data,
		 struct larder_error *err);
/* Lets go what an item that rested between slices holds. */
void item_drop(struct item *item);

/* --- large.c: one attempt at a large shard; results as item_run's */
int large_run(struct lane *lane, struct transfer *transfer, struct item *item,
	      struct larder_error *err);
/* One attempt at any shard of an origin that only streams. */
int stream_run(struct lane *lane, struct transfer *transfer, struct item *item,
	       struct source *source, struct larder_error *err);

/* --- pair.c */
/* Where the bytes of this pair come from and go to, also for whoever looks on. */
enum way_place pair_place(struct transfer *transfer, int in, int out, struct way_pair *pair);
/* Chooses the way of a large shard whose descriptors are open, and makes them so. */
void pair_choose(struct lane *lane, struct transfer *transfer, struct item *item);
/* From here on the source is read through the page cache. */
void pair_read_plain(struct item *item);
/* All bytes are written: what a probe showed is noted; it counts what is on the disk, for what is
 * in the page cache is not there yet. The source is read plain from here on. */
void pair_tell(struct lane *lane, struct item *item);
/* "uring direct", …: static. */
const char *pair_engine(const struct item *item, bool uring);
/* "same device: uring direct, small whole", or what is known of that. */
void pair_say(const struct transfer *transfer, char *out, size_t len);

/* --- batch.c */
/* Brings the item and small ones after it, their reads all begun at once. Takes the item. */
void batch_run(struct transfer *transfer, struct lane *lane, struct item *item);

/* --- flow.c */
/* Brings the item and small ones after it, many at once. Takes the item unless -ENOMEM. */
int flow_run(struct lane *lane, struct transfer *transfer, struct item *item,
	     struct source *source);

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
