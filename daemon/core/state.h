/*
 * May a tree go from one state to another: state.def's edges as a question, and its words read
 * back. Pure. Asked by store/inventory_tree.c before any row changes, and by the server.
 */
#ifndef CORE_STATE_H
#define CORE_STATE_H

#include <stdbool.h>

#include "larder/error.h"
#include "larder/wire.h"

/* Is (from, to) an edge of state.def? Staying as it is is no edge. False for numbers that are none.
 */
bool state_tree_may(unsigned int from, unsigned int to);
/* The same as 0 or -EINVAL with a sentence: asking for any other edge is a bug of ours. */
int state_tree_check(unsigned int from, unsigned int to, struct larder_error *err);

/* "ready" as enum larder_tree_state; -EINVAL when it is no such word. */
int state_tree_parse(const char *word);
/* "pending" as enum larder_outcome; -EINVAL when it is no such word. */
int state_outcome_parse(const char *word);

#endif
