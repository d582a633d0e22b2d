/* Questions to larder-sched, which knows all nodes. */
#ifndef CTL_FLEET_SCHED_H
#define CTL_FLEET_SCHED_H

#include "ctl/fleet.h"

/* Is there one? */
bool fleet_sched_there(void);
/* A plain verb of the fleet: asks, prints the sheets, names the nodes that were silent. Returns the
 * exit code: CTL_FAILED when some were, for the answer is partial then. */
int fleet_sched_table(struct ctl *ctl, const struct fleet_request *request,
		      const unsigned int *types);
/* The nodes that hold what fits the pattern, as a list to be expanded; to free. */
int fleet_sched_holders(const char *pattern, char **list, struct larder_error *err);

#endif
