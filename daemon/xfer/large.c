/*
 * Owns: one attempt at a large shard: clone it where the file system can, else copy it in slices;
 * and at any shard that comes as a stream.
 * Must not: retry, or choose origins.
 * Called by: shard.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "xfer/internal.h"

static int sink_create(struct transfer *transfer, struct item *item, uint64_t size, bool direct,
		       struct larder_error *err)
{
	struct sink *sink = transfer->params.sink;
	int rc = sink->ops->create(sink, size, direct, &item->out, err);

	if (rc)
		item->side = ENGINE_SINK;
	return rc;
}

static int sink_commit(struct transfer *transfer, struct item *item, struct larder_error *err)
{
	struct sink *sink = transfer->params.sink;
	int rc = sink->ops->commit(sink, &item->shard, take_fd(&item->out), err);

	if (rc)
		item->side = ENGINE_SINK;
	return rc;
}

/* All bytes are in item->out: is it what the manifest says, to its end? Then it is the sink's. */
static int verify_and_commit(struct transfer *transfer, struct item *item, struct larder_error *err)
{
	int rc = item->in >= 0 ? verify_end(item->in, item, err) : 0;

	if (rc) {
		item->side = item->copy.failed;
		return rc;
	}
	rc = verify_digest(transfer, item, digest_final(&item->copy.digest), item->in, err);
	if (rc)
		return rc;
	rc = sink_commit(transfer, item, err);
	if (!rc)
		item_drop(item);
	return rc;
}

/* The clone is read back through a descriptor of its own: the sink's may be write-only. */
static int digest_clone(struct lane *lane, struct item *item, struct larder_error *err)
{
	char path[64];
	auto_fd int fd = -1;
	int rc;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", item->out);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		rc = engine_sink_error(&item->copy, errno, 0, err);
	else
		rc = verify_read(fd, &item->copy, &lane->memory, err);
	item->side = item->copy.failed;
	return rc;
}

static bool clone_into(struct item *item)
{
	struct stat st;

	/* A clone of a source that has grown is longer than the manifest says: then copy, and let
	 * the checks of copying find the words. */
	return ioctl(item->out, FICLONE, item->in) == 0 && fstat(item->out, &st) == 0 &&
	       (uint64_t)st.st_size == item->shard.size;
}

/* 0 the shard is done; 1 this pair of file systems does not clone; -errno. */
static int try_clone(struct lane *lane, struct transfer *transfer, struct item *item,
		     struct larder_error *err)
{
	int rc;

	if (atomic_load(&transfer->clone) == CLONE_REFUSED)
		return 1;
	rc = sink_create(transfer, item, 0, false, err);
	if (rc)
		return rc;
	if (!clone_into(item)) {
		atomic_store(&transfer->clone, CLONE_REFUSED);
		close(take_fd(&item->out));
		return 1;
	}
	atomic_store(&transfer->clone, CLONE_WORKS);
	pair_place(transfer, item->in, item->out, &item->pair);
	atomic_store(&transfer->engine, "clone");
	rc = digest_clone(lane, item, err);
	return rc ? rc : verify_and_commit(transfer, item, err);
}

/* 0 done by cloning, 1 a pair of descriptors is there to copy between, -errno. */
static int open_pair(struct lane *lane, struct transfer *transfer, struct item *item,
		     struct larder_error *err)
{
	int rc;

	posix_fadvise(item->in, 0, 0, POSIX_FADV_SEQUENTIAL);
	rc = try_clone(lane, transfer, item, err);
	if (rc <= 0)
		return rc;
	rc = sink_create(transfer, item, item->shard.size, false, err);
	if (rc)
		return rc;
	pair_choose(lane, transfer, item);
	item->copy.in = item->in;
	item->copy.out = item->out;
	return 1;
}

/* Through the page cache blocking calls win (four files at once); past it depth does. */
static int choose_engine(struct lane *lane, struct transfer *transfer, struct item *item,
			 struct engine **engine, struct larder_error *err)
{
	bool direct = engine_is_direct(item->out);
	int rc = lane_engine(lane, direct, engine, err);

