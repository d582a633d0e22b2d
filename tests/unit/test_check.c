/*
 * Checks in a child: what a user may use and reads like unknown otherwise; own datasets; deadlines;
 * and children that lie. This program is its own child: as `--check-helper` it is the real one, or,
 * for datasets called evil-*, one that a user has taken over.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "skip.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/manifest.h"
#include "scratch.h"
#include "server/check.h"
#include "server/check_message.h"
#include "server/check_own.h"

#define USER	54321u /* in no user database */
#define OTHER	54322u
#define DIGEST	"99aa06d3014798d86001c324468d497f" /* of an empty body */
#define WAIT_MS 20000

struct place {
	char *dir;
	sd_event *event;
};

static void mode_of(const char *path, unsigned int mode)
{
	assert_int_equal(chmod(path, mode), 0);
}

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	p->dir = scratch_create();
	mode_of(p->dir, 0755);
	assert_true(sd_event_new(&p->event) >= 0);
	assert_int_equal(mkdir(scratch_path(p->dir, "catalog"), 0755), 0);
	assert_int_equal(mkdir(scratch_path(p->dir, "origin"), 0755), 0);
	assert_int_equal(mkdir(scratch_path(p->dir, "tmp"), 0700), 0);
	mode_of(scratch_path(p->dir, "catalog"), 0755);
	mode_of(scratch_path(p->dir, "origin"), 0755);
	*state = p;
	return 0;
}

/* Every child must have been reaped by the loop, also those that were given up. */
static int teardown(void **state)
{
	struct place *p = *state;

	for (int i = 0; i < 200 && sd_event_run(p->event, 50000) > 0; i++)
		;
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	sd_event_unref(p->event);
	scratch_destroy(p->dir);
	free(p);
	return 0;
}

static const char *head_text(const char *name, const char *version, const char *access,
			     const char *origin)
{
	static char text[2000];

	snprintf(text, sizeof(text),
		 "larder-manifest 1\nname %s\nversion %s\naccess %s\norigin %s\ncreated 0\n"
		 "shards %020d\nbytes %020d\ndigest " DIGEST "\n\n",
		 name, version, access, origin, 0, 0);
	return text;
}

/* A version in the catalog; `body` is not digested here: a check reads no digests. */
static void publish(const struct place *p, const char *name, const char *access, const char *origin,
		    const char *body)
{
	char text[4000];

	snprintf(text, sizeof(text), "%s%s", head_text(name, "v1", access, origin), body);
	mkdir(scratch_path(p->dir, "catalog/%s", name), 0755);
	mode_of(scratch_path(p->dir, "catalog/%s", name), 0755);
	scratch_write(scratch_path(p->dir, "catalog/%s/v1.manifest", name), text, strlen(text));
}

