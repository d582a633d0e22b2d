/*
 * Owns one connection to the daemon: connect, ask, read rows, each within its deadline.
 * Must not print, keep globals, raise SIGPIPE or wait longer than it was told.
 * Called by the plugin and the CLI.
 */
#include "larder/client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "lib/stream.h"

struct larder_client {
	struct larder_stream stream;
	uint32_t seq;
	bool broken;   /* a call ended early: what comes next belongs to nobody */
	uint8_t *body; /* room bytes */
	size_t room;
};

union any_message {
#define LARDER_X(name, number, who, help) struct larder_msg_##name name;
	LARDER_MESSAGES(LARDER_X)
#undef LARDER_X
};

/* "%n" becomes the node's name. 0 or -EINVAL / -ENAMETOOLONG. */
static int fill_address(const char *path, const char *node, struct sockaddr_un *address,
			struct larder_error *err)
{
	const char *mark = strstr(path, "%n");
	int n;

	address->sun_family = AF_UNIX;
	if (mark && (!node || !*node || strchr(node, '/') || node[0] == '.'))
		return larder_error_set(err, EINVAL,
					"the socket %s needs a node's name in place of %%n", path);
	if (mark)
		n = snprintf(address->sun_path, sizeof(address->sun_path), "%.*s%s%s",
			     (int)(mark - path), path, node, mark + 2);
	else
		n = snprintf(address->sun_path, sizeof(address->sun_path), "%s", path);
	if (n <= 0 || (size_t)n >= sizeof(address->sun_path))
		return larder_error_set(err, n > 0 ? ENAMETOOLONG : EINVAL,
					"the socket's path \"%s\" is %s", path,
					n > 0 ? "too long (107 bytes)" : "empty");
	return 0;
}

/*
 * A full backlog is no event that poll knows (a non-blocking connect says EAGAIN at once), but a
 * blocking one waits for a free place as long as SO_SNDTIMEO says and is woken when there is one.
 */
static int connect_until(int fd, const struct sockaddr_un *address, int64_t until_ms)
{
	for (;;) {
		int64_t left = until_ms - clock_mono_ms();
		struct timeval wait = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};

		if (left <= 0)
			return -ETIMEDOUT;
		if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0)
			return -errno;
		if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
			return 0;
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
}

static int check_peer(int fd, const char *path, struct larder_error *err)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return larder_error_set(err, errno, "who listens at %s: %m", path);
	if (peer.uid != 0 && peer.uid != geteuid())
		return larder_error_set(err, EPERM,
					"user %u listens at %s, not root: this is not larderd",
					(unsigned int)peer.uid, path);
	return 0;
}

static int connect_fail(int code, const char *path, int timeout_ms, struct larder_error *err)
{
	if (code == ENOENT || code == ECONNREFUSED)
		return larder_error_set(err, code,
					"larderd is not running here (nobody answers at %s)", path);
	if (code == ETIMEDOUT)
		return larder_error_set(err, code, "larderd took no connection at %s within %d ms",
					path, timeout_ms);
	return larder_error_set(err, code, "connect to larderd at %s: %s", path, strerror(code));
}

int larder_client_adopt(int fd, struct larder_client **client, struct larder_error *err)
{
	struct larder_client *made = calloc(1, sizeof(*made));

	if (!made) {
		close(fd);
		return larder_error_set(err, ENOMEM, "out of memory");
	}
	larder_stream_init(&made->stream, fd);
	*client = made;
	return 0;
}

int larder_client_open(const char *socket_path, const char *node, int timeout_ms,
		       struct larder_client **client, struct larder_error *err)
{
	struct sockaddr_un address = {0};
	auto_fd int fd = -1;
	int rc = fill_address(socket_path, node, &address, err);

	if (rc)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return larder_error_set(err, errno, "socket: %m");
	rc = connect_until(fd, &address, clock_mono_ms() + timeout_ms);
	if (rc)
		return connect_fail(-rc, address.sun_path, timeout_ms, err);
	rc = check_peer(fd, address.sun_path, err);
	if (rc)
		return rc;
	return larder_client_adopt(take_fd(&fd), client, err);
}

void larder_client_close(struct larder_client *client)
{
	if (!client)
		return;
	larder_stream_fini(&client->stream);
	free(client->body);
	free(client);
}

