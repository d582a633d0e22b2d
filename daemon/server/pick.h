/* The one tree that a verb's SPEC names, as the session's user may see it. */
#ifndef SERVER_PICK_H
#define SERVER_PICK_H

#include "server/session.h"
#include "store/inventory.h"

/*
 * fn is called (perhaps later) with the tree: the newest access among those that fit, a user's own
 * before the site's. Where there is none the session is refused and fn is not called. arg:
 * malloc'ed, freed in every case; NULL counts as out of memory.
 */
typedef void (*pick_fn)(struct session *session, const struct inv_tree *tree, void *arg);
void pick_tree(struct session *session, const char *spec, pick_fn fn, void *arg);

#endif
