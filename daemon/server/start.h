/* The daemon as a whole: built up, run, torn down in reverse. main() calls these three. */
#ifndef SERVER_START_H
#define SERVER_START_H

#include "server/larderd.h"

/* d->config is loaded. What was opened before a failure is closed by larderd_stop. */
int larderd_start(struct larderd *d, struct larder_error *err);
/* Until SIGTERM or SIGINT; the exit code. */
int larderd_run(struct larderd *d);
void larderd_stop(struct larderd *d);

#endif