static int transport_fail(int rc, int timeout_ms, struct larder_error *err)
{
	switch (-rc) {
	case ETIMEDOUT:
		return larder_error_set(err, ETIMEDOUT, "larderd did not answer within %d ms",
					timeout_ms);
	case EPIPE:
	case ECONNRESET: return larder_error_set(err, ECONNRESET, "larderd closed the connection");
	case EPROTO:
		return larder_error_set(err, EPROTO,
					"larderd sent more than one descriptor at once");
	default: return larder_error_set(err, -rc, "talk to larderd: %s", strerror(-rc));
	}
}

static int make_room(struct larder_client *client, size_t len, struct larder_error *err)
{
	uint8_t *grown;

	if (len + 1 <= client->room)
		return 0;
	grown = realloc(client->body, len + 1);
	if (!grown)
		return larder_error_set(err, ENOMEM, "out of memory");
	client->body = grown;
	client->room = len + 1;
	return 0;
}

/* One frame: its head, its body decoded into msg, perhaps a descriptor in *fd. */
static int receive_frame(struct larder_client *client, int timeout_ms, struct larder_head *head,
			 union any_message *msg, int *fd, struct larder_error *err)
{
	int64_t until_ms = clock_mono_ms() + timeout_ms;
	uint8_t in[LARDER_FRAME_HEAD];
	int rc = larder_stream_take(&client->stream, in, sizeof(in), until_ms);

	if (rc)
		return transport_fail(rc, timeout_ms, err);
	rc = larder_head_decode(in, head, err);
	if (rc == -ENOENT || rc == -EMSGSIZE)
		return larder_error_set(err, EPROTO, "larderd's answer: %s", err ? err->text : "");
	if (rc)
		return rc;
	if (head->seq != client->seq || larder_msg_who(head->type) != LARDER_WHO_ROW)
		return larder_error_set(err, EPROTO, "larderd answered what was not asked (%s)",
					larder_msg_name(head->type));
	rc = make_room(client, head->length, err);
	if (rc)
		return rc;
	rc = larder_stream_take(&client->stream, client->body, head->length, until_ms);
	if (rc)
		return transport_fail(rc, timeout_ms, err);
	*fd = larder_stream_take_fd(&client->stream);
	if (larder_msg_decode(head->type, client->body, head->length, msg, err))
		return larder_error_set(err, EPROTO, "larderd's answer: %s", err ? err->text : "");
	return 0;
}

/* What an ERROR row says becomes the call's answer. */
static int daemon_error(const struct larder_msg_ERROR *error, struct larder_error *err)
{
	int code = error->code && error->code < 4096 ? (int)error->code : EIO;

	return larder_error_set(err, code, "%s", error->text);
}

static void keep_note(const struct larder_msg_DONE *done, char *note)
{
	if (note)
		snprintf(note, LARDER_ERROR_MAX, "%s", done->note);
}

/* Handles one row. True while more follow; else *result is the call's answer. */
static bool receive_row(struct larder_client *client, int timeout_ms, larder_row_fn fn, void *arg,
			char *note, int *result, struct larder_error *err)
{
	union any_message msg = {0};
	struct larder_head head = {0};
	struct larder_row row;
	auto_fd int fd = -1;

	*result = receive_frame(client, timeout_ms, &head, &msg, &fd, err);
	if (*result)
		return false;
	if (head.type == LARDER_MSG_DONE || head.type == LARDER_MSG_ERROR) {
		client->broken = false;
		if (head.type == LARDER_MSG_ERROR)
			*result = daemon_error(&msg.ERROR, err);
		else
			keep_note(&msg.DONE, note);
		return false;
	}
	if (!fn)
		return true;
	row = (struct larder_row){.type = head.type, .msg = &msg, .fd = fd};
	*result = fn(&row, arg, err);
	fd = row.fd;
	return *result == 0;
}

int larder_client_call(struct larder_client *client, unsigned int type, const void *msg,
		       int timeout_ms, larder_row_fn fn, void *arg, char *note,
		       struct larder_error *err)
{
	auto_free uint8_t *frame = NULL;
	size_t len = 0;
	int rc;

	if (note)
		note[0] = '\0';
	if (client->broken)
		return larder_error_set(
			err, ECONNRESET,
			"the connection to larderd was given up in an earlier call");
	rc = larder_msg_encode(type, ++client->seq, msg, &frame, &len, err);
	if (rc)
		return rc;
	client->broken = true; /* until its answer was read to the end */
	rc = larder_stream_send(&client->stream, frame, len, clock_mono_ms() + timeout_ms);
	/* A daemon that turns us away may have said why before it closed: read on. */
	if (rc && rc != -EPIPE && rc != -ECONNRESET)
		return transport_fail(rc, timeout_ms, err);
	while (receive_row(client, timeout_ms, fn, arg, note, &rc, err))
		;
	return rc;
}