	if (rc)
		return rc;
	if (item->in >= 0 && (*engine)->ops != &engine_uring)
		pair_read_plain(item); /* no more rings: one block at a time would be slow */
	atomic_store(&transfer->engine, pair_engine(item, (*engine)->ops == &engine_uring));
	return 0;
}

/* Slices, until it is whole or another transfer waits for a thread. */
static int copy_slices(struct lane *lane, struct transfer *transfer, struct item *item,
		       struct larder_error *err)
{
	const uint64_t block = lane->memory.block;
	struct limit *limit = pool_limit(lane->pool);
	struct engine_copy *copy = &item->copy;
	struct engine *engine;
	int rc = choose_engine(lane, transfer, item, &engine, err);

	if (rc)
		return rc;
	while (copy->offset < copy->size) {
		uint64_t left = copy->size - copy->offset;
		uint64_t slice = limit_portion(limit, block, SLICE_BLOCKS * block);
		uint64_t len = left < slice ? left : slice;

		if (limit_take(limit, len, copy->stop))
			return engine_stopped(copy, err);
		rc = engine->ops->copy(engine, copy, copy->offset + len, err);
		if (rc) {
			item->side = copy->failed;
			return rc;
		}
		if (copy->offset < copy->size && pool_contended(lane->pool, transfer)) {
			item->rested = true;
			return 1;
		}
	}
	pair_tell(lane, item);
	return verify_and_commit(transfer, item, err);
}

int large_run(struct lane *lane, struct transfer *transfer, struct item *item,
	      struct larder_error *err)
{
	int rc = 1;

	if (item->out < 0)
		rc = open_pair(lane, transfer, item, err);
	return rc == 1 ? copy_slices(lane, transfer, item, err) : rc;
}

struct streaming {
	struct limit *limit;
	struct engine *engine;
	struct transfer *transfer;
	struct item *item;
	uint64_t got;
	struct engine_copy *copy;
	struct larder_error *err;
	int rc; /* of the last put: a failure of ours, not of the source */
};

static int stream_put(const void *data, size_t len, void *arg)
{
	struct streaming *s = arg;

	if (limit_take(s->limit, len, s->copy->stop))
		s->rc = engine_stopped(s->copy, s->err);
	else
		s->rc = s->engine->ops->put(s->engine, s->copy, data, len, s->err);
	s->got += len;
	if (s->rc || len)
		return s->rc;
	s->rc = sources_pace(s->transfer, s->item, s->got); /* now and then */
	if (s->rc)
		s->copy->failed = ENGINE_SOURCE;
	return s->rc;
}

/* From byte 0 to the end through the engine; both sides' failures are told apart. */
static int stream_all(struct transfer *transfer, struct item *item, struct source *source,
		      struct engine *engine, struct larder_error *err)
{
	struct streaming s = {.limit = pool_limit(transfer->pool),
			      .engine = engine,
			      .transfer = transfer,
			      .item = item,
			      .copy = &item->copy,
			      .err = err};
	struct larder_error why = {0};
	int rc = source->ops->fetch(source, &item->shard, 0, stream_put, &s, &why);

	if (rc) {
		engine->ops->finish(engine, &item->copy, false, NULL);
		item->side = s.rc ? item->copy.failed : ENGINE_SOURCE;
		if (!s.rc && err)
			*err = why;
		return s.rc ? s.rc : rc;
	}
	rc = engine->ops->finish(engine, &item->copy, true, err);
	item->side = item->copy.failed;
	return rc;
}

int stream_run(struct lane *lane, struct transfer *transfer, struct item *item,
	       struct source *source, struct larder_error *err)
{
	struct engine *engine;
	int rc = sink_create(transfer, item, item->shard.size, item->large, err);

	if (rc)
		return rc;
	item->copy.out = item->out;
	atomic_store(&transfer->place, PLACE_STREAM);
	rc = choose_engine(lane, transfer, item, &engine, err);
	if (!rc)
		rc = stream_all(transfer, item, source, engine, err);
	return rc ? rc : verify_and_commit(transfer, item, err);
}
