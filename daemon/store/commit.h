/*
 * The committer's own insides, shared by its two files: commit.c (its thread) and committer.c (what
 * transfer threads call). Nobody else includes this.
 */
#ifndef STORE_COMMIT_H
#define STORE_COMMIT_H

#include <pthread.h>

#include "store/inside.h"

#define COMMIT_START   4		     /* 1/4 of a full batch is enough to begin one */
#define COMMIT_BYTES   (UINT64_C(256) << 20) /* begins one too */
#define COMMIT_WAITING (UINT64_C(1) << 30)   /* more bytes than this do not wait: commit blocks */
#define COMMIT_NAMES   65536		     /* links and such hold no descriptor */
#define COMMIT_AGE_MS  2000		     /* nothing waits longer for company */

/* Something with a name, which the next successful sync makes durable. */
struct named {
	struct commit_client *client;
	uint64_t index, bytes;
	uint32_t epoch;
};

struct named_list {
	struct named *items;
	size_t n, cap;
};

struct batch {
	struct commit_file *files; /* room for batch_files */
	size_t n_files;
	uint64_t bytes;
	struct named_list names;
};

struct committer {
	struct tier *tier;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t work; /* for the thread: something to do */
	pthread_cond_t done; /* for the others: room, or a batch is over */
	/* under the lock */
	bool stop, working;
	unsigned int leaving; /* clients that want the thread to pause */
	struct batch *filling;
	uint64_t filling_gen; /* number of the batch that is being filled, from 1 */
	uint64_t durable_gen; /* everything up to it is durable, or failed */
	uint64_t want_gen;    /* somebody waits for it */
	int64_t due_ms;	      /* by when a batch starts at the latest; 0: nothing waits */
	uint32_t *fd_epoch;   /* by descriptor; 0: not ours */
	size_t n_fd_epoch;
	/* the thread's alone while working; under the lock otherwise */
	struct batch *now;
	struct named_list linked; /* named since the last sync */
	struct batch both[2];
	size_t batch_files;
	_Atomic uint32_t epoch; /* from 1 */
};

/* 0, or the client's first error, which stays. Under the lock. */
int commit_failed(const struct commit_client *client, struct larder_error *err);
void commit_fail(struct commit_client *client, const struct larder_error *why);
/* The sentence for what was begun before a sync failed. */
void commit_old_epoch(const struct committer *committer, struct larder_error *why);
/* Is it time for a batch? Under the lock. */
bool commit_due(const struct committer *committer);

int commit_named_push(struct named_list *list, const struct named *item);
void commit_file_drop(struct commit_file *file);
void commit_batch_clear(struct batch *batch);
/* Takes away what is this client's; the rest keeps its order. */
void commit_named_leave(struct named_list *list, const struct commit_client *client);
void commit_batch_leave(struct batch *batch, const struct commit_client *client);

/* The thread. */
void *commit_main(void *committer);

#endif
