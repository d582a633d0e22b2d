/* Who is an admin: root and the members of admin_groups. */
#ifndef SERVER_ADMINS_H
#define SERVER_ADMINS_H

#include <stdbool.h>
#include <sys/types.h>

#include "server/config.h"

/* The groups' numbers. NSS may block: at start, and in a worker when the configuration is read
 * again. */
struct admins {
	gid_t gids[32];
	unsigned int n;
};
void admins_look_up(const struct config *config, struct admins *admins);
/* Is the process at the other end of the socket an admin? By the groups the kernel says it has. */
bool admins_peer(const struct admins *admins, int fd, uid_t uid, gid_t gid);

#endif
