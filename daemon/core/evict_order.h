/*
 * The order in which trees go, apart from how many: evict.c's private half.
 */
#ifndef CORE_EVICT_ORDER_H
#define CORE_EVICT_ORDER_H

#include "core/evict.h"

/* First to go first. */
enum evict_class {
	EVICT_CLASS_FAILED,
	EVICT_CLASS_AHEAD,
	EVICT_CLASS_SUPERSEDED,
	EVICT_CLASS_ONCE,
	EVICT_CLASS_SCORE,
	EVICT_CLASS_GRACE, /* only when nothing else is left */
};

struct evict_order {
	const struct evict_params *params;
	const struct evict_candidate *candidates;
	size_t n;
};

enum evict_class evict_class_of(const struct evict_order *order, const struct evict_candidate *c);
const char *evict_class_word(enum evict_class class);

/* Puts the candidates that may go into `victims`, in order, with index and rank; returns how many.
 */
size_t evict_order_fill(const struct evict_order *order, struct evict_victim *victims);
/* Back into the order of their ranks. */
void evict_order_sort(struct evict_victim *victims, size_t n);

#endif
