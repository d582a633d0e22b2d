/* Rows as the CLI gets them, made from what the inventory has. */
#ifndef SERVER_ROW_H
#define SERVER_ROW_H

#include "server/larderd.h"
#include "server/session.h"

void row_tree(struct session *session, const struct inv_tree *tree, const struct inv_hold *hold);
/* One lease of that tree; the caller knows that the session may see it. */
void row_lease(struct session *session, const struct inv_tree *tree, const struct inv_lease *lease);
/* Leases of a tree: to an admin all, to a user their own. */
void row_leases(struct session *session, const struct inv_tree *tree);
void row_sources(struct session *session, const struct inv_tree *tree);
void row_pins(struct session *session, const struct inv_tree *tree);
void row_event(struct session *session, const struct inv_event *event);

#endif
