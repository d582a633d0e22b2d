/* Reading the configuration again: SIGHUP and `larder reload`. A wrong file changes nothing. */
#ifndef SERVER_RELOAD_H
#define SERVER_RELOAD_H

#include "server/larderd.h"
#include "server/session.h"

/* session NULL: nobody waits. Answered by DONE with what a restart is needed for, or ERROR. */
int reload_start(struct larderd *d, struct session *session, struct larder_error *err);
/* What follows from the configuration and is no copy of it: policy, rates. */
int reload_apply(struct larderd *d, struct larder_error *err);
/* The limits of origins, as the configuration has them now. */
int reload_limits(struct larderd *d, struct larder_error *err);

#endif
