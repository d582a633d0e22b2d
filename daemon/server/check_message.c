/*
 * Owns packets between the daemon and a check's child. Each end takes the other for hostile.
 * Must not know what the fields mean.
 * Called by check.c and check_helper.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/check_message.h"

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(4 * sizeof(int))];
};

static void attach_fd(struct msghdr *msg, union control *control, int fd)
{
	struct cmsghdr *c;

	memset(control, 0, sizeof(*control));
	msg->msg_control = control->room;
	msg->msg_controllen = CMSG_SPACE(sizeof(int));
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
}

int check_packet_send(int sock, const char *const fields[], unsigned int count, int fd)
{
	struct iovec iov[CHECK_FIELDS_MAX];
	union control control;
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = count};
	size_t sum = 0;
	ssize_t sent;

	if (count > CHECK_FIELDS_MAX)
		return -E2BIG;
	for (unsigned int i = 0; i < count; i++) {
		iov[i].iov_base = (void *)(uintptr_t)fields[i];
		iov[i].iov_len = strlen(fields[i]) + 1;
		sum += iov[i].iov_len;
	}
	if (sum > CHECK_PACKET_MAX)
		return -E2BIG;
	if (fd >= 0)
		attach_fd(&msg, &control, fd);
	do
		sent = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* The first descriptor into *fd; every other one is closed. How many there were. */
static unsigned int take_fds(struct msghdr *msg, int *fd)
{
	unsigned int seen = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++, seen++) {
			int got;

			memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (seen == 0)
				*fd = got;
			else
				close(got);
		}
	}
	return seen;
}

static bool split(struct check_packet *packet, size_t len)
{
	const char *p = packet->bytes, *end = p + len;

	packet->count = 0;
	if (!len || end[-1] != '\0')
		return false;
	for (; p < end; p += strlen(p) + 1) {
		if (packet->count == CHECK_FIELDS_MAX)
			return false;
		packet->fields[packet->count++] = p;
	}
	return true;
}

int check_packet_receive(int sock, struct check_packet *packet)
{
	struct iovec iov = {.iov_base = packet->bytes, .iov_len = sizeof(packet->bytes)};
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room),
	};
	unsigned int fds;
	ssize_t got;

	packet->fd = -1;
	do
		got = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	fds = take_fds(&msg, &packet->fd);
	if (got == 0 && !fds)
		return 0;
	if (fds <= 1 && !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && split(packet, (size_t)got))
		return 1;
	if (packet->fd >= 0)
		close(packet->fd);
	packet->fd = -1;
	return -EPROTO;
}

bool check_packet_is(const struct check_packet *packet, const char *what, unsigned int count)
{
	return packet->count == count && strcmp(packet->fields[0], what) == 0;
}
