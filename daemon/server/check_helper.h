/* Inside of the check's child process only: its request, the change of ids, the probe of an origin.
 */
#ifndef SERVER_CHECK_HELPER_H
#define SERVER_CHECK_HELPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "larder/error.h"
#include "larder/manifest.h"
#include "larder/spec.h"

struct check_job {
	bool own, earlier;
	uid_t uid;
	gid_t gid;
	int64_t timeout_ms;
	struct larder_spec spec; /* owned */
	char *catalog;		 /* owned */
	char *remote;		 /* own_remote_settings' text; owned */
};

/* Bounds of this process: processor time, memory, files, no core, no new privileges, dies with its
 * parent. */
int check_confine(const struct check_job *job, struct larder_error *err);
/*
 * The user's groups, and the user's ids as the effective ones; back is still open. For root:
 * nothing changes. uid 0 is a user like any other.
 */
int check_look_as_user(uid_t uid, gid_t gid, struct larder_error *err);
int check_look_as_root(struct larder_error *err);
/* For good: no way back is left, and that is verified. */
int check_become_user(uid_t uid, gid_t gid, struct larder_error *err);

/* By NSS, to free; NULL: there is none. -errno: NSS does not answer. */
int check_user_home(uid_t uid, char **home);
/* As the user: the scan of the user's own dataset into CHECK_FD_OUT, and its secrets told. */
int check_run_own(const struct check_job *job, struct larder_error *err);

/*
 * As the user: can one of the manifest's origins be read? 0; -ENOENT: its directory is closed or
 * not there; -EACCES: a file in it is closed; -EOPNOTSUPP: no origin here is a path, so it cannot
 * be told; -EIO and others: cannot be told.
 */
int check_probe_origins(const struct larder_manifest_head *head, int manifest_fd,
			struct larder_error *err);

#endif