/* A sound manifest of empty files; a name that ends in '!' is recorded as 0640. In order. */
static void publish_files(const struct place *p, const char *name, const char *const *files,
			  size_t n)
{
	struct larder_manifest_head head = {.n_origins = 1,
					    .access = {.kind = LARDER_ACCESS_ORIGIN}};
	struct manifest_writer *writer;
	struct larder_error err = {0};
	int fd;

	snprintf(head.name, sizeof(head.name), "%s", name);
	snprintf(head.version, sizeof(head.version), "v1");
	head.origins[0] = strdup(scratch_path(p->dir, "origin"));
	mkdir(scratch_path(p->dir, "catalog/%s", name), 0755);
	fd = open(scratch_path(p->dir, "catalog/%s/v1.manifest", name),
		  O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(manifest_writer_create(fd, &head, &writer, &err), 0);
	for (size_t i = 0; i < n; i++) {
		struct shard shard = {
			.type = SHARD_FILE, .digest = digest_of("", 0), .path = files[i]};

		shard.mode = files[i][strlen(files[i]) - 1] == '!' ? 0640 : 0644;
		if (manifest_writer_add(writer, &shard, &err))
			fail_msg("%s", err.text);
	}
	assert_int_equal(manifest_writer_finish(writer, NULL, &err), 0);
	manifest_writer_destroy(writer);
	free(head.origins[0]);
	close(fd);
}

struct answer {
	bool there;
	int rc;
	char text[LARDER_ERROR_MAX];
	struct larder_manifest_head head;
	int fd;
	int64_t took_ms;
};

static void keep(struct check_result *result, void *arg)
{
	struct answer *a = arg;

	assert_false(a->there);
	a->there = true;
	a->rc = result->rc;
	a->took_ms = result->took_ms;
	snprintf(a->text, sizeof(a->text), "%s", result->err.text);
	a->head = result->head;
	result->head = (struct larder_manifest_head){0};
	a->fd = result->manifest_fd;
	result->manifest_fd = -1;
}

static void answer_fini(struct answer *a)
{
	larder_manifest_head_fini(&a->head);
	if (a->fd >= 0)
		close(a->fd);
}

static struct check *start(struct place *p, const char *spec_text, unsigned int uid, int earlier,
			   int64_t timeout_ms, struct answer *a)
{
	struct larder_error err = {0};
	struct larder_spec spec;
	struct check *check = NULL;
	char catalog[4096], tmp[4096];

	*a = (struct answer){.fd = -1};
	snprintf(catalog, sizeof(catalog), "%s/catalog", p->dir);
	snprintf(tmp, sizeof(tmp), "%s/tmp", p->dir);
	assert_int_equal(larder_spec_parse(spec_text, &spec, &err), 0);
	if (check_start(p->event,
			&(struct check_request){
				.spec = &spec,
				.uid = uid,
				.gid = uid,
				.catalog = catalog,
				.tmp_dir = tmp,
				.earlier_manifest_fd = earlier,
				.timeout_ms = timeout_ms,
			},
			keep, a, &check, &err))
		fail_msg("check_start: %s", err.text);
	assert_false(a->there);
	larder_spec_fini(&spec);
	return check;
}

static int ask_within(struct place *p, const char *spec, unsigned int uid, int earlier,
		      int64_t timeout_ms, struct answer *a)
{
	start(p, spec, uid, earlier, timeout_ms, a);
	for (int i = 0; i < 1000 && !a->there; i++)
		assert_true(sd_event_run(p->event, 100000) >= 0);
	assert_true(a->there);
	return a->rc;
}

static int ask(struct place *p, const char *spec, unsigned int uid, struct answer *a)
{
	return ask_within(p, spec, uid, -1, WAIT_MS, a);
}

#define assert_answer(rc_, a, code, part)                                                          \
	do {                                                                                       \
		int got_ = (rc_);                                                                  \
		if (got_ != (code) || !strstr((a)->text, part))                                    \
			fail_msg("%d, not %d with \"%s\": %s", got_, code, part, (a)->text);       \
		answer_fini(a);                                                                    \
	} while (0)

static bool need_root(void)
{
	if (geteuid() == 0)
		return false;
	skip_because("needs root");
	return true;
}

static void test_public(void **state)
{
	struct place *p = *state;
	struct answer a;
	char magic[18] = "";

	if (need_root())
		return;
	publish(p, "open", "public", "/nowhere", "");
	if (ask(p, "open:v1", USER, &a))
		fail_msg("%s", a.text);
	assert_string_equal(a.head.name, "open");
	assert_string_equal(a.head.digest, DIGEST);
	assert_string_equal(a.head.origins[0], "/nowhere");
	assert_int_equal(a.head.publisher, 0);
	assert_int_equal(pread(a.fd, magic, 17, 0), 17);
	assert_string_equal(magic, "larder-manifest 1");
	assert_true(fcntl(a.fd, F_GETFD) & FD_CLOEXEC);
	answer_fini(&a);
	/* The publisher is the owner of the file. */
	assert_int_equal(chown(scratch_path(p->dir, "catalog/open/v1.manifest"), OTHER, OTHER), 0);
	assert_int_equal(ask(p, "open:v1@99aa06d3", USER, &a), 0);
	assert_int_equal(a.head.publisher, OTHER);
	answer_fini(&a);
	assert_answer(ask(p, "open:v1@00000000", USER, &a), &a, -ESTALE, "open:v1");
	assert_answer(ask(p, "opn", USER, &a), &a, -ENOENT, "did you mean open?");
}

/* What is closed reads word for word like what does not exist. */
static void assert_reads_unknown(struct place *p, const char *name)
{
	char spec[64], gone[64], *at;
	struct answer closed, absent;

	snprintf(spec, sizeof(spec), "%s:v1", name);
	snprintf(gone, sizeof(gone), "%s:v1", name);
	gone[0] = 'q'; /* as far from every other name */
	assert_int_equal(ask(p, spec, USER, &closed), -ENOENT);
	assert_int_equal(ask(p, gone, USER, &absent), -ENOENT);
	at = strstr(absent.text, "\"q");
	assert_non_null(at);
	at[1] = name[0];
	assert_string_equal(closed.text, absent.text);
	answer_fini(&closed);
	answer_fini(&absent);
}

static void test_users(void **state)
{
	struct place *p = *state;
	struct answer a;

	if (need_root())
		return;
	publish(p, "xxxxxxxx", "users=54322", "/nowhere", "");
	publish(p, "ours", "users=nobody,54321", "/nowhere", "");
	publish(p, "groups", "groups=54321", "/nowhere", "");
	assert_reads_unknown(p, "xxxxxxxx");
	assert_int_equal(ask(p, "ours:v1", USER, &a), 0);
	answer_fini(&a);
	assert_int_equal(ask(p, "groups:v1", USER, &a), 0);
	answer_fini(&a);
	assert_answer(ask(p, "groups:v1", OTHER, &a), &a, -ENOENT, "unknown dataset");
	assert_int_equal(ask(p, "xxxxxxxx:v1", 0, &a), 0); /* root reads everything */
	answer_fini(&a);
}

#define LINE_OF(name) "f " DIGEST " 1 0 644 " name "\n"

static void test_origin(void **state)
{
	struct place *p = *state;
	const char *files[] = {"b first", "m", "z"};
	struct answer a;

	if (need_root())
		return;
	publish_files(p, "xxxxxxxx", files, 3);
	for (size_t i = 0; i < 3; i++)
		scratch_write(scratch_path(p->dir, "origin/%s", files[i]), "", 0);
	if (ask(p, "xxxxxxxx:v1", USER, &a))
		fail_msg("%s", a.text);
	answer_fini(&a);
	mode_of(scratch_path(p->dir, "origin/b first"), 0600);
	assert_answer(ask(p, "xxxxxxxx:v1", USER, &a), &a, -EACCES, "b first");
	mode_of(scratch_path(p->dir, "origin/b first"), 0644);
	mode_of(scratch_path(p->dir, "origin/z"), 0600);
	assert_answer(ask(p, "xxxxxxxx:v1", USER, &a), &a, -EACCES, "/z");
	unlink(scratch_path(p->dir, "origin/z"));
	assert_int_equal(ask(p, "xxxxxxxx:v1", USER, &a), 0); /* gone is not forbidden */
	answer_fini(&a);
	mode_of(scratch_path(p->dir, "origin"), 0700);
	assert_reads_unknown(p, "xxxxxxxx");
	assert_int_equal(ask(p, "xxxxxxxx:v1", 0, &a), 0);
	answer_fini(&a);
}

/* What lies between the first and the last file is no way round either. */
static void test_a_closed_directory_in_the_middle(void **state)
{
	struct place *p = *state;
	const char *files[] = {"a/f", "b/f", "c/f"};
	struct answer a;

	if (need_root())
		return;
	publish_files(p, "middle", files, 3);
	for (size_t i = 0; i < 3; i++) {
		mkdir(scratch_path(p->dir, "origin/%c", files[i][0]), 0755);
		scratch_write(scratch_path(p->dir, "origin/%s", files[i]), "", 0);
	}
	assert_int_equal(ask(p, "middle:v1", USER, &a), 0);
	answer_fini(&a);
	mode_of(scratch_path(p->dir, "origin/b"), 0700);
	assert_answer(ask(p, "middle:v1", USER, &a), &a, -EACCES, "/b");
	mode_of(scratch_path(p->dir, "origin/b"),
		0711); /* may open what is in it, may not list it */
	assert_answer(ask(p, "middle:v1", USER, &a), &a, -EACCES, "/b");
}

/* In a directory of thousands one file of each mode is tried, wherever it stands. */
static void test_a_file_of_another_mode_among_thousands(void **state)
{
	enum { N = 3000 };
	struct place *p = *state;
	static char names[N][16];
	const char *files[N];
	struct answer a;

	if (need_root())
		return;
	for (int i = 0; i < N; i++) {
		snprintf(names[i], sizeof(names[i]), i == 1234 ? "f%07d!" : "f%07d", i);
		files[i] = names[i];
	}
	publish_files(p, "many", files, N);
	scratch_write(scratch_path(p->dir, "origin/%s", names[1234]), "", 0);
	assert_int_equal(ask(p, "many:v1", USER, &a), 0);
	answer_fini(&a);
	mode_of(scratch_path(p->dir, "origin/%s", names[1234]), 0640);
	assert_answer(ask(p, "many:v1", USER, &a), &a, -EACCES, names[1234]);
}

static void test_closed_catalog(void **state)
{
	struct place *p = *state;
	char origin[600];
	struct answer a;

	if (need_root())
		return;
	snprintf(origin, sizeof(origin), "%s/origin", p->dir);
	publish(p, "xxxxxxxx", "origin", origin, "");
	publish(p, "yyyyyyyy", "users=54322", origin, "");
	mode_of(scratch_path(p->dir, "catalog"), 0700);
	if (ask(p, "xxxxxxxx:v1", USER, &a))
		fail_msg("%s", a.text);
	answer_fini(&a);
	assert_answer(ask(p, "xxxxxxxx:v1@00000000", USER, &a), &a, -ESTALE, "xxxxxxxx:v1");
	assert_reads_unknown(p, "yyyyyyyy");
	/* Here root would see the near name. */
	assert_int_equal(ask(p, "xxxxxxxy:v1", USER, &a), -ENOENT);
	assert_null(strstr(a.text, "xxxxxxxx"));
	answer_fini(&a);
	mode_of(origin, 0700);
	assert_reads_unknown(p, "xxxxxxxx");
	assert_answer(ask(p, "xxxxxxxx:v1@00000000", USER, &a), &a, -ENOENT, "unknown dataset");
	rmdir(scratch_path(p->dir, "catalog/none"));
}

static void test_remote_origin_cannot_be_told(void **state)
{
	struct place *p = *state;
	struct answer a;

	if (need_root())
		return;
	publish(p, "far", "origin", "https://example.org/far", "");
	assert_answer(ask(p, "far:v1", USER, &a), &a, -EOPNOTSUPP, "public, users= or groups=");
	publish(p, "free", "public", "https://example.org/far", "");
	assert_int_equal(ask(p, "free:v1", USER, &a), 0);
	answer_fini(&a);
}

static void test_no_catalog(void **state)
{
	struct place *p = *state;
	struct answer a;

	rmdir(scratch_path(p->dir, "catalog"));
	assert_answer(ask(p, "any:v1", geteuid(), &a), &a, -ENOTDIR, "no catalog");
}

static void own_tree(const struct place *p)
{
	scratch_write(scratch_path(p->dir, "origin/one"), "one", 3);
	mkdir(scratch_path(p->dir, "origin/sub"), 0755);
	mode_of(scratch_path(p->dir, "origin/sub"), 0755);
	scratch_write(scratch_path(p->dir, "origin/sub/two"), "two!", 4);
}

static void test_own(void **state)
{
	struct place *p = *state;
	struct larder_error err = {0};
	char spec[600], who[16];
	struct answer a, again;

	if (need_root())
		return;
	own_tree(p);
	snprintf(spec, sizeof(spec), "mine=%s/origin", p->dir);
	if (ask(p, spec, USER, &a))
		fail_msg("%s", a.text);
	snprintf(who, sizeof(who), "%u", USER);
	assert_string_equal(a.head.name, "mine");
	assert_string_equal(a.head.version, "own");
	assert_int_equal(a.head.access.kind, LARDER_ACCESS_USERS);
	assert_string_equal(a.head.access.who, who);
	assert_int_equal(a.head.publisher, USER);
	assert_int_equal(a.head.shards, 2);
	assert_int_equal(a.head.bytes, 7);
	assert_int_equal(fcntl(a.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	if (manifest_check(a.fd, &err))
		fail_msg("%s", err.text);
	/* With what is known already: the same digest comes out. */
	assert_int_equal(ask_within(p, spec, USER, a.fd, WAIT_MS, &again), 0);
	assert_string_equal(again.head.digest, a.head.digest);
	answer_fini(&a);
	answer_fini(&again);
}

static void test_own_is_read_as_the_user(void **state)
{
	struct place *p = *state;
	char spec[600];
	struct answer a;

	if (need_root())
		return;
	own_tree(p);
	snprintf(spec, sizeof(spec), "mine=%s/origin", p->dir);
	mode_of(scratch_path(p->dir, "origin/sub/two"), 0600);
	assert_answer(ask(p, spec, USER, &a), &a, -EACCES, "two");
	mode_of(scratch_path(p->dir, "origin"), 0700);
	assert_answer(ask(p, spec, USER, &a), &a, -EACCES, "origin");
	assert_int_equal(ask(p, spec, 0, &a), 0);
	answer_fini(&a);
}

static void test_deadline(void **state)
{
	struct place *p = *state;
	struct answer a;

	publish(p, "evil-sleep", "public", "/nowhere", "");
	assert_answer(ask_within(p, "evil-sleep:v1", geteuid(), -1, 50, &a), &a, -ETIMEDOUT,
		      "evil-sleep");
	assert_true(a.took_ms >= 50 && a.took_ms < 5000);
	assert_answer(ask_within(p, "evil-sleep:v1", geteuid(), -1, -5, &a), &a, -ETIMEDOUT,
		      "try again");
}

static void test_cancel(void **state)
{
	struct place *p = *state;
	struct answer a;

	check_cancel(NULL);
	for (int i = 0; i < 8; i++) {
		struct check *check = start(p, "evil-sleep:v1", geteuid(), -1, WAIT_MS, &a);

		for (int j = 0; j < i; j++)
			sd_event_run(p->event, 1000);
		check_cancel(check);
		sd_event_run(p->event, 1000);
		assert_false(a.there);
	}
}

/* Each of these says something that only a child taken over would. None may be believed. */
static void test_liars(void **state)
{
	static const struct {
		const char *spec;
		int rc;
	} liars[] = {
		{"evil-yes:v1", -EPROTO},
		{"evil-twice:v1", -EPROTO},
		{"evil-garbage:v1", -EPROTO},
		{"evil-writable:v1", -EPROTO},
		{"evil-name:v1", -EPROTO},
		{"evil-nofd:v1", -EPROTO},
		{"evil-head:v1", -EPROTO},
		{"evil-code:v1", -EPROTO},
		{"evil-fds:v1", -EPROTO},
		{"evil-die:v1", -EIO},
		{"evil-digest:v1@12345678", -EPROTO},
		{"evil-nonul:v1", -EPROTO},
		{"evil-found=/o", -EPROTO},
		{"evil-other=/o", -EPROTO},
		{"evil-empty=/o", -EINVAL},
		{"evil-writer=/o", -EPERM},
		{"evil-opath:v1", -EPROTO},
	};
	struct place *p = *state;
	struct answer a;

	for (size_t i = 0; i < sizeof(liars) / sizeof(liars[0]); i++) {
		int rc = ask(p, liars[i].spec, geteuid(), &a);

		if (rc != liars[i].rc || a.fd >= 0)
			fail_msg("%s: %d, not %d: %s", liars[i].spec, rc, liars[i].rc, a.text);
		answer_fini(&a);
	}
	/* An honest one in between, by the same means: the tests above do not all fail for one
	 * reason. */
	assert_int_equal(ask(p, "evil-not:v1", geteuid(), &a), 0);
	answer_fini(&a);
	assert_int_equal(ask(p, "evil-not=/o", geteuid(), &a), 0);
	answer_fini(&a);
}

/* --- the child --- */

static int file_with(const char *text)
{
	char name[] = "/tmp/larder-unit-evil.XXXXXX";
	int fd = mkstemp(name), ro = open(name, O_RDONLY);

	unlink(name);
	if (write(fd, text, strlen(text)) < 0)
		_exit(3);
	close(fd);
	return ro;
}

static void found(const char *name, int fd)
{
	const char *head = head_text(name, "v1", "public", "/o");

	check_packet_send(0, (const char *const[]){"found", "0", head}, 3, fd);
}

static void done(const char *code)
{
	check_packet_send(0, (const char *const[]){"done", code, "a\nb"}, 3, -1);
}

static void two_fds(void)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t) "done\0000\0", .iov_len = 8};
	union {
		struct cmsghdr c;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	int fds[2] = {1, 2};

	control.c.cmsg_level = SOL_SOCKET;
	control.c.cmsg_type = SCM_RIGHTS;
	control.c.cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(&control.c), fds, sizeof(fds));
	sendmsg(0, &msg, 0);
}

