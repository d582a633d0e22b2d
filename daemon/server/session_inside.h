/* What session.c and listener.c share and nobody else may know: a client's state. */
#ifndef SERVER_SESSION_INSIDE_H
#define SERVER_SESSION_INSIDE_H

#include <sys/socket.h>

#include "server/larderd.h"
#include "server/session.h"

struct outgoing {
	struct outgoing *prev, *next;
	size_t len, sent;
	int fd;
	uint8_t bytes[];
};

/* Who is at the other end, as the kernel or MUNGE says. */
struct session_peer {
	uid_t uid;
	gid_t gid;
	bool remote;   /* came over the network: nothing of the plugin's is taken from it */
	gid_t *groups; /* of a remote one; the kernel knows the others' */
	unsigned int n_groups;
};

struct session {
	struct session *prev, *next;
	struct larderd *d;
	int fd;
	uid_t uid;
	gid_t gid;
	bool remote;
	bool admin;
	bool busy;   /* a request is being answered: nothing more is read */
	bool broken; /* to be dropped once the current event is over */
	uint32_t events;
	sd_event_source *source;
	int64_t stirred_ms; /* when it last sent or read something */
	uint8_t head[LARDER_FRAME_HEAD];
	size_t head_got;
	struct larder_head frame;
	uint8_t *body; /* frame.length + 1 bytes */
	size_t body_got;
	struct outgoing *out;
	size_t out_bytes;
	void (*gone)(void *arg);
	void *gone_arg;
};

struct session_list {
	int fd;
	sd_event_source *source, *sweep;
	struct session *all;
	unsigned int n;
};

/* A client at fd, which is taken: a session, or closed when there are too many. groups: borrowed.
 */
void session_enter(struct larderd *d, int fd, const struct session_peer *peer);
/* Tells whoever parked it, frees everything. */
void session_drop(struct session *session);
/* The event loop's: something can be read or written. arg: the session. */
int session_on_io(sd_event_source *source, int fd, uint32_t revents, void *arg);

#endif
