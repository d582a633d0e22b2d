/* Users' names for people to read. NSS may block, so a worker asks it; until then a number stands.
 */
#ifndef SERVER_NAMES_H
#define SERVER_NAMES_H

#include <stddef.h>
#include <sys/types.h>

struct larderd;

/* "alice", or "1001" until the name is known. Writes into buf and returns it. */
const char *names_user(struct larderd *d, uid_t uid, char *buf, size_t len);
void names_forget(struct larderd *d);

#endif
