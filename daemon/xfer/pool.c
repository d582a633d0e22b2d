/*
 * Owns: the threads' number and memory, their start and end; the list of transfers.
 * Must not: know whose turn it is (turns.c) or what a turn does (transfer.c).
 * Called by: the server (create, destroy), transfer.c.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "larder/cond.h"
#include "xfer/manners.h"
#include "xfer/pool.h"

#define THREADS_DEFAULT 8u
#define THREADS_MAX	256u
#define THREADS_SPARE	2u
#define MEMORY_DEFAULT	((uint64_t)64 * 1024 * 1024)
#define BLOCK_MAX	((size_t)1024 * 1024)
#define BLOCKS_MIN	4u /* of a lane: else the block is made smaller */
#define LANE_MIN	((size_t)64 * 1024)

void pool_lock(struct xfer_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
}

void pool_unlock(struct xfer_pool *pool)
{
	pthread_mutex_unlock(&pool->lock);
}

void pool_wake(struct xfer_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pthread_cond_broadcast(&pool->change);
	pthread_mutex_unlock(&pool->lock);
}

unsigned int pool_threads(const struct xfer_pool *pool)
{
	return pool->per_transfer;
}

size_t pool_small_bytes(const struct xfer_pool *pool)
{
	return pool->small_bytes;
}

unsigned int pool_flows(const struct xfer_pool *pool)
{
	return pool->flows;
}

const struct source_options *pool_options(const struct xfer_pool *pool)
{
	return pool->options;
}

const char *xfer_pool_engine(const struct xfer_pool *pool)
{
	return pool->engine;
}

void xfer_pool_limit(struct xfer_pool *pool, uint64_t bytes_per_s)
{
	limit_set(&pool->limit, bytes_per_s);
}

const char *xfer_pool_problem(const struct xfer_pool *pool)
{
	return pool->problem.text;
}

struct ways *pool_ways(struct xfer_pool *pool)
{
	return &pool->ways;
}

struct limit *pool_limit(struct xfer_pool *pool)
{
	return &pool->limit;
}

int pool_add(struct xfer_pool *pool, struct transfer *transfer)
{
	int rc = -ESHUTDOWN;

	pthread_mutex_lock(&pool->lock);
	if (!pool->stopping) {
		transfer->next = pool->transfers;
		pool->transfers = transfer;
		pool->n_transfers++;
		pthread_cond_broadcast(&pool->change);
		rc = 0;
	}
	pthread_mutex_unlock(&pool->lock);
	return rc;
}

void pool_unlink(struct xfer_pool *pool, const struct transfer *transfer)
{
	struct transfer **at = &pool->transfers;

	while (*at != transfer)
		at = &(*at)->next;
	*at = transfer->next;
}

void pool_remove(struct xfer_pool *pool, struct transfer *transfer)
{
	pthread_mutex_lock(&pool->lock);
	pool_unlink(pool, transfer);
	pool->n_transfers--;
	pthread_cond_broadcast(&pool->change);
	pthread_mutex_unlock(&pool->lock);
}

/* Shares the memory out. Touched only when used and given back after it: an idle pool costs
 * nothing. */
static int share_memory(struct xfer_pool *pool, uint64_t bytes)
{
	size_t lane, block;
	unsigned char *base;

	bytes = bytes ? bytes : MEMORY_DEFAULT;
	while (pool->n_lanes > 1 && bytes / pool->n_lanes < LANE_MIN)
		pool->n_lanes--;
	lane = (size_t)(bytes / pool->n_lanes);
	if (lane < LANE_MIN)
		lane = LANE_MIN;
	block = BLOCK_MAX;
	while (lane / block < BLOCKS_MIN)
		block /= 2; /* ends at 16 KiB: LANE_MIN is 4 of them */
	lane -= lane % block;
	base = engine_map(&pool->mapping, pool->n_lanes * lane);
	if (!base)
		return -ENOMEM;
	for (unsigned int i = 0; i < pool->n_lanes; i++) {
		pool->lanes[i].pool = pool;
		pool->lanes[i].memory.base = base + i * lane;
		pool->lanes[i].memory.block = block;
		pool->lanes[i].memory.n = (unsigned int)(lane / block);
	}
	/* a small shard is read whole and one byte more */
	pool->small_bytes = lane - 1 < SMALL_BYTES ? lane - 1 : (size_t)SMALL_BYTES;
	return 0;
}

static void choose_engine(struct xfer_pool *pool, bool no_uring)
{
	struct larder_error why;

	pool->uring = !no_uring && engine_uring.probe(&why) == 0;
	if (pool->uring)
		snprintf(pool->engine, sizeof(pool->engine), "uring");
	else
		snprintf(pool->engine, sizeof(pool->engine), "sync (%s)",
			 no_uring ? "io_uring is switched off" : why.text);
}

/* Signals are the control thread's. */
static int start_lanes(struct xfer_pool *pool)
{
	sigset_t all, before;
	int rc = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (; pool->started < pool->n_lanes; pool->started++) {
		struct lane *lane = &pool->lanes[pool->started];

		rc = -pthread_create(&lane->thread, NULL, lane_thread, lane);
		if (rc)
			break;
		pthread_setname_np(lane->thread, "larder-xfer");
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

/* One for each processor: more of them only hand their work to one another. */
static unsigned int flows_of(unsigned int threads)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 1 ? 1 : (unsigned long)cpus < threads ? (unsigned int)cpus : threads;
}

int xfer_pool_create(const struct xfer_pool_params *params, struct xfer_pool **out,
		     struct larder_error *err)
{
	struct xfer_pool *pool = calloc(1, sizeof(*pool));
	unsigned int threads = params->threads ? params->threads : THREADS_DEFAULT;
	int rc = -ENOMEM;

	if (!pool)
		return larder_error_set(err, ENOMEM, "no memory for the transfer threads");
	pool->per_transfer = threads < THREADS_MAX ? threads : THREADS_MAX;
	pool->n_lanes = pool->per_transfer + THREADS_SPARE;
	pool->manners = params->manners;
	limit_init(&pool->limit, params->bytes_per_s);
	pool->flows = flows_of(pool->per_transfer);
	pool->options = params->options;
	pthread_mutex_init(&pool->lock, NULL);
	cond_init(&pool->change);
	choose_engine(pool, params->no_uring);
	ways_init(&pool->ways, pool->uring);
	manners_check_cgroup(pool->manners.cgroup, &pool->problem);
	pool->lanes = calloc(pool->n_lanes, sizeof(*pool->lanes));
	if (pool->lanes)
		rc = share_memory(pool, params->memory_bytes);
	if (!rc)
		rc = start_lanes(pool);
	if (rc) {
		xfer_pool_destroy(pool);
		return larder_error_set(err, rc, "start %u transfer threads: %s", threads,
					strerror(-rc));
	}
	*out = pool;
	return 0;
}

void xfer_pool_destroy(struct xfer_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	for (struct transfer *t = pool->transfers; t; t = t->next)
		atomic_store(&t->halt, true);
	pthread_cond_broadcast(&pool->change);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned int i = 0; i < pool->started; i++)
		pthread_join(pool->lanes[i].thread, NULL);
	engine_unmap(&pool->mapping);
	free(pool->lanes);
	ways_fini(&pool->ways);
	limit_fini(&pool->limit);
	pthread_cond_destroy(&pool->change);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}
