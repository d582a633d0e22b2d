/*
 * Owns: small files that one thread takes together, and the pieces of a large one: their reads are
 * in the disk's queue at once, past the page cache.
 * Must not: have words for a failure: what did not come is opened or read again by itself.
 * Called by: reader.c.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "scan/reading.h"

#define PIECE_BYTES ((size_t)512 * 1024)      /* of a large file */
#define HUGE_BYTES  ((size_t)2 * 1024 * 1024) /* a huge page: a file in it is one piece of memory  \
					       */

static void let_go(struct batch *batch)
{
	if (batch->mapping)
		munmap(batch->mapping, 2 * HUGE_BYTES);
	batch->mapping = NULL;
}

void batch_init(struct batch *batch, const struct source *source)
{
	unsigned char *base;

	*batch = (struct batch){0};
	if (!source->ops->open_shard)
		return;
	base = mmap(NULL, 2 * HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	if (base == MAP_FAILED)
		return;
	batch->mapping = base;
	base += -(uintptr_t)base & (HUGE_BYTES - 1);
	madvise(base, HUGE_BYTES, MADV_HUGEPAGE); /* a wish */
	batch->memory = (struct engine_memory){.base = base, .block = HUGE_BYTES, .n = 1};
	if (engine_uring.open(&batch->memory, &batch->engine, NULL)) {
		batch->engine = NULL;
		let_go(batch);
	}
}

void batch_fini(struct batch *batch)
{
	if (batch->engine)
		batch->engine->ops->close(batch->engine);
	let_go(batch);
}

bool batch_takes(const struct batch *batch, const struct record *record)
{
	size_t used = batch->n ? batch->used : 0;

	return batch->engine && batch->n < ENGINE_WHOLES && record->size <= READ_BYTES &&
	       used + ENGINE_ROOM(record->size) <= HUGE_BYTES;
}

void batch_add(struct batch *batch, struct record *record)
{
	batch->used = (batch->n ? batch->used : 0) + ENGINE_ROOM(record->size);
	batch->records[batch->n] = record;
	batch->fds[batch->n] = -1;
	batch->data[batch->n++] = NULL;
}

void batch_close(struct batch *batch)
{
	for (unsigned int i = 0; i < batch->n; i++)
		if (batch->fds[i] >= 0)
			close(take_fd(&batch->fds[i]));
}

static unsigned int open_all(struct batch *batch, struct source *source,
			     struct engine_whole *wholes, unsigned int *whose)
{
	unsigned char *into = batch->memory.base;
	struct larder_error ignored;
	unsigned int count = 0;

	for (unsigned int i = 0; i < batch->n; i++) {
		struct shard shard = record_shard(batch->records[i]);

		if (source->ops->open_shard(source, &shard, &batch->fds[i], &ignored)) {
			batch->fds[i] = -1;
			continue;
		}
		wholes[count] = (struct engine_whole){.in = batch->fds[i],
						      .size = shard.size,
						      .room = ENGINE_ROOM(shard.size),
						      .into = into};
		into += wholes[count].room;
		whose[count++] = i;
	}
	return count;
}

void batch_read(struct batch *batch, struct source *source)
{
	struct engine_whole wholes[ENGINE_WHOLES];
	unsigned int whose[ENGINE_WHOLES];
	unsigned int count = 0;

	if (batch->engine && batch->used <= HUGE_BYTES)
		count = open_all(batch, source, wholes, whose);
	if (!count || !engine_on_block_device(wholes[0].in))
		return;
	engine_read_past(batch->engine, wholes, count);
	for (unsigned int i = 0; i < count; i++) {
		if (wholes[i].got == (ssize_t)wholes[i].size)
			batch->data[whose[i]] = wholes[i].into;
		else
			engine_set_direct(wholes[i].in, false);
	}
}

bool batch_begins_past(const struct batch *batch, int fd, uint64_t size)
{
	if (!batch->engine || !engine_on_block_device(fd) || engine_is_cached(fd, size))
		return false;
	engine_set_direct(fd, true);
	return true;
}

size_t batch_read_pieces(struct batch *batch, int fd, uint64_t offset, uint64_t size)
{
	struct engine_whole pieces[HUGE_BYTES / PIECE_BYTES];
	unsigned int n = 0;
	size_t got = 0;

	for (uint64_t at = offset; n < HUGE_BYTES / PIECE_BYTES && at < size; n++) {
		size_t len = size - at < PIECE_BYTES ? (size_t)(size - at) : PIECE_BYTES;

		pieces[n] = (struct engine_whole){
			.in = fd,
			.offset = at,
			.size = len,
			.room = (len + ENGINE_ALIGN - 1) & ~(size_t)(ENGINE_ALIGN - 1),
			.into = batch->memory.base + n * PIECE_BYTES,
		};
		at += len;
	}
	batch->engine->ops->read_wholes(batch->engine, pieces, n);
	for (unsigned int i = 0; i < n && pieces[i].got == (ssize_t)pieces[i].size; i++)
		got += pieces[i].size;
	return got;
}
