/*
 * Owns what comes and goes on one connection to the daemon: bytes and descriptors, in order.
 * Must not know frames, print, raise SIGPIPE or wait longer than it was told.
 * Called by client.c.
 */
#include "lib/stream.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/clock.h"

#define FDS_MAX 4 /* taken off the socket at once; one is legal, the rest are closed */
#define AHEAD	((size_t)32 << 10)

/* Waits until fd is ready for `events`. 0 or -ETIMEDOUT, or poll's -errno. */
static int wait_ready(int fd, short events, int64_t until_ms)
{
	for (;;) {
		struct pollfd p = {.fd = fd, .events = events};
		int64_t left = until_ms - clock_mono_ms();
		int n;

		if (left < 0)
			left = 0;
		n = poll(&p, 1, (int)left);
		if (n > 0)
			return 0;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

void larder_stream_init(struct larder_stream *s, int fd)
{
	*s = (struct larder_stream){.fd = fd, .row_fd = -1};
}

void larder_stream_fini(struct larder_stream *s)
{
	larder_cleanup_fd(&s->fd);
	larder_cleanup_fd(&s->row_fd);
	free(s->ahead);
	s->ahead = NULL;
}

int larder_stream_send(struct larder_stream *s, const uint8_t *data, size_t len, int64_t until_ms)
{
	while (len) {
		ssize_t n = send(s->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		int rc;

		if (n >= 0) {
			data += n;
			len -= (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		rc = wait_ready(s->fd, POLLOUT, until_ms);
		if (rc)
			return rc;
	}
	return 0;
}

/* Keeps the first descriptor of a frame in *keep; every other is closed, and is a fault. */
static int take_fds(struct msghdr *header, int *keep)
{
	int rc = header->msg_flags & MSG_CTRUNC ? -EPROTO : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (*keep < 0) {
				*keep = fd;
				continue;
			}
			close(fd);
			rc = -EPROTO;
		}
	}
	return rc;
}

/* One call's worth of bytes at `data`: at least one. 0 or -errno. */
static int receive_some(struct larder_stream *s, uint8_t *data, size_t len, size_t *got)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS_MAX * sizeof(int))];
	struct iovec iov = {.iov_base = data, .iov_len = len};
	struct msghdr header = {.msg_iov = &iov,
				.msg_iovlen = 1,
				.msg_control = control,
				.msg_controllen = sizeof(control)};
	int before = s->row_fd, rc;
	ssize_t n = recvmsg(s->fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n <= 0)
		return n ? -errno : -ECONNRESET;
	rc = take_fds(&header, &s->row_fd);
	*got = (size_t)n;
	s->received += *got;
	if (s->row_fd != before)
		s->row_fd_at = s->received;
	if (rc)
		larder_cleanup_fd(&s->row_fd);
	return rc;
}

/* More bytes, until the deadline: `want` of them at most when a descriptor waits for its frame, for
 * the next one may bring another. */
static int receive_ahead(struct larder_stream *s, size_t want, int64_t until_ms)
{
	size_t room = s->row_fd < 0 || want > AHEAD ? AHEAD : want, got = 0;

	if (!s->ahead && !(s->ahead = malloc(AHEAD)))
		return -ENOMEM;
	for (;;) {
		int rc = receive_some(s, s->ahead, room, &got);

		if (rc == 0) {
			s->begin = 0;
			s->end = got;
			return 0;
		}
		if (rc == -EAGAIN)
			rc = wait_ready(s->fd, POLLIN, until_ms);
		if (rc && rc != -EINTR)
			return rc;
	}
}

/* What is there already, `len` bytes of it at most. */
static size_t take_some(struct larder_stream *s, uint8_t *data, size_t len)
{
	size_t n = s->end - s->begin;

	n = n < len ? n : len;
	if (n) /* else there may be no memory yet */
		memcpy(data, s->ahead + s->begin, n);
	s->begin += n;
	s->taken += n;
	return n;
}

int larder_stream_take(struct larder_stream *s, uint8_t *data, size_t len, int64_t until_ms)
{
	for (;;) {
		size_t n = take_some(s, data, len);
		int rc;

		data += n;
		len -= n;
		if (!len)
			return 0;
		/* else a byte every moment would hold us for ever */
		if (n && clock_mono_ms() >= until_ms)
			return -ETIMEDOUT;
		rc = receive_ahead(s, len, until_ms);
		if (rc)
			return rc;
	}
}

int larder_stream_take_fd(struct larder_stream *s)
{
	return s->row_fd_at <= s->taken ? take_fd(&s->row_fd) : -1;
}
