/*
 * MUNGE credentials: who sent these bytes, as munged on both machines vouches. Calls block on
 * munged (for seconds when it hangs): never on a control thread.
 */
#ifndef FLEET_MUNGE_H
#define FLEET_MUNGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "larder/error.h"

/*
 * A credential over len bytes that only `to` (and root) on a machine of this MUNGE realm can open.
 * socket: munged's; "" its usual place. To free. -ENOTCONN: munged cannot be asked.
 */
int munge_make(const char *socket, const void *payload, size_t len, uid_t to, char **credential,
	       struct larder_error *err);
/*
 * Opens it, once: the same credential a second time is -EALREADY (replayed). *payload to free.
 * -ETIME (expired, or from the future: the clocks differ), -EACCES (for somebody else), -EBADMSG,
 * -ENOTCONN.
 */
int munge_open(const char *socket, const char *credential, void **payload, size_t *len, uid_t *uid,
	       gid_t *gid, struct larder_error *err);

#endif
