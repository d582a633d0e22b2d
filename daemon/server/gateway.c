/*
 * Owns the way of a request from another machine to the control thread and back: the thread of its
 * connection makes a socket pair, posts one end with the ids that MUNGE vouches for, and speaks on
 * the other as any client does. Decides no right and reads no state: the session at the other end
 * does. May block on munged and NSS, for it is never the control thread. Started last, stopped
 * first.
 */
#include "server/gateway.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fleet/serve.h"
#include "larder/cleanup.h"
#include "larder/clock.h"
#include "larder/wire.h"
#include "log/log.h"
#include "server/session_inside.h"

#define GROUPS_MAX	65536 /* NGROUPS_MAX of Linux */
#define LOG_EVERY_MS	1000  /* who is refused may come again and again */
#define ANSWER_MIN_ROOM 4096

struct gateway {
	struct larderd *d;
	struct fleet_server *server;
	int stop; /* an eventfd, readable once nobody waits any more */
	_Atomic int64_t logged_ms;
	_Atomic unsigned int unlogged;
};

/* On its way to the control thread; that one frees it. */
struct entering {
	struct letter letter;
	struct larderd *d;
	int fd;
	struct session_peer peer;
};

/* --- entering: from here on it is a session like others */

static void enter(void *arg)
{
	auto_free struct entering *entering = arg;

	session_enter(entering->d, entering->fd, &entering->peer);
	free(entering->peer.groups);
}

/* The groups that this node knows the user in. */
static int look_up_groups(struct session_peer *peer, struct larder_error *err)
{
	char buf[16384];
	struct passwd user, *found = NULL;
	int n = 64;

	if (getpwuid_r(peer->uid, &user, buf, sizeof(buf), &found) || !found)
		return 0; /* nobody's name: the primary group alone */
	for (;;) {
		gid_t *more = reallocarray(peer->groups, (size_t)n, sizeof(*more));

		if (!more)
			return larder_error_set(err, ENOMEM, "out of memory");
		peer->groups = more;
		if (getgrouplist(user.pw_name, peer->gid, more, &n) >= 0)
			break;
		if (n > GROUPS_MAX)
			return larder_error_set(err, E2BIG, "user %u is in too many groups",
						peer->uid);
	}
	peer->n_groups = (unsigned int)n;
	return 0;
}

/* Our end of a new session; -errno. */
static int open_session(struct gateway *gateway, const struct fleet_peer *who,
			struct larder_error *err)
{
	struct entering *entering = calloc(1, sizeof(*entering));
	int pair[2];

	if (!entering)
		return larder_error_set(err, ENOMEM, "out of memory");
	entering->d = gateway->d;
	entering->peer = (struct session_peer){.uid = who->uid, .gid = who->gid, .remote = true};
	if (look_up_groups(&entering->peer, err) ||
	    (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) &&
	     larder_error_set(err, errno, "socket pair: %s", strerror(errno)))) {
		free(entering->peer.groups);
		free(entering);
		return -err->code;
	}
	entering->fd = pair[1];
	entering->letter = (struct letter){.fn = enter, .arg = entering};
	mailbox_post(gateway->d->mailbox, &entering->letter);
	return pair[0];
}

/* --- one request after the other, each with its answer */

struct exchange {
	struct gateway *gateway;
	int fd;		/* our end of the session */
	int connection; /* the asker's: when it is gone, so are we */
	uint8_t *out;
	size_t len, room;
	size_t at; /* where the frame starts that is not read yet */
};

/* Waits for the session; ends when the asker went away or the daemon stops. */
static int wait_for(struct exchange *x, short events, struct larder_error *err)
{
	for (;;) {
		struct pollfd fds[] = {{.fd = x->fd, .events = events},
				       {.fd = x->gateway->stop, .events = POLLIN},
				       {.fd = x->connection, .events = POLLRDHUP}};

		if (poll(fds, 3, -1) < 0 && errno != EINTR)
			return larder_error_set(err, errno, "poll: %s", strerror(errno));
		if (fds[1].revents)
			return larder_error_set(err, ESHUTDOWN, "larderd is being stopped");
		if (fds[2].revents)
			return larder_error_set(err, ECANCELED, "who asked has gone");
		if (fds[0].revents)
			return 0;
	}
}

static int closed(struct larder_error *err)
{
	return larder_error_set(
		err, EAGAIN,
		"this node takes no more requests of you just now (max_sessions_per_user)");
}

static int send_frame(struct exchange *x, const uint8_t *frame, size_t len,
		      struct larder_error *err)
{
	while (len) {
		ssize_t n = send(x->fd, frame, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			frame += n;
			len -= (size_t)n;
		} else if (errno != EAGAIN && errno != EINTR) {
			return closed(err);
		} else if (wait_for(x, POLLOUT, err)) {
			return -err->code;
		}
	}
	return 0;
}

static int make_room(struct exchange *x, struct larder_error *err)
{
	size_t room = x->room ? x->room * 2 : ANSWER_MIN_ROOM;
	uint8_t *more;

	if (x->len < x->room)
		return 0;
	if (room > FLEET_ANSWER_MAX)
		return larder_error_set(err, EMSGSIZE, "an answer of over %u bytes",
					FLEET_ANSWER_MAX);
	more = realloc(x->out, room);
	if (!more)
		return larder_error_set(err, ENOMEM, "out of memory");
	x->out = more;
	x->room = room;
	return 0;
}

