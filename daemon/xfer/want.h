/*
 * The shards of a manifest in order, each with what has to be done about it: the one place where
 * that is decided, for planning and for running alike. Streams; holds nothing.
 */
#ifndef XFER_WANT_H
#define XFER_WANT_H

#include "xfer/transfer.h"

enum want_kind {
	WANT_SKIP,    /* outside the subsets */
	WANT_PRESENT, /* verified and durable already */
	WANT_MAKE,    /* symlink, empty directory, empty file */
	WANT_LINK,    /* the base tree has the same bytes at the same path */
	WANT_FETCH,
};

struct want_stream;

/* Borrows what `want` points to. */
int want_open(const struct transfer_want *want, struct want_stream **stream,
	      struct larder_error *err);
/* 1 and a shard (strings until the next call), 0 at the end, -errno. */
int want_next(struct want_stream *stream, struct shard *shard, enum want_kind *kind,
	      struct larder_error *err);
void want_close(struct want_stream *stream);

#endif
