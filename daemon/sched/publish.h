/* The asking side of the publisher: connects for each batch, waits for its answer. */
#ifndef SCHED_PUBLISH_H
#define SCHED_PUBLISH_H

#include <stddef.h>
#include <stdint.h>

#include "larder/error.h"

struct publish_batch;

/* NULL on ENOMEM. */
struct publish_batch *publish_begin(void);
/* Frees one that is not to be sent. NULL is none. */
void publish_drop(struct publish_batch *batch);
/* These nodes (comma separated) are to have exactly these features of ours (sorted, or ""). */
void publish_set(struct publish_batch *batch, const char *nodes, const char *features);
/* Our features go out of this pending job's constraint, before features are set. */
void publish_free(struct publish_batch *batch, uint32_t job_id);
struct publish_result {
	uint64_t changed, requests, left; /* nodes; requests to slurmctld, made and not made */
};
/*
 * Sends it, waits, and frees the batch. wake_fd: readable ends the waiting with -ECANCELED (-1:
 * nothing does). -ECONNREFUSED/-ENOENT (no publisher), -ETIMEDOUT, -EIO with slurmctld's sentence.
 */
int publish_end(struct publish_batch *batch, const char *socket, unsigned int max_requests,
		int64_t timeout_ms, int wake_fd, struct publish_result *result,
		struct larder_error *err);

#endif
