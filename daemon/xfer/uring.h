/*
 * The inside of the io_uring engine, for uring.c (the ring and copying) and uring_stream.c.
 */
#ifndef XFER_URING_H
#define XFER_URING_H

#include "xfer/engine.h"

enum slot_state { SLOT_FREE, SLOT_FILLING, SLOT_READING, SLOT_WRITING, SLOT_WRITTEN };

struct io_uring;

struct slot {
	enum slot_state state;
	bool digested;
	bool direct; /* how the operation in flight was submitted */
	unsigned char *data;
	uint64_t offset; /* in the file */
	size_t len;	 /* bytes of the file in here */
	size_t target;	 /* of the operation in flight: len, or what a direct write can take */
	size_t done;	 /* of that */
};

struct uring_engine {
	struct engine base; /* first */
	struct engine_memory memory;
	struct io_uring *ring;
	bool fixed; /* memory is registered */
	struct slot *slots;
	unsigned int in_flight;
	/* the shard under way */
	struct engine_copy *copy;
	bool direct, direct_in; /* out and in are O_DIRECT */
	uint64_t next;		/* block to start (slot = block % n) */
	uint64_t digest;	/* block to digest */
	int rc;			/* the first failure; nothing new is started then */
	struct larder_error err;
	size_t tail_len;
	uint64_t tail_offset;
	unsigned char tail[ENGINE_ALIGN];
};

/* A shard begins; ends: waits for all in flight, writes the tail, gives the outcome. */
void uring_begin(struct uring_engine *e, struct engine_copy *copy);
int uring_end(struct uring_engine *e, uint64_t until, struct larder_error *err);
/* Remembers the first failure; from then on slots only come home. */
void uring_fail(struct uring_engine *e, int rc, const struct larder_error *err);
struct slot *uring_slot(struct uring_engine *e, uint64_t block);
void uring_start_write(struct uring_engine *e, struct slot *s);
/* Hands in what was prepared, and waits until so many are complete; nothing is taken. */
void uring_hand_in(struct uring_engine *e, unsigned int wait);
/* Hands in what was prepared and takes what is complete; `wait`: at least one. */
void uring_turn(struct uring_engine *e, unsigned int wait);

/* engine_ops.put, .finish and .read_wholes */
int uring_put(struct engine *base, struct engine_copy *copy, const void *data, size_t len,
	      struct larder_error *err);
int uring_finish(struct engine *base, struct engine_copy *copy, bool keep,
		 struct larder_error *err);
void uring_read_wholes(struct engine *base, struct engine_whole *wholes, unsigned int n);

#endif
