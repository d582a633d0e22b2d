/*
 * The client against daemons that answer, lie, dribble, stop, refuse or are not there.
 * Each test forks its own daemon on its own socket. Deadlines are checked by the clock, with slack
 * upwards only for a busy machine.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "skip.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "larder/client.h"
#include "scratch.h"

#define PATIENT_MS 20000 /* where nothing should time out */
#define SLACK_MS   5000	 /* how late a deadline may be noticed on a busy machine */

struct fake {
	char *dir;
	char path[100];
	int listener;
	pid_t pid; /* 0: none */
};

static int setup(void **state)
{
	struct fake *fake = calloc(1, sizeof(*fake));
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	fake->dir = scratch_create();
	snprintf(fake->path, sizeof(fake->path), "%s/s", fake->dir);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", fake->path);
	fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(fake->listener, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(fake->listener, 0))
		return -1;
	*state = fake;
	return 0;
}

static int teardown(void **state)
{
	struct fake *fake = *state;

	if (fake->pid) {
		kill(fake->pid, SIGKILL);
		waitpid(fake->pid, NULL, 0);
	}
	close(fake->listener);
	scratch_destroy(fake->dir);
	free(fake);
	return 0;
}

/* --- the daemon's side, in the child: no assertions there, only _exit --- */

static void child_read(int fd, void *data, size_t len)
{
	while (len) {
		ssize_t n = read(fd, data, len);

		if (n <= 0)
			_exit(1);
		data = (char *)data + n;
		len -= (size_t)n;
	}
}

/* Reads a request; its sequence number. */
static uint32_t child_request(int fd)
{
	uint8_t head[LARDER_FRAME_HEAD];
	struct larder_head parsed;
	char body[4096];

	child_read(fd, head, sizeof(head));
	if (larder_head_decode(head, &parsed, NULL) || parsed.length > sizeof(body))
		_exit(2);
	child_read(fd, body, parsed.length);
	return parsed.seq;
}

/* Sends a message with n_fds copies of the descriptor `pass`. */
static void child_send(int sock, unsigned int type, uint32_t seq, const void *msg, int pass,
		       size_t n_fds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))] = {0};
	struct iovec iov;
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
	uint8_t *frame;
	size_t len;

	if (larder_msg_encode(type, seq, msg, &frame, &len, NULL))
		_exit(3);
	iov = (struct iovec){.iov_base = frame, .iov_len = len};
	if (n_fds) {
		struct cmsghdr *c;

		header.msg_control = control;
		header.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&header);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		for (size_t i = 0; i < n_fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &pass, sizeof(int));
	}
	if (sendmsg(sock, &header, MSG_NOSIGNAL) != (ssize_t)len)
		_exit(4);
	free(frame);
}

static void child_done(int fd, uint32_t seq)
{
	const struct larder_msg_DONE done = {.note = "all told"};

	child_send(fd, LARDER_MSG_DONE, seq, &done, -1, 0);
}

static void child_wait_for_close(int fd)
{
	char byte;

	while (read(fd, &byte, 1) > 0)
		;
}

/* Runs act on the first connection in a child. */
static void serve(struct fake *fake, void (*act)(int fd))
{
	fake->pid = fork();
	assert_true(fake->pid >= 0);
	if (fake->pid == 0) {
		int fd = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);

		signal(SIGPIPE, SIG_IGN);
		act(fd);
		child_wait_for_close(fd);
		_exit(0);
	}
}

/* --- the client's --- */

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct larder_client *connect_to(struct fake *fake)
{
	struct larder_client *client = NULL;
	struct larder_error err = {0};

	if (larder_client_open(fake->path, NULL, PATIENT_MS, &client, &err))
		fail_msg("%s", err.text);
	return client;
}

struct got {
	unsigned int rows, fds, with_fd; /* mask: the rows that had one */
	char text[64];
	int answer;
	bool keep; /* takes the descriptors along */
	int kept[2];
};

static int take_row(struct larder_row *row, void *arg, struct larder_error *err)
{
	struct got *got = arg;

	got->rows++;
	if (row->type == LARDER_MSG_LINE)
		snprintf(got->text, sizeof(got->text), "%s",
			 ((const struct larder_msg_LINE *)row->msg)->text);
	if (row->fd >= 0) {
		if (fcntl(row->fd, F_GETFD) != FD_CLOEXEC)
			fail_msg("the descriptor would leak into the job");
		if (got->keep && got->fds < 2) {
			got->kept[got->fds] = row->fd;
			row->fd = -1;
		}
		got->fds++;
		got->with_fd |= 1u << (got->rows - 1);
	}
	if (got->answer)
		return larder_error_set(err, -got->answer, "enough");
	return 0;
}

