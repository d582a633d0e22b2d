/*
 * Eviction, acted out: what core/evict.h chose goes, in the order that survives a crash: claim less
 * (durable), rename into the trash, unlink in the background. A lease that arrives in between wins.
 */
#ifndef SERVER_EVICTOR_H
#define SERVER_EVICTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/evict.h"
#include "server/larderd.h"

/* Candidates of one tier with their holds; *out to free(). Evicted ones on their way are left out.
 * candidates.c: one walk, however many trees there are. */
int evictor_candidates(struct larderd *d, const struct node_tier *tier,
		       struct evict_candidate **out, size_t *n, struct larder_error *err);
/* What keeps that tree, of which `hold` says the leases and pins. */
enum evict_hold evictor_hold(struct larderd *d, const struct inv_tree *tree,
			     const struct inv_hold *hold);
/* Chooses and begins. plan says what it will give; *plan.enough false: everything that may go goes
 * only when `all` is set, else nothing is touched. */
int evictor_make_room(struct larderd *d, struct node_tier *tier, uint64_t bytes, uint64_t inodes,
		      double below, bool all, struct evict_plan *plan, struct larder_error *err);
/* Only chooses; *victims to free(). */
int evictor_choose(struct larderd *d, struct node_tier *tier, uint64_t bytes, uint64_t inodes,
		   double below, struct evict_victim **victims, struct evict_plan *plan,
		   struct larder_error *err);
/* Could it go? 0, or -EBUSY with who holds it. force overrules leases, pins and only copies; never
 * staging. */
int evictor_may(struct larderd *d, const struct inv_tree *tree, bool force,
		struct larder_error *err);
/* One tree, whole, if it may go. */
typedef void (*evictor_fn)(int rc, const struct larder_error *err, void *arg);
/* done: when its name is gone, or -EBUSY because somebody wants it again. */
int evictor_evict(struct larderd *d, uint64_t tree_id, const char *why, bool force, evictor_fn done,
		  void *arg, struct larder_error *err);
/* Is a part of the tree being dropped just now? Then nothing may be staged into it. */
bool evictor_trimming(struct larderd *d, uint64_t tree_id);
/* Empties the trash (if there is any) in the background, or at full speed when somebody waits. */
void evictor_empty_trash(struct larderd *d, struct node_tier *tier, bool hurry);
/* What evictions and trims under way will free but is in no trash yet. */
uint64_t evictor_claimed_bytes(struct larderd *d, const struct node_tier *tier);
/* Trees that a restart found in EVICTING: their eviction goes on. */
int evictor_resume(struct larderd *d, struct larder_error *err);
/* Ends the trash work; for the end of the daemon. */
void evictor_close(struct larderd *d);

#endif
