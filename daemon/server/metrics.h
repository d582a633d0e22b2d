/* Counters and gauges as Prometheus text, from counter.def and the state of the node. */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include "server/larderd.h"
#include "server/visible.h"

/* Writes config.metrics_file atomically, by a worker; public datasets only (anybody may read it).
 */
void metrics_write(struct larderd *d);

#endif
