/*
 * Owns a small memory of users' names. Display only: nothing is ever decided by a name.
 * Must not ask NSS on the control thread. Used where rows and sentences are made.
 */
#include "server/hash.h"
#include "server/names.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/larderd.h"

struct names {
	UT_hash_handle hh;
	uid_t uid;
	char name[64];
	char found[64]; /* the worker's */
	struct work work;
	struct larderd *d;
};

static void name_look_up(struct work *work)
{
	struct names *entry = CONTAINER(work, struct names, work);
	char buf[4096];
	struct passwd pw, *found = NULL;

	if (!getpwuid_r(entry->uid, &pw, buf, sizeof(buf), &found) && found)
		snprintf(entry->found, sizeof(entry->found), "%s", pw.pw_name);
}

static void name_found(struct work *work)
{
	struct names *entry = CONTAINER(work, struct names, work);

	if (entry->found[0])
		snprintf(entry->name, sizeof(entry->name), "%s", entry->found);
}

const char *names_user(struct larderd *d, uid_t uid, char *buf, size_t len)
{
	struct names *entry;

	HASH_FIND(hh, d->names, &uid, sizeof(uid), entry);
	if (!entry && (entry = calloc(1, sizeof(*entry)))) {
		entry->uid = uid;
		snprintf(entry->name, sizeof(entry->name), "%u", uid);
		entry->work = (struct work){.run = name_look_up, .done = name_found};
		HASH_ADD(hh, d->names, uid, sizeof(uid), entry);
		worker_run(d->workers, &entry->work);
	}
	snprintf(buf, len, "%s", entry ? entry->name : "?");
	return buf;
}

void names_forget(struct larderd *d)
{
	struct names *entry, *tmp;

	HASH_ITER(hh, d->names, entry, tmp)
	{
		HASH_DEL(d->names, entry);
		free(entry);
	}
}
