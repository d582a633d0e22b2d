/* How many copies of a tree the fleet has, as far as somebody said so lately. */
#ifndef SERVER_ADVICE_H
#define SERVER_ADVICE_H

#include "server/larderd.h"

/* 0: nobody said. */
uint32_t advice_copies(struct larderd *d, uint64_t tree_id);
/* Forgets what was not renewed, or all. */
void advice_expire(struct larderd *d, bool all);

#endif
