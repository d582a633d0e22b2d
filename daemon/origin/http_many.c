/*
 * Owns: many small shards under way at once on the calling thread.
 * Must not: know where their bytes go.
 * Called by: xfer, through source_ops.
 */
#include <errno.h>
#include <stdlib.h>

#include "origin/http.h"

struct slot {
	struct http_fetch fetch;
	struct source_stream stream;
	struct slot *next; /* of the free ones */
	struct many *many;
};

struct many {
	struct http_source *source;
	struct http_loop *loop;
	struct slot *free;
	unsigned int running;
};

static int slot_put(const void *data, size_t len, void *arg)
{
	struct slot *slot = arg;

	return slot->stream.put(data, len, slot->stream.arg);
}

static void slot_over(struct http_fetch *fetch, int rc)
{
	struct slot *slot = fetch->arg;
	struct many *many = slot->many;

	slot->stream.end(rc, &fetch->why, slot->stream.arg);
	slot->next = many->free;
	many->free = slot;
	many->running--;
}

static bool start_one(struct many *many, const struct source_feed *feed)
{
	struct slot *slot = many->free;

	if (!slot || !feed->next(&slot->stream, feed->arg))
		return false;
	many->free = slot->next;
	many->running++;
	http_fetch_init(&slot->fetch, many->source, slot->stream.shard, 0);
	slot->fetch.put = slot_put;
	slot->fetch.over = slot_over;
	slot->fetch.arg = slot;
	http_loop_add(many->loop, &slot->fetch);
	return true;
}

/* What next() gives is ended, whatever happens: also when there is no memory to begin with. */
static int refuse_one(const struct source_feed *feed)
{
	struct source_stream stream;
	struct larder_error err = {0};
	int rc = larder_error_set(&err, ENOMEM, "no memory for connections");

	if (feed->next(&stream, feed->arg))
		stream.end(rc, &err, stream.arg);
	return rc;
}

int http_source_fetch_many(struct source *base, const struct source_feed *feed)
{
	struct many many = {.source = (struct http_source *)base};
	struct slot *slots = calloc(feed->at_once, sizeof(*slots));

	many.loop = slots ? http_loop_take(many.source) : NULL;
	if (!many.loop) {
		free(slots);
		return refuse_one(feed);
	}
	for (unsigned int i = 0; i < feed->at_once; i++) {
		slots[i].many = &many;
		slots[i].next = many.free;
		many.free = &slots[i];
	}
	for (;;) {
		while (start_one(&many, feed))
			;
		if (!many.running)
			break;
		http_loop_turn(many.loop);
	}
	http_loop_give(many.source, many.loop);
	free(slots);
	return 0;
}
