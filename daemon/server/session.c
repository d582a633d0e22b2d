/*
 * Owns the clients: the listening socket, one small state machine per connection, its output queue.
 * Decides nothing about datasets; never blocks; a slow or silent client is dropped, a flood refused.
 * Driven by the event loop; hands whole frames to dispatch.
 */
#include "server/session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <uthash.h>
#include <utlist.h>

#include "larder/cleanup.h"
#include "server/admins.h"
#include "server/dispatch.h"
#include "server/larderd.h"
#include "server/log.h"

#define OUTPUT_MAX (64u << 20) /* bytes waiting for one client; a bigger answer is a bug or an attack */

struct outgoing {
	struct outgoing *prev, *next;
	size_t len, sent;
	int fd;
	uint8_t bytes[];
};

struct session {
	struct session *prev, *next;
	struct larderd *d;
	int fd;
	struct ucred peer;
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

uid_t session_uid(const struct session *session)
{
	return session->peer.uid;
}

gid_t session_gid(const struct session *session)
{
	return session->peer.gid;
}

bool session_admin(const struct session *session)
{
	return session->admin;
}

struct larderd *session_daemon(const struct session *session)
{
	return session->d;
}

static void session_drop(struct session *s)
{
	struct outgoing *out, *tmp;
	void (*gone)(void *) = s->gone;

	s->gone = NULL;
	if (gone)
		gone(s->gone_arg);
	DL_DELETE(s->d->sessions->all, s);
	s->d->sessions->n--;
	DL_FOREACH_SAFE(s->out, out, tmp) {
		if (out->fd >= 0)
			close(out->fd);
		free(out);
	}
	sd_event_source_disable_unref(s->source);
	close(s->fd);
	free(s->body);
	free(s);
}

/* Reading stops while a request is answered or its answer is not taken, so that who never reads costs
 * no memory; writing is awaited only while something waits. */
static void session_interest(struct session *s)
{
	uint32_t events = (s->busy || s->out ? 0 : (uint32_t)EPOLLIN) | (s->out ? (uint32_t)EPOLLOUT : 0) | EPOLLRDHUP;

	if (events == s->events)
		return;
	if (sd_event_source_set_io_events(s->source, events) < 0)
		s->broken = true;
	s->events = events;
}

static ssize_t outgoing_send(int fd, struct outgoing *out)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec iov = {out->bytes + out->sent, out->len - out->sent};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (out->fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &out->fd, sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void session_flush(struct session *s)
{
	while (s->out && !s->broken) {
		struct outgoing *out = s->out;
		ssize_t n = outgoing_send(s->fd, out);

		if (n < 0) {
			s->broken = errno != EAGAIN && errno != EINTR;
			break;
		}
		s->stirred_ms = now_mono_ms();
		if (out->fd >= 0) {
			close(out->fd); /* went with the first byte */
			out->fd = -1;
		}
		out->sent += (size_t)n;
		if (out->sent < out->len)
			continue;
		s->out_bytes -= out->len;
		DL_DELETE(s->out, out);
		free(out);
	}
	session_interest(s);
}

void session_flush_rows(struct session *session)
{
	session_flush(session);
}

void session_row_fd(struct session *s, unsigned int type, const void *msg, int fd)
{
	struct larder_error err = {0};
	auto_free uint8_t *frame = NULL;
	auto_fd int owned = fd;
	struct outgoing *out;
	size_t len = 0;

	if (s->broken)
		return;
	if (larder_msg_encode(type, s->frame.seq, msg, &frame, &len, &err)) {
		log_event(LOG_LEVEL_ERR, "session.encode", "type=%s error=\"%s\"", larder_msg_name(type), err.text);
		s->broken = true;
		return;
	}
	out = malloc(sizeof(*out) + len);
	if (!out || s->out_bytes + len > OUTPUT_MAX) {
		free(out);
		s->broken = true;
		return;
	}
	*out = (struct outgoing){.len = len, .fd = take_fd(&owned)};
	memcpy(out->bytes, frame, len);
	s->out_bytes += len;
	DL_APPEND(s->out, out);
}

void session_row(struct session *s, unsigned int type, const void *msg)
{
	session_row_fd(s, type, msg, -1);
}

/* The end of an answer: the next request may be read. */
static void session_finish(struct session *s, unsigned int type, const void *msg)
{
	session_row(s, type, msg);
	s->gone = NULL;
	s->busy = false;
	session_flush(s);
}

void session_done(struct session *s, const char *note)
{
	session_finish(s, LARDER_MSG_DONE, &(struct larder_msg_DONE){.note = note});
}

void session_fail(struct session *s, const struct larder_error *err)
{
	session_finish(s, LARDER_MSG_ERROR,
		       &(struct larder_msg_ERROR){.code = (uint32_t)err->code, .text = err->text});
}

void session_refuse(struct session *s, int code, const char *fmt, ...)
{
	struct larder_error err = {.code = code};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err.text, sizeof(err.text), fmt, ap);
	va_end(ap);
	session_fail(s, &err);
}

void session_end(struct session *s, int rc, const struct larder_error *err)
{
	if (rc < 0)
		session_fail(s, err);
	else
		session_done(s, "");
}

void session_park(struct session *s, void (*gone)(void *arg), void *arg)
{
	s->gone = gone;
	s->gone_arg = arg;
}

/* 1: all `want` bytes are there. 0: not yet. -1: the client is gone. */
static int read_some(struct session *s, uint8_t *into, size_t want, size_t *got)
{
	while (*got < want) {
		ssize_t n = recv(s->fd, into + *got, want - *got, MSG_DONTWAIT);

		if (n > 0)
			*got += (size_t)n;
		else if (n < 0 && errno == EINTR)
			continue;
		else
			return n < 0 && errno == EAGAIN ? 0 : -1;
		s->stirred_ms = now_mono_ms();
	}
	return 1;
}

static int frame_begin(struct session *s)
{
	struct larder_error err = {0};

	if (larder_head_decode(s->head, &s->frame, &err)) {
		session_fail(s, &err);
		s->broken = true; /* where the next frame starts is not known */
		return -1;
	}
	s->body = malloc((size_t)s->frame.length + 1);
	s->body_got = 0;
	return s->body ? 0 : -1;
}

/* Reads until a frame is whole, hands it over; one request at a time. */
static void session_read(struct session *s)
{
	while (!s->busy && !s->broken && !s->out) {
		int rc = s->body ? 1 : read_some(s, s->head, sizeof(s->head), &s->head_got);

		if (rc == 1 && !s->body)
			rc = frame_begin(s) ? -1 : 1;
		if (rc == 1)
			rc = read_some(s, s->body, s->frame.length, &s->body_got);
		if (rc < 0)
			s->broken = true;
		if (rc < 1)
			return;
		auto_free uint8_t *body = take_ptr(&s->body);
		s->head_got = 0;
		s->busy = true;
		dispatch(s, s->frame.type, body, s->frame.length);
	}
}

static int on_session(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct session *s = arg;

	(void)source;
	(void)fd;
	if (revents & (EPOLLERR | EPOLLHUP | EPOLLRDHUP) && !(revents & EPOLLIN && !s->busy))
		s->broken = true;
	if (revents & EPOLLIN && !s->busy)
		session_read(s);
	session_flush(s);
	if (s->broken)
		session_drop(s);
	return 0;
}

static unsigned int sessions_of(const struct session_list *list, uid_t uid)
{
	const struct session *s;
	unsigned int n = 0;

	DL_FOREACH(list->all, s)
		n += s->peer.uid == uid;
	return n;
}

static bool session_admitted(const struct larderd *d, const struct ucred *peer)
{
	if (peer->uid == 0)
		return true; /* the plugin must get through when users flood the socket */
	return d->sessions->n < d->config.max_sessions &&
	       sessions_of(d->sessions, peer->uid) < d->config.max_sessions_per_user;
}

static void session_start(struct larderd *d, int fd, const struct ucred *peer)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s) {
		close(fd);
		return;
	}
	*s = (struct session){.d = d, .fd = fd, .peer = *peer, .stirred_ms = now_mono_ms(), .events = EPOLLIN | EPOLLRDHUP};
	s->admin = admins_peer(&d->admins, fd, peer->uid, peer->gid);
	if (sd_event_add_io(d->event, &s->source, fd, s->events, on_session, s) < 0) {
		close(fd);
		free(s);
		return;
	}
	DL_APPEND(d->sessions->all, s);
	d->sessions->n++;
}

