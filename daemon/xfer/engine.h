/*
 * How bytes go from one descriptor to another, or from a stream into one: the vtable of engines.
 * An engine belongs to one thread, works in the memory it is given, and digests in order whatever
 * the order in which reads complete. When a call returns, nothing is in flight any more.
 */
#ifndef XFER_ENGINE_H
#define XFER_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/digest.h"
#include "larder/error.h"

#define ENGINE_ALIGN 4096u /* of memory, offsets and lengths of direct writes */

/* Borrowed for the engine's life: n blocks of `block` bytes (a multiple of ENGINE_ALIGN). */
struct engine_memory {
	unsigned char *base;
	size_t block;
	unsigned int n;
};

/* Where an engine's memory comes from; zeros: nothing is mapped. */
struct engine_mapping {
	void *at;
	size_t bytes;
};
/*
 * So many bytes, in huge pages where there are such: a block is one piece for the device then, and
 * not 256. Of small pages a request takes no more than the device has segments: a block of 1 MiB
 * went as two. NULL: no memory.
 */
unsigned char *engine_map(struct engine_mapping *mapping, size_t bytes);
void engine_unmap(struct engine_mapping *mapping);

enum engine_side { ENGINE_SOURCE, ENGINE_SINK };

/* One shard under way. Descriptors are borrowed. Stays where it is: a digest_state may not move. */
struct engine_copy {
	int in, out;		    /* in: -1 for a stream */
	uint64_t size;		    /* by the manifest */
	uint64_t offset;	    /* done up to here; a multiple of the block until it is size */
	struct digest_state digest; /* of [0, offset) */
	enum engine_side failed;    /* whose fault a failure was */
	const _Atomic bool *stop;   /* -ECANCELED soon after it is set */
	uint64_t moved;		    /* bytes written for this shard */
	_Atomic uint64_t *done, *origin; /* grow with moved */
};

/*
 * A file that is read whole, beside others, or a piece of one. Memory is the engine's; it, offset
 * and room are aligned to ENGINE_ALIGN. With ENGINE_ROOM(size) one byte more than the file should
 * have is asked for, so that its end shows.
 */
struct engine_whole {
	int in;
	uint64_t offset;
	uint64_t size;
	size_t room;
	unsigned char *into;
	ssize_t got; /* the bytes read: it came whole when they are size; -errno */
};
#define ENGINE_ROOM(size) (((size_t)(size) + ENGINE_ALIGN) & ~(size_t)(ENGINE_ALIGN - 1))
#define ENGINE_WHOLES	  16u /* at once, at most */
/* All of a file, into the memory at *into, which is what comes next afterwards. */
static inline struct engine_whole engine_whole_of(int in, uint64_t size, unsigned char **into)
{
	struct engine_whole whole = {
		.in = in, .size = size, .room = ENGINE_ROOM(size), .into = *into};

	*into += whole.room;
	return whole;
}

struct engine_ops;
struct engine {
	const struct engine_ops *ops;
};

struct engine_ops {
	const char *name;
	/* 0, or -errno and why this machine cannot. */
	int (*probe)(struct larder_error *why);
	/* In the thread that will use it. */
	int (*open)(const struct engine_memory *memory, struct engine **engine,
		    struct larder_error *err);
	void (*close)(struct engine *engine);
	/*
	 * Copies [copy->offset, until); until is the size or a multiple of the block. -ESTALE: the
	 * source ended early. -ECANCELED, -ENOSPC, -EIO, …; copy->failed says whose it is.
	 */
	int (*copy)(struct engine *engine, struct engine_copy *copy, uint64_t until,
		    struct larder_error *err);
	/* A stream from byte 0: put pieces in order, then finish in every case; keep false only
	 * waits. */
	int (*put)(struct engine *engine, struct engine_copy *copy, const void *data, size_t len,
		   struct larder_error *err);
	int (*finish)(struct engine *engine, struct engine_copy *copy, bool keep,
		      struct larder_error *err);
	/* All of them at once, n up to ENGINE_WHOLES. Whatever did not come whole (got is not size)
	 * is to be read again by itself: there is no sentence about it. */
	void (*read_wholes)(struct engine *engine, struct engine_whole *wholes, unsigned int n);
};

extern const struct engine_ops engine_sync;
extern const struct engine_ops engine_uring;

/* --- what engines share --- */

/* Is out O_DIRECT? And: make it not so. */
bool engine_is_direct(int out);
int engine_drop_direct(int out);
/* As wished, or as it was where the file system refuses. */
void engine_set_direct(int fd, bool direct);
/* Is most of it in the page cache? Then it is read from there. Kernels that cannot tell: no. */
bool engine_is_cached(int fd, uint64_t size);
/* Is that a block device below a file system, on which the depth of a queue tells? And: a file's.
 */
bool engine_is_block_device(dev_t device);
bool engine_on_block_device(int fd);
/* Whole files, those that are not cached past the page cache (in is O_DIRECT then). */
void engine_read_past(struct engine *engine, struct engine_whole *wholes, unsigned int n);
/* Bytes of a block that a direct write can take; the rest is the tail of the file. */
static inline size_t engine_aligned(bool direct, size_t len)
{
	return direct ? len & ~(size_t)(ENGINE_ALIGN - 1) : len;
}
/* Blocking write of all of it; a direct descriptor that refuses goes on buffered. -errno. */
int engine_write_all(int out, const void *data, size_t len, uint64_t offset);
/* The last bytes of a direct file, fewer than a sector, through the page cache. */
int engine_write_tail(int out, const void *data, size_t len, uint64_t offset);

void engine_moved(struct engine_copy *copy, size_t len);
/* Sets copy->failed and the sentence; returns -code. */
int engine_source_error(struct engine_copy *copy, int code, uint64_t offset,
			struct larder_error *err);
int engine_sink_error(struct engine_copy *copy, int code, uint64_t offset,
		      struct larder_error *err);
int engine_short(struct engine_copy *copy, uint64_t offset, struct larder_error *err);
int engine_grown(struct engine_copy *copy, struct larder_error *err);
int engine_stopped(struct engine_copy *copy, struct larder_error *err);

#endif
