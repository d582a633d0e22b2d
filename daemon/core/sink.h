/*
 * Where a transfer puts what it verified: the vtable of a tree being filled. core/ only names it;
 * store/ has it; xfer/ uses it. Called from many transfer threads at once.
 *
 * The order that keeps the first promise is the sink's: bytes durable and error-free, then the
 * names, then the names durable, then `durable` is called.
 */
#ifndef CORE_SINK_H
#define CORE_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/manifest.h"
#include "larder/error.h"

struct sink;

struct sink_ops {
	/*
	 * A new unnamed file of the tier, its blocks reserved (fallocate) when size is 1 MiB or
	 * more. `direct`: opened O_DIRECT when the file system takes it. -ENOSPC, -EIO, ….
	 */
	int (*create)(struct sink *sink, uint64_t size, bool direct, int *fd,
		      struct larder_error *err);
	/*
	 * The bytes are all written and match the digest. Takes fd in every case. Mode and mtime
	 * are set here. Returns before it is durable; blocks when too much waits to be synced.
	 */
	int (*commit)(struct sink *sink, const struct shard *shard, int fd,
		      struct larder_error *err);
	/* Hard link from the base tree at the same path. -ENOENT, -EMLINK, -EXDEV: copy instead. */
	int (*link)(struct sink *sink, const struct shard *shard, struct larder_error *err);
	/* Symlink, empty directory or empty file. */
	int (*make)(struct sink *sink, const struct shard *shard, struct larder_error *err);
	/* Waits until all that was given is durable (or failed: -EIO and the tier's sentence). */
	int (*flush)(struct sink *sink, struct larder_error *err);
};

struct sink {
	const struct sink_ops *ops;
};

#endif
