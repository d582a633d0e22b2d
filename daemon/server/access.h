/*
 * "May this user have this dataset, and what is it exactly?" Asked of a child process (check.h),
 * remembered for access_ttl; who asks the same while the child runs shares its answer. A user's own
 * dataset is never remembered: it is scanned again at each use.
 */
#ifndef SERVER_ACCESS_H
#define SERVER_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "server/larderd.h"
#include "larder/manifest.h"
#include "larder/spec.h"

struct access_ask;
struct own_remote;

struct access_answer {
	int rc; /* 0, or as check_result says */
	const struct larder_error *err;
	const struct larder_manifest_head *head; /* rc 0; borrowed */
	struct own_remote *remote; /* of a user's own URL; own_remote_ref it to keep it */
	int manifest_fd;	   /* -1 when the answer came from memory; dup it to keep it */
};
typedef void (*access_fn)(const struct access_answer *answer, void *arg);

struct access_question {
	const struct larder_spec *spec; /* its subset does not matter */
	uid_t uid;
	gid_t gid;
	bool fresh;	    /* ask even if the answer is remembered: the manifest is wanted */
	int64_t timeout_ms; /* of the check; joined ones keep theirs */
};

/*
 * fn is called once: at once from memory (then *ask is NULL), or later. 0 or -errno when no child
 * could be started (fn is not called then).
 */
int access_ask(struct larderd *d, const struct access_question *question, access_fn fn, void *arg,
	       struct access_ask **ask, struct larder_error *err);
/* fn is not called any more; the check goes on for those who share it, or is ended. */
void access_cancel(struct access_ask *ask);
/*
 * What memory says about a tree for a listing: 1 yes, 0 no, -1 not known. Admins, owners and public
 * trees are always 1.
 */
int access_known(struct larderd *d, const struct inv_tree *tree, uid_t uid, bool admin);
void access_fini(struct larderd *d);

#endif
