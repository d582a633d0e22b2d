/* `larder explain SPEC` for the fleet: where a dataset is, and how soon a job could have it. */
#ifndef SCHED_EXPLAIN_H
#define SCHED_EXPLAIN_H

#include "sched/view.h"

/* Says each sentence. */
typedef int (*explain_fn)(const char *text, void *arg, struct larder_error *err);
int explain_set(const struct view_set *set, explain_fn fn, void *arg, struct larder_error *err);

#endif
