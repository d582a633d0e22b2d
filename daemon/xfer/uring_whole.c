/*
 * Owns: the io_uring engine's way to read small files whole: one operation each, all handed in with
 * one call, so that the disk has all of them in its queue at once.
 * Must not: read again what came short: the caller does, and has the words.
 * Called by: the pool's threads and scan's, through engine_ops.
 */
#include <assert.h>
#include <liburing.h>

#include "xfer/uring.h"

static void prepare(struct uring_engine *e, struct engine_whole *whole)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(e->ring);
	unsigned int len = (unsigned int)whole->room;

	assert(sqe); /* as many entries as files */
	if (e->fixed)
		io_uring_prep_read_fixed(sqe, whole->in, whole->into, len, whole->offset, 0);
	else
		io_uring_prep_read(sqe, whole->in, whole->into, len, whole->offset);
	io_uring_sqe_set_data(sqe, whole);
}

void uring_read_wholes(struct engine *base, struct engine_whole *wholes, unsigned int n)
{
	struct uring_engine *e = (struct uring_engine *)base;
	struct io_uring_cqe *cqes[ENGINE_WHOLES];
	unsigned int left = n, taken;

	assert(n <= ENGINE_WHOLES && !e->in_flight);
	for (unsigned int i = 0; i < n; i++)
		prepare(e, &wholes[i]);
	while (left) {
		uring_hand_in(e, left);
		taken = io_uring_peek_batch_cqe(e->ring, cqes, left);
		for (unsigned int i = 0; i < taken; i++) {
			struct engine_whole *whole = io_uring_cqe_get_data(cqes[i]);

			whole->got = cqes[i]->res;
		}
		io_uring_cq_advance(e->ring, taken);
		left -= taken;
	}
}