static int on_accept(sd_event_source *source, int listening, uint32_t revents, void *arg)
{
	struct larderd *d = arg;
	int fd;

	(void)source;
	(void)revents;
	while ((fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		struct ucred peer;
		socklen_t len = sizeof(peer);

		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) || !session_admitted(d, &peer)) {
			close(fd);
			continue;
		}
		session_start(d, fd, &peer);
	}
	return 0;
}

/* A client that owes us a frame, or does not take what we send, is dropped after a while. One whose
 * answer is still being made is ours to keep. */
static int on_sweep(sd_event_source *source, uint64_t usec, void *arg)
{
	struct larderd *d = arg;
	int64_t now = now_mono_ms();
	struct session *s, *tmp;

	(void)usec;
	DL_FOREACH_SAFE(d->sessions->all, s, tmp)
		if (s->broken || ((!s->busy || s->out) && now - s->stirred_ms > d->config.session_timeout))
			session_drop(s);
	sd_event_source_set_time_relative(source, 1000000);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int listen_at(const char *path, struct larder_error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return larder_error_set(err, errno, "socket: %s", strerror(errno));
	if (strlen(path) >= sizeof(addr.sun_path))
		return larder_error_set(err, ENAMETOOLONG, "socket %s: longer than %zu bytes; name a shorter path",
					path, sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return larder_error_set(err, EADDRINUSE, "socket %s: another larderd answers there", path);
	if (unlink(path) && errno != ENOENT)
		return larder_error_set(err, errno, "socket %s: %s", path, strerror(errno));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || chmod(path, 0666) || listen(fd, 4096))
		return larder_error_set(err, errno, "socket %s: %s", path, strerror(errno));
	return take_fd(&fd);
}

/* The socket's directory, and jobs/ beside it for the plugin's markers. */
static int make_run_dir(const char *socket_path, struct larder_error *err)
{
	auto_free char *dir = strdup(socket_path);
	char *slash = dir ? strrchr(dir, '/') : NULL;

	if (!slash || slash == dir)
		return larder_error_set(err, EINVAL, "socket %s: not in a directory", socket_path);
	*slash = '\0';
	if (mkdir(dir, 0755) && errno != EEXIST)
		return larder_error_set(err, errno, "mkdir %s: %s", dir, strerror(errno));
	return 0;
}

int sessions_open(struct larderd *d, struct larder_error *err)
{
	struct session_list *list;
	int fd, rc;

	if (make_run_dir(d->config.socket, err))
		return -err->code;
	fd = listen_at(d->config.socket, err);
	if (fd < 0)
		return fd;
	list = calloc(1, sizeof(*list));
	if (!list) {
		close(fd);
		return larder_error_set(err, ENOMEM, "out of memory");
	}
	list->fd = fd;
	d->sessions = list;
	rc = sd_event_add_io(d->event, &list->source, fd, EPOLLIN, on_accept, d);
	if (rc >= 0)
		rc = sd_event_add_time_relative(d->event, &list->sweep, CLOCK_MONOTONIC, 1000000, 0, on_sweep, d);
	return rc < 0 ? larder_error_set(err, rc, "event loop: %s", strerror(-rc)) : 0;
}

void sessions_close(struct larderd *d)
{
	struct session *s, *tmp;

	if (!d->sessions)
		return;
	DL_FOREACH_SAFE(d->sessions->all, s, tmp)
		session_drop(s);
	sd_event_source_unref(d->sessions->source);
	sd_event_source_unref(d->sessions->sweep);
	unlink(d->config.socket);
	close(d->sessions->fd);
	free(d->sessions);
	d->sessions = NULL;
}
