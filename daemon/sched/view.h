/*
 * The fleet as one answer needs it: copied out of the model under the lock, so that what follows
 * may wait. Only names of nodes are borrowed: nodes stay.
 */
#ifndef SCHED_VIEW_H
#define SCHED_VIEW_H

#include "sched/hash.h"
#include "sched/model.h"
#include "sched/visible.h"

/* A tree on a node. */
struct view_copy {
	const struct node *node; /* name alone may be read without the lock */
	const char *name;
	uint8_t state;
	uint64_t present_bytes;
	int64_t stage_ms;
	bool usable, idle; /* to Slurm */
};

/* A dataset version, and who has it. */
struct view_set {
	UT_hash_handle hh;
	const struct version *version; /* the key; not to be followed */
	char *owner, *name, *label, *digest, *access, *node, *address;
	const char *version_text; /* in label */
	uint64_t bytes, copies_bytes;
	uint32_t leases, ready;
	struct view_copy *copies;
	unsigned int n, room;
};

struct view {
	struct view_set *sets; /* sorted: name, version, owner, digest */
};

/*
 * What nodes that answer hold, of names or labels that fit the pattern ("" all), and what this
 * viewer may see of it. May wait for nodes and NSS. 0 or -ENOMEM.
 */
int fleet_view_make(struct sched *sched, const struct viewer *viewer, const char *pattern,
		    struct view *view);
void fleet_view_fini(struct view *view);
/* The set's nodes, folded; ready_only: those that have it READY. To free. */
char *fleet_view_nodes(const struct view_set *set, bool ready_only);

#endif
