/*
 * One client on the socket: frames in, rows out. Identity is the kernel's (SO_PEERCRED).
 */
#ifndef SERVER_SESSION_H
#define SERVER_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "larder/error.h"
#include "larder/wire.h"

struct larderd;
struct session;
struct session_list;

/* Listens on config.socket (0666; the directory is made, 0755). */
int sessions_open(struct larderd *d, struct larder_error *err);
/* Drops every client; removes the socket. */
void sessions_close(struct larderd *d);

uid_t session_uid(const struct session *session);
gid_t session_gid(const struct session *session);
/* root, or a member of admin_groups. */
bool session_admin(const struct session *session);
/* It came over the network, not over the socket. */
bool session_remote(const struct session *session);
/* An admin, or a user of fleet_users. */
bool session_fleet(const struct session *session);
struct larderd *session_daemon(const struct session *session);

/* Rows; then exactly one of done and fail, after which the session takes the next request. */
void session_row(struct session *session, unsigned int type, const void *msg);
/* The descriptor goes along; it is closed here in every case. */
void session_row_fd(struct session *session, unsigned int type, const void *msg, int fd);
void session_done(struct session *session, const char *note);
void session_fail(struct session *session, const struct larder_error *err);
/* session_fail with a sentence made here. */
void session_refuse(struct session *session, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Sends what rows wait, in the middle of an answer that takes its time. */
void session_flush_rows(struct session *session);
/* rc < 0: fail with err; else done. */
void session_end(struct session *session, int rc, const struct larder_error *err);

/*
 * A handler that answers later parks the session: gone(arg) is called when the client goes away
 * before done or fail (then the session must not be used any more). done and fail unpark.
 */
void session_park(struct session *session, void (*gone)(void *arg), void *arg);

#endif
