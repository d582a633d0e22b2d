/*
 * Owns: what of a transfer waits for a thread: items made from the manifest, fed, taken and put
 * back. Must not: run an item. Called by: transfer.c, and turns.c, which takes the first of the
 * queue itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xfer/internal.h"

static struct item *item_create(const struct transfer *transfer, const struct shard *shard,
				enum want_kind kind)
{
	size_t path = strlen(shard->path) + 1;
	size_t target = shard->target ? strlen(shard->target) + 1 : 0;
	struct item *item = calloc(1, sizeof(*item) + path + target);

	if (!item)
		return NULL;
	item->kind = kind;
	item->shard = *shard;
	item->in = item->out = -1;
	memcpy(item->text, shard->path, path);
	item->shard.path = item->text;
	if (target) {
		memcpy(item->text + path, shard->target, target);
		item->shard.target = item->text + path;
	}
	item->large = shard->size > pool_small_bytes(transfer->pool);
	return item;
}

void item_free(struct item *item)
{
	item_drop(item);
	free(item->first);
	free(item);
}

/* Up to QUEUE_FEED items into the list. 1 there is more, 0 the manifest's end, -errno. */
static int read_items(struct transfer *transfer, struct item **head, struct item **tail,
		      unsigned int *n, struct larder_error *err)
{
	enum want_kind kind;
	struct shard shard;

	while (*n < QUEUE_FEED) {
		struct item *item;
		int rc;

		if (atomic_load_explicit(&transfer->halt, memory_order_relaxed))
			return larder_error_set(err, ECANCELED, "the transfer was cancelled");
		rc = want_next(transfer->stream, &shard, &kind, err);
		if (rc <= 0)
			return rc;
		if (kind == WANT_SKIP || kind == WANT_PRESENT)
			continue;
		item = item_create(transfer, &shard, kind);
		if (!item)
			return larder_error_set(err, ENOMEM, "no memory for a transfer");
		if (*tail)
			(*tail)->next = item;
		else
			*head = item;
		*tail = item;
		(*n)++;
	}
	return 1;
}

static void append(struct transfer *transfer, struct item *head, struct item *tail, unsigned int n)
{
	if (transfer->tail)
		transfer->tail->next = head;
	else
		transfer->head = head;
	transfer->tail = tail;
	transfer->queued += n;
}

void transfer_feed(struct transfer *transfer)
{
	struct xfer_pool *pool = transfer->pool;
	struct item *head = NULL, *tail = NULL;
	struct larder_error err = {0};
	unsigned int n = 0;
	int rc = 0;

	if (!transfer->stream)
		rc = want_open(&transfer->params.want, &transfer->stream, &err);
	if (!rc)
		rc = read_items(transfer, &head, &tail, &n, &err);
	if (rc < 0)
		transfer_fail(transfer, NULL, rc, &err);
	pool_lock(pool);
	if (tail)
		append(transfer, head, tail, n);
	transfer->feeding = false;
	transfer->fed = rc == 0;
	transfer->running--;
	pool_unlock(pool);
	pool_wake(pool); /* the transfer may be gone by now */
}

static void put_back(struct transfer *transfer, struct item *item)
{
	item->next = transfer->head;
	transfer->head = item;
	if (!transfer->tail)
		transfer->tail = item;
	transfer->queued++;
}

static bool goes_along(const struct item *item, size_t room)
{
	return item && !item->large && item->kind == WANT_FETCH &&
	       ENGINE_ROOM(item->shard.size) <= room;
}

unsigned int transfer_take_more(struct transfer *transfer, struct item *batch[BATCH_MAX],
				size_t room)
{
	unsigned int n = 1, share;

	if (!goes_along(batch[0], room))
		return n;
	room -= ENGINE_ROOM(batch[0]->shard.size);
	pool_lock(transfer->pool);
	share = 1 + transfer->queued / pool_threads(transfer->pool);
	while (n < share && n < BATCH_MAX && goes_along(transfer->head, room)) {
		struct item *item = transfer->head;

		room -= ENGINE_ROOM(item->shard.size);
		transfer->head = item->next;
		if (!transfer->head)
			transfer->tail = NULL;
		item->next = NULL;
		transfer->queued--;
		batch[n++] = item;
	}
	pool_unlock(transfer->pool);
	return n;
}

void transfer_put_back(struct transfer *transfer, struct item *item)
{
	pool_lock(transfer->pool);
	put_back(transfer, item);
	pool_unlock(transfer->pool);
}
