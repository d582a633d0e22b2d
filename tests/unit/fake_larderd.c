/*
 * Owns the stand-in for the daemon.
 * Must speak the real protocol, from the same table. Called by tests only.
 */
#include "fake_larderd.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "larder/wire.h"

struct script {
	enum fake_answer answer;
	const char *tree, *root;
	struct fake_record *record;
	unsigned int awaits;
};

union request {
	struct larder_msg_ACQUIRE acquire;
	struct larder_msg_AWAIT await;
	struct larder_msg_ATTACH attach;
	struct larder_msg_RELEASE release;
};

__attribute__((format(printf, 2, 3))) static void note(struct script *s, const char *fmt, ...)
{
	size_t had = strlen(s->record->log);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->record->log + had, sizeof(s->record->log) - had, fmt, ap);
	va_end(ap);
}

static bool read_all(int fd, uint8_t *data, size_t len)
{
	while (len) {
		ssize_t n = read(fd, data, len);

		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

static void row(int fd, uint32_t seq, unsigned int type, const void *msg)
{
	uint8_t *frame;
	size_t len;

	if (larder_msg_encode(type, seq, msg, &frame, &len, NULL))
		_exit(3);
	if (send(fd, frame, len, MSG_NOSIGNAL) < 0 && errno != EPIPE)
		_exit(4);
	free(frame);
}

static void refuse(int fd, uint32_t seq)
{
	struct larder_msg_ERROR error = {.code = EINVAL, .text = "refused by the test"};

	row(fd, seq, LARDER_MSG_ERROR, &error);
}

static void done(int fd, uint32_t seq)
{
	struct larder_msg_DONE msg = {.note = ""};

	row(fd, seq, LARDER_MSG_DONE, &msg);
}

static void outcome(struct script *s, int fd, uint32_t seq)
{
	struct larder_msg_OUTCOME msg = {.state = LARDER_OUTCOME_READY, .text = "ready"};

	if (s->answer == FAKE_FOREVER || s->answer == FAKE_DROP ||
	    (s->answer == FAKE_PENDING && s->awaits < 3)) {
		msg.state = LARDER_OUTCOME_PENDING;
		msg.text = "1 GiB to go";
	} else if (s->answer == FAKE_FAILED) {
		msg.state = LARDER_OUTCOME_FAILED;
		msg.text = "it does not fit";
	}
	row(fd, seq, LARDER_MSG_OUTCOME, &msg);
	done(fd, seq);
}

static void attach(struct script *s, int fd, uint32_t seq)
{
	struct larder_msg_ENV env = {.key = "DATASET_SETS_DIR", .value = "/datasets/sets/v1"};
	struct larder_msg_LINE line = {.text = "sets:v1 ready"};
	struct larder_msg_VIEW view = {.view_root = "/datasets", .name = "..", .version = "v1"};

	if (s->answer == FAKE_BAD_ROWS)
		env.key = "LD_PRELOAD";
	row(fd, seq, LARDER_MSG_ENV, &env);
	row(fd, seq, LARDER_MSG_LINE, &line);
	if (s->answer == FAKE_PATH_VIEW)
		view = (struct larder_msg_VIEW){
			.view_root = s->root, .name = "sets", .version = "v1", .path = s->tree};
	if (s->answer == FAKE_BAD_VIEW || s->answer == FAKE_PATH_VIEW)
		row(fd, seq, LARDER_MSG_VIEW, &view);
	done(fd, seq);
}

static void record(struct script *s, unsigned int type, const union request *r)
{
	if (type == LARDER_MSG_ACQUIRE)
		note(s,
		     "ACQUIRE job=%" PRIu32 " run=%" PRIu32 " uid=%" PRIu32
		     " specs=%s fixed=%s mode=%" PRIu32 " wait=%" PRId64 " on_fail=%" PRIu32 "\n",
		     r->acquire.job_id, r->acquire.run, r->acquire.uid, r->acquire.specs,
		     r->acquire.fixed, r->acquire.mode, r->acquire.wait_ms, r->acquire.on_fail);
	else if (type == LARDER_MSG_AWAIT)
		note(s, "AWAIT job=%" PRIu32 " run=%" PRIu32 "\n", r->await.job_id, r->await.run);
	else if (type == LARDER_MSG_ATTACH)
		note(s, "ATTACH job=%" PRIu32 " step=%" PRIx32 " uid=%" PRIu32 " specs=%s\n",
		     r->attach.job_id, r->attach.step_id, r->attach.uid, r->attach.step_specs);
	else if (type == LARDER_MSG_RELEASE)
		note(s, "RELEASE job=%" PRIu32 " run=%" PRIu32 "\n", r->release.job_id,
		     r->release.run);
}

static bool answer(struct script *s, int fd, const struct larder_head *head)
{
	s->awaits += head->type == LARDER_MSG_AWAIT;
	if (s->answer == FAKE_DROP && head->type == LARDER_MSG_AWAIT) {
		s->answer = FAKE_READY;
		return false;
	}
	if (s->answer == FAKE_HANG)
		return true;
	if (s->answer == FAKE_REFUSE)
		refuse(fd, head->seq);
	else if (head->type == LARDER_MSG_ACQUIRE || head->type == LARDER_MSG_AWAIT)
		outcome(s, fd, head->seq);
	else if (head->type == LARDER_MSG_ATTACH)
		attach(s, fd, head->seq);
	else
		done(fd, head->seq);
	return true;
}

static void serve(struct script *s, int fd)
{
	for (;;) {
		uint8_t in[LARDER_FRAME_HEAD];
		struct larder_head head;
		union request request;
		uint8_t *body;
		bool more;

		if (!read_all(fd, in, sizeof(in)) || larder_head_decode(in, &head, NULL))
			return;
		body = malloc(head.length + 1);
		more = body && read_all(fd, body, head.length) &&
		       !larder_msg_decode(head.type, body, head.length, &request, NULL);
		if (more) {
			record(s, head.type, &request);
			more = answer(s, fd, &head);
		}
		free(body);
		if (!more)
			return;
	}
}

static void listen_forever(struct script *s, int listener)
{
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			_exit(2);
		s->record->connections++;
		serve(s, fd);
		close(fd);
	}
}

struct fake_larderd fake_larderd_start(const char *socket_path, enum fake_answer how,
				       const char *tree, const char *root)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct fake_larderd fake = {0};
	struct script script = {.answer = how, .tree = tree, .root = root};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(strlen(socket_path) < sizeof(address.sun_path));
	strcpy(address.sun_path, socket_path);
	unlink(socket_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 16), 0);
	fake.record = mmap(NULL, sizeof(*fake.record), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(fake.record != MAP_FAILED);
	script.record = fake.record;
	fake.pid = fork();
	assert_true(fake.pid >= 0);
	if (fake.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails does not stop it */
		listen_forever(&script, fd);
	}
	close(fd);
	return fake;
}

void fake_larderd_stop(struct fake_larderd *fake)
{
	kill(fake->pid, SIGKILL);
	waitpid(fake->pid, NULL, 0);
	munmap(fake->record, sizeof(*fake->record));
	fake->record = NULL;
}
