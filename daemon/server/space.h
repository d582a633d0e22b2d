/*
 * Room in the tiers: who gets it, and who has to go for it. Nothing is written before its bytes and
 * inodes are reserved here. The arithmetic is core/quota.h's.
 */
#ifndef SERVER_SPACE_H
#define SERVER_SPACE_H

#include <stdint.h>

#include "core/quota.h"
#include "server/larderd.h"

struct stage;

/* Measures a tier: configuration, statvfs, and the sums of our own. O(trees). */
int space_look(struct larderd *d, struct node_tier *tier, struct quota_tier *look,
	       struct larder_error *err);
/* evict_above and evict_down_to of the tier in bytes. */
void space_marks(const struct node_tier *tier, const struct quota_tier *look, uint64_t *above,
		 uint64_t *down_to);

/* stage_admitted() is called, perhaps at once: need_bytes/need_inodes are reserved, or -ENOSPC with
 * need, have, who holds it and what to change. */
void space_ask(struct stage *stage);
/* Part of a stage's reservation has become bytes on disk, or is not needed any more. */
void space_return(struct stage *stage, uint64_t bytes, uint64_t inodes);
/* Something became free: whoever waits is tried again. */
void space_changed(struct larderd *d, struct node_tier *tier);
/* The tier for a new tree: its base's, else the one with most room. NULL: none usable; says why. */
struct node_tier *space_choose_tier(struct larderd *d, const struct inv_tree *tree,
				    struct larder_error *err);
/* Background eviction between the watermarks. */
void space_watch(struct larderd *d);

#endif
