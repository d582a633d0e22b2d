/* Which of a node's trees are published as features, and which copies nodes are told of. Pure. */
#ifndef SCHED_CHOOSE_H
#define SCHED_CHOOSE_H

#include "fleet/seal.h"
#include "sched/bound.h"
#include "sched/feature.h"
#include "sched/model.h"

struct choose_params {
	unsigned int per_node;
	bool omit_hidden;	    /* what is not public is not published at all */
	const struct seal_key *key; /* of the hidden ones' hashes */
	const struct bound *bound;  /* what waiting jobs need is never left out; NULL: none wait */
};

/*
 * The feature of a label into text; false: it has none (no tree, or it is not to be published).
 */
bool choose_feature(struct label *label, const struct choose_params *params,
		    char text[FEATURE_MAX + 1]);
/*
 * Sets node->want and node->chosen: READY trees of the catalog, the version's usual digest, by the
 * nodes' own score; what is published already is worth a quarter more, so that two trees of equal
 * worth do not take turns. One that does not answer is to have none. 0 or -ENOMEM.
 */
int choose_features(struct model *model, struct node *node, const struct choose_params *params);

/* How many copies a node is to be told of for one of its trees; 0: nothing to say. */
uint32_t choose_advice(const struct held *held, unsigned int many, int64_t now_ms, int64_t ttl_ms);

#endif
