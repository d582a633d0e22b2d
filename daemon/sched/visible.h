/*
 * What a user of larder(1) may see of the fleet. NSS and nodes are asked: for a thread that may
 * wait, and without the lock of sched.h.
 */
#ifndef SCHED_VISIBLE_H
#define SCHED_VISIBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "fleet/credential.h"
#include "sched/sched.h"

struct viewer {
	uid_t uid;
	gid_t gid;
	bool admin; /* root, or a member of admin_groups */
};

/* One question. Strings borrowed. */
struct sight {
	const char *owner, *name, *version, *access;
	const char *node, *address; /* one that holds it, and can be asked; NULL: none */
	bool visible;		    /* the answer */
};

/* NULL on ENOMEM. */
struct visible_cache *visible_cache_create(void);
void visible_cache_destroy(struct visible_cache *cache);

void viewer_look_up(const struct sched *sched, const struct fleet_peer *peer,
		    struct viewer *viewer);
/*
 * Answers them all. access=origin is asked of a node that holds it, each node once for all of them;
 * who cannot be asked in time means no. Answers are remembered for access_ttl.
 */
void sights_look(struct sched *sched, const struct viewer *viewer, struct sight *sights, size_t n);

#endif
