/* uthash as the server uses it. The default function falls through its switch, which clang warns
 * of. */
#ifndef SERVER_HASH_H
#define SERVER_HASH_H

#define HASH_FUNCTION HASH_OAT
#include <uthash.h>

#endif
