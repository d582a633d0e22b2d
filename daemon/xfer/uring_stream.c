/*
 * Owns: the io_uring engine's way to take a stream: slots fill in turn and are written while the
 * next one fills.
 * Must not: touch the ring itself (that is uring.c's).
 * Called by: the pool's threads, through engine_ops.
 */
#include <string.h>

#include "xfer/uring.h"

/* The slot that the stream fills; waits until one is free. NULL after a failure. */
static struct slot *filling(struct uring_engine *e)
{
	struct slot *s = uring_slot(e, e->next);

	while (!e->rc && s->state != SLOT_FREE && s->state != SLOT_FILLING)
		uring_turn(e, 1);
	if (e->rc)
		return NULL;
	if (s->state == SLOT_FREE) {
		s->state = SLOT_FILLING;
		s->digested = true;
		s->offset = e->next * e->memory.block;
		s->len = 0;
	}
	return s;
}

static void fill(struct uring_engine *e, const unsigned char *at, size_t len)
{
	while (len) {
		struct slot *s = filling(e);
		size_t room, n;

		if (!s)
			return;
		room = e->memory.block - s->len;
		n = len < room ? len : room;
		memcpy(s->data + s->len, at, n);
		s->len += n;
		at += n;
		len -= n;
		if (s->len < e->memory.block)
			continue;
		e->next++;
		uring_start_write(e, s);
		uring_turn(e, 0);
	}
}

/* Bytes put so far. */
static uint64_t filled(struct uring_engine *e)
{
	struct slot *s = uring_slot(e, e->next);

	return e->next * e->memory.block + (s->state == SLOT_FILLING ? s->len : 0);
}

int uring_put(struct engine *base, struct engine_copy *copy, const void *data, size_t len,
	      struct larder_error *err)
{
	struct uring_engine *e = (struct uring_engine *)base;
	int rc = engine_stopped(copy, err);

	if (rc)
		return rc;
	if (!e->copy)
		uring_begin(e, copy);
	if (len > copy->size - filled(e))
		return engine_grown(copy, err);
	digest_update(&copy->digest, data, len);
	fill(e, data, len);
	if (e->rc && err)
		*err = e->err;
	return e->rc;
}

int uring_finish(struct engine *base, struct engine_copy *copy, bool keep, struct larder_error *err)
{
	struct uring_engine *e = (struct uring_engine *)base;
	struct slot *s;
	uint64_t total;

	if (!e->copy)
		uring_begin(e, copy);
	total = filled(e);
	s = uring_slot(e, e->next);
	if (keep && total < copy->size) {
		struct larder_error why;

		uring_fail(e, engine_short(copy, total, &why), &why);
	}
	if (keep && !e->rc && s->state == SLOT_FILLING && s->len)
		uring_start_write(e, s);
	return uring_end(e, total, keep ? err : NULL);
}
