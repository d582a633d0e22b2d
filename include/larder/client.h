/*
 * The client's side of the socket, for plugin and CLI. Every call has a deadline; a daemon that is
 * dead, hung or absent costs at most that. SIGPIPE is never raised. No globals, no printing.
 */
#ifndef LARDER_CLIENT_H
#define LARDER_CLIENT_H

#include "larder/error.h"
#include "larder/wire.h"

struct larder_client;

/* One row of an answer. `msg` points at struct larder_msg_<type> and lives until the callback
 * returns; `fd` is a descriptor that came along (-1: none), the callback's to keep (set *fd = -1).
 */
struct larder_row {
	unsigned int type;
	const void *msg;
	int fd;
};
typedef int (*larder_row_fn)(struct larder_row *row, void *arg, struct larder_error *err);

/*
 * Connects; "%n" in socket_path becomes `node` (may be NULL when there is none in it). 0,
 * -ECONNREFUSED/-ENOENT (nobody there), -ETIMEDOUT, …. The peer must be root (SO_PEERCRED), or the
 * caller's own uid: else -EPERM.
 */
int larder_client_open(const char *socket_path, const char *node, int timeout_ms,
		       struct larder_client **client, struct larder_error *err);
/* The same over a connected socket, which is taken in every case: the caller knows who is there. */
int larder_client_adopt(int fd, struct larder_client **client, struct larder_error *err);
void larder_client_close(struct larder_client *client);

/*
 * Sends `type` and calls fn (may be NULL) for each row until DONE or ERROR. An ERROR becomes the
 * return value -code with its sentence. fn's non-zero answer ends the call (the connection is then
 * unusable). timeout_ms: for each frame to arrive, not for the whole. -ETIMEDOUT, -ECONNRESET,
 * -EPROTO. note: when not NULL gets DONE's note (cut to LARDER_ERROR_MAX).
 */
int larder_client_call(struct larder_client *client, unsigned int type, const void *msg,
		       int timeout_ms, larder_row_fn fn, void *arg, char *note,
		       struct larder_error *err);

#endif
