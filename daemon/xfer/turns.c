/*
 * Owns: the life of the pool's threads, and whose turn it is.
 * Must not: know what a turn does.
 * Called by: pool.c, which starts the threads.
 *
 * Turns go round by transfer, so a small dataset does not wait behind a huge one; a large shard
 * gives its thread back after a slice when others wait. There are two threads more than one
 * transfer may use: an origin that hangs does not stop the others at once.
 */
#include <errno.h>
#include <sys/mman.h>

#include "larder/clock.h"
#include "larder/cond.h"
#include "xfer/manners.h"
#include "xfer/pool.h"

#define REST_MS 2000 /* without work, until a thread gives its memory back */

enum turn_kind { TURN_NONE, TURN_FEED, TURN_ITEM, TURN_DROP, TURN_FINISH };

struct turn {
	enum turn_kind kind;
	struct transfer *transfer;
	struct item *item; /* DROP: a list */
};

/* After its turn a transfer goes to the end. */
static void to_the_end(struct xfer_pool *pool, struct transfer *transfer)
{
	struct transfer **at;

	pool_unlink(pool, transfer);
	for (at = &pool->transfers; *at; at = &(*at)->next)
		;
	transfer->next = NULL;
	*at = transfer;
}

bool pool_contended(struct xfer_pool *pool, const struct transfer *transfer)
{
	bool wait = false;

	pthread_mutex_lock(&pool->lock);
	for (struct transfer *t = pool->transfers; t && !pool->idle; t = t->next) {
		/* a new one waits for its first feeding */
		if (t != transfer && (t->queued || (!t->fed && !t->feeding)))
			wait = true;
	}
	pthread_mutex_unlock(&pool->lock);
	return wait;
}

/* A thread that has many small ones under way needs few others beside it: it rarely waits. */
static bool is_flow(const struct transfer *transfer, const struct item *item)
{
	return transfer->streams && !item->large && item->kind == WANT_FETCH;
}

static bool may_start(const struct xfer_pool *pool, const struct transfer *transfer,
		      const struct item *item)
{
	if (is_flow(transfer, item))
		return transfer->flows < pool->flows;
	if (!item->large)
		return true;
	/* one thread is kept for the small */
	return transfer->large_running < LARGE_AT_ONCE &&
	       (pool->large_running + 1 < pool->n_lanes || pool->n_lanes == 1);
}

static void take_out(struct transfer *transfer, struct item *before, struct item *item)
{
	if (before)
		before->next = item->next;
	else
		transfer->head = item->next;
	if (transfer->tail == item)
		transfer->tail = before;
	item->next = NULL;
	transfer->queued--;
}

static struct item *take_item(struct xfer_pool *pool, struct transfer *transfer)
{
	struct item *before = NULL;

	for (struct item *item = transfer->head; item; before = item, item = item->next) {
		if (!may_start(pool, transfer, item))
			continue;
		take_out(transfer, before, item);
		item->flows = is_flow(transfer, item);
		if (item->flows)
			transfer->flows++;
		if (item->large) {
			transfer->large_running++;
			pool->large_running++;
		}
		return item;
	}
	return NULL;
}

static bool wants_feeding(const struct transfer *transfer)
{
	return !transfer->fed && !transfer->feeding && transfer->queued < QUEUE_LOW;
}

/* Under the lock. */
static struct item *take_small(struct transfer *transfer, unsigned int origin)
{
	struct item *before = NULL;

	for (struct item *item = transfer->head; item; before = item, item = item->next) {
		if (!is_flow(transfer, item) || sources_choose(transfer, item) != origin)
			continue;
		take_out(transfer, before, item);
		item->origin = origin;
		return item;
	}
	return NULL;
}

struct item *pool_take_small(struct xfer_pool *pool, struct transfer *transfer, unsigned int origin)
{
	struct item *item = NULL;
	bool feed;

	if (pool_contended(pool, transfer))
		return NULL;
	pthread_mutex_lock(&pool->lock);
	feed = !atomic_load(&transfer->halt) && wants_feeding(transfer);
	if (feed) {
		transfer->feeding = true;
		transfer->running++;
		pthread_mutex_unlock(&pool->lock);
		transfer_feed(transfer);
		pthread_mutex_lock(&pool->lock);
	}
	if (!atomic_load(&transfer->halt))
		item = take_small(transfer, origin);
	pthread_mutex_unlock(&pool->lock);
	return item;
}

/* All that waits, as a list. */
static struct item *take_queue(struct transfer *transfer)
{
	struct item *list = transfer->head;

	transfer->head = transfer->tail = NULL;
	transfer->queued = 0;
	transfer->dropped = true;
	return list;
}

static enum turn_kind kind_of_turn(struct xfer_pool *pool, struct transfer *transfer)
{
	bool halt = atomic_load(&transfer->halt);

