/*
 * Transfers: read at the source, digest, write to the sink; many threads, one pool for all. Decides
 * nothing about space, jobs or trees: the server plans, reserves and then starts. Never logs.
 */
#ifndef XFER_TRANSFER_H
#define XFER_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/manifest.h"
#include "core/sink.h"
#include "core/source.h"
#include "larder/error.h"

struct xfer_pool;
struct transfer;

enum xfer_ioprio {
	XFER_IOPRIO_NONE, /* as niceness says */
	XFER_IOPRIO_LOW,  /* the last of who wants the disk */
	XFER_IOPRIO_IDLE, /* only what nobody else wants */
};

/* How the copying threads stand back for others. */
struct xfer_manners {
	int nice;
	enum xfer_ioprio ioprio;
	const char *cgroup; /* v2: a threaded one; NULL, "": the process's */
};

struct xfer_pool_params {
	unsigned int threads;		      /* 0: 8 */
	uint64_t memory_bytes;		      /* cap of all buffers; 0: 64 MiB */
	bool no_uring;			      /* the sync engine even where io_uring works */
	struct xfer_manners manners;	      /* the cgroup is borrowed */
	uint64_t bytes_per_s;		      /* of all transfers together; 0: no limit */
	const struct source_options *options; /* of remote origins; borrowed; NULL: defaults */
};
int xfer_pool_create(const struct xfer_pool_params *params, struct xfer_pool **pool,
		     struct larder_error *err);
/* Cancels what runs and joins every thread. */
void xfer_pool_destroy(struct xfer_pool *pool);
/* Another limit, from now on. */
void xfer_pool_limit(struct xfer_pool *pool, uint64_t bytes_per_s);
/* Why the cgroup cannot be used; "": it can, or none was asked for. */
const char *xfer_pool_problem(const struct xfer_pool *pool);
/* "uring" or "sync (why)". */
const char *xfer_pool_engine(const struct xfer_pool *pool);

/* What is wanted of a manifest: pure input for planning and running alike. */
struct transfer_want {
	int manifest_fd;      /* of the tree */
	int base_manifest_fd; /* of the tree to link from; -1: none */
	/* Digests of a first use (manifest_reader_digests), for each of the two; 0 or less:
	 * none. */
	int digests_fd, base_digests_fd;
	const uint8_t *present;	    /* bits by index; NULL: nothing is there */
	const char *const *subsets; /* n_subsets 0: all */
	unsigned int n_subsets;
};

struct transfer_plan {
	uint64_t shards, bytes; /* wanted, all of them */
	uint64_t present_shards, present_bytes;
	uint64_t link_shards, link_bytes;   /* from the base */
	uint64_t fetch_shards, fetch_bytes; /* from the origin */
	uint64_t disk_bytes; /* to reserve: rounded up to blocks, directories and the manifest
				counted */
	uint64_t inodes;     /* to reserve: files to fetch, symlinks, directories */
};
/* O(shards), reads two files; for a worker. block: the tier's block size. stop may be NULL. */
int transfer_plan(const struct transfer_want *want, uint32_t block, const _Atomic bool *stop,
		  struct transfer_plan *plan, struct larder_error *err);

struct transfer_params {
	struct transfer_want want;  /* descriptors and arrays are borrowed until done() */
	const char *const *origins; /* in order of preference */
	unsigned int n_origins;
	struct source_as as;
	const struct source_options *options; /* NULL: the pool's; borrowed until done() */
	struct sink *sink;
	/*
	 * Once, from a thread of the pool, when nothing of it runs any more. rc 0: all that was
	 * wanted is durable. -ECANCELED, -ENOSPC, -EBADMSG (digest), -ESTALE, -ENOENT, -EACCES,
	 * -EIO, …; the sentence names shard and origin. What became durable before stays.
	 */
	void (*done)(int rc, const struct larder_error *err, void *arg);
	void *arg;
};

struct transfer_progress {
	uint64_t done_shards, done_bytes; /* linked, made and fetched */
	uint64_t origin_bytes, linked_bytes;
	uint64_t digest_mismatches, origin_errors;
	const char *phase; /* static: "copying", "syncing", "done" */
	char engine[64];   /* what was chosen: "same device: sync buffered, small whole", … */
};

/* What came from one of a transfer's origins, in whole shards. */
struct transfer_source {
	const char *origin; /* the transfer's */
	uint64_t bytes, shards;
	uint64_t busy_ms; /* that these took, each by itself */
};

/* ops: table of origin kinds, NULL-terminated (origin/origins.h); picks by `owns`. */
int transfer_start(struct xfer_pool *pool, const struct source_ops *const *ops,
		   const struct transfer_params *params, struct transfer **transfer,
		   struct larder_error *err);
/* From any thread; done() still comes, with -ECANCELED unless it was over. */
void transfer_cancel(struct transfer *transfer);
void transfer_progress_get(const struct transfer *transfer, struct transfer_progress *progress);
/* The n-th origin's share; false: there are not so many. */
bool transfer_source_get(struct transfer *transfer, unsigned int n, struct transfer_source *source);
/* After done() with -EBADMSG: the path of the shard that no origin has right. */
const char *transfer_bad_shard(const struct transfer *transfer);
/* Only after done() was called. */
void transfer_destroy(struct transfer *transfer);

#endif