static int call_list(struct larder_client *client, int timeout_ms, struct got *got, char *note,
		     struct larder_error *err)
{
	const struct larder_msg_LIST list = {.pattern = "x"};

	return larder_client_call(client, LARDER_MSG_LIST, &list, timeout_ms, got ? take_row : NULL,
				  got, note, err);
}

static void act_answer(int fd)
{
	for (int i = 0; i < 2; i++) {
		uint32_t seq = child_request(fd);

		for (int row = 0; row < 3; row++) {
			char text[] = "row 0";
			const struct larder_msg_LINE line = {.text = text};

			text[4] = (char)('0' + row);
			child_send(fd, LARDER_MSG_LINE, seq, &line, -1, 0);
		}
		child_done(fd, seq);
	}
}

static void test_rows_and_done(void **state)
{
	struct larder_client *client;
	char note[LARDER_ERROR_MAX];
	struct got got = {0};

	serve(*state, act_answer);
	client = connect_to(*state);
	assert_int_equal(call_list(client, PATIENT_MS, &got, note, NULL), 0);
	assert_int_equal(got.rows, 3);
	assert_string_equal(got.text, "row 2");
	assert_string_equal(note, "all told");
	/* and once more on the same connection, with nobody who takes the rows */
	assert_int_equal(call_list(client, PATIENT_MS, NULL, NULL, NULL), 0);
	larder_client_close(client);
}

static void act_error(int fd)
{
	const struct larder_msg_ERROR error = {.code = ENOENT, .text = "unknown dataset \"x\""};
	const struct larder_msg_ERROR odd = {.code = 0xfffffff0u, .text = "odd"};

	child_send(fd, LARDER_MSG_ERROR, child_request(fd), &error, -1, 0);
	child_send(fd, LARDER_MSG_ERROR, child_request(fd), &odd, -1, 0);
	child_done(fd, child_request(fd));
}

static void test_error_of_the_daemon(void **state)
{
	struct larder_error err = {0};
	struct larder_client *client;

	serve(*state, act_error);
	client = connect_to(*state);
	assert_int_equal(call_list(client, PATIENT_MS, NULL, NULL, &err), -ENOENT);
	assert_string_equal(err.text, "unknown dataset \"x\"");
	assert_int_equal(call_list(client, PATIENT_MS, NULL, NULL, &err), -EIO);
	/* an error ends the answer, not the connection */
	assert_int_equal(call_list(client, PATIENT_MS, NULL, NULL, &err), 0);
	larder_client_close(client);
}

static void test_the_callback_ends_the_call(void **state)
{
	struct got got = {.answer = -ENOSPC};
	struct larder_error err = {0};
	struct larder_client *client;

	serve(*state, act_answer);
	client = connect_to(*state);
	assert_int_equal(call_list(client, PATIENT_MS, &got, NULL, &err), -ENOSPC);
	assert_int_equal(got.rows, 1);
	assert_int_equal(call_list(client, PATIENT_MS, &got, NULL, &err), -ECONNRESET);
	assert_int_equal(got.rows, 1);
	larder_client_close(client);
}

static int open_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void act_descriptors(int fd)
{
	const struct larder_msg_VIEW view = {.view_root = "/datasets"};
	int pass = open("/", O_PATH | O_CLOEXEC);

	for (int i = 0; i < 3; i++) {
		uint32_t seq = child_request(fd);

		child_send(fd, LARDER_MSG_VIEW, seq, &view, pass, 1);
		child_send(fd, LARDER_MSG_VIEW, seq, &view, -1, 0);
		child_send(fd, LARDER_MSG_VIEW, seq, &view, pass, 1);
		child_done(fd, seq);
	}
	child_send(fd, LARDER_MSG_VIEW, child_request(fd), &view, pass, 3);
}

