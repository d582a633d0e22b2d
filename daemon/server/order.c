/*
 * Owns interests that stand by themselves: what `larder stage` and repair asked for.
 * Waits for nothing and answers nobody. Used by STAGE, VERIFY and the scrub.
 */
#include "server/order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <utlist.h>

#include "server/own_remote.h"

struct order {
	struct interest interest; /* first */
	struct order *prev, *next;
	struct larderd *d;
	char *subset;
};

static void order_free(struct order *order)
{
	DL_DELETE(order->d->orders, order);
	own_remote_unref(order->interest.remote);
	free(order->subset);
	free(order);
}

static void order_done(struct interest *interest, int rc, const struct larder_error *err)
{
	(void)rc;
	(void)err; /* the stage has logged it, and the tree's row says it */
	order_free((struct order *)interest);
}

int order_stage(struct larderd *d, uint64_t tree_id, int manifest_fd, const char *subset,
		uint32_t priority, struct own_remote *remote, struct larder_error *err)
{
	struct order *order = calloc(1, sizeof(*order));
	int rc;

	if (!order || (subset && !(order->subset = strdup(subset)))) {
		free(order);
		if (manifest_fd >= 0)
			close(manifest_fd);
		return larder_error_set(err, ENOMEM, "out of memory");
	}
	/* An admin's word, or a check of ours that dropped what was damaged: it is tried again. */
	inventory_quarantine_clear(d->inv, tree_id, NULL);
	order->d = d;
	order->interest.done = order_done;
	order->interest.subset = order->subset;
	order->interest.priority = priority;
	order->interest.remote = own_remote_ref(remote);
	DL_APPEND(d->orders, order);
	rc = stage_join(d, tree_id, manifest_fd, &order->interest, err);
	if (rc < 0)
		order_free(order);
	return rc;
}

void orders_close(struct larderd *d)
{
	while (d->orders) {
		stage_leave(&d->orders->interest);
		order_free(d->orders);
	}
}
