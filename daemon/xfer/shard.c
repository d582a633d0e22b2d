/*
 * Owns: bringing one shard: make, link or fetch; the small ones whole; retries and other origins.
 * Must not: decide what is wanted, or keep anything for the next shard.
 * Called by: the pool's threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "xfer/internal.h"

/* Puts shard and origin before a sentence about the origin's bytes. */
static int about(struct transfer *transfer, struct item *item, struct larder_error *err)
{
	auto_free char *shown = larder_path_encode(item->shard.path);

	return larder_error_prefix(err, "%s from %s", shown ? shown : "?",
				   transfer->origins[item->origin].url);
}

static int about_sink(struct item *item, struct larder_error *err)
{
	auto_free char *shown = larder_path_encode(item->shard.path);

	return larder_error_prefix(err, "%s", shown ? shown : "?");
}

/*
 * The whole shard into memory. One byte more is asked for: a file that ends here gives fewer than
 * were asked for, so that no second call has to see its end.
 */
static int read_whole(int in, struct item *item, unsigned char *data, struct larder_error *err)
{
	struct engine_copy *copy = &item->copy;
	size_t size = (size_t)copy->size, got = 0;

	while (got < size) {
		ssize_t n = pread(in, data + got, size + 1 - got, (off_t)got);

		if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
			int rc = engine_stopped(copy, err);

			if (rc)
				return rc;
			continue;
		}
		if (n < 0)
			return engine_source_error(copy, errno, got, err);
		if (n == 0)
			break;
		got += (size_t)n;
		if (got > size)
			return engine_grown(copy, err);
	}
	return got < size ? engine_short(copy, got, err) : 0;
}

static int write_whole(struct transfer *transfer, struct item *item, const unsigned char *data,
		       struct larder_error *err)
{
	struct sink *sink = transfer->params.sink;
	auto_fd int out = -1;
	int rc = limit_take(pool_limit(transfer->pool), item->shard.size, &transfer->halt);

	if (rc)
		return engine_stopped(&item->copy, err);
	rc = sink->ops->create(sink, item->shard.size, false, &out, err);
	item->side = ENGINE_SINK;
	if (rc)
		return rc;
	if (!atomic_load_explicit(&transfer->small, memory_order_relaxed)) {
		struct way_pair pair;

		atomic_store(&transfer->small, true);
		if (item->in >= 0)
			pair_place(transfer, item->in, out, &pair);
	}
	rc = engine_write_all(out, data, (size_t)item->shard.size, 0);
	if (rc)
		return engine_sink_error(&item->copy, rc, 0, err);
	engine_moved(&item->copy, (size_t)item->shard.size);
	return sink->ops->commit(sink, &item->shard, take_fd(&out), err);
}

static int small_run(struct lane *lane, struct transfer *transfer, struct item *item,
		     struct larder_error *err)
{
	const unsigned char *data = item->data;
	int rc = 0;

	item->data = NULL; /* another attempt reads anew */
	if (!data) {
		pair_read_plain(item); /* a batch may have begun it past the page cache */
		data = lane->memory.base;
		rc = read_whole(item->in, item, lane->memory.base, err);
	}
	if (!rc)
		rc = verify_digest(transfer, item, digest_of(data, (size_t)item->shard.size),
				   item->in, err);
	if (!rc)
		rc = write_whole(transfer, item, data, err);
	if (!rc)
		item_drop(item);
	return rc;
}

static void begin(struct transfer *transfer, struct item *item)
{
	item->side = ENGINE_SOURCE;
	item->copy = (struct engine_copy){
		.in = -1,
		.out = -1,
		.size = item->shard.size,
		.failed = ENGINE_SOURCE,
		.stop = &transfer->halt,
		.done = &transfer->done_bytes,
		.origin = &transfer->origin_bytes,
	};
	digest_init(&item->copy.digest);
}

/* The source, and the file in it where the kind has such (item->in). */
static int open_source(struct transfer *transfer, struct item *item, struct source **source,
		       struct larder_error *err)
{
	int rc = sources_get(transfer, item->origin, source, err);

	if (rc || !(*source)->ops->open_shard || item->in >= 0)
		return rc;
	return (*source)->ops->open_shard(*source, &item->shard, &item->in, err);
}

void item_begin(struct transfer *transfer, struct item *item)
{
	struct source *source;
	struct larder_error ignored;

	item->origin = sources_choose(transfer, item);
	sources_begin(transfer, item);
	begin(transfer, item);
	(void)open_source(transfer, item, &source, &ignored);
}

/* One origin, once (or one slice of that). */
static int attempt(struct lane *lane, struct transfer *transfer, struct item *item,
		   struct larder_error *err)
{
	struct source *source;
	int rc;

