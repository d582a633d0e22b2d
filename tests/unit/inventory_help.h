/*
 * What the tests of the inventory share: a call that must succeed, with the inventory's sentence
 * when it does not. `w` is the test's world, which has the err that the call was given. And a tree.
 */
#ifndef TESTS_INVENTORY_HELP_H
#define TESTS_INVENTORY_HELP_H

#include <stdio.h>
#include <string.h>

#include "store/inventory.h"

#define ok(call)                                                                                   \
	do {                                                                                       \
		int rc_ = (call);                                                                  \
		if (rc_)                                                                           \
			fail_msg("%s: %d %s", #call, rc_, w->err.text);                            \
	} while (0)

/* NAME:v1 of the site, READY. Its number; 0: it could not be made. */
static inline uint64_t ready_tree(struct inventory *inv, const char *name)
{
	struct inv_tree t = {.tier = "nvme",
			     .domain = "site",
			     .version = "v1",
			     .origin = "/data",
			     .state = LARDER_TREE_STAGING,
			     .owner = INV_OWNER_SITE,
			     .shards = 10,
			     .bytes = 1000};

	snprintf(t.name, sizeof(t.name), "%s", name);
	snprintf(t.digest, sizeof(t.digest), "%032x", 7);
	if (inventory_tree_insert(inv, &t, NULL) ||
	    inventory_tree_state(inv, t.id, LARDER_TREE_READY, NULL, NULL))
		return 0;
	return t.id;
}

#endif
