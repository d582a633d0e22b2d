/*
 * What a client of the publisher wants of which node, and what that makes of the nodes' lists: the
 * part of the publisher that decides. Pure.
 */
#ifndef SCHED_WISHES_H
#define SCHED_WISHES_H

#include <stddef.h>

#include "larder/error.h"

struct wishes;

/* Nodes with the same two lists to come: one request to slurmctld. */
struct wish_group {
	char *features, *active; /* owned */
	const char **nodes;	 /* names borrowed from the wishes, the array owned */
	size_t n, room;
};

/* NULL on ENOMEM. */
struct wishes *wishes_create(void);
void wishes_destroy(struct wishes *wishes);
/*
 * nodes, features: comma separated; changed in place. -EINVAL for what is no node's name or no
 * feature of ours, -E2BIG for too many; then nothing of this line is kept.
 */
int wishes_add(struct wishes *wishes, char *nodes, char *features, struct larder_error *err);
/* What slurmctld says that a node has; one without a wish, or that fits, makes no group. */
int wishes_have(struct wishes *wishes, const char *node, const char *features, const char *active,
		struct larder_error *err);
const struct wish_group *wishes_groups(const struct wishes *wishes, size_t *n);

#endif