static void test_descriptors(void **state)
{
	struct larder_error err = {0};
	struct larder_client *client;
	struct got got = {0};
	int before;

	serve(*state, act_descriptors);
	client = connect_to(*state);
	before = open_fds();
	assert_int_equal(call_list(client, PATIENT_MS, &got, NULL, &err), 0);
	assert_int_equal(got.rows, 3);
	assert_int_equal(got.fds, 2);
	assert_int_equal(got.with_fd, 5);     /* however many rows are received at once */
	assert_int_equal(open_fds(), before); /* nobody took them: closed */
	assert_int_equal(call_list(client, PATIENT_MS, NULL, NULL, &err), 0);
	assert_int_equal(open_fds(), before);
	got = (struct got){.keep = true};
	assert_int_equal(call_list(client, PATIENT_MS, &got, NULL, &err), 0);
	assert_int_equal(open_fds(), before + 2); /* taken: ours to close */
	close(got.kept[0]);
	close(got.kept[1]);
	/* more than one at once is a fault, and all are closed */
	before = open_fds();
	assert_int_equal(call_list(client, PATIENT_MS, NULL, NULL, &err), -EPROTO);
	assert_int_equal(open_fds(), before);
	larder_client_close(client);
}

/* --- deadlines --- */

/* Calls with `ms` to wait; asserts that the deadline held, and which code came. */
static void expect_timeout(struct larder_client *client, int ms)
{
	struct larder_error err = {0};
	int64_t began = now_ms(), took;

	assert_int_equal(call_list(client, ms, NULL, NULL, &err), -ETIMEDOUT);
	took = now_ms() - began;
	assert_true(took >= ms);
	assert_true(took < ms + SLACK_MS);
	assert_non_null(strstr(err.text, "did not answer within"));
	/* what comes late is nobody's */
	assert_int_equal(call_list(client, ms, NULL, NULL, &err), -ECONNRESET);
}

static void act_silence(int fd)
{
	child_request(fd);
}

static void test_a_daemon_that_never_answers(void **state)
{
	struct larder_client *client;

	serve(*state, act_silence);
	client = connect_to(*state);
	expect_timeout(client, 100);
	larder_client_close(client);
}

static void test_a_stopped_daemon(void **state)
{
	struct fake *fake = *state;
	struct larder_client *client;
	int status;

	serve(fake, act_answer);
	client = connect_to(fake);
	kill(fake->pid, SIGSTOP);
	assert_int_equal(waitpid(fake->pid, &status, WUNTRACED), fake->pid);
	assert_true(WIFSTOPPED(status));
	expect_timeout(client, 100);
	larder_client_close(client);
}

/* A good head that announces a body, of which a byte comes every now and then. */
static void act_dribble(int fd)
{
	const uint8_t head[LARDER_FRAME_HEAD] = {'L', 'R', 'D', '1', 1, 0, LARDER_MSG_TEXT,
						 0,   0,   0,	1,   0};
	const struct timespec pause = {.tv_nsec = 2000000};
	uint32_t seq = child_request(fd);
	uint8_t bytes[LARDER_FRAME_HEAD];

	memcpy(bytes, head, sizeof(head));
	bytes[12] = (uint8_t)seq;
	for (size_t i = 0;; i++) {
		if (send(fd, i < sizeof(bytes) ? bytes + i : bytes + 8, 1, MSG_NOSIGNAL) != 1)
			_exit(0);
		nanosleep(&pause, NULL);
	}
}

static void test_a_daemon_that_dribbles(void **state)
{
	struct larder_client *client;

	serve(*state, act_dribble);
	client = connect_to(*state);
	expect_timeout(client, 150);
	larder_client_close(client);
}

static void act_stop_reading(int fd)
{
	(void)fd;
	pause();
}

/* Takes all room that a socket has. */
static void fill_socket(int fd)
{
	char bytes[4096] = {0};

	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	assert_int_equal(errno, EAGAIN);
}

/* The request is larger than what the socket holds, and nobody reads it. */
static void test_a_daemon_that_never_reads(void **state)
{
	char *text = malloc(LARDER_STR_MAX + 1);
	const struct larder_msg_ACQUIRE acquire = {.specs = text, .fixed = text};
	struct larder_client *client;
	int64_t began;
	int fd;

	assert_non_null(text);
	memset(text, 'a', LARDER_STR_MAX);
	text[LARDER_STR_MAX] = '\0';
	serve(*state, act_stop_reading);
	/* the lowest free descriptor becomes the client's socket */
	fd = dup(0);
	close(fd);
	client = connect_to(*state);
	/* so that the request cannot vanish in the socket's buffer */
	fill_socket(fd);
	began = now_ms();
	assert_int_equal(larder_client_call(client, LARDER_MSG_ACQUIRE, &acquire, 100, NULL, NULL,
					    NULL, NULL),
			 -ETIMEDOUT);
	assert_true(now_ms() - began < 100 + SLACK_MS);
	larder_client_close(client);
	free(text);
}

