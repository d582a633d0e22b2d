/*
 * The node's service to other machines: what comes in over fleet_listen becomes a session like one
 * of the socket's, marked remote.
 */
#ifndef SERVER_GATEWAY_H
#define SERVER_GATEWAY_H

#include "larder/error.h"

struct larderd;

/* Listens at config.fleet_listen; "": does nothing. */
int gateway_start(struct larderd *d, struct larder_error *err);
/* Returns when no thread of it is left. What they posted may still be in the mailbox. */
void gateway_stop(struct larderd *d);

#endif
