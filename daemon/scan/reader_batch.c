/*
 * Owns: small files that one thread takes together, and the pieces of a large one: their reads are
 * in the disk's queue at once, past the page cache.
 * Must not: have words for a failure: what did not come is opened or read again by itself.
 * Called by: reader.c.
 */
#include <sys/resource.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "scan/reading.h"

#define PIECE_BYTES ((size_t)512 * 1024) /* of a large file */
#define ROOM_BYTES  (4 * PIECE_BYTES)

/* Half of what the process may have open is left to rings, to who lists, and to all else. */
static unsigned int files_at_once(unsigned int threads)
{
	struct rlimit limit = {.rlim_cur = 1024};
	rlim_t share;

	getrlimit(RLIMIT_NOFILE, &limit);
	share = limit.rlim_cur / 2 / threads;
	return share < ENGINE_WHOLES ? (unsigned int)share : ENGINE_WHOLES;
}

void batch_init(struct batch *batch, bool local, unsigned int threads)
{
	*batch = (struct batch){.most = files_at_once(threads)};
	if (!local || batch->most < 2)
		return;
	batch->memory = (struct engine_memory){
		.base = engine_map(&batch->mapping, ROOM_BYTES), .block = ROOM_BYTES, .n = 1};
	if (!batch->memory.base || engine_uring.open(&batch->memory, &batch->engine, NULL)) {
		batch->engine = NULL;
		engine_unmap(&batch->mapping);
	}
}

void batch_fini(struct batch *batch)
{
	if (batch->engine)
		batch->engine->ops->close(batch->engine);
	engine_unmap(&batch->mapping);
}

bool batch_takes(const struct batch *batch, const struct record *record)
{
	return batch->engine && batch->n < batch->most && record->size <= READ_BYTES &&
	       batch->used + ENGINE_ROOM(record->size) <= ROOM_BYTES;
}

void batch_add(struct batch *batch, struct record *record)
{
	batch->used += ENGINE_ROOM(record->size);
	batch->records[batch->n] = record;
	batch->fds[batch->n] = -1;
	batch->data[batch->n++] = NULL;
}

void batch_close(struct batch *batch)
{
	for (unsigned int i = 0; i < batch->n; i++)
		if (batch->fds[i] >= 0)
			close(take_fd(&batch->fds[i]));
	batch->n = 0;
	batch->used = 0;
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
		wholes[count] = engine_whole_of(batch->fds[i], shard.size, &into);
		whose[count++] = i;
	}
	return count;
}

void batch_read(struct batch *batch, struct source *source)
{
	struct engine_whole wholes[ENGINE_WHOLES];
	unsigned int whose[ENGINE_WHOLES];
	unsigned int count = 0;

	if (batch->engine && batch->used <= ROOM_BYTES)
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
	struct engine_whole pieces[ROOM_BYTES / PIECE_BYTES];
	unsigned int n = 0;
	size_t got = 0;

	for (uint64_t at = offset; n < ROOM_BYTES / PIECE_BYTES && at < size; n++) {
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
