/* What the control thread has, shared by its files: control.c, nodes.c, orders.c, publishing.c. */
#ifndef SCHED_CONTROL_H
#define SCHED_CONTROL_H

#include "sched/ahead.h"
#include "sched/bound.h"
#include "sched/ctld.h"
#include "sched/sched.h"

struct control {
	struct sched *sched;
	struct ctld *ctld;
	struct ahead *ahead;
	struct bound *bound;
	struct features_file *file;
	int wake_fd;						    /* readable: a signal */
	int64_t slurm_ms, publish_ms, bound_ms, advise_ms, file_ms; /* when each is due */
	unsigned int ctld_failures;
};

/* --- nodes.c: what slurmctld and nodes_file say --- */

/* Reads nodes_file, if there is one. 0 or -errno. */
int nodes_file_read(struct sched *sched, struct larder_error *err);
/* Asks slurmctld for nodes and jobs; may wait for its timeout. Logs what fails. */
void nodes_ask_slurm(struct control *c);

/* --- orders.c: what nodes are told --- */

/* An order into the node's frames; for ahead_update and ahead_due. arg: struct control. */
void orders_ahead(const struct ahead_order *order, void *control);
/* What is due: staging ahead, and advice about copies. Pokes the poller when there is any. */
void orders_give(struct control *c, int64_t now_ms);

/* --- publishing.c: features --- */

/* Chooses for the nodes that changed; those that fell silent lose theirs. */
void publishing_choose(struct control *c, int64_t now_ms);
/* Tells the publisher what differs from what slurmctld has, and which jobs cannot wait for features
 * any more; may wait for slurmctld. */
void publishing_publish(struct control *c);
/* Takes all features off, for a stop, and out of the constraints of jobs that wait. */
void publishing_remove(struct control *c);
/* The file that job_submit.lua reads. */
void publishing_file(struct control *c);

#endif