/* Nobody accepts and the backlog is full: connect must not hang. */
static void test_a_full_backlog(void **state)
{
	struct larder_client *clients[8] = {NULL};
	struct fake *fake = *state;
	struct larder_error err = {0};
	int64_t began, took;
	int rc = 0;
	size_t n = 0;

	do {
		began = now_ms();
		rc = larder_client_open(fake->path, NULL, 150, &clients[n], &err);
	} while (rc == 0 && ++n < 8);
	took = now_ms() - began;
	assert_int_equal(rc, -ETIMEDOUT);
	assert_true(n > 0);
	assert_true(took >= 150 && took < 150 + SLACK_MS);
	assert_non_null(strstr(err.text, "took no connection"));
	while (n--)
		larder_client_close(clients[n]);
}

/* A place that becomes free while we wait for it is taken at once. */
static void test_a_backlog_that_empties(void **state)
{
	struct larder_client *client = NULL, *first = NULL;
	struct fake *fake = *state;

	/* backlog 0 holds one connection */
	assert_int_equal(larder_client_open(fake->path, NULL, PATIENT_MS, &first, NULL), 0);
	fake->pid = fork();
	if (fake->pid == 0) {
		const struct timespec pause = {.tv_nsec = 50000000};

		nanosleep(&pause, NULL);
		accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);
		accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);
		_exit(0);
	}
	assert_int_equal(larder_client_open(fake->path, NULL, PATIENT_MS, &client, NULL), 0);
	larder_client_close(client);
	larder_client_close(first);
}

/* --- who is not there, or lies --- */

static void test_nobody_there(void **state)
{
	struct larder_client *client = NULL;
	struct fake *fake = *state;
	struct larder_error err = {0};

	close(fake->listener);
	assert_int_equal(larder_client_open(fake->path, NULL, PATIENT_MS, &client, &err),
			 -ECONNREFUSED);
	assert_non_null(strstr(err.text, "larderd is not running here"));
	unlink(fake->path);
	assert_int_equal(larder_client_open(fake->path, NULL, PATIENT_MS, &client, &err), -ENOENT);
	assert_null(client);
	fake->listener = -1;
}

static void test_node_in_the_path(void **state)
{
	struct larder_client *client = NULL;
	struct fake *fake = *state;
	struct larder_error err = {0};
	char path[200];

	snprintf(path, sizeof(path), "%s/%%n", fake->dir);
	assert_int_equal(larder_client_open(path, "s", PATIENT_MS, &client, &err), 0);
	larder_client_close(client);
	assert_int_equal(larder_client_open(path, NULL, 10, &client, &err), -EINVAL);
	assert_int_equal(larder_client_open(path, "", 10, &client, &err), -EINVAL);
	assert_int_equal(larder_client_open(path, "../s", 10, &client, &err), -EINVAL);
	assert_int_equal(larder_client_open(path, "..", 10, &client, &err), -EINVAL);
	assert_int_equal(larder_client_open("", NULL, 10, &client, &err), -EINVAL);
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(larder_client_open(path, NULL, 10, &client, &err), -ENAMETOOLONG);
}

/* Whoever listens must be root or ourselves: a stranger could hand us any descriptor. */
static void test_a_stranger_listens(void **state)
{
	struct larder_client *client = NULL;
	struct fake *fake = *state;
	struct larder_error err = {0};
	int ready[2];
	char byte;

	if (geteuid() != 0)
		skip_because("needs root");
	assert_int_equal(pipe(ready), 0);
	fake->pid = fork();
	if (fake->pid == 0) {
		/* the credentials of a listener are those at listen() */
		if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534) ||
		    listen(fake->listener, 5))
			_exit(1);
		if (write(ready[1], "r", 1) != 1)
			_exit(1);
		pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(larder_client_open(fake->path, NULL, PATIENT_MS, &client, &err), -EPERM);
	assert_string_equal(strstr(err.text, "not root"), "not root: this is not larderd");
	close(ready[0]);
	close(ready[1]);
}

