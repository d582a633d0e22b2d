/* Trees read again: asked for, or in turn. */
#ifndef SERVER_SCRUB_H
#define SERVER_SCRUB_H

#include <stdbool.h>

#include "server/larderd.h"
#include "server/session.h"

/* session NULL: nobody waits. -EBUSY while it is staged or evicted. */
int verify_start(struct larderd *d, const struct inv_tree *tree, bool repair, struct session *session,
		 struct larder_error *err);
/* The next READY tree in turn, repaired where it is damaged. */
void scrub_one(struct larderd *d);

#endif
