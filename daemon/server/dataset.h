/* Small questions about trees that every part of the server asks. Pure but for looking at d. */
#ifndef SERVER_DATASET_H
#define SERVER_DATASET_H

#include <stdbool.h>
#include <stddef.h>

#include "larder/manifest.h"
#include "larder/spec.h"
#include "server/larderd.h"

#define DATASET_LABEL_MAX (LARDER_NAME_MAX + LARDER_VERSION_MAX + 2)

/* "imagenet:v3" into buf (DATASET_LABEL_MAX), which it returns. */
const char *dataset_label(const struct inv_tree *tree, char *buf);
/* Borrows from tree. */
struct tree_key dataset_key(const struct inv_tree *tree);
/* What of the tree is here takes on disk, tails and metadata counted: many small files take more
 * than the sum of their sizes. An upper bound; links to other versions count in each. */
uint64_t dataset_footprint(const struct inv_tree *tree);
uint64_t dataset_footprint_of(uint64_t present_bytes, uint64_t present_shards);
/* The tier by name; NULL when it is not configured any more or cannot be used. */
struct node_tier *dataset_tier(struct larderd *d, const char *name);
/*
 * What a head becomes as a row: names, access, origin, sizes, and the domain inside which bytes may
 * be shared: one publisher and one access rule; a user's own only with that user's.
 */
void dataset_describe(const struct larder_spec *spec, const struct larder_manifest_head *head,
		      uid_t uid, struct inv_tree *tree);

#endif
