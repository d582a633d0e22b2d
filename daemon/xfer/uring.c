/*
 * Owns: the engine of io_uring, the one file that includes liburing.h. A slot is a block of memory
 * and a little state machine; several are in flight, the digest takes them in order.
 * Must not: return, or let a descriptor be closed, while anything is in flight.
 * Called by: the pool's threads, through engine_ops.
 *
 *   free -> reading -> writing -> written -> free       (copy; digested between reading and free)
 *   free -> filling -> writing -> written -> free       (stream; digested while it fills)
 */
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "xfer/engine.h"
#include "xfer/uring.h"

/*
 * The newest way to set up that this kernel takes. The flag about task work has a look without
 * waiting see what ended: else a slow stream's writes are told of only when its slots run out.
 */
static int setup_ring(struct io_uring *ring, unsigned int entries)
{
	static const unsigned int flags[] = {
#if defined(IORING_SETUP_SINGLE_ISSUER) && defined(IORING_SETUP_DEFER_TASKRUN)
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
#endif
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		0,
	};
	int rc = -EINVAL;

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags) && rc == -EINVAL; i++)
		rc = io_uring_queue_init(entries, ring, flags[i]);
	return rc;
}

/* A sandbox may allow the one call and not the other. */
static int try_ring(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	int rc;

	if (!sqe)
		return -EBUSY;
	io_uring_prep_nop(sqe);
	do
		rc = io_uring_submit_and_wait(ring, 1);
	while (rc == -EINTR);
	return rc < 0 ? rc : 0;
}

static int uring_probe(struct larder_error *why)
{
	struct io_uring ring;
	int rc = setup_ring(&ring, 4);

	if (rc == 0) {
		rc = try_ring(&ring);
		io_uring_queue_exit(&ring);
	}
	return rc ? larder_error_set(why, rc, "io_uring: %s", strerror(-rc)) : 0;
}

static void register_memory(struct uring_engine *e)
{
	struct iovec whole = {.iov_base = e->memory.base, .iov_len = e->memory.block * e->memory.n};

	/* May be refused (RLIMIT_MEMLOCK): then it works unregistered, at a little more CPU. */
	e->fixed = io_uring_register_buffers(e->ring, &whole, 1) == 0;
}

static void uring_free(struct uring_engine *e)
{
	free(e->ring);
	free(e->slots);
	free(e);
}

static int uring_open(const struct engine_memory *memory, struct engine **out,
		      struct larder_error *err)
{
	struct uring_engine *e = calloc(1, sizeof(*e));
	int rc = -ENOMEM;

	if (!e)
		return larder_error_set(err, ENOMEM, "no memory for an engine");
	e->base.ops = &engine_uring;
	e->memory = *memory;
	e->slots = calloc(memory->n, sizeof(*e->slots));
	e->ring = calloc(1, sizeof(*e->ring));
	if (e->slots && e->ring)
		rc = setup_ring(e->ring, memory->n > ENGINE_WHOLES ? memory->n : ENGINE_WHOLES);
	if (rc) {
		uring_free(e);
		return larder_error_set(err, rc, "io_uring: %s", strerror(-rc));
	}
	for (unsigned int i = 0; i < memory->n; i++)
		e->slots[i].data = memory->base + i * memory->block;
	register_memory(e);
	*out = &e->base;
	return 0;
}

static void uring_close(struct engine *base)
{
	struct uring_engine *e = (struct uring_engine *)base;

	assert(!e->in_flight);
	io_uring_queue_exit(e->ring);
	uring_free(e);
}

void uring_begin(struct uring_engine *e, struct engine_copy *copy)
{
	e->copy = copy;
	e->direct = engine_is_direct(copy->out);
	e->direct_in = copy->in >= 0 && engine_is_direct(copy->in);
	e->next = e->digest = copy->offset / e->memory.block;
	e->rc = 0;
	e->tail_len = 0;
	for (unsigned int i = 0; i < e->memory.n; i++)
		e->slots[i].state = SLOT_FREE;
}

