/*
 * Owns who may use a dataset, as its manifest says, and what an origin's text may be.
 * Must not decide for `origin`: there the origin's own permissions do.
 * Called by the manifest's head, the catalog, the daemon's checker child. NSS: may block.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/manifest.h"

#define NSS_BUFFER_MAX (1u << 20) /* bytes; a larger entry is taken as unknown */
#define GROUPS_MAX     65536	  /* the kernel's NGROUPS_MAX */

static int refuse(struct larder_error *err, const char *what, const char *text, const char *fault)
{
	char bad[200];

	return larder_error_set(err, EINVAL, "bad %s \"%s\": %s", what,
				larder_text_quote(text, SIZE_MAX, bad, sizeof(bad)), fault);
}

/* One or more names or numbers, commas between. What useradd takes, and what AD joins bring. */
static bool is_who_list(const char *who)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-$@\\+,";
	size_t len = strlen(who);

	return len && who[strspn(who, allowed)] == '\0' && who[0] != ',' && who[len - 1] != ',' &&
	       !strstr(who, ",,");
}

int larder_access_parse(const char *text, struct larder_access *access, struct larder_error *err)
{
	static const char allowed[] = "write origin, public, users=NAME,... or groups=NAME,...";
	const char *who = strchr(text, '=');

	memset(access, 0, sizeof(*access));
	if (strcmp(text, "origin") == 0)
		return 0;
	if (strcmp(text, "public") == 0) {
		access->kind = LARDER_ACCESS_PUBLIC;
		return 0;
	}
	if (strncmp(text, "users=", 6) == 0)
		access->kind = LARDER_ACCESS_USERS;
	else if (strncmp(text, "groups=", 7) == 0)
		access->kind = LARDER_ACCESS_GROUPS;
	else
		return refuse(err, "access", text, allowed);
	if (!who || !is_who_list(who + 1) || strlen(who + 1) >= sizeof(access->who))
		return refuse(err, "access", text,
			      "names or numbers with commas between, 1023 bytes");
	strcpy(access->who, who + 1);
	return 0;
}

const char *larder_access_format(const struct larder_access *access, char *buf, size_t len)
{
	static const char *const words[] = {"origin", "public", "users=", "groups="};

	snprintf(buf, len, "%s%s", words[access->kind & 3], access->who);
	return buf;
}

/* Is `token` a plain number, and equal to id? */
static bool is_id(const char *token, unsigned int id)
{
	uint64_t value;

	return larder_u64_parse(token, &value, NULL) == 0 && value == id;
}

/* The user's name, a string to free; NULL where NSS knows none. */
static char *user_name(uid_t uid)
{
	for (size_t room = 1024; room <= NSS_BUFFER_MAX; room *= 4) {
		auto_free char *buf = malloc(room);
		struct passwd entry, *found = NULL;
		int rc = buf ? getpwuid_r(uid, &entry, buf, room, &found) : ENOMEM;

		if (rc == ERANGE)
			continue;
		return found ? strdup(found->pw_name) : NULL;
	}
	return NULL;
}

static bool group_id(const char *name, gid_t *gid)
{
	for (size_t room = 1024; room <= NSS_BUFFER_MAX; room *= 4) {
		auto_free char *buf = malloc(room);
		struct group entry, *found = NULL;
		int rc = buf ? getgrnam_r(name, &entry, buf, room, &found) : ENOMEM;

		if (rc == ERANGE)
			continue;
		if (found)
			*gid = found->gr_gid;
		return found != NULL;
	}
	return false;
}

static bool users_allow(char *who, uid_t uid)
{
	auto_free char *name = user_name(uid);
	const char *token;

	while ((token = strsep(&who, ",")))
		if (is_id(token, uid) || (name && strcmp(token, name) == 0))
			return true;
	return false;
}

/* The user's groups by NSS; *count of them. At least the primary one. NULL on ENOMEM. */
static gid_t *user_groups(uid_t uid, gid_t gid, int *count)
{
	auto_free char *name = user_name(uid);
	int room = 64;

	for (;;) {
		auto_free gid_t *groups = calloc((size_t)room, sizeof(*groups));

		if (!groups)
			return NULL;
		groups[0] = gid;
		*count = name ? room : 1;
		if (!name || getgrouplist(name, gid, groups, count) >= 0)
			return take_ptr(&groups);
		if (room >= GROUPS_MAX)
			return NULL;
		room *= 4;
	}
}

static bool groups_allow(char *who, uid_t uid, gid_t gid)
{
	int count = 0;
	auto_free gid_t *groups = user_groups(uid, gid, &count);
	const char *token;

	while (groups && (token = strsep(&who, ","))) {
		gid_t wanted = 0;
		bool known = group_id(token, &wanted);

		for (int i = 0; i < count; i++)
			if (is_id(token, groups[i]) || (known && wanted == groups[i]))
				return true;
	}
	return false;
}

int larder_access_allows(const struct larder_access *access, uid_t uid, gid_t gid)
{
	char who[sizeof(access->who)];

	if (uid == 0)
		return 1;
	memcpy(who, access->who, sizeof(who));
	switch (access->kind) {
	case LARDER_ACCESS_ORIGIN:
	case LARDER_ACCESS_PUBLIC: return 1;
	case LARDER_ACCESS_USERS: return users_allow(who, uid);
	case LARDER_ACCESS_GROUPS: return groups_allow(who, uid, gid);
	}
	return 0;
}
