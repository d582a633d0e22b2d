/*
 * Owns the question who is an admin; asks NSS only when the configuration is read, and the kernel
 * (SO_PEERGROUPS) for everything else, so that no look-up stands in a client's way.
 * Must not be asked about anybody but the peer of a socket. Called by sessions.
 */
#include "server/admins.h"

#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "larder/cleanup.h"

#define PEER_GROUPS_MAX 65536 /* NGROUPS_MAX of Linux */

static void fleet_look_up(const struct config *config, struct admins *admins)
{
	char buf[16384];
	struct passwd user, *found = NULL;

	admins->n_fleet = 0;
	for (unsigned int i = 0; i < config->fleet_users.count; i++) {
		if (admins->n_fleet == sizeof(admins->fleet) / sizeof(admins->fleet[0]))
			return;
		if (!getpwnam_r(config->fleet_users.items[i], &user, buf, sizeof(buf), &found) &&
		    found)
			admins->fleet[admins->n_fleet++] = user.pw_uid;
	}
}

void admins_look_up(const struct config *config, struct admins *admins)
{
	char buf[16384];
	struct group group, *found = NULL;

	fleet_look_up(config, admins);
	admins->n = 0;
	for (unsigned int i = 0; i < config->admin_groups.count; i++) {
		if (admins->n == sizeof(admins->gids) / sizeof(admins->gids[0]))
			return;
		if (!getgrnam_r(config->admin_groups.items[i], &group, buf, sizeof(buf), &found) &&
		    found)
			admins->gids[admins->n++] = group.gr_gid;
	}
}

static bool admins_have(const struct admins *admins, gid_t gid)
{
	for (unsigned int i = 0; i < admins->n; i++)
		if (admins->gids[i] == gid)
			return true;
	return false;
}

bool admins_peer(const struct admins *admins, int fd, uid_t uid, gid_t gid)
{
	socklen_t len = PEER_GROUPS_MAX * sizeof(gid_t);
	auto_free gid_t *groups = NULL;

	if (uid == 0 || admins_have(admins, gid))
		return true;
	groups = malloc(len);
	if (!groups || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len))
		return false;
	for (size_t i = 0; i < len / sizeof(gid_t); i++)
		if (admins_have(admins, groups[i]))
			return true;
	return false;
}

bool admins_remote(const struct admins *admins, uid_t uid, gid_t gid, const gid_t *groups,
		   unsigned int n)
{
	if (uid == 0 || admins_have(admins, gid))
		return true;
	for (unsigned int i = 0; i < n; i++)
		if (admins_have(admins, groups[i]))
			return true;
	return false;
}

bool admins_fleet(const struct admins *admins, uid_t uid)
{
	for (unsigned int i = 0; i < admins->n_fleet; i++)
		if (admins->fleet[i] == uid)
			return true;
	return false;
}
