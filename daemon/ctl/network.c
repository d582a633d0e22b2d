/*
 * Owns the threads that carry frames to other machines. Knows of a verb only how long it may take,
 * and that WATCH, whose answer would not end, is asked again and again. Called by fleet.c.
 */
#include "ctl/network.h"

#include <errno.h>
#include <pthread.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fleet/call.h"
#include "larder/cleanup.h"
#include "larder/clock.h"

#define PING_MS	   4500			 /* the asker waits for 5 s, and likes to hear why */
#define ANSWER_MS  28000		 /* of 30 */
#define PATIENT_MS (24 * 60 * 60 * 1000) /* work that says nothing while it runs */
#define WATCH_MS   2000
#define STACK	   262144

struct carrier {
	int fd;
	char *address, *node, *munge;
	uid_t to;
	struct fleet_caller *caller;
};

static void carrier_destroy(struct carrier *carrier)
{
	fleet_caller_destroy(carrier->caller);
	if (carrier->fd >= 0)
		close(carrier->fd);
	free(carrier->address);
	free(carrier->node);
	free(carrier->munge);
	free(carrier);
}

/* --- between the two ends of the pair */

static bool take(int fd, uint8_t *to, size_t len)
{
	while (len) {
		ssize_t n = recv(fd, to, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		to += n;
		len -= (size_t)n;
	}
	return true;
}

static bool give(int fd, const uint8_t *from, size_t len)
{
	while (len) {
		ssize_t n = send(fd, from, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		from += n;
		len -= (size_t)n;
	}
	return true;
}

static bool give_error(const struct carrier *carrier, uint32_t seq, const struct larder_error *why)
{
	const struct larder_msg_ERROR msg = {.code = (uint32_t)why->code, .text = why->text};
	auto_free uint8_t *frame = NULL;
	size_t len = 0;

	return !larder_msg_encode(LARDER_MSG_ERROR, seq, &msg, &frame, &len, NULL) &&
	       give(carrier->fd, frame, len);
}

/* --- one question */

static int64_t patience(unsigned int type)
{
	switch (type) {
	case LARDER_MSG_PING: return PING_MS;
	case LARDER_MSG_STAGE:
	case LARDER_MSG_EVICT:
	case LARDER_MSG_VERIFY:
	case LARDER_MSG_GC: return PATIENT_MS;
	default: return ANSWER_MS;
	}
}

static int ask(const struct carrier *carrier, const uint8_t *frame, size_t len, int64_t timeout_ms,
	       struct fleet_call *call)
{
	*call = (struct fleet_call){.address = carrier->address,
				    .node = carrier->node,
				    .to = carrier->to,
				    .request = frame,
				    .len = len,
				    .timeout_ms = timeout_ms};
	fleet_call_all(carrier->caller, call, 1, NULL, NULL);
	return call->rc;
}

/* Where the last frame of an answer starts; -1 when they are no frames. */
static ssize_t last_frame(const uint8_t *answer, size_t len, struct larder_head *head)
{
	ssize_t at = -1;

	for (size_t next = 0; next + LARDER_FRAME_HEAD <= len;) {
		at = (ssize_t)next;
		if (larder_head_decode(answer + next, head, NULL))
			return -1;
		next += LARDER_FRAME_HEAD + head->length;
		if (next == len)
			return at;
	}
	return -1;
}

/* Is the end of the answer ERROR ETIMEDOUT? Its code stands first in the body. */
static bool timed_out(const uint8_t *last, const struct larder_head *head)
{
	return head->type == LARDER_MSG_ERROR && head->length >= 4 &&
	       (last[LARDER_FRAME_HEAD] | last[LARDER_FRAME_HEAD + 1] << 8) == ETIMEDOUT;
}

/* Slices of two seconds, each answered whole; the rows of all but the end go on at once. */
static bool watch(const struct carrier *carrier, const struct larder_head *head, uint8_t *body)
{
	struct larder_msg_WATCH msg;
	struct larder_error err = {0};
	int64_t until;

	if (larder_msg_decode(head->type, body, head->length, &msg, &err))
		return give_error(carrier, head->seq, &err);
	until = msg.timeout_ms > 0 ? clock_mono_ms() + msg.timeout_ms : INT64_MAX;
	for (;;) {
		int64_t left = until - clock_mono_ms();
		auto_free uint8_t *frame = NULL, *answer = NULL;
		struct larder_head end;
		struct fleet_call call;
		size_t len = 0;
		ssize_t last;

		msg.timeout_ms = left > WATCH_MS ? WATCH_MS : left > 0 ? left : 1;
		if (larder_msg_encode(head->type, head->seq, &msg, &frame, &len, &err))
			return give_error(carrier, head->seq, &err);
		if (ask(carrier, frame, len, ANSWER_MS, &call))
			return give_error(carrier, head->seq, &call.err);
		answer = call.answer;
		last = last_frame(answer, call.answer_len, &end);
		if (last < 0 || left <= WATCH_MS || !timed_out(answer + last, &end))
			return give(carrier->fd, answer, call.answer_len);
		if (!give(carrier->fd, answer, (size_t)last))
			return false;
	}
}

static bool carry(const struct carrier *carrier)
{
	uint8_t in[LARDER_FRAME_HEAD];
	auto_free uint8_t *frame = NULL, *answer = NULL;
	struct larder_head head;
	struct fleet_call call;

	if (!take(carrier->fd, in, sizeof(in)) || larder_head_decode(in, &head, NULL))
		return false;
	frame = calloc(1, sizeof(in) + head.length + 1);
	if (!frame)
		return false;
	memcpy(frame, in, sizeof(in));
	if (!take(carrier->fd, frame + sizeof(in), head.length))
		return false;
	if (head.type == LARDER_MSG_WATCH)
		return watch(carrier, &head, frame + sizeof(in));
	if (ask(carrier, frame, sizeof(in) + head.length, patience(head.type), &call))
		return give_error(carrier, head.seq, &call.err);
	answer = call.answer;
	return give(carrier->fd, answer, call.answer_len);
}

static void *carry_all(void *arg)
{
	struct carrier *carrier = arg;

	while (carry(carrier))
		;
	carrier_destroy(carrier);
	return NULL;
}

static int carrier_start(struct carrier *carrier, struct larder_error *err)
{
	pthread_attr_t attr;
	pthread_t thread;
	int rc = pthread_attr_init(&attr);

	if (rc)
		return larder_error_set(err, rc, "thread: %s", strerror(rc));
	pthread_attr_setstacksize(&attr, STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&thread, &attr, carry_all, carrier);
	pthread_attr_destroy(&attr);
	return rc ? larder_error_set(err, rc, "thread: %s", strerror(rc)) : 0;
}

int network_open(const struct network_peer *peer, struct larder_client **client,
		 struct larder_error *err)
{
	struct carrier *carrier = calloc(1, sizeof(*carrier));
	int pair[2], rc;

	if (!carrier)
		return larder_error_set(err, ENOMEM, "out of memory");
	carrier->fd = -1;
	carrier->to = peer->to;
	carrier->address = strdup(peer->address);
	carrier->node = strdup(peer->node);
	carrier->munge = strdup(peer->munge);
	if (!carrier->address || !carrier->node || !carrier->munge)
		rc = larder_error_set(err, ENOMEM, "out of memory");
	else
		rc = fleet_caller_create(carrier->munge, 1, 1, &carrier->caller, err);
	if (!rc && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		rc = larder_error_set(err, errno, "socket pair: %s", strerror(errno));
	if (!rc) {
		carrier->fd = pair[1];
		rc = larder_client_adopt(pair[0], client, err);
	}
	if (!rc && (rc = carrier_start(carrier, err)))
		larder_client_close(*client);
	if (rc)
		carrier_destroy(carrier);
	return rc;
}

int network_open_sched(const struct network_settings *settings, struct larder_client **client,
		       struct larder_error *err)
{
	struct network_peer peer = {
		.address = settings->sched, .node = "larder-sched", .munge = settings->munge};
	const struct passwd *user;

	if (!settings->sched[0])
		return larder_error_set(
			err, ENOTCONN,
			"no larder-sched is configured: larder.conf's sched, or LARDER_SCHED, says where it is");
	user = getpwnam(settings->sched_user);
	if (!user)
		return larder_error_set(
			err, ENOENT,
			"sched_user: nobody here is called %s, as whom larder-sched should run",
			settings->sched_user);
	peer.to = user->pw_uid;
	return network_open(&peer, client, err);
}
