/*
 * Owns: taking on a user's ids for file system checks, in one thread.
 * Must not: touch other threads' ids (no glibc setgroups), or keep state between enter and leave.
 * Called by: the kinds of origins, around each open.
 */
#include <errno.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "origin/origins.h"

/* glibc's setgroups changes every thread of the process; the system call only this one. */
static int thread_setgroups(size_t n, const gid_t *groups)
{
	return (int)syscall(SYS_setgroups, n, groups);
}

static bool must_change(const struct source_as *as)
{
	return as->uid != 0 && geteuid() == 0;
}

int source_as_enter(const struct source_as *as, struct larder_error *err)
{
	if (as->uid != 0 && geteuid() != 0 && geteuid() != as->uid)
		return larder_error_set(err, EPERM, "only root can read an origin as user %u",
					(unsigned int)as->uid);
	if (!must_change(as))
		return 0;
	if (thread_setgroups(as->n_groups, as->groups) < 0)
		return larder_error_set(err, errno, "take the groups of user %u: %s",
					(unsigned int)as->uid, strerror(errno));
	setfsgid(as->gid);
	setfsuid(as->uid);
	/* Neither tells of a failure; asked with an impossible id they tell what is now. */
	if ((gid_t)setfsgid((gid_t)-1) != as->gid || (uid_t)setfsuid((uid_t)-1) != as->uid) {
		source_as_leave(as);
		return larder_error_set(err, EPERM, "take the ids of user %u: not permitted",
					(unsigned int)as->uid);
	}
	return 0;
}

void source_as_leave(const struct source_as *as)
{
	if (!must_change(as))
		return;
	setfsuid(geteuid()); /* gives the file system capabilities back, too */
	setfsgid(getegid());
	thread_setgroups(0, NULL); /* root needs none here */
}
