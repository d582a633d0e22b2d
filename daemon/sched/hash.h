/* uthash as larder-sched uses it. The default function falls through its switch, which clang warns
 * of. */
#ifndef SCHED_HASH_H
#define SCHED_HASH_H

#define HASH_FUNCTION HASH_OAT
#include <uthash.h>

#endif