void uring_fail(struct uring_engine *e, int rc, const struct larder_error *err)
{
	if (e->rc)
		return;
	e->rc = rc;
	e->err = *err;
}

static void fail_source(struct uring_engine *e, int code, uint64_t offset)
{
	struct larder_error err;

	if (!e->rc)
		uring_fail(e, engine_source_error(e->copy, code, offset, &err), &err);
}

static void fail_sink(struct uring_engine *e, int code, uint64_t offset)
{
	struct larder_error err;

	if (!e->rc)
		uring_fail(e, engine_sink_error(e->copy, code, offset, &err), &err);
}

/* The rest of what the slot is about, as one operation. */
static void submit(struct uring_engine *e, struct slot *s)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(e->ring);
	unsigned char *data = s->data + s->done;
	unsigned int len = (unsigned int)(s->target - s->done);
	uint64_t at = s->offset + s->done;
	bool read = s->state == SLOT_READING;

	s->direct = read ? e->direct_in : e->direct;
	if (read && s->direct) /* the file's end comes as a short read */
		len = (len + ENGINE_ALIGN - 1) & ~(ENGINE_ALIGN - 1);
	assert(sqe); /* as many entries as slots, one operation a slot */
	if (e->fixed && read)
		io_uring_prep_read_fixed(sqe, e->copy->in, data, len, at, 0);
	else if (e->fixed)
		io_uring_prep_write_fixed(sqe, e->copy->out, data, len, at, 0);
	else if (read)
		io_uring_prep_read(sqe, e->copy->in, data, len, at);
	else
		io_uring_prep_write(sqe, e->copy->out, data, len, at);
	io_uring_sqe_set_data(sqe, s);
	e->in_flight++;
}

static void maybe_free(struct slot *s)
{
	if (s->state == SLOT_WRITTEN && s->digested)
		s->state = SLOT_FREE;
}

static void written(struct uring_engine *e, struct slot *s)
{
	s->state = SLOT_WRITTEN;
	engine_moved(e->copy, s->len);
	maybe_free(s);
}

/* What a direct write cannot take waits in the tail until nothing is in flight. */
void uring_start_write(struct uring_engine *e, struct slot *s)
{
	s->state = SLOT_WRITING;
	s->done = 0;
	s->target = engine_aligned(e->direct, s->len);
	if (s->target < s->len) {
		e->tail_len = s->len - s->target;
		e->tail_offset = s->offset + s->target;
		memcpy(e->tail, s->data + s->target, e->tail_len);
	}
	if (s->target)
		submit(e, s);
	else
		written(e, s);
}

/* Takes the flag and then not the operation: go on through the page cache. */
static bool drop_direct(struct uring_engine *e, const struct slot *s)
{
	bool read = s->state == SLOT_READING;

	if (!s->direct || engine_drop_direct(read ? e->copy->in : e->copy->out))
		return false;
	*(read ? &e->direct_in : &e->direct) = false;
	return true;
}

static void answer_error(struct uring_engine *e, struct slot *s, int res)
{
	if (res == -EINVAL && drop_direct(e, s))
		submit(e, s);
	else if (s->state == SLOT_READING)
		fail_source(e, res, s->offset + s->done);
	else
		fail_sink(e, res, s->offset + s->done);
}

static void answer_end(struct uring_engine *e, struct slot *s)
{
	struct larder_error err;

	if (s->state == SLOT_READING)
		uring_fail(e, engine_short(e->copy, s->offset + s->done, &err), &err);
	else
		fail_sink(e, EIO, s->offset + s->done);
}