/* Whole frames of the answer up to its end. 1: it ended. */
static int answered(struct exchange *x, struct larder_error *err)
{
	struct larder_head head;

	while (x->len - x->at >= LARDER_FRAME_HEAD) {
		if (larder_head_decode(x->out + x->at, &head, err))
			return -err->code;
		if (x->len - x->at < LARDER_FRAME_HEAD + head.length)
			return 0;
		x->at += LARDER_FRAME_HEAD + head.length;
		if (head.type == LARDER_MSG_DONE || head.type == LARDER_MSG_ERROR)
			return 1;
	}
	return 0;
}

static int take_answer(struct exchange *x, struct larder_error *err)
{
	int rc;

	while ((rc = answered(x, err)) == 0) {
		ssize_t n;

		if (make_room(x, err))
			return -err->code;
		n = recv(x->fd, x->out + x->len, x->room - x->len, MSG_DONTWAIT);
		if (n > 0)
			x->len += (size_t)n;
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return closed(err);
		else if (wait_for(x, POLLIN, err))
			return -err->code;
	}
	return rc < 0 ? rc : 0;
}

static int exchange_all(struct exchange *x, const uint8_t *request, size_t len,
			struct larder_error *err)
{
	while (len) {
		struct larder_head head;
		size_t frame;

		if (len < LARDER_FRAME_HEAD)
			return larder_error_set(err, EBADMSG, "the request is cut short");
		if (larder_head_decode(request, &head, err))
			return -err->code;
		frame = LARDER_FRAME_HEAD + head.length;
		if (len < frame)
			return larder_error_set(err, EBADMSG, "the request is cut short");
		if (send_frame(x, request, frame, err) || take_answer(x, err))
			return -err->code;
		request += frame;
		len -= frame;
	}
	return 0;
}

static int answer(const struct fleet_peer *peer, const uint8_t *request, size_t len, uint8_t **out,
		  size_t *out_len, struct larder_error *err, void *arg)
{
	struct exchange x = {.gateway = arg, .connection = peer->connection};
	auto_fd int fd = open_session(arg, peer, err);

	if (fd < 0)
		return fd;
	x.fd = fd;
	if (exchange_all(&x, request, len, err)) {
		free(x.out);
		return -err->code;
	}
	*out = x.out;
	*out_len = x.len;
	return 0;
}

/* --- the service */

static void refused(const char *address, const struct larder_error *err, void *arg)
{
	struct gateway *gateway = arg;
	int64_t now = clock_mono_ms(), before = gateway->logged_ms;

	if (now - before < LOG_EVERY_MS ||
	    !atomic_compare_exchange_strong(&gateway->logged_ms, &before, now)) {
		gateway->unlogged++;
		return;
	}
	log_event(LOG_LEVEL_WARNING, "fleet.refused", "address=%s error=\"%s\" besides=%u", address,
		  err->text, atomic_exchange(&gateway->unlogged, 0));
}

static int listen_for_others(struct gateway *gateway, struct larder_error *err)
{
	const struct config *config = &gateway->d->config;
	const struct fleet_serve_params params = {
		.address = config->fleet_listen,
		.node = gateway->d->node,
		.munge_socket = config->munge_socket,
		.connections = config->fleet_connections,
		.of_one = config->fleet_connections_of_one,
		.timeout_s = (unsigned int)((config->session_timeout + 999) / 1000),
		.answer = answer,
		.refused = refused,
		.arg = gateway,
	};

	gateway->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (gateway->stop < 0)
		return larder_error_set(err, errno, "eventfd: %s", strerror(errno));
	if (fleet_serve_start(&params, &gateway->server, err))
		return larder_error_prefix(err, "fleet_listen");
	log_event(LOG_LEVEL_INFO, "fleet.listen", "address=%s port=%u", config->fleet_listen,
		  fleet_serve_port(gateway->server));
	return 0;
}

int gateway_start(struct larderd *d, struct larder_error *err)
{
	if (!d->config.fleet_listen[0])
		return 0;
	d->gateway = calloc(1, sizeof(*d->gateway));
	if (!d->gateway)
		return larder_error_set(err, ENOMEM, "out of memory");
	d->gateway->d = d;
	d->gateway->stop = -1;
	d->gateway->logged_ms = -LOG_EVERY_MS;
	return listen_for_others(d->gateway, err);
}

void gateway_stop(struct larderd *d)
{
	const uint64_t one = 1;

	if (!d->gateway)
		return;
	if (d->gateway->stop >= 0 && write(d->gateway->stop, &one, sizeof(one)) < 0)
		log_event(LOG_LEVEL_ERR, "fleet.stop", "error=\"%s\"", strerror(errno));
	fleet_serve_stop(d->gateway->server);
	if (d->gateway->stop >= 0)
		close(d->gateway->stop);
	free(d->gateway);
	d->gateway = NULL;
}
