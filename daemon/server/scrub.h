/* Trees read again: asked for, or in turn. */
#ifndef SERVER_SCRUB_H
#define SERVER_SCRUB_H

#include <stdbool.h>

#include "server/larderd.h"
#include "server/session.h"

/* session NULL: nobody waits. -EBUSY while it is staged or evicted. */
int verify_start(struct larderd *d, const struct inv_tree *tree, bool repair,
		 struct session *session, struct larder_error *err);
/* Is damage of this tree being taken out just now? Then nothing may be staged into it. */
bool verify_claims(struct larderd *d, uint64_t tree_id);
/* A stage or a trim of this tree is over: a verify that waited for it goes on. */
void verify_go_on(struct larderd *d, uint64_t tree_id);
/* For the end of the daemon: reading stops; and when all threads are gone, what still waited is
 * freed. */
void verifies_stop(struct larderd *d);
void verifies_close(struct larderd *d);
/* The next READY tree in turn, repaired where it is damaged. */
void scrub_one(struct larderd *d);

#endif
