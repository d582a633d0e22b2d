/*
 * Owns: the memory of a scan's records.
 * Must not: read files.
 * Called by: scan.c and reader.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "larder/text.h"
#include "scan/records.h"

#define CHUNK_BYTES (1024 * 1024)

struct record_chunk {
	struct record_chunk *next;
	size_t used;
	_Alignas(8) char data[];
};

static struct record *chunk_take(struct records *records, size_t bytes)
{
	struct record_chunk *chunk = records->chunks;
	void *at;

	bytes = (bytes + 7) & ~(size_t)7;
	if (!chunk || chunk->used + bytes > CHUNK_BYTES) {
		chunk = malloc(sizeof(*chunk) + CHUNK_BYTES);
		if (!chunk)
			return NULL;
		chunk->next = records->chunks;
		chunk->used = 0;
		records->chunks = chunk;
	}
	at = chunk->data + chunk->used;
	chunk->used += bytes;
	return at;
}

static int make_room(struct records *records)
{
	size_t room = records->room ? records->room + records->room / 2 : 4096;
	struct record **grown;

	if (records->count < records->room)
		return 0;
	grown = reallocarray(records->items, room, sizeof(struct record *));
	if (!grown)
		return -ENOMEM;
	records->items = grown;
	records->room = room;
	return 0;
}

int records_add(struct records *records, const struct source_entry *entry,
		const struct scan_path *listed)
{
	size_t path_len = strlen(entry->path);
	size_t target_len = entry->target ? strlen(entry->target) + 1 : 0;
	struct record *record;

	if (make_room(records))
		return -ENOMEM;
	record = chunk_take(records, sizeof(*record) + path_len + 1 + target_len);
	if (!record)
		return -ENOMEM;
	*record = (struct record){
		.listed = listed,
		.size = entry->size,
		.mtime_ns = entry->mtime_ns,
		.mode = entry->mode,
		.uid = entry->uid,
		.gid = entry->gid,
		.type = (uint8_t)entry->type,
		.digested = entry->type != SHARD_FILE,
		.path_len = (uint16_t)path_len, /* LARDER_PATH_BYTES at most */
	};
	memcpy(record->path, entry->path, path_len + 1);
	if (target_len)
		memcpy(record->path + path_len + 1, entry->target, target_len);
	records->items[records->count++] = record;
	return 0;
}

static int by_path(const void *a, const void *b)
{
	const struct record *const *x = a, *const *y = b;

	return larder_path_compare((*x)->path, (*y)->path);
}

void records_sort(struct records *records)
{
	if (records->count)
		qsort(records->items, records->count, sizeof(struct record *), by_path);
}

struct shard record_shard(const struct record *record)
{
	return (struct shard){
		.type = (enum shard_type)record->type,
		.digest = record->digest,
		.undigested = !record->digested,
		.size = record->size,
		.mtime_ns = record->mtime_ns,
		.mode = record->mode,
		.path = record->path,
		.target =
			record->type == SHARD_SYMLINK ? record->path + record->path_len + 1 : NULL,
	};
}

void records_fini(struct records *records)
{
	while (records->chunks) {
		struct record_chunk *chunk = records->chunks;

		records->chunks = chunk->next;
		free(chunk);
	}
	free(records->items);
	*records = (struct records){0};
}