/* Every res has its answer. After a failure slots only come home. */
static void answer(struct uring_engine *e, struct slot *s, int res)
{
	e->in_flight--;
	if (e->rc)
		return;
	if (res == -EINTR || res == -EAGAIN) {
		submit(e, s);
	} else if (res < 0) {
		answer_error(e, s, res);
	} else if (res == 0) {
		answer_end(e, s);
	} else {
		s->done += (size_t)res;
		if (s->done < s->target)
			submit(e, s);
		else if (s->state == SLOT_READING)
			uring_start_write(e, s);
		else
			written(e, s);
	}
}

void uring_hand_in(struct uring_engine *e, unsigned int wait)
{
	int rc;

	do {
		rc = wait ? io_uring_submit_and_wait(e->ring, wait) : io_uring_submit(e->ring);
		/* -EAGAIN, -EBUSY, -ENOMEM pass when completions are taken; the rest is our bug */
		assert(rc >= 0 || rc == -EINTR || rc == -EAGAIN || rc == -EBUSY || rc == -ENOMEM);
	} while (rc == -EINTR);
}

void uring_turn(struct uring_engine *e, unsigned int wait)
{
	struct io_uring_cqe *cqes[32];
	unsigned int n;

	uring_hand_in(e, wait);
	while ((n = io_uring_peek_batch_cqe(e->ring, cqes, 32)) > 0) {
		for (unsigned int i = 0; i < n; i++)
			answer(e, io_uring_cqe_get_data(cqes[i]), cqes[i]->res);
		io_uring_cq_advance(e->ring, n);
	}
}

static void drain(struct uring_engine *e)
{
	while (e->in_flight)
		uring_turn(e, 1);
}

struct slot *uring_slot(struct uring_engine *e, uint64_t block)
{
	return &e->slots[block % e->memory.n];
}

static void start_reads(struct uring_engine *e, uint64_t until)
{
	struct larder_error err;

	if (!e->rc && engine_stopped(e->copy, &err))
		uring_fail(e, -ECANCELED, &err);
	while (!e->rc && e->next * e->memory.block < until) {
		struct slot *s = uring_slot(e, e->next);
		uint64_t offset = e->next * e->memory.block;
		uint64_t left = until - offset;

		if (s->state != SLOT_FREE)
			return;
		s->state = SLOT_READING;
		s->digested = false;
		s->offset = offset;
		s->done = 0;
		s->len = s->target = left < e->memory.block ? (size_t)left : e->memory.block;
		e->next++;
		submit(e, s);
	}
}

static void digest_ready(struct uring_engine *e)
{
	while (!e->rc && e->digest < e->next) {
		struct slot *s = uring_slot(e, e->digest);

		if (s->state == SLOT_READING)
			return;
		digest_update(&e->copy->digest, s->data, s->len);
		s->digested = true;
		maybe_free(s);
		e->digest++;
	}
}

int uring_end(struct uring_engine *e, uint64_t until, struct larder_error *err)
{
	int rc;

	drain(e);
	if (!e->rc && e->tail_len) {
		rc = engine_write_tail(e->copy->out, e->tail, e->tail_len, e->tail_offset);
		if (rc)
			fail_sink(e, rc, e->tail_offset);
	}
	rc = e->rc;
	if (!rc)
		e->copy->offset = until;
	else if (err)
		*err = e->err;
	e->copy = NULL;
	return rc;
}

static int uring_copy(struct engine *base, struct engine_copy *copy, uint64_t until,
		      struct larder_error *err)
{
	struct uring_engine *e = (struct uring_engine *)base;

	uring_begin(e, copy);
	for (;;) {
		start_reads(e, until);
		if (!e->in_flight)
			break;
		uring_turn(e, 1);
		uring_turn(e, 0); /* writes go on their way before the processor digests */
		digest_ready(e);
	}
	return uring_end(e, until, err);
}

const struct engine_ops engine_uring = {
	.name = "uring",
	.probe = uring_probe,
	.open = uring_open,
	.close = uring_close,
	.copy = uring_copy,
	.put = uring_put,
	.finish = uring_finish,
	.read_wholes = uring_read_wholes,
};
