/*
 * Owns the lines from larder-sched to its publisher. Must not decide what is published.
 * Called by the control thread, which waits here at most for the deadline.
 */
#include "sched/publish.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "larder/text.h"

struct publish_batch {
	FILE *out;
	char *text;
	size_t len;
};

/* Where the talk stands. */
struct talk {
	int fd, wake_fd;
	int64_t deadline_ms;
	char answer[2048];
	size_t len;
};

struct publish_batch *publish_begin(void)
{
	struct publish_batch *batch = calloc(1, sizeof(*batch));

	if (batch)
		batch->out = open_memstream(&batch->text, &batch->len);
	if (batch && !batch->out) {
		free(batch);
		return NULL;
	}
	return batch;
}

void publish_drop(struct publish_batch *batch)
{
	if (!batch)
		return;
	if (batch->out)
		fclose(batch->out);
	free(batch->text);
	free(batch);
}

void publish_set(struct publish_batch *batch, const char *nodes, const char *features)
{
	fprintf(batch->out, "set\t%s\t%s\n", nodes, features);
}

void publish_free(struct publish_batch *batch, uint32_t job_id)
{
	fprintf(batch->out, "free\t%" PRIu32 "\n", job_id);
}

static int reach(const char *path, struct talk *talk, struct larder_error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	talk->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (talk->fd < 0 || connect(talk->fd, (struct sockaddr *)&address, sizeof(address)))
		return larder_error_set(
			err, errno, "no publisher at %s: %s (is larder-sched --publisher running?)",
			path, strerror(errno));
	return 0;
}

static int await(const struct talk *talk, short events, struct larder_error *err)
{
	struct pollfd fds[] = {{.fd = talk->fd, .events = events},
			       {.fd = talk->wake_fd, .events = POLLIN}};
	int64_t left = talk->deadline_ms - clock_mono_ms();
	int n;

	if (left <= 0)
		return larder_error_set(err, ETIMEDOUT, "the publisher does not answer");
	n = poll(fds, 2, (int)left);
	if (n < 0 && errno != EINTR)
		return larder_error_set(err, errno, "poll: %s", strerror(errno));
	return fds[1].revents ? larder_error_set(err, ECANCELED, "stopped") : 0;
}

static int hand_over(const struct talk *talk, const char *text, size_t len,
		     struct larder_error *err)
{
	while (len) {
		ssize_t n = send(talk->fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return larder_error_set(err, errno, "the publisher ended: %s",
						strerror(errno));
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		} else if (await(talk, POLLOUT, err)) {
			return -err->code;
		}
	}
	return 0;
}

static int hear(struct talk *talk, struct larder_error *err)
{
	while (!memchr(talk->answer, '\n', talk->len)) {
		ssize_t n = recv(talk->fd, talk->answer + talk->len,
				 sizeof(talk->answer) - 1 - talk->len, 0);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return larder_error_set(err, EIO, "the publisher ended without an answer");
		if (n > 0)
			talk->len += (size_t)n;
		else if (await(talk, POLLIN, err))
			return -err->code;
	}
	talk->answer[strcspn(talk->answer, "\n")] = '\0';
	return 0;
}

static int understand(char *answer, struct publish_result *result, struct larder_error *err)
{
	char *verb = strsep(&answer, "\t");
	uint64_t *numbers[] = {&result->changed, &result->requests, &result->left};

	if (strcmp(verb, "fail") == 0)
		return larder_error_set(err, EIO, "%s", answer ? answer : "");
	if (strcmp(verb, "done") != 0)
		return larder_error_set(err, EPROTO, "the publisher says \"%s\"", verb);
	for (size_t i = 0; i < 3; i++) {
		char *field = strsep(&answer, "\t");

		if (!field || larder_u64_parse(field, numbers[i], err))
			return larder_error_set(err, EPROTO, "the publisher says something else");
	}
	return 0;
}

int publish_end(struct publish_batch *batch, const char *socket, unsigned int max_requests,
		int64_t timeout_ms, int wake_fd, struct publish_result *result,
		struct larder_error *err)
{
	struct talk talk = {
		.fd = -1, .wake_fd = wake_fd, .deadline_ms = clock_mono_ms() + timeout_ms};
	int rc;

	fprintf(batch->out, "go\t%u\n", max_requests);
	rc = fclose(batch->out) ? larder_error_set(err, ENOMEM, "out of memory") : 0;
	batch->out = NULL;
	if (!rc)
		rc = reach(socket, &talk, err);
	if (!rc)
		rc = hand_over(&talk, batch->text, batch->len, err);
	if (!rc)
		rc = hear(&talk, err);
	if (!rc)
		rc = understand(talk.answer, result, err);
	if (talk.fd >= 0)
		close(talk.fd);
	publish_drop(batch);
	return rc;
}
