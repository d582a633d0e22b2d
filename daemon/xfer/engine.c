/*
 * Owns: what the engines share: memory, direct descriptors, blocking writes, failures' sentences.
 * Must not: know transfers or pools.
 * Called by: sync.c, uring.c, pool.c, pair.c, batch.c, shard.c; scan.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "xfer/engine.h"

#ifndef SYS_cachestat
#define SYS_cachestat 451 /* on every machine; Linux 6.5 */
#endif

#define HUGE_BYTES ((size_t)2 * 1024 * 1024) /* a huge page */

unsigned char *engine_map(struct engine_mapping *mapping, size_t bytes)
{
	unsigned char *memory;

	if (bytes > SIZE_MAX - HUGE_BYTES)
		return NULL;
	memory = mmap(NULL, bytes + HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	*mapping = (struct engine_mapping){memory, bytes + HUGE_BYTES};
	memory += -(uintptr_t)memory & (HUGE_BYTES - 1);
	madvise(memory, bytes, MADV_HUGEPAGE); /* a wish */
	return memory;
}

void engine_unmap(struct engine_mapping *mapping)
{
	if (mapping->at)
		munmap(mapping->at, mapping->bytes);
	*mapping = (struct engine_mapping){0};
}

bool engine_is_direct(int out)
{
	int flags = fcntl(out, F_GETFL);

	return flags >= 0 && (flags & O_DIRECT);
}

int engine_drop_direct(int out)
{
	int flags = fcntl(out, F_GETFL);

	if (flags < 0 || fcntl(out, F_SETFL, flags & ~O_DIRECT) < 0)
		return -errno;
	return 0;
}

void engine_set_direct(int fd, bool direct)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && !(flags & O_DIRECT) == direct)
		fcntl(fd, F_SETFL, flags ^ O_DIRECT);
}

bool engine_is_cached(int fd, uint64_t size)
{
	struct {
		uint64_t offset, length;
	} range = {.length = size};
	struct {
		uint64_t cached, dirty, writeback, evicted, recently_evicted;
	} pages;
	long page = sysconf(_SC_PAGESIZE);

	return syscall(SYS_cachestat, fd, &range, &pages, 0) == 0 &&
	       pages.cached * (uint64_t)page > size / 2;
}

bool engine_is_block_device(dev_t device)
{
	return major(device) != 0;
}

bool engine_on_block_device(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && engine_is_block_device(st.st_dev);
}

void engine_read_past(struct engine *engine, struct engine_whole *wholes, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (!engine_is_cached(wholes[i].in, wholes[i].size))
			engine_set_direct(wholes[i].in, true);
	engine->ops->read_wholes(engine, wholes, n);
}

int engine_write_all(int out, const void *data, size_t len, uint64_t offset)
{
	const unsigned char *at = data;

	while (len) {
		ssize_t n = pwrite(out, at, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EINVAL && engine_is_direct(out)) {
			if (engine_drop_direct(out))
				return -EINVAL;
			continue; /* a file system that takes the flag and then not the write */
		}
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		at += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int engine_write_tail(int out, const void *data, size_t len, uint64_t offset)
{
	int rc = engine_drop_direct(out);

	return rc ? rc : engine_write_all(out, data, len, offset);
}

void engine_moved(struct engine_copy *copy, size_t len)
{
	copy->moved += len;
	atomic_fetch_add_explicit(copy->done, len, memory_order_relaxed);
	atomic_fetch_add_explicit(copy->origin, len, memory_order_relaxed);
}

int engine_source_error(struct engine_copy *copy, int code, uint64_t offset,
			struct larder_error *err)
{
	copy->failed = ENGINE_SOURCE;
	code = code < 0 ? -code : code;
	return larder_error_set(err, code, "read at byte %" PRIu64 ": %s", offset, strerror(code));
}

int engine_sink_error(struct engine_copy *copy, int code, uint64_t offset, struct larder_error *err)
{
	copy->failed = ENGINE_SINK;
	code = code < 0 ? -code : code;
	return larder_error_set(err, code, "write into the cache at byte %" PRIu64 ": %s", offset,
				strerror(code));
}

int engine_short(struct engine_copy *copy, uint64_t offset, struct larder_error *err)
{
	struct stat st;

	copy->failed = ENGINE_SOURCE;
	/* with several reads in flight the first to find nothing may be far beyond the end */
	if (copy->in >= 0 && fstat(copy->in, &st) == 0 && (uint64_t)st.st_size < offset)
		offset = (uint64_t)st.st_size;
	return larder_error_set(err, ESTALE,
				"changed at the origin: it ends at byte %" PRIu64
				", the manifest says %" PRIu64 "; publish a new version",
				offset, copy->size);
}

int engine_grown(struct engine_copy *copy, struct larder_error *err)
{
	copy->failed = ENGINE_SOURCE;
	return larder_error_set(err, ESTALE,
				"changed at the origin: it has grown beyond the manifest's %" PRIu64
				" bytes; publish a new version",
				copy->size);
}

int engine_stopped(struct engine_copy *copy, struct larder_error *err)
{
	if (!atomic_load_explicit(copy->stop, memory_order_relaxed))
		return 0;
	return larder_error_set(err, ECANCELED, "the transfer was cancelled");
}
