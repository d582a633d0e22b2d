/* The audit log of many nodes as a trace for the simulator: one line a dataset of a job on a node.
 */
#ifndef CTL_TRACE_H
#define CTL_TRACE_H

#include <stdbool.h>
#include <stdio.h>

#include "larder/error.h"
#include "larder/wire.h"

struct trace;

/* names: users by name, else as u1, u2, … in the order in which they come. 0 or -ENOMEM. */
int trace_create(FILE *out, bool names, struct trace **trace);
void trace_destroy(struct trace *trace);
/* The next event of that node, oldest first; writes a line when a job gives its dataset back. What
 * is no part of a trace is passed over. 0 or -ENOMEM. */
int trace_event(struct trace *trace, const char *node, const struct larder_msg_EVENT *event,
		struct larder_error *err);
/* The node's log is at its end: what has not ended by now is forgotten. One node after the other.
 */
void trace_node_end(struct trace *trace);

#endif
