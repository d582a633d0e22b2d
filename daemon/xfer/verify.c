/*
 * Owns: what must hold before a shard is handed to the sink.
 * Must not: write anything.
 * Called by: shard.c, large.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "xfer/internal.h"

int verify_end(int in, struct item *item, struct larder_error *err)
{
	struct engine_copy *copy = &item->copy;
	struct stat st;
	char beyond;
	ssize_t n;

	do {
		n = pread(in, &beyond, 1, (off_t)copy->size);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return engine_source_error(copy, errno, copy->size, err);
	if (n > 0)
		return engine_grown(copy, err);
	if (fstat(in, &st) < 0)
		return engine_source_error(copy, errno, copy->size, err);
	if ((uint64_t)st.st_size > copy->size)
		return engine_grown(copy, err);
	if ((uint64_t)st.st_size < copy->size)
		return engine_short(copy, (uint64_t)st.st_size, err);
	return 0;
}

static bool was_changed(int in, const struct shard *shard)
{
	struct stat st;

	if (in < 0 || fstat(in, &st) < 0)
		return false;
	return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec != shard->mtime_ns;
}

/* A first use: size and time must be the manifest's, and then this is the digest from now on. */
static int believe(struct item *item, struct digest got, int in, struct larder_error *err)
{
	if (was_changed(in, &item->shard)) {
		item->side = ENGINE_SOURCE;
		return larder_error_set(
			err, ESTALE,
			"changed at the origin since it was published (its time of change is "
			"another); publish a new version");
	}
	item->shard.digest = got;
	item->shard.undigested = false;
	return 0;
}

/*
 * The time of change alone condemns nothing: bytes that match the digest are the manifest's. It
 * tells which sentence is true when they do not.
 */
int verify_digest(struct transfer *transfer, struct item *item, struct digest got, int in,
		  struct larder_error *err)
{
	if (item->shard.undigested)
		return believe(item, got, in, err);
	if (digest_equal(got, item->shard.digest))
		return 0;
	item->side = ENGINE_SOURCE;
	atomic_fetch_add(&transfer->digest_mismatches, 1);
	if (was_changed(in, &item->shard))
		return larder_error_set(err, ESTALE,
					"changed at the origin since it was published (its time of "
					"change is another, too); publish a new version");
	return larder_error_set(err, EBADMSG,
				"the bytes do not match the manifest's digest; the file is damaged "
				"at the origin: restore it, or publish a new version");
}

int verify_read(int fd, struct engine_copy *copy, const struct engine_memory *memory,
		struct larder_error *err)
{
	size_t room = memory->block * memory->n;

	while (copy->offset < copy->size) {
		uint64_t left = copy->size - copy->offset;
		ssize_t n = pread(fd, memory->base, left < room ? (size_t)left : room,
				  (off_t)copy->offset);
		int rc = engine_stopped(copy, err);

		if (rc)
			return rc;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return engine_sink_error(copy, errno, copy->offset, err);
		if (n == 0)
			return engine_short(copy, copy->offset, err);
		digest_update(&copy->digest, memory->base, (size_t)n);
		copy->offset += (uint64_t)n;
		engine_moved(copy, (size_t)n);
	}
	return 0;
}
