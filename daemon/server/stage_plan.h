/*
 * What a stage needs before it can ask for room, made by a worker: directories, descriptors, the
 * publisher's groups, the sums of what is to be fetched and linked.
 */
#ifndef SERVER_STAGE_PLAN_H
#define SERVER_STAGE_PLAN_H

#include "core/sink.h"
#include "core/source.h"
#include "server/stage.h"
#include "server/worker.h"
#include "xfer/transfer.h"

struct stage_plan {
	struct work work;
	struct larderd *d;
	struct stage *stage;	      /* NULL: its round is over */
	_Atomic unsigned int letters; /* of durable shards, on their way; the last one of a plan
					 that is gone frees it */
	bool gone;
	struct tier *tier;
	struct inv_tree tree, base;
	bool has_base;
	int new_manifest_fd; /* to make the tree from; -1 */
	int manifest_fd, base_manifest_fd;
	int digests_fd, base_digests_fd; /* of first uses; -1: none */
	uint8_t *present;		 /* bits; owned */
	char **subsets;			 /* owned; n_subsets 0: all */
	unsigned int n_subsets;
	gid_t *groups; /* owned */
	struct source_as as;
	struct larder_manifest_head head; /* its origins, in order of preference */
	struct sink *sink;
	struct transfer_plan sums;
	_Atomic bool stop;
	int rc;
	struct larder_error err;
};

/*
 * Collects what the control thread knows (bitmap, base, subsets of all interests) and sends it to a
 * worker; stage_planned() is called when it is back.
 */
int stage_plan_begin(struct stage *stage, struct larder_error *err);
/* By a worker: it may have to wait for a sync. */
void stage_plan_destroy(struct larderd *d, struct stage_plan *plan);
/* stage.c's, on the control thread. */
void stage_planned(struct stage *stage);
/* stage.c's: the sink tells of durable shards, on the committer's thread. */
void stage_durable(const uint64_t *indices, size_t n, uint64_t bytes, void *plan);
/* One of its letters was read, on the control thread. */
void stage_plan_letter_read(struct stage_plan *plan);

#endif
