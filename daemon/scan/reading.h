/*
 * A file on its way through one of the threads that digest. For scan/reader*.c alone.
 */
#ifndef SCAN_READING_H
#define SCAN_READING_H

#include "scan/reader.h"
#include "scan/sums.h"
#include "xfer/engine.h"

#define READ_BYTES ((size_t)1024 * 1024) /* a larger file is read in pieces of this */

/* What a thread has for small files that it takes together. */
struct batch {
	struct record *records[ENGINE_WHOLES];
	int fds[ENGINE_WHOLES];			  /* -1: to be opened by itself */
	const unsigned char *data[ENGINE_WHOLES]; /* all of the file; NULL: to be read */
	unsigned int n, most;
	size_t used; /* of the memory */
	struct engine_mapping mapping;
	struct engine_memory memory;
	struct engine *engine; /* NULL: none here */
};

struct reading {
	struct readers *readers;
	struct record *record;
	unsigned char *buffer;
	struct digest_state digest;
	struct sum_state sum; /* the list's, beside */
	uint64_t got;
	struct batch batch;
	unsigned int at; /* where in the batch the record is */
};

/* --- reader_batch.c */
/* Memory and a ring, where the origin is on a local disk and this kernel has rings; of so many
 * threads each has one. */
void batch_init(struct batch *batch, bool local, unsigned int threads);
void batch_fini(struct batch *batch);
/* May it go along with those that the batch has? */
bool batch_takes(const struct batch *batch, const struct record *record);
/* One that it takes, or the first, whatever it is. */
void batch_add(struct batch *batch, struct record *record);
/* Opens what the batch has, and reads all of it that stands on a local disk. */
void batch_read(struct batch *batch, struct source *source);
/* May the pieces of this large file be read past the page cache? fd is O_DIRECT then. */
bool batch_begins_past(const struct batch *batch, int fd, uint64_t size);
/* From offset on into batch->memory, up to where something is missing: how much. 0: nothing came,
 * and it is to be read without O_DIRECT. Takes the memory of what batch_read read. */
size_t batch_read_pieces(struct batch *batch, int fd, uint64_t offset, uint64_t size);
/* Closes what nobody has taken; the batch is empty then. */
void batch_close(struct batch *batch);

#endif
