/*
 * The threads that digest what a scan found, while it is still being found. For scan/ alone.
 */
#ifndef SCAN_READER_H
#define SCAN_READER_H

#include <pthread.h>

#include "core/source.h"
#include "scan/paths.h"
#include "scan/records.h"
#include "scan/scan.h"

#define READERS_MAX 64

struct readers {
	const struct scan_params *params;
	struct source *source;
	pthread_mutex_t lock;
	pthread_cond_t change, large_less;
	struct records records; /* guarded by lock while threads run */
	size_t next;		/* the first that no thread took */
	bool local;		/* the origin is on a local disk; set before threads run */
	bool open;		/* may be read: not while digests may yet be taken over */
	bool complete;		/* no more will be added */
	int rc;			/* the first failure */
	struct larder_error err;
	unsigned int large, large_max; /* large files being read; at once at most */
	pthread_t ids[READERS_MAX];
	unsigned int n, threads; /* that run; that were asked for */
};

/* Starts the threads; they wait until `open`. */
int readers_start(struct readers *readers, unsigned int threads, struct larder_error *err);
/* source_ops.list's callback: arg is the readers. */
int readers_found(const struct source_entry *entry, void *arg);
/* The same for what a list names: its digest, where it is ours, is taken over. */
int readers_found_listed(const struct source_entry *entry, const struct scan_path *listed,
			 void *arg);
/* Lets the threads run (open), or tells that all is there (complete), or stops them (rc). */
void readers_open(struct readers *readers);
void readers_complete(struct readers *readers);
void readers_fail(struct readers *readers, int rc, const struct larder_error *err);
/* Joins; the first failure or 0. */
int readers_join(struct readers *readers, struct larder_error *err);
/* -ECANCELED once the caller wants no more. */
int readers_stopped(const struct readers *readers, struct larder_error *err);

#endif
