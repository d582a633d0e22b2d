/*
 * Owns the scrub: READY trees read again in turn, by id, so that each has its turn.
 * Reads nothing itself: handle_verify.c does. A timer's.
 */
#include "server/scrub.h"

#include <string.h>

#include "log/log.h"

struct scrub_next {
	uint64_t after;
	struct inv_tree best;
};

static int scrub_consider(const struct inv_tree *tree, void *arg)
{
	struct scrub_next *next = arg;

	if (tree->state == LARDER_TREE_READY && tree->id > next->after &&
	    (!next->best.id || tree->id < next->best.id))
		next->best = *tree;
	return 0;
}

void scrub_one(struct larderd *d)
{
	struct scrub_next next = {.after = d->scrubbed};
	struct larder_error err = {0};

	if (inventory_tree_each(d->inv, NULL, scrub_consider, &next, &err))
		return;
	d->scrubbed = next.best.id; /* 0 at the end: from the start again */
	if (next.best.id && verify_start(d, &next.best, true, NULL, &err))
		log_event(LOG_LEVEL_INFO, "scrub.later", "dataset=%s:%s why=\"%s\"", next.best.name,
			  next.best.version, err.text);
}
