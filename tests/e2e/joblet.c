/*
 * Speaks to larderd as the plugin does, for tests without Slurm; and as bad clients do.
 * It must not use the daemon's own code beyond the client library.
 * Called by the suites of tests/e2e; built as BUILD/tests/joblet. LARDER_SOCKET names the socket.
 *
 *   joblet ping
 *   joblet acquire JOB RUN UID SPECS [--gid N] [--mode auto|stage|lazy|bypass] [--wait all|none|MS]
 *                  [--on-fail default|fail|bypass] [--fixed SPECS] [--ask] [--timeout MS]
 *   joblet await JOB RUN [MS]
 *   joblet attach JOB STEP [--uid N] [--specs SPECS] [-- COMMAND…]
 *   joblet release JOB RUN
 *   joblet raw HEX       sends the bytes, prints the frames that come back and whether it was
 * closed joblet idle MS       connects, says nothing; prints "closed" when it is dropped within MS
 *   joblet hang MS       asks and never reads; prints "closed" when it is dropped within MS
 *   joblet crowd N       connects N times at once; prints how many of them are answered
 *
 * Exit codes: 0 usable outcome or done, 1 failed or refused, 2 usage, 4 nobody there, 6 still
 * pending.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/client.h"
#include "larder/text.h"

#define ANSWER_MS 15000
#define SLICE_MS  1000

enum { DONE, REFUSED, USAGE, UNREACHABLE = 4, PENDING = 6 };

static const char *socket_path(void)
{
	const char *path = getenv("LARDER_SOCKET");

	return path ? path : "/run/larder/larderd.sock";
}

static int64_t mono_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int complain(const struct larder_error *err)
{
	fprintf(stderr, "joblet: %s [%s]\n", err->text, strerrorname_np(err->code));
	return REFUSED;
}

static struct larder_client *open_or_exit(void)
{
	struct larder_client *client = NULL;
	struct larder_error err = {0};

	if (larder_client_open(socket_path(), getenv("LARDER_NODE"), 3000, &client, &err) == 0)
		return client;
	complain(&err);
	exit(UNREACHABLE);
}

static uint32_t number(const char *text)
{
	struct larder_error err = {0};
	uint64_t value = 0;

	if (text && larder_u64_parse(text, &value, &err) == 0 && value <= UINT32_MAX)
		return (uint32_t)value;
	fprintf(stderr, "joblet: '%s' is no number\n", text ? text : "");
	exit(USAGE);
}

static int simple(unsigned int type, const void *msg)
{
	struct larder_client *client = open_or_exit();
	struct larder_error err = {0};
	int rc = larder_client_call(client, type, msg, ANSWER_MS, NULL, NULL, NULL, &err);

	larder_client_close(client);
	return rc ? complain(&err) : DONE;
}

/* --- acquire and await */

struct outcome {
	uint32_t state;
	char text[LARDER_ERROR_MAX];
};

static int take_outcome(struct larder_row *row, void *arg, struct larder_error *err)
{
	const struct larder_msg_OUTCOME *msg = row->msg;
	struct outcome *outcome = arg;

	(void)err;
	if (row->type != LARDER_MSG_OUTCOME)
		return 0;
	outcome->state = msg->state;
	snprintf(outcome->text, sizeof(outcome->text), "%s", msg->text);
	return 0;
}

static int print_outcome(const struct outcome *outcome)
{
	printf("%s%s%s\n", larder_outcome_word(outcome->state), *outcome->text ? " " : "",
	       outcome->text);
	if (outcome->state == LARDER_OUTCOME_PENDING)
		return PENDING;
	return outcome->state == LARDER_OUTCOME_FAILED || outcome->state == LARDER_OUTCOME_CANCELLED
		       ? REFUSED
		       : DONE;
}

static int await_outcome(struct larder_client *client, uint32_t job, uint32_t run, int64_t ms,
			 struct outcome *outcome, struct larder_error *err)
{
	int64_t until = mono_ms() + ms;
	int rc = 0;

