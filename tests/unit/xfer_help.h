/*
 * What tests of transfers, origins and scans share: a world of an origin directory and a tree
 * directory, a sink that fills the tree and can be told to fail, and a transfer to wait for.
 */
#ifndef TESTS_XFER_HELP_H
#define TESTS_XFER_HELP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "core/sink.h"
#include "core/source.h"
#include "larder/error.h"
#include "xfer/transfer.h"

struct world {
	char dir[256];	  /* removed with all in it at the end */
	char origin[300]; /* dir/origin */
	char tree[300];	  /* dir/tree */
};
void world_open(struct world *w);
void world_close(struct world *w);
/* A file of that many bytes, a function of seed; directories are made. mtime is fixed to a second.
 */
void world_file(const char *root, const char *path, size_t size, unsigned int seed);
/* Overwrites a byte in place and puts the time of change back. */
void world_damage(const char *root, const char *path, size_t at);
void world_link(const char *root, const char *path, const char *target);
void world_dir(const char *root, const char *path);
/* Scans root; a manifest's descriptor to close. */
int world_manifest(struct world *w, const char *root);
/* Are these the same bytes? */
bool world_same(const char *a_root, const char *b_root, const char *path);
bool world_has(const char *root, const char *path);
/* An unlinked file in the world. */
int world_tmp(struct world *w);

/* Names appear at commit. What counts is atomic; faults are set before the start. */
struct test_sink {
	struct sink sink; /* first */
	char root[300];
	char base[300]; /* to link from; "" none */
	_Atomic unsigned int created, committed, linked, made, flushed;
	int create_rc; /* -errno of every create */
	int commit_rc;
	int link_rc;
	int flush_rc;
	bool full;		/* create hands out /dev/full */
	bool nowhere;		/* nothing is kept: for a million shards */
	unsigned int commit_us; /* each commit takes this long */
};
void test_sink_init(struct test_sink *sink, const char *root);

struct outcome {
	pthread_mutex_t lock;
	pthread_cond_t change;
	int calls, rc;
	struct larder_error err;
};
void outcome_init(struct outcome *outcome);
void outcome_done(int rc, const struct larder_error *err, void *arg);
int outcome_wait(struct outcome *outcome);

/* A pool with memory so small that shards over 64 KiB are large. */
struct xfer_pool *small_pool(bool no_uring, unsigned int threads);

#endif
