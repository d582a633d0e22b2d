/*
 * Which trees a client may see. Admins see all; others what they may read: asked of checks where it
 * is not known, with a bound, and what cannot be told is not shown.
 */
#ifndef SERVER_VISIBLE_H
#define SERVER_VISIBLE_H

#include <stddef.h>

#include "server/session.h"
#include "store/inventory.h"

struct visible;

/* Walks the trees in order of name and version. fn may not write; its non-zero answer ends the walk
 * and is returned. */
int visible_each(const struct visible *visible, inventory_tree_fn fn, void *arg);

/*
 * Looks into the rights to the trees that match name (NULL: all; it is kept until arg_free), then
 * calls fn, perhaps at once. Not called when the client goes away.
 */
typedef void (*visible_fn)(struct session *session, const struct visible *visible, void *arg);
void visible_look(struct session *session, const char *name, visible_fn fn, void *arg,
		  void (*arg_free)(void *));

#endif