	while (rc == 0 && outcome->state == LARDER_OUTCOME_PENDING && mono_ms() < until) {
		const struct larder_msg_AWAIT msg = {job, run, SLICE_MS, {}};

		rc = larder_client_call(client, LARDER_MSG_AWAIT, &msg, ANSWER_MS, take_outcome,
					outcome, NULL, err);
	}
	return rc;
}

static uint32_t word_number(const char *word, const char *const *words)
{
	for (uint32_t i = 0; words[i]; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	return number(word);
}

struct acquire {
	struct larder_msg_ACQUIRE msg;
	bool ask_only;
	int64_t timeout_ms;
};

static void acquire_options(struct acquire *a, int argc, char **argv)
{
	static const char *const modes[] = {"auto", "stage", "lazy", "bypass", NULL};
	static const char *const fails[] = {"default", "fail", "bypass", NULL};
	static const struct option options[] = {
		{"gid", 1, NULL, 'g'},	   {"mode", 1, NULL, 'm'},
		{"wait", 1, NULL, 'w'},	   {"on-fail", 1, NULL, 'o'},
		{"fixed", 1, NULL, 'f'},   {"ask", 0, NULL, 'a'},
		{"timeout", 1, NULL, 't'}, {0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'g': a->msg.gid = number(optarg); break;
		case 'm': a->msg.mode = word_number(optarg, modes); break;
		case 'o': a->msg.on_fail = word_number(optarg, fails); break;
		case 'f': a->msg.fixed = optarg; break;
		case 'a': a->ask_only = true; break;
		case 't': a->timeout_ms = number(optarg); break;
		case 'w':
			a->msg.wait_ms = strcmp(optarg, "all") == 0    ? LARDER_WAIT_ALL
					 : strcmp(optarg, "none") == 0 ? LARDER_WAIT_NONE
								       : (int64_t)number(optarg);
			break;
		default: exit(USAGE);
		}
	}
}

static int run_acquire(int argc, char **argv)
{
	struct acquire a = {.timeout_ms = 60000, .msg = {.wait_ms = LARDER_WAIT_ALL, .fixed = ""}};
	struct outcome outcome = {0};
	struct larder_client *client;
	struct larder_error err = {0};
	int rc;

	if (argc < 5)
		return USAGE;
	a.msg.job_id = number(argv[1]);
	a.msg.run = number(argv[2]);
	a.msg.uid = a.msg.gid = number(argv[3]);
	a.msg.specs = argv[4];
	acquire_options(&a, argc - 4, argv + 4);
	client = open_or_exit();
	rc = larder_client_call(client, LARDER_MSG_ACQUIRE, &a.msg, ANSWER_MS, take_outcome,
				&outcome, NULL, &err);
	if (rc == 0 && !a.ask_only)
		rc = await_outcome(client, a.msg.job_id, a.msg.run, a.timeout_ms, &outcome, &err);
	larder_client_close(client);
	return rc ? complain(&err) : print_outcome(&outcome);
}

static int run_await(int argc, char **argv)
{
	struct outcome outcome = {0};
	struct larder_client *client;
	struct larder_error err = {0};
	int rc;

	if (argc < 3)
		return USAGE;
	client = open_or_exit();
	rc = await_outcome(client, number(argv[1]), number(argv[2]),
			   argc > 3 ? (int64_t)number(argv[3]) : 60000, &outcome, &err);
	larder_client_close(client);
	return rc ? complain(&err) : print_outcome(&outcome);
}

/* --- attach */

struct attaching {
	int root;   /* the file system over the view root; -1: not mounted yet */
	bool print; /* no command follows: say what there is */
};

static void must(int rc, const char *what)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "joblet: %s: %s\n", what, strerror(errno));
	exit(REFUSED);
}

static void cover_root(struct attaching *a, const char *view_root)
{
	if (a->root >= 0)
		return;
	must(unshare(CLONE_NEWNS), "unshare");
	must(mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL), "make / rslave");
	must(mount("larder", view_root, "tmpfs", 0, "mode=0755"), view_root);
	a->root = open(view_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(a->root, view_root);
}