static void act_close(int fd)
{
	child_request(fd);
	_exit(0);
}

static void test_a_daemon_that_dies(void **state)
{
	struct larder_error err = {0};
	struct larder_client *client;

	serve(*state, act_close);
	client = connect_to(*state);
	assert_int_equal(call_list(client, PATIENT_MS, NULL, NULL, &err), -ECONNRESET);
	assert_int_equal(call_list(client, PATIENT_MS, NULL, NULL, &err), -ECONNRESET);
	larder_client_close(client);
}

static void act_turn_away(int fd)
{
	const struct larder_msg_ERROR busy = {.code = EBUSY, .text = "too many sessions"};

	child_send(fd, LARDER_MSG_ERROR, 1, &busy, -1, 0);
	shutdown(fd, SHUT_RD);
	_exit(0);
}

/* The reason for which a full daemon turns us away is heard, though we could not ask. */
static void test_turned_away(void **state)
{
	struct fake *fake = *state;
	struct larder_error err = {0};
	struct larder_client *client;

	serve(fake, act_turn_away);
	client = connect_to(fake);
	waitpid(fake->pid, NULL, 0);
	fake->pid = 0;
	assert_int_equal(call_list(client, PATIENT_MS, NULL, NULL, &err), -EBUSY);
	assert_string_equal(err.text, "too many sessions");
	larder_client_close(client);
}

/* One fault of many in the answer's head or body, chosen before the fork. */
static uint8_t fault[64];
static size_t fault_len;

static void act_fault(int fd)
{
	child_request(fd);
	send(fd, fault, fault_len, MSG_NOSIGNAL);
}

static void test_a_daemon_that_talks_nonsense(void **state)
{
	static const struct {
		uint8_t bytes[20];
		size_t len;
		int rc;
	} rows[] = {
		{"HTTP/1.1 400 Bad R", 18, -EPROTO},
		{"LRD1\2\0\100\0\0\0\0\0\1\0\0", 16, -EPROTONOSUPPORT},
		{"LRD1\1\0\377\377\0\0\0\0\1\0\0", 16, -EPROTO}, /* no such message */
		{"LRD1\1\0\100\0\0\0\0\1\1\0\0", 16, -EPROTO},	 /* 16 MiB */
		{"LRD1\1\0\100\0\0\0\0\0\1\0\0", 16, -EPROTO},	 /* DONE without its note */
		{"LRD1\1\0\100\0\4\0\0\0\1\0\0\0\377\0\0", 20, -EPROTO},
		{"LRD1\1\0\100\0\4\0\0\0\2\0\0\0\0\0\0", 20, -EPROTO}, /* another's answer */
		{"LRD1\1\0\20\0\0\0\0\0\1\0\0", 16, -EPROTO},	       /* a request: PING */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fake *fake = *state;
		struct larder_error err = {0};
		struct larder_client *client;

		memcpy(fault, rows[i].bytes, rows[i].len);
		fault_len = rows[i].len;
		serve(fake, act_fault);
		client = connect_to(fake);
		if (call_list(client, PATIENT_MS, NULL, NULL, &err) != rows[i].rc)
			fail_msg("row %zu: %d %s", i, err.code, err.text);
		larder_client_close(client);
		waitpid(fake->pid, NULL, 0);
		fake->pid = 0;
	}
}

#define WITH_FAKE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		WITH_FAKE(test_rows_and_done),
		WITH_FAKE(test_error_of_the_daemon),
		WITH_FAKE(test_the_callback_ends_the_call),
		WITH_FAKE(test_descriptors),
		WITH_FAKE(test_a_daemon_that_never_answers),
		WITH_FAKE(test_a_stopped_daemon),
		WITH_FAKE(test_a_daemon_that_dribbles),
		WITH_FAKE(test_a_daemon_that_never_reads),
		WITH_FAKE(test_a_full_backlog),
		WITH_FAKE(test_a_backlog_that_empties),
		WITH_FAKE(test_nobody_there),
		WITH_FAKE(test_node_in_the_path),
		WITH_FAKE(test_a_stranger_listens),
		WITH_FAKE(test_a_daemon_that_dies),
		WITH_FAKE(test_turned_away),
		WITH_FAKE(test_a_daemon_that_talks_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
