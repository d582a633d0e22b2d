/*
 * Owns: many small shards of one remote origin under way at once in one turn of a thread: their
 * memory, and that the queue does not run dry.
 * Must not: choose origins, or decide about a failure (shard.c does).
 * Called by: transfer.c.
 *
 * A shard is received whole into the thread's memory, digested, written with one call and given to
 * the sink. What failed goes back into the queue, and is tried again in a turn of its own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "xfer/internal.h"

#define UNIT_BYTES ((size_t)16 * 1024) /* memory is given out in these */
#define UNITS_MAX  1024u
#define AT_ONCE	   16u /* where no number of connections is configured */

struct flow {
	struct lane *lane;
	struct transfer *transfer;
	unsigned int origin;
	struct item *first; /* the one that the turn is about; NULL once it is under way */
	unsigned int units; /* of memory */
	bool used[UNITS_MAX];
};

/* One shard on its way: freed at its end. */
struct passenger {
	struct flow *flow;
	struct item *item;
	unsigned char *data;
	size_t got;
};

/* --- memory */

static unsigned int units_of(size_t bytes)
{
	return (unsigned int)((bytes + UNIT_BYTES - 1) / UNIT_BYTES);
}

/* The first gap that is wide enough; NULL: none is. */
static unsigned char *room_take(struct flow *flow, size_t bytes)
{
	unsigned int want = units_of(bytes), gap = 0;

	for (unsigned int i = 0; i < flow->units; i++) {
		gap = flow->used[i] ? 0 : gap + 1;
		if (gap < want)
			continue;
		memset(flow->used + i + 1 - want, true, want);
		return flow->lane->memory.base + (size_t)(i + 1 - want) * UNIT_BYTES;
	}
	return NULL;
}

static void room_give(struct flow *flow, const unsigned char *at, size_t bytes)
{
	size_t first = (size_t)(at - flow->lane->memory.base) / UNIT_BYTES;

	memset(flow->used + first, false, units_of(bytes));
}

/* --- one shard */

static int take_bytes(const void *data, size_t len, void *arg)
{
	struct passenger *p = arg;

	if (atomic_load_explicit(&p->flow->transfer->halt, memory_order_relaxed))
		return -ECANCELED;
	if (len > p->item->shard.size - p->got)
		return -EOVERFLOW; /* the source's own check comes first */
	if (len && limit_take(pool_limit(p->flow->lane->pool), len, &p->flow->transfer->halt))
		return -ECANCELED;
	if (len)
		memcpy(p->data + p->got, data, len);
	p->got += len;
	return len ? 0 : sources_pace(p->flow->transfer, p->item, p->got);
}

static void arrived(int rc, const struct larder_error *why, void *arg)
{
	struct passenger *p = arg;
	struct flow *flow = p->flow;
	struct larder_error err = {0};

	size_t size = p->item->shard.size;

	if (rc)
		err = *why;
	transfer_arrived(flow->transfer, p->item, rc, p->data, &err);
	room_give(flow, p->data, size);
	free(p);
}

/* --- the feed */

static struct item *next_item(struct flow *flow)
{
	struct item *item = flow->first;

	flow->first = NULL;
	return item ? item : pool_take_small(flow->lane->pool, flow->transfer, flow->origin);
}

static bool next_stream(struct source_stream *stream, void *arg)
{
	struct flow *flow = arg;
	struct passenger *p = calloc(1, sizeof(*p));
	struct item *item = p ? next_item(flow) : NULL;

	if (item) {
		p->flow = flow;
		p->item = item;
		p->data = room_take(flow, item->shard.size);
	}
	if (!item || !p->data) {
		if (item) /* no room now: the next turn has it */
			transfer_put_back(flow->transfer, item);
		free(p);
		return false;
	}
	sources_begin(flow->transfer, item);
	*stream = (struct source_stream){
		.shard = &item->shard, .put = take_bytes, .end = arrived, .arg = p};
	return true;
}

/* A transfer's connections, shared out among its flows: each keeps its own open. */
static unsigned int at_once(const struct xfer_pool *pool)
{
	const struct source_options *options = pool_options(pool);
	unsigned int share = (options ? options->connections : AT_ONCE) / pool_flows(pool);

	return share ? share : 1;
}

int flow_run(struct lane *lane, struct transfer *transfer, struct item *item, struct source *source)
{
	struct flow *flow = calloc(1, sizeof(*flow));
	const struct source_feed feed = {
		.at_once = at_once(lane->pool), .next = next_stream, .arg = flow};
	size_t units = lane->memory.block * lane->memory.n / UNIT_BYTES;
	int rc;

	if (!flow)
		return -ENOMEM;
	flow->lane = lane;
	flow->transfer = transfer;
	flow->origin = item->origin;
	flow->first = item;
	flow->units = units < UNITS_MAX ? (unsigned int)units : UNITS_MAX;
	rc = source->ops->fetch_many(source, &feed);
	free(flow);
	return rc;
}