static void attach_view(struct attaching *a, const struct larder_msg_VIEW *view, int fd)
{
	char path[LARDER_NAME_MAX + LARDER_VERSION_MAX + 2];

	cover_root(a, view->view_root);
	mkdirat(a->root, view->name, 0755);
	snprintf(path, sizeof(path), "%s/%s", view->name, view->version);
	must(mkdirat(a->root, path, 0755), path);
	if (fd < 0) {
		fprintf(stderr, "joblet: no descriptor came with %s\n", path);
		exit(REFUSED);
	}
	must((int)syscall(SYS_move_mount, fd, "", a->root, path, 4 /* MOVE_MOUNT_F_EMPTY_PATH */),
	     "move_mount");
}

static int take_attached(struct larder_row *row, void *arg, struct larder_error *err)
{
	struct attaching *a = arg;
	const struct larder_msg_ENV *env = row->msg;
	const struct larder_msg_LINE *line = row->msg;

	(void)err;
	switch (row->type) {
	case LARDER_MSG_VIEW: attach_view(a, row->msg, row->fd); break;
	case LARDER_MSG_ENV:
		setenv(env->key, env->value, 1);
		if (a->print)
			printf("%s=%s\n", env->key, env->value);
		break;
	case LARDER_MSG_LINE: fprintf(stderr, "%s\n", line->text); break;
	default:
		fprintf(stderr, "joblet: unexpected row %s\n", larder_msg_name(row->type));
		exit(REFUSED);
	}
	return 0;
}

static int run_attach(int argc, char **argv)
{
	static const struct option options[] = {
		{"uid", 1, NULL, 'u'},
		{"specs", 1, NULL, 's'},
		{0},
	};
	struct larder_msg_ATTACH msg = {.step_specs = ""};
	struct attaching a = {.root = -1};
	struct larder_client *client;
	struct larder_error err = {0};
	int c, rc;

	if (argc < 3)
		return USAGE;
	msg.job_id = number(argv[1]);
	msg.step_id = number(argv[2]);
	while ((c = getopt_long(argc - 2, argv + 2, "+", options, NULL)) != -1) {
		if (c == 'u')
			msg.uid = number(optarg);
		else if (c == 's')
			msg.step_specs = optarg;
		else
			return USAGE;
	}
	a.print = optind + 2 >= argc;
	client = open_or_exit();
	rc = larder_client_call(client, LARDER_MSG_ATTACH, &msg, ANSWER_MS, take_attached, &a, NULL,
				&err);
	larder_client_close(client);
	if (rc != 0)
		return complain(&err);
	if (a.print)
		return DONE;
	execvp(argv[optind + 2], argv + optind + 2);
	must(-1, argv[optind + 2]);
	return REFUSED;
}

/* --- bad clients */

static int connect_raw(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path());
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		perror("joblet: connect");
		exit(UNREACHABLE);
	}
	return fd;
}

/* Exactly len bytes. 1, 0 at the end or after a reset, -1 when nothing came in time. */
static int read_exactly(int fd, uint8_t *data, size_t len, int timeout_ms)
{
	while (len > 0) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (poll(&p, 1, timeout_ms) == 0)
			return -1;
		n = read(fd, data, len);
		if (n <= 0)
			return 0;
		data += n;
		len -= (size_t)n;
	}
	return 1;
}

static int print_frame(int fd, int timeout_ms)
{
	union {
		struct larder_msg_ERROR error;
		struct larder_msg_TREE largest;
	} msg;
	static uint8_t body[LARDER_BODY_MAX + 1];
	uint8_t bytes[LARDER_FRAME_HEAD];
	struct larder_error err = {0};
	struct larder_head head;
	int rc = read_exactly(fd, bytes, sizeof(bytes), timeout_ms);

	if (rc <= 0)
		return rc;
	if (larder_head_decode(bytes, &head, &err) != 0 ||
	    read_exactly(fd, body, head.length, timeout_ms) != 1) {
		printf("garbage %s\n", err.text);
		return 0;
	}
	if (head.type == LARDER_MSG_ERROR &&
	    larder_msg_decode(head.type, body, head.length, &msg, &err) == 0)
		printf("ERROR %s %s\n", strerrorname_np((int)msg.error.code), msg.error.text);
	else
		printf("%s\n", larder_msg_name(head.type));
	return 1;
}

