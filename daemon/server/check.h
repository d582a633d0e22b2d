/*
 * Checks that may block (catalog, a user's rights at an origin, a user's own dataset scanned) run
 * in a child process each, with a deadline; the answer comes back on the event loop. A child that
 * hangs is killed (and left to the kernel when it is stuck in D state: the answer is -ETIMEDOUT at
 * the deadline in any case).
 */
#ifndef SERVER_CHECK_H
#define SERVER_CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "larder/error.h"
#include "larder/manifest.h"
#include "larder/spec.h"

struct check;
struct own_remote;

struct check_request {
	const struct larder_spec *spec; /* catalog: is found there as that user; own: is scanned as
					   that user. Copied. */
	uid_t uid;
	gid_t gid;
	const char *catalog;
	const char *tmp_dir; /* for an own dataset's manifest: O_TMPFILE there, by root, before the
				child drops its rights */
	int earlier_manifest_fd; /* own: digests to take over; -1: none. Borrowed until check_start
				    returns */
	const char
		*remote; /* own_remote_settings' text, for an own URL; NULL: a path, or catalog */
	int64_t timeout_ms;
};

struct check_result {
	/*
	 * 0; -ENOENT: unknown or forbidden, in the same words; -EACCES: the user may list the
	 * origin but not read a file of it, or an own origin is closed; -ESTALE: another digest, or
	 * an own file changed while it was scanned. It cannot be told: -ETIMEDOUT, -EOPNOTSUPP (a
	 * remote origin), -EIO. -EPROTO, -EPERM: the child is not to be trusted.
	 */
	int rc;
	struct larder_error err;
	/* rc 0: */
	struct larder_manifest_head head; /* take it by copying and zeroing, else check fini's it */
	int manifest_fd;		  /* whole manifest, readable; set to -1 to keep it */
	struct own_remote *remote;	  /* of an own URL; own_remote_ref it to keep it */
	int64_t took_ms;
};
typedef void (*check_fn)(struct check_result *result, void *arg);

/*
 * The child: forks, execs `larderd --check-helper` (self: /proc/self/exe), which finds the entry in
 * the catalog (as root when the catalog is closed to the user), tests users=/groups= with NSS,
 * becomes the user (setgroups, setgid, setuid) and for access=origin tries the origin: the
 * directory can be listed and the manifest's first and last files opened for reading. Own: the
 * scan, as the user.
 */
int check_start(sd_event *event, const struct check_request *request, check_fn fn, void *arg,
		struct check **check, struct larder_error *err);
/* fn is not called any more. */
void check_cancel(struct check *check);
/* main()'s branch for `larderd --check-helper`: exit status. */
int check_helper_main(void);

#endif
