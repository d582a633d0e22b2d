/* Who is an admin: root and the members of admin_groups. And who may ask for the fleet. */
#ifndef SERVER_ADMINS_H
#define SERVER_ADMINS_H

#include <stdbool.h>
#include <sys/types.h>

#include "server/config.h"

/* The groups' and users' numbers. NSS may block: at start, and in a worker when the configuration
 * is read again. */
struct admins {
	gid_t gids[32];
	unsigned int n;
	uid_t fleet[8]; /* of fleet_users */
	unsigned int n_fleet;
};
void admins_look_up(const struct config *config, struct admins *admins);
/* Is the process at the other end of the socket an admin? By the groups the kernel says it has. */
bool admins_peer(const struct admins *admins, int fd, uid_t uid, gid_t gid);
/* The same of somebody on another machine, by the groups that were looked up for them. */
bool admins_remote(const struct admins *admins, uid_t uid, gid_t gid, const gid_t *groups,
		   unsigned int n);
/* Is it one of fleet_users? */
bool admins_fleet(const struct admins *admins, uid_t uid);

#endif
