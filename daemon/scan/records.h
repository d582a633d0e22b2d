/*
 * What a scan knows of the origin before it can be written in order: one packed record a shard,
 * about 60 bytes and its path. For scan/ alone.
 */
#ifndef SCAN_RECORDS_H
#define SCAN_RECORDS_H

#include <stddef.h>
#include <stdint.h>

#include "core/digest.h"
#include "core/source.h"

struct scan_path;

struct record {
	const struct scan_path *listed; /* what a list says of it; NULL; borrowed */
	uint64_t size;
	int64_t mtime_ns;
	struct digest digest;
	uint32_t mode;
	uint32_t uid, gid; /* owner at the origin: for rights.c, in no manifest */
	uint8_t type;	   /* enum shard_type */
	uint8_t digested;  /* the digest stands */
	uint16_t path_len; /* target follows the path's NUL */
	char path[];
};

struct record_chunk;

/* Not synchronised: the caller's lock. Records never move once added. */
struct records {
	struct record_chunk *chunks;
	struct record **items;
	size_t count, room;
};

/* Copies the entry. -ENOMEM. */
int records_add(struct records *records, const struct source_entry *entry,
		const struct scan_path *listed);
/* By larder_path_compare. */
void records_sort(struct records *records);
/* The record as a shard; strings are borrowed from it. */
struct shard record_shard(const struct record *record);
void records_fini(struct records *records);

#endif
