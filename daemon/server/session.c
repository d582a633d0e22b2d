/*
 * Owns one client: a small state machine that reads frames and an output queue that waits for a
 * slow reader. Decides nothing about datasets; never blocks. Driven by the event loop; hands whole
 * frames to dispatch.
 */
#include "server/session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "log/log.h"
#include "server/dispatch.h"
#include "server/session_inside.h"

#define SEND_FRAMES 64 /* at once */
#define FLUSH_BYTES (64u << 10)
#define OUTPUT_MAX                                                                                 \
	(64u << 20) /* bytes waiting for one client; a bigger answer is a bug or an attack */

uid_t session_uid(const struct session *session)
{
	return session->uid;
}

gid_t session_gid(const struct session *session)
{
	return session->gid;
}

bool session_admin(const struct session *session)
{
	return session->admin;
}

bool session_remote(const struct session *session)
{
	return session->remote;
}

bool session_fleet(const struct session *session)
{
	return session->admin || admins_fleet(&session->d->admins, session->uid);
}

struct larderd *session_daemon(const struct session *session)
{
	return session->d;
}

void session_drop(struct session *s)
{
	struct outgoing *out, *tmp;
	void (*gone)(void *) = s->gone;

	s->gone = NULL;
	if (gone)
		gone(s->gone_arg);
	DL_DELETE(s->d->sessions->all, s);
	s->d->sessions->n--;
	DL_FOREACH_SAFE(s->out, out, tmp)
	{
		if (out->fd >= 0)
			close(out->fd);
		free(out);
	}
	sd_event_source_disable_unref(s->source);
	close(s->fd);
	free(s->body);
	free(s);
}

/* Reading stops while a request is answered or its answer is not taken, so that who never reads
 * costs no memory; writing is awaited only while something waits. */
static void session_interest(struct session *s)
{
	uint32_t events = (s->busy || s->out ? 0 : (uint32_t)EPOLLIN) |
			  (s->out ? (uint32_t)EPOLLOUT : 0) | EPOLLRDHUP;

	if (events == s->events)
		return;
	if (sd_event_source_set_io_events(s->source, events) < 0)
		s->broken = true;
	s->events = events;
}

/* The first frame and those behind it, up to one with a descriptor: that one goes alone, so that
 * the client can tell whose it is. */
static ssize_t outgoing_send(int fd, struct outgoing *out)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec iov[SEND_FRAMES];
	struct msghdr msg = {.msg_iov = iov};

	for (struct outgoing *one = out; one && msg.msg_iovlen < SEND_FRAMES; one = one->next) {
		if (one != out && (one->fd >= 0 || out->fd >= 0))
			break;
		iov[msg.msg_iovlen++] =
			(struct iovec){one->bytes + one->sent, one->len - one->sent};
	}
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

/* n bytes of the queue are gone. */
static void outgoing_sent(struct session *s, size_t n)
{
	s->stirred_ms = clock_mono_ms();
	if (s->out->fd >= 0) {
		close(s->out->fd); /* went with the first byte */
		s->out->fd = -1;
	}
	while (s->out && n >= s->out->len - s->out->sent) {
		struct outgoing *out = s->out;

		n -= out->len - out->sent;
		s->out_bytes -= out->len;
		DL_DELETE(s->out, out);
		free(out);
	}
	if (s->out)
		s->out->sent += n;
}

static void session_flush(struct session *s)
{
	while (s->out && !s->broken) {
		ssize_t n = outgoing_send(s->fd, s->out);

		if (n < 0) {
			s->broken = errno != EAGAIN && errno != EINTR;
			break;
		}
		outgoing_sent(s, (size_t)n);
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
		log_event(LOG_LEVEL_ERR, "session.encode", "type=%s error=\"%s\"",
			  larder_msg_name(type), err.text);
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
	if (s->out_bytes / FLUSH_BYTES != (s->out_bytes - len) / FLUSH_BYTES)
		session_flush(s); /* a long answer: the client works on it meanwhile */
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
		s->stirred_ms = clock_mono_ms();
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

int session_on_io(sd_event_source *source, int fd, uint32_t revents, void *arg)
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
