/*
 * Owns: the engine of plain system calls. It always works, and on one device it is the faster one.
 * Must not: keep anything between shards.
 * Called by: the pool's threads, through engine_ops.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xfer/engine.h"

#define READAHEAD_BYTES (128 * 1024)		    /* the kernel's usual read_ahead_kb */
#define WRITEBACK_BYTES ((uint64_t)8 * 1024 * 1024) /* start write-back in pieces of this */

struct sync_engine {
	struct engine base; /* first */
	struct engine_memory memory;
	size_t fill; /* of a stream: bytes waiting in the first block */
};

static int sync_probe(struct larder_error *why)
{
	(void)why;
	return 0;
}

static int sync_open(const struct engine_memory *memory, struct engine **out,
		     struct larder_error *err)
{
	struct sync_engine *e = calloc(1, sizeof(*e));

	if (!e)
		return larder_error_set(err, ENOMEM, "no memory for an engine");
	e->base.ops = &engine_sync;
	e->memory = *memory;
	*out = &e->base;
	return 0;
}

static void sync_close(struct engine *base)
{
	free(base);
}

/* Reads a block or what is left. The bytes read, -errno. */
static int read_block(struct engine_copy *copy, unsigned char *data, size_t len,
		      struct larder_error *err)
{
	size_t got = 0;

	while (got < len) {
		uint64_t at = copy->offset + got;
		ssize_t n = pread(copy->in, data + got, len - got, (off_t)at);

		if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
			int rc = engine_stopped(copy, err);

			if (rc)
				return rc;
			continue;
		}
		if (n < 0)
			return engine_source_error(copy, errno, at, err);
		if (n == 0)
			return engine_short(copy, at, err);
		got += (size_t)n;
	}
	return 0;
}

/* Writes a block that stands at copy->offset; what a direct write cannot take goes after it. */
static int write_block(struct engine_copy *copy, const unsigned char *data, size_t len,
		       struct larder_error *err)
{
	bool direct = engine_is_direct(copy->out);
	size_t head = engine_aligned(direct, len);
	int rc = engine_write_all(copy->out, data, head, copy->offset);

	if (!rc && head < len)
		rc = engine_write_tail(copy->out, data + head, len - head, copy->offset + head);
	if (rc)
		return engine_sink_error(copy, rc, copy->offset, err);
	copy->offset += len;
	engine_moved(copy, len);
	/* Without this the whole shard waits dirty for the sync at the end. A hint: may fail. */
	if (!direct && copy->offset % WRITEBACK_BYTES == 0)
		sync_file_range(copy->out, (off_t)(copy->offset - WRITEBACK_BYTES),
				(off_t)WRITEBACK_BYTES, SYNC_FILE_RANGE_WRITE);
	return 0;
}

static int sync_copy(struct engine *base, struct engine_copy *copy, uint64_t until,
		     struct larder_error *err)
{
	struct sync_engine *e = (struct sync_engine *)base;
	unsigned char *data = e->memory.base;

	while (copy->offset < until) {
		uint64_t left = until - copy->offset;
		size_t len = left < e->memory.block ? (size_t)left : e->memory.block;
		int rc = engine_stopped(copy, err);

		if (!rc)
			rc = read_block(copy, data, len, err);
		if (rc)
			return rc;
		digest_update(&copy->digest, data, len);
		rc = write_block(copy, data, len, err);
		if (rc)
			return rc;
	}
	return 0;
}

static int sync_put(struct engine *base, struct engine_copy *copy, const void *data, size_t len,
		    struct larder_error *err)
{
	struct sync_engine *e = (struct sync_engine *)base;
	const unsigned char *at = data;
	int rc = engine_stopped(copy, err);

	if (rc)
		return rc;
	if (len > copy->size - copy->offset - e->fill)
		return engine_grown(copy, err);
	digest_update(&copy->digest, data, len);
	while (len) {
		size_t room = e->memory.block - e->fill;
		size_t n = len < room ? len : room;

		memcpy(e->memory.base + e->fill, at, n);
		e->fill += n;
		at += n;
		len -= n;
		if (e->fill < e->memory.block)
			continue;
		e->fill = 0;
		rc = write_block(copy, e->memory.base, e->memory.block, err);
		if (rc)
			return rc;
	}
	return 0;
}

static int sync_finish(struct engine *base, struct engine_copy *copy, bool keep,
		       struct larder_error *err)
{
	struct sync_engine *e = (struct sync_engine *)base;
	size_t left = e->fill;
	int rc = 0;

	e->fill = 0;
	if (!keep)
		return 0;
	if (left)
		rc = write_block(copy, e->memory.base, left, err);
	if (!rc && copy->offset < copy->size)
		return engine_short(copy, copy->offset, err);
	return rc;
}

/* One call takes no more than the device's read-ahead, and says nothing. */
static void begin_reading(const struct engine_whole *whole)
{
	for (uint64_t at = 0; at < whole->size; at += READAHEAD_BYTES)
		posix_fadvise(whole->in, (off_t)(whole->offset + at), READAHEAD_BYTES,
			      POSIX_FADV_WILLNEED);
}

static void sync_read_wholes(struct engine *base, struct engine_whole *wholes, unsigned int n)
{
	(void)base;
	for (unsigned int i = 0; n > 1 && i < n; i++)
		begin_reading(&wholes[i]);
	for (unsigned int i = 0; i < n; i++) {
		struct engine_whole *whole = &wholes[i];

		whole->got = pread(whole->in, whole->into, whole->room, (off_t)whole->offset);
		if (whole->got < 0)
			whole->got = -errno;
	}
}

const struct engine_ops engine_sync = {
	.name = "sync",
	.probe = sync_probe,
	.open = sync_open,
	.close = sync_close,
	.copy = sync_copy,
	.put = sync_put,
	.finish = sync_finish,
	.read_wholes = sync_read_wholes,
};
