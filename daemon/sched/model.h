/*
 * The fleet in memory: nodes, and what each holds. No lock of its own and no clock: sched.h says
 * who holds the lock. Nodes live as long as the model; 1,000 nodes with 200 trees each take about
 * 20 MB.
 */
#ifndef SCHED_MODEL_H
#define SCHED_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "larder/error.h"
#include "larder/wire.h"
#include "fleet/frames.h"
#include "sched/hash.h"

/* NAME:VERSION of the catalog: what can be a feature. */
struct label {
	UT_hash_handle hh;
	unsigned int refs;	  /* of its versions, and of nodes that publish it */
	struct version *versions; /* by digest; nearly always one */
	char *hidden;		  /* the keyed feature, made when first wanted */
	/* scratch of features_file.c: how many nodes publish it, and which */
	unsigned int published, first, last;
	char *holders;
	const char *name, *version;
	char key[];
};

/* A dataset version as nodes hold it: one for all of them. */
struct version {
	UT_hash_handle hh;
	struct label *label;	 /* NULL: a user's own */
	struct version *sibling; /* of the same label */
	unsigned int refs,
		ready; /* trees; and those of them that are READY on a node that answers */
	uint64_t shards, bytes;
	/* The access is a part of what it is: one node's word does not open it on the others. */
	const char *owner, *name, *version, *digest, *access;
	char key[];
};

struct held {
	uint64_t id, present_bytes, score_milli;
	struct version *version;
	int64_t last_use_s, stage_ms;
	int64_t advised_ms; /* when; 0: never */
	uint32_t advised;   /* copies that the node was told of; 0: nothing */
	uint32_t leases, pins;
	uint8_t state; /* enum larder_tree_state */
	bool counted;  /* in version->ready */
	bool seen;     /* scratch of an inventory */
	bool chosen;   /* published now */
	bool needed;   /* scratch of choose.c: a job waits for it */
};

struct node {
	UT_hash_handle hh;
	char *name, *address; /* HOST:PORT */
	unsigned int number;  /* in the order in which nodes became known, from 0 */
	bool fixed_address;   /* from nodes_file: Slurm's does not count */
	bool in_slurm, usable, idle;
	bool listed; /* scratch of a round of slurmctld */
	/* its inventory */
	struct held *held; /* by id */
	unsigned int n, room;
	uint64_t incarnation, seq;
	bool known;		       /* it has answered since we started */
	bool here;		       /* it answers: its trees count */
	int64_t seen_mono_ms, seen_s;  /* its last answer */
	struct larder_msg_STAND stand; /* its strings are not to be used: the next two are */
	char *release, *drained;
	char *problem; /* why it does not answer; NULL: it does */
	bool changed;  /* its trees, since features were chosen */
	/* polling */
	unsigned int failures;
	int64_t next_ms;
	/* frames for it, sent with the next question */
	struct frames orders;
	bool lost_orders; /* some did not arrive: say all of it again */
	/* features: ours, sorted, comma separated */
	char *have; /* as slurmctld has them; NULL: not known */
	char *want; /* NULL: leave them as they are */
	struct label **chosen;
	unsigned int n_chosen;
};

struct model {
	struct node *nodes; /* by name */
	struct version *versions;
	struct label *labels;
};

void model_fini(struct model *model);
struct node *model_find(const struct model *model, const char *name);
/* Finds or makes it. NULL on ENOMEM. */
struct node *model_node(struct model *model, const char *name);
/* 0 or -ENOMEM; what was text before is freed. */
int model_set_text(char **slot, const char *text);

/*
 * Takes a node's answer to INVENTORY: `rows` frames up to and with its STAND, len bytes, changed in
 * place. -EPROTO when they are not that. *took: bytes up to what follows its DONE.
 */
int model_take_inventory(struct model *model, struct node *node, uint8_t *frames, size_t len,
			 size_t *took, struct larder_error *err);
/* Whether its trees count as copies: not those of a node that does not answer any more. */
void model_node_here(struct node *node, bool here);

/* The version of this label that most nodes have READY; by digest among equals. */
const struct version *label_best(const struct label *label);
struct label *label_ref(struct label *label);
void model_label_unref(struct model *model, struct label *label);

#endif
