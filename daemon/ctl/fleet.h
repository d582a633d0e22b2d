/*
 * Asking the daemons of one node or of many. Connections come about at the same time, so that dead
 * nodes cost one deadline together; answers are taken one after the other.
 */
#ifndef CTL_FLEET_H
#define CTL_FLEET_H

#include "ctl/ctl.h"
#include "ctl/sheets.h"
#include "larder/client.h"

#define FLEET_CONNECT_MS 5000
#define FLEET_ANSWER_MS	 30000
#define FLEET_PATIENT_MS (24 * 60 * 60 * 1000) /* work that says nothing while it runs */

/* One node's part: 0 or -errno with the sentence. */
typedef int (*fleet_fn)(struct ctl *ctl, size_t node, struct larder_client *client, void *arg,
			struct larder_error *err);
/*
 * Calls fn for each node of ctl that answers; says on stderr which did not and what failed. Returns
 * the exit code: one node's own; with several: CTL_DONE when all are, what they have in common when
 * all failed alike, CTL_UNREACHABLE when none answered, else CTL_FAILED.
 */
int fleet_each(struct ctl *ctl, fleet_fn fn, void *arg);

/* The name for the NODE column; NULL when only one node is asked. */
const char *fleet_node(const struct ctl *ctl, size_t node);

struct fleet_request {
	unsigned int type; /* LARDER_MSG_… */
	const void *msg;
	int answer_ms;
};
/* A fleet_fn's usual work: sends, puts rows and DONE's note into sheets. */
int fleet_ask(struct ctl *ctl, size_t node, struct larder_client *client,
	      const struct fleet_request *request, struct sheets *sheets, struct larder_error *err);
/*
 * The whole of a plain verb: asks every node, prints the sheets. upright: row type shown upright, 0
 * for none. Returns the exit code.
 */
int fleet_table(struct ctl *ctl, const struct fleet_request *request, const unsigned int *types,
		unsigned int upright);

#endif
