/*
 * What the fleet knows of this node, and how much of it is news: every change of a tree, its leases
 * or its pins has a number, so that who asks again is told of what changed since, and an idle node
 * is polled for next to nothing.
 */
#ifndef SERVER_STAND_H
#define SERVER_STAND_H

struct larderd;

/* Nobody is told of changes any more; the next INVENTORY begins a new incarnation. NULL is fine. */
void stand_forget(struct larderd *d);

#endif
