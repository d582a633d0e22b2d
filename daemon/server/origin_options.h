/* How remote origins are read, as the configuration has it at the start. */
#ifndef SERVER_ORIGIN_OPTIONS_H
#define SERVER_ORIGIN_OPTIONS_H

#include "server/larderd.h"

/* Fills d->origin_options, which borrows from the configuration, and the limits. -ENOMEM. */
int origin_options_set(struct larderd *d, struct larder_error *err);
/* When no transfer thread runs any more. */
void origin_options_fini(struct larderd *d);

#endif