	if (transfer->finishing)
		return TURN_NONE;
	if (halt && transfer->queued)
		return TURN_DROP;
	if (!transfer->running && !transfer->queued && (halt || transfer->fed))
		return TURN_FINISH;
	if (halt || transfer->running >= pool->per_transfer)
		return TURN_NONE;
	if (wants_feeding(transfer))
		return TURN_FEED;
	return transfer->queued ? TURN_ITEM : TURN_NONE;
}

/* What this transfer has to do now, taken. Under the lock. */
static struct turn turn_of(struct xfer_pool *pool, struct transfer *transfer)
{
	struct turn turn = {.transfer = transfer, .kind = kind_of_turn(pool, transfer)};

	if (turn.kind == TURN_FEED)
		transfer->feeding = true;
	else if (turn.kind == TURN_FINISH)
		transfer->finishing = true;
	else if (turn.kind == TURN_DROP)
		turn.item = take_queue(transfer);
	else if (turn.kind == TURN_ITEM)
		turn.item = take_item(pool, transfer);
	if (turn.kind == TURN_ITEM && !turn.item)
		turn.kind = TURN_NONE; /* only large ones wait, and enough of those run */
	if (turn.kind != TURN_NONE)
		transfer->running++;
	return turn;
}

static struct turn next_turn(struct xfer_pool *pool)
{
	struct turn none = {.kind = TURN_NONE};

	for (struct transfer *t = pool->transfers; t; t = t->next) {
		struct turn turn = turn_of(pool, t);

		if (turn.kind == TURN_NONE)
			continue;
		to_the_end(pool, t);
		return turn;
	}
	return none;
}

static void run_item(struct lane *lane, const struct turn *turn)
{
	bool large = turn->item->large;

	transfer_run(turn->transfer, lane, turn->item);
	if (!large)
		return;
	pthread_mutex_lock(&lane->pool->lock);
	lane->pool->large_running--;
	pthread_cond_signal(&lane->pool->change); /* what was held back may start */
	pthread_mutex_unlock(&lane->pool->lock);
}

static void take_turn(struct lane *lane, const struct turn *turn)
{
	switch (turn->kind) {
	case TURN_FEED: transfer_feed(turn->transfer); break;
	case TURN_ITEM: run_item(lane, turn); break;
	case TURN_DROP: transfer_drop(turn->transfer, turn->item); break;
	case TURN_FINISH: transfer_finish(turn->transfer); break;
	case TURN_NONE:
	default: break;
	}
}

static void close_engines(struct lane *lane)
{
	if (lane->sync)
		lane->sync->ops->close(lane->sync);
	if (lane->uring)
		lane->uring->ops->close(lane->uring);
	lane->sync = lane->uring = NULL;
}

/* What lies idle is better with the jobs. The ring goes first: its buffers are these very pages. */
static void lane_rest(struct lane *lane)
{
	close_engines(lane);
	madvise(lane->memory.base, lane->memory.block * lane->memory.n, MADV_DONTNEED);
	lane->used = false;
}

/* Under the lock, which is let go meanwhile. Also returns when there is nothing yet. */
static void wait_for_work(struct lane *lane)
{
	struct xfer_pool *pool = lane->pool;
	int rc;

	pool->idle++;
	rc = lane->used ? cond_wait_until(&pool->change, &pool->lock, clock_mono_ms() + REST_MS)
			: pthread_cond_wait(&pool->change, &pool->lock);
	pool->idle--;
	if (rc != ETIMEDOUT)
		return;
	pthread_mutex_unlock(&pool->lock);
	lane_rest(lane);
	pthread_mutex_lock(&pool->lock);
}

int lane_engine(struct lane *lane, bool uring, struct engine **engine, struct larder_error *err)
{
	int rc = 0;

	if (uring && lane->pool->uring) {
		if (!lane->uring && engine_uring.open(&lane->memory, &lane->uring, NULL))
			lane->uring =
				NULL; /* no more rings for us (ENOMEM): blocking calls will do */
		*engine = lane->uring;
		if (*engine)
			return 0;
	}
	if (!lane->sync)
		rc = engine_sync.open(&lane->memory, &lane->sync, err);
	*engine = lane->sync;
	return rc;
}

void *lane_thread(void *arg)
{
	struct lane *lane = arg;
	struct xfer_pool *pool = lane->pool;

	manners_apply(&pool->manners);
	pthread_mutex_lock(&pool->lock);
	while (!pool->stopping || pool->transfers) {
		struct turn turn = next_turn(pool);

		if (turn.kind == TURN_NONE) {
			wait_for_work(lane);
			continue;
		}
		lane->used = true;
		pthread_mutex_unlock(&pool->lock);
		take_turn(lane, &turn);
		pthread_mutex_lock(&pool->lock);
	}
	pthread_cond_broadcast(&pool->change);
	pthread_mutex_unlock(&pool->lock);
	close_engines(lane);
	return NULL;
}