static void own_manifest(const char *name)
{
	char access[40], text[2000];

	snprintf(access, sizeof(access), "users=%u", geteuid());
	snprintf(text, sizeof(text), "%s", head_text(name, "own", access, "/o"));
	if (write(CHECK_FD_OUT, text, strlen(text)) < 0)
		_exit(3);
}

static void keep_writing(void)
{
	if (fork() == 0) {
		close(0);
		sleep(2);
		_exit(0);
	}
}

static int be_evil(const char *how)
{
	const char *head = head_text("evil-x", "v1", "public", "/o");

#define IS(word) (strncmp(how, word, sizeof(word) - 1) == 0)
	if (IS("sleep"))
		pause();
	else if (IS("twice"))
		found("evil-twice", file_with(head)), found("evil-twice", file_with(head));
	else if (IS("garbage"))
		send(0, "\xff\xfe", 3, 0);
	else if (IS("nonul"))
		send(0, "done", 4, 0);
	else if (IS("writable"))
		found("evil-writable", open("/tmp", O_TMPFILE | O_RDWR, 0600));
	else if (IS("opath"))
		found("evil-opath", open("/etc/passwd", O_PATH));
	else if (IS("name"))
		found("imagenet", file_with(head));
	else if (IS("nofd"))
		found("evil-nofd", -1);
	else if (IS("digest"))
		found("evil-digest", file_with(head));
	else if (IS("head"))
		check_packet_send(0, (const char *const[]){"found", "0", "no head"}, 3,
				  file_with(head));
	else if (IS("code"))
		done("-1");
	else if (IS("fds"))
		two_fds();
	else if (IS("die"))
		return 1;
	else if (IS("found"))
		found("evil-found", file_with(head));
	else if (IS("other"))
		own_manifest("somebody");
	else if (IS("writer"))
		own_manifest("evil-writer"), keep_writing();
	else if (IS("not:"))
		found("evil-not", file_with(head));
	else if (IS("not="))
		own_manifest("evil-not");
	done("0");
	return 0;
}

static int be_child(void)
{
	static struct check_packet packet;
	char peek[CHECK_PACKET_MAX];
	ssize_t n = recv(0, peek, sizeof(peek) - 1, MSG_PEEK);

	if (n > 0) {
		peek[n] = '\0';
		if (memmem(peek, (size_t)n, "evil-", 5) && check_packet_receive(0, &packet) == 1 &&
		    strncmp(packet.fields[6], "evil-", 5) == 0)
			return be_evil(packet.fields[6] + 5);
	}
	return check_helper_main();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_public, setup, teardown),
		cmocka_unit_test_setup_teardown(test_users, setup, teardown),
		cmocka_unit_test_setup_teardown(test_origin, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_closed_directory_in_the_middle, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_file_of_another_mode_among_thousands, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_closed_catalog, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remote_origin_cannot_be_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_catalog, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_is_read_as_the_user, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_liars, setup, teardown),
	};

	if (argc == 2 && strcmp(argv[1], "--check-helper") == 0)
		return be_child();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
