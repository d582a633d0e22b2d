/*
 * Owns the bounds and the ids of a check's child: what it may use, and as whom it looks.
 * Must not know what is checked. Failing to lose a right is fatal to the check, never ignored.
 * Called by check_helper.c, in the child only.
 */
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "larder/cleanup.h"
#include "server/check_helper.h"

#define MEMORY_BYTES (UINT64_C(2) << 30)
#define OWN_MEMORY_BYTES                                                                           \
	(UINT64_C(16) << 30)		   /* address space; a million shards use some 300 MB      \
					    */
#define OWN_FILE_BYTES (UINT64_C(2) << 30) /* a manifest of 10 million shards */
#define FILES	       4096
#define NSS_BUFFER_MAX (1u << 20)
#define GROUPS_MAX     65536 /* NGROUPS_MAX of the kernel */

static int limit(int what, uint64_t value, struct larder_error *err)
{
	struct rlimit now, want = {.rlim_cur = value, .rlim_max = value};

	if (getrlimit((__rlimit_resource_t)what, &now) == 0 && now.rlim_max < want.rlim_max)
		want.rlim_cur = want.rlim_max = now.rlim_max;
	if (setrlimit((__rlimit_resource_t)what, &want) < 0)
		return larder_error_set(err, errno, "limit of the check (%d): %m", what);
	return 0;
}

/* The address sanitizer maps terabytes. */
static bool may_limit_memory(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
	return false;
#endif
#endif
	return true;
}

static int die_with_parent(struct larder_error *err)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return larder_error_set(err, errno, "prctl(PR_SET_PDEATHSIG): %m");
	return 0;
}

int check_confine(const struct check_job *job, struct larder_error *err)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t seconds = (uint64_t)job->timeout_ms / 1000 + 2;
	int rc;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return larder_error_set(err, errno, "prctl(PR_SET_NO_NEW_PRIVS): %m");
	rc = die_with_parent(err);
	if (!rc)
		rc = limit(RLIMIT_CORE, 0, err);
	if (!rc)
		rc = limit(RLIMIT_NOFILE, FILES, err);
	if (!rc)
		rc = limit(RLIMIT_CPU, job->own && cpus > 1 ? seconds * (uint64_t)cpus : seconds,
			   err);
	if (!rc && job->own)
		rc = limit(RLIMIT_FSIZE, OWN_FILE_BYTES, err);
	if (!rc && may_limit_memory())
		rc = limit(RLIMIT_AS, job->own ? OWN_MEMORY_BYTES : MEMORY_BYTES, err);
	return rc;
}

/* What pick finds in the user's entry in NSS, to free. 0 with NULL: there is none. -errno: NSS does
 * not answer. */
static int user_field(uid_t uid, char *(*pick)(const struct passwd *entry), char **field)
{
	*field = NULL;
	for (size_t room = 1024; room <= NSS_BUFFER_MAX; room *= 4) {
		auto_free char *buf = malloc(room);
		struct passwd entry, *found = NULL;
		int rc = buf ? getpwuid_r(uid, &entry, buf, room, &found) : ENOMEM;

		if (rc == ERANGE)
			continue;
		if (found && !(*field = strdup(pick(found))))
			return -ENOMEM;
		return found || rc == ENOENT || rc == ESRCH ? 0 : -rc;
	}
	return -ERANGE;
}

static char *pick_name(const struct passwd *entry)
{
	return entry->pw_name;
}

static char *pick_home(const struct passwd *entry)
{
	return entry->pw_dir;
}

int check_user_home(uid_t uid, char **home)
{
	return user_field(uid, pick_home, home);
}

static int take_groups(uid_t uid, gid_t gid, struct larder_error *err)
{
	auto_free char *name = NULL;
	auto_free gid_t *groups = NULL;
	int count = GROUPS_MAX, rc = user_field(uid, pick_name, &name);

	if (rc)
		return larder_error_set(err, rc, "the user database does not tell about uid %u: %s",
					uid, strerror(-rc));
	groups = calloc((size_t)count, sizeof(*groups));
	if (!groups)
		return larder_error_set(err, ENOMEM, "out of memory");
	groups[0] = gid;
	if (!name)
		count = 1;
	else if (getgrouplist(name, gid, groups, &count) < 0)
		return larder_error_set(err, E2BIG, "user %s is in more than %d groups", name,
					GROUPS_MAX);
	if (setgroups((size_t)count, groups) < 0)
		return larder_error_set(err, errno, "take the groups of uid %u: %m", uid);
	return 0;
}

int check_look_as_user(uid_t uid, gid_t gid, struct larder_error *err)
{
	int rc = take_groups(uid, gid, err);

	if (rc)
		return rc;
	if (setresgid(gid, gid, gid) < 0 || setresuid((uid_t)-1, uid, (uid_t)-1) < 0)
		return larder_error_set(err, errno, "look as uid %u: %m", uid);
	return die_with_parent(err);
}

int check_look_as_root(struct larder_error *err)
{
	if (setresuid((uid_t)-1, 0, (uid_t)-1) < 0)
		return larder_error_set(err, errno, "look as root again: %m");
	return 0;
}

/* Groups are there already. Each call is believed only after the kernel says what now is. */
int check_become_user(uid_t uid, gid_t gid, struct larder_error *err)
{
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;

	if (geteuid() != 0 && check_look_as_root(err))
		return -EPERM;
	if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return larder_error_set(err, errno, "become uid %u: %m", uid);
	if (getresuid(&ruid, &euid, &suid) < 0 || getresgid(&rgid, &egid, &sgid) < 0 ||
	    ruid != uid || euid != uid || suid != uid || rgid != gid || egid != gid || sgid != gid)
		return larder_error_set(err, EPERM, "become uid %u: the ids did not change", uid);
	if (uid != 0 && setresuid((uid_t)-1, 0, (uid_t)-1) == 0)
		return larder_error_set(err, EPERM, "become uid %u: the way back to root is open",
					uid);
	/* Nobody but root looks into this process; the kernel does the same at a change of ids. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return larder_error_set(err, errno, "prctl(PR_SET_DUMPABLE): %m");
	return die_with_parent(err);
}