	if (item->in < 0)
		begin(transfer, item);
	rc = open_source(transfer, item, &source, err);
	if (rc)
		return rc; /* the sentence names shard and origin */
	lane->spoilt |= !item->data;
	if (!source->ops->open_shard)
		rc = stream_run(lane, transfer, item, source, err);
	else
		rc = item->large ? large_run(lane, transfer, item, err)
				 : small_run(lane, transfer, item, err);
	if (rc >= 0 || rc == -ECANCELED)
		return rc;
	return item->side == ENGINE_SINK ? about_sink(item, err) : about(transfer, item, err);
}

void item_drop(struct item *item)
{
	if (item->in >= 0)
		close(item->in);
	if (item->out >= 0)
		close(item->out);
	item->in = item->out = -1;
}

/* What a failed attempt counted as done is not. */
static void undo(struct transfer *transfer, struct item *item)
{
	item_drop(item);
	atomic_fetch_sub(&transfer->done_bytes, item->copy.moved);
	item->copy.moved = 0;
}

static bool try_again(struct transfer *transfer, struct item *item, int *rc,
		      struct larder_error *err)
{
	if (*rc == -ECANCELED || atomic_load(&transfer->halt) || item->side == ENGINE_SINK)
		return false;
	if (*rc == -EREMCHG) { /* not a failure: another origin is faster by far */
		item->origin = item->next_origin;
		return true;
	}
	if (*rc == -EBADMSG && !item->retried) { /* once more from the start, best from elsewhere */
		atomic_fetch_add(&transfer->origin_errors, transfer->n_origins > 1);
		if (!sources_next(transfer, item, rc, err))
			item->tried &= ~(1u << item->origin);
		item->retried = true;
		return true;
	}
	atomic_fetch_add(&transfer->origin_errors, 1);
	return sources_next(transfer, item, rc, err);
}

static int fetch_run(struct lane *lane, struct transfer *transfer, struct item *item,
		     struct larder_error *err)
{
	int rc;

	if (item->in < 0 && !item->chosen)
		item->origin = sources_choose(transfer, item);
	for (;;) {
		sources_begin(transfer, item);
		rc = attempt(lane, transfer, item, err);
		if (rc == 1)
			return rc;
		sources_end(transfer, item, rc);
		if (rc == 0)
			break;
		undo(transfer, item);
		if (!try_again(transfer, item, &rc, err))
			return rc;
	}
	return 0;
}

int item_arrived(struct transfer *transfer, struct item *item, int rc, const unsigned char *data,
		 struct larder_error *err)
{
	begin(transfer, item);
	if (!rc)
		rc = verify_digest(transfer, item, digest_of(data, (size_t)item->shard.size), -1,
				   err);
	if (!rc)
		rc = write_whole(transfer, item, data, err);
	sources_end(transfer, item, rc);
	if (!rc) {
		atomic_fetch_add(&transfer->done_shards, 1);
		return 0;
	}
	if (rc != -ECANCELED)
		item->side == ENGINE_SINK ? about_sink(item, err) : about(transfer, item, err);
	undo(transfer, item);
	return try_again(transfer, item, &rc, err) ? 1 : rc;
}

static int make_run(struct transfer *transfer, struct item *item, struct larder_error *err)
{
	struct sink *sink = transfer->params.sink;
	int rc = sink->ops->make(sink, &item->shard, err);

	return rc ? about_sink(item, err) : 0;
}

/* 0 linked; 1 it must be copied; -errno. */
static int link_run(struct transfer *transfer, struct item *item, struct larder_error *err)
{
	struct sink *sink = transfer->params.sink;
	int rc = sink->ops->link(sink, &item->shard, err);

	if (rc == -ENOENT || rc == -EMLINK || rc == -EXDEV)
		return 1;
	if (rc)
		return about_sink(item, err);
	atomic_fetch_add(&transfer->done_bytes, item->shard.size);
	atomic_fetch_add(&transfer->linked_bytes, item->shard.size);
	return 0;
}

int item_run(struct lane *lane, struct transfer *transfer, struct item *item,
	     struct larder_error *err)
{
	int rc = 1;

	if (item->kind == WANT_MAKE) {
		rc = make_run(transfer, item, err);
	} else {
		if (item->kind == WANT_LINK)
			rc = link_run(transfer, item, err);
		if (rc == 1) {
			item->kind = WANT_FETCH;
			rc = fetch_run(lane, transfer, item, err);
		}
	}
	if (!rc)
		atomic_fetch_add(&transfer->done_shards, 1);
	return rc;
}
