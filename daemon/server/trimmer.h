/*
 * Trims: shards dropped from a tree's tail because all of it need not go. Two steps with a claim
 * between them: choose (a worker), claim less (durable), unlink (a worker).
 */
#ifndef SERVER_TRIMMER_H
#define SERVER_TRIMMER_H

#include <stdbool.h>
#include <stdint.h>

#include "server/larderd.h"

/* Begins to free about `bytes`. A lease that comes before the claim ends it. */
int trimmer_begin(struct larderd *d, struct node_tier *tier, const struct inv_tree *tree,
		  uint64_t bytes, struct larder_error *err);
/* From the start to the last unlink: nothing may be staged into the tree meanwhile. */
bool trimmer_has(struct larderd *d, uint64_t tree_id);
/* What the trims under way are to free in this tier. */
uint64_t trimmer_bytes(struct larderd *d, const struct node_tier *tier);

#endif