static int run_raw(const char *hex)
{
	auto_fd int fd = connect_raw();
	int rc;

	for (; hex[0] && hex[1]; hex += 2) {
		char pair[3] = {hex[0], hex[1], '\0'};
		uint8_t byte = (uint8_t)strtoul(pair, NULL, 16);

		if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
			break;
	}
	do
		rc = print_frame(fd, 1500);
	while (rc > 0);
	puts(rc == 0 ? "closed" : "open");
	return DONE;
}

/* Is the other side gone within ms? */
static int print_closed(int fd, int64_t ms)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};
	int n = poll(&p, 1, (int)ms);

	puts(n > 0 ? "closed" : "open");
	return DONE;
}

static int run_hang(int64_t ms)
{
	auto_fd int fd = connect_raw();
	const struct larder_msg_STATUS msg = {};
	int64_t until = mono_ms() + ms;
	uint8_t *frame = NULL;
	size_t len = 0;
	int small = 1;

	if (larder_msg_encode(LARDER_MSG_STATUS, 1, &msg, &frame, &len, NULL) != 0)
		return REFUSED;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	while (mono_ms() < until) {
		struct pollfd p = {.fd = fd, .events = POLLOUT | POLLRDHUP};
		ssize_t n = 0;

		if (poll(&p, 1, 100) > 0 && !(p.revents & (POLLRDHUP | POLLHUP | POLLERR)))
			n = send(fd, frame, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if ((p.revents & (POLLRDHUP | POLLHUP | POLLERR)) || (n < 0 && errno != EAGAIN)) {
			free(frame);
			puts("closed");
			return DONE;
		}
	}
	free(frame);
	puts("open");
	return DONE;
}

static int run_crowd(uint32_t n)
{
	struct larder_client **clients = calloc(n, sizeof(struct larder_client *));
	const struct larder_msg_PING ping = {};
	uint32_t answered = 0;

	if (!clients)
		return REFUSED;
	for (uint32_t i = 0; i < n; i++) {
		struct larder_error err = {0};

		if (larder_client_open(socket_path(), NULL, 2000, &clients[i], &err) != 0)
			continue;
		answered += larder_client_call(clients[i], LARDER_MSG_PING, &ping, 2000, NULL, NULL,
					       NULL, &err) == 0;
	}
	printf("%u\n", answered);
	for (uint32_t i = 0; i < n; i++)
		larder_client_close(clients[i]);
	free(clients);
	return DONE;
}

static int run(int argc, char **argv)
{
	const char *verb = argc > 0 ? argv[0] : "";

	if (strcmp(verb, "ping") == 0)
		return simple(LARDER_MSG_PING, &(const struct larder_msg_PING){});
	if (strcmp(verb, "acquire") == 0)
		return run_acquire(argc, argv);
	if (strcmp(verb, "await") == 0)
		return run_await(argc, argv);
	if (strcmp(verb, "attach") == 0)
		return run_attach(argc, argv);
	if (strcmp(verb, "release") == 0 && argc == 3)
		return simple(LARDER_MSG_RELEASE,
			      &(const struct larder_msg_RELEASE){.job_id = number(argv[1]),
								 .run = number(argv[2])});
	if (strcmp(verb, "raw") == 0 && argc == 2)
		return run_raw(argv[1]);
	if (strcmp(verb, "idle") == 0 && argc == 2) {
		auto_fd int fd = connect_raw();

		return print_closed(fd, number(argv[1]));
	}
	if (strcmp(verb, "hang") == 0 && argc == 2)
		return run_hang(number(argv[1]));
	if (strcmp(verb, "crowd") == 0 && argc == 2)
		return run_crowd(number(argv[1]));
	return USAGE;
}

int main(int argc, char **argv)
{
	int code = run(argc - 1, argv + 1);

	if (code == USAGE)
		fprintf(stderr, "joblet: bad arguments; see the top of tests/e2e/joblet.c\n");
	return code;
}
