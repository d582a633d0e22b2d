/*
 * Scans: the manifest they write, digests taken over, origins that change meanwhile.
 */
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "forbid.h"
#include "skip.h"

#include "larder/cleanup.h"
#include "larder/text.h"
#include "scan/scan.h"
#include "xfer_help.h"

struct scanning {
	struct world world;
	char *origin;
	struct larder_manifest_head head;
	struct scan_progress progress;
	struct scan_params params;
	struct larder_error err;
};

static void scanning_open(struct scanning *s)
{
	memset(s, 0, sizeof(*s));
	world_open(&s->world);
	s->origin = s->world.origin;
	s->head = (struct larder_manifest_head){
		.name = "demo", .version = "v1", .n_origins = 1, .created_s = 1700000000};
	s->head.origins[0] = s->origin;
	s->params = (struct scan_params){
		.origin = s->origin,
		.head = &s->head,
		.threads = 4,
		.earlier_manifest_fd = -1,
		.progress = &s->progress,
	};
}

static void scanning_close(struct scanning *s)
{
	world_close(&s->world);
}

/* The manifest's descriptor, or -errno. */
static int scan_now(struct scanning *s, struct larder_manifest_head *done)
{
	int fd = world_tmp(&s->world);
	int rc = scan_run(&s->params, fd, done, &s->err);

	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

static struct digest digest_file(const char *root, const char *path)
{
	char full[4600];
	auto_file FILE *f = NULL;
	struct digest_state state;
	char piece[4096];
	size_t n;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	f = fopen(full, "re");
	assert_non_null(f);
	digest_init(&state);
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		digest_update(&state, piece, n);
	return digest_final(&state);
}

static void test_writes_what_is_there(void **state)
{
	static const char *const order[] = {"a/b", "a/c", "a.b", "big", "empty/dir", "l", "z"};
	struct larder_manifest_head done = {0};
	struct manifest_reader *reader = NULL;
	struct scanning s;
	struct shard shard;
	auto_fd int fd = -1;
	char full[700];

	(void)state;
	scanning_open(&s);
	world_file(s.origin, "z", 0, 0);
	world_file(s.origin, "a.b", 100, 1);
	world_file(s.origin, "a/c", 5000, 2);
	world_file(s.origin, "a/b", 7, 3);
	world_file(s.origin, "big", 3u << 20, 4);
	world_dir(s.origin, "empty/dir");
	world_link(s.origin, "l", "a/b");
	snprintf(full, sizeof(full), "%s/a/c", s.origin);
	assert_int_equal(chmod(full, 0755), 0);
	fd = scan_now(&s, &done);
	if (fd < 0)
		fail_msg("%s", s.err.text);
	assert_int_equal(done.shards, 7);
	assert_int_equal(done.bytes, 100 + 5000 + 7 + (3u << 20));
	assert_string_equal(done.origins[0], s.origin);
	assert_int_equal(manifest_check(fd, &s.err), 0);
	assert_int_equal(manifest_reader_open(fd, &reader, &s.err), 0);
	for (size_t i = 0; i < 7; i++) {
		assert_int_equal(manifest_reader_next(reader, &shard, &s.err), 1);
		assert_string_equal(shard.path, order[i]);
		if (shard.type == SHARD_FILE)
			assert_true(digest_equal(shard.digest, digest_file(s.origin, order[i])));
		if (shard.type == SHARD_FILE)
			assert_true(shard.mtime_ns == 1600000000ll * 1000000000);
		if (i == 1)
			assert_int_equal(shard.mode, 0755);
		if (i == 5)
			assert_string_equal(shard.target, "a/b");
	}
	assert_int_equal(manifest_reader_next(reader, &shard, &s.err), 0);
	manifest_reader_close(reader);
	larder_manifest_head_fini(&done);
	assert_int_equal(s.progress.found_shards, 7);
	assert_int_equal(s.progress.done_shards, 7);
	assert_int_equal(s.progress.found_bytes, s.progress.done_bytes);
	assert_true(s.progress.walked);
	scanning_close(&s);
}

/* Out of the page cache, as far as the file system has one. */
static void forget(const char *root, const char *path)
{
	char full[700];
	auto_fd int fd = -1;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	fd = open(full, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fdatasync(fd), 0);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
}

/* Read many at once: from the page cache, past it, and mixed; each digest is that of its file. */
static void test_many_small_files(void **state)
{
	struct manifest_reader *reader = NULL;
	struct scanning s;
	struct shard shard;

	(void)state;
	scanning_open(&s);
	for (unsigned int i = 0; i < 300; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%u/%u", i % 7, i);
		world_file(s.origin, name, i * 61, i);
	}
	world_file(s.origin, "0/large", 3000000, 1);
	for (int round = 0; round < 3; round++) {
		auto_fd int fd = -1;
		unsigned int n = 0;

		for (unsigned int i = 0; round && i < 300; i += 3 - (unsigned int)round) {
			char name[32];

			snprintf(name, sizeof(name), "%u/%u", i % 7, i);
			forget(s.origin, name);
		}
		s.params.threads = (unsigned int)round + 1;
		fd = scan_now(&s, NULL);
		assert_true(fd >= 0);
		assert_int_equal(manifest_reader_open(fd, &reader, &s.err), 0);
		for (; manifest_reader_next(reader, &shard, &s.err) == 1; n++)
			assert_true(digest_equal(shard.digest, digest_file(s.origin, shard.path)));
		manifest_reader_close(reader);
		assert_int_equal(n, 301);
	}
	scanning_close(&s);
}

static unsigned int descriptors_open(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Threads that each take many files at once share what the process may have open. */
static void test_few_descriptors(void **state)
{
	struct rlimit before, few;
	struct scanning s;
	char name[32];
	int fd;

	(void)state;
	scanning_open(&s);
	s.params.threads = 16;
	for (unsigned int i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "%u/%u", i % 7, i);
		world_file(s.origin, name, 20000, i);
		forget(s.origin, name);
	}
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = descriptors_open() + 80;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	fd = scan_now(&s, NULL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	if (fd < 0)
		fail_msg("%s", s.err.text);
	close(fd);
	scanning_close(&s);
}

static void test_is_the_same_every_time(void **state)
{
	struct larder_manifest_head one = {0}, two = {0};
	struct scanning s;

	(void)state;
	scanning_open(&s);
	for (unsigned int i = 0; i < 500; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%u/%u", i % 13, i);
		world_file(s.origin, name, i, i);
	}
	close(scan_now(&s, &one));
	s.params.threads = 1;
	close(scan_now(&s, &two));
	assert_int_equal(one.shards, 500);
	assert_string_equal(one.digest, two.digest);
	larder_manifest_head_fini(&one);
	larder_manifest_head_fini(&two);
	scanning_close(&s);
}

/* A file that was changed under its old time shows that it was not read again. */
static void test_takes_digests_over(void **state)
{
	struct larder_manifest_head before = {0}, after = {0}, fresh = {0};
	struct scanning s;
	auto_fd int earlier = -1;

	(void)state;
	scanning_open(&s);
	world_file(s.origin, "a", 100, 1);
	world_file(s.origin, "gone", 100, 2);
	world_file(s.origin, "kept", 100, 3);
	earlier = scan_now(&s, &before);
	assert_true(earlier >= 0);
	world_damage(s.origin, "kept", 5);
	s.params.earlier_manifest_fd = earlier;
	close(scan_now(&s, &after));
	assert_string_equal(before.digest, after.digest); /* not read */
	s.params.earlier_manifest_fd = -1;
	close(scan_now(&s, &fresh));
	assert_string_not_equal(before.digest, fresh.digest); /* read */
	larder_manifest_head_fini(&before);
	larder_manifest_head_fini(&after);
	larder_manifest_head_fini(&fresh);
	scanning_close(&s);
}

static void test_reads_what_is_new(void **state)
{
	struct larder_manifest_head after = {0}, fresh = {0};
	struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
	struct scanning s;
	auto_fd int earlier = -1;
	char full[600];

	(void)state;
	scanning_open(&s);
	world_file(s.origin, "b", 100, 1);
	world_file(s.origin, "gone", 100, 2);
	world_file(s.origin, "longer", 100, 3);
	world_file(s.origin, "touched", 100, 4);
	earlier = scan_now(&s, NULL);
	assert_true(earlier >= 0);
	world_file(s.origin, "a", 50, 9);
	world_file(s.origin, "longer", 101, 9);
	world_file(s.origin, "touched", 100, 9);
	world_link(s.origin, "z", "a");
	snprintf(full, sizeof(full), "%s/touched", s.origin);
	assert_int_equal(utimensat(AT_FDCWD, full, now, 0), 0);
	snprintf(full, sizeof(full), "%s/gone", s.origin);
	assert_int_equal(unlink(full), 0);
	s.params.earlier_manifest_fd = earlier;
	memset(&s.progress, 0, sizeof(s.progress));
	close(scan_now(&s, &after));
	assert_int_equal(s.progress.done_shards, 5);
	assert_int_equal(s.progress.done_bytes, s.progress.found_bytes);
	s.params.earlier_manifest_fd = -1;
	close(scan_now(&s, &fresh));
	assert_string_equal(after.digest, fresh.digest);
	larder_manifest_head_fini(&after);
	larder_manifest_head_fini(&fresh);
	scanning_close(&s);
}

struct writer {
	char path[600];
	_Atomic bool stop;
	bool same_size; /* only touches it */
};

/* Changes a file all the time. */
static void *write_on(void *arg)
{
	struct writer *w = arg;
	auto_fd int fd = open(w->path, O_WRONLY | O_CLOEXEC | (w->same_size ? 0 : O_APPEND));

	while (!w->stop) {
		if (pwrite(fd, "x", 1, 0) != 1)
			break;
	}
	return NULL;
}

static void changes(bool same_size)
{
	struct writer w = {.same_size = same_size};
	struct scanning s;
	pthread_t thread;
	int rc = 0;

	scanning_open(&s);
	world_file(s.origin, "busy", 8u << 20, 1);
	snprintf(w.path, sizeof(w.path), "%s/busy", s.origin);
	assert_int_equal(pthread_create(&thread, NULL, write_on, &w), 0);
	/* the writer may not run in this very moment: then again */
	for (int i = 0; i < 200 && rc != -ESTALE; i++) {
		rc = scan_now(&s, NULL);
		if (rc >= 0)
			close(rc);
	}
	w.stop = true;
	pthread_join(thread, NULL);
	assert_int_equal(rc, -ESTALE);
	assert_non_null(strstr(s.err.text, "busy"));
	assert_non_null(strstr(s.err.text, "changed while it was read"));
	scanning_close(&s);
}

static void test_changes_meanwhile(void **state)
{
	(void)state;
	changes(false);
	changes(true);
}

static void test_unreadable(void **state)
{
	struct larder_error err;
	struct scanning s;
	char full[600];
	pid_t child;
	int status;

	(void)state;
	if (geteuid() != 0)
		skip_because("needs root");
	scanning_open(&s);
	world_file(s.origin, "closed file", 10, 1);
	snprintf(full, sizeof(full), "%s/closed file", s.origin);
	assert_int_equal(chmod(full, 0600), 0);
	child = fork();
	if (child == 0) {
		int fd = world_tmp(&s.world);
		int rc;

		if (setgid(65534) || setuid(65534))
			_exit(3);
		rc = scan_run(&s.params, fd, NULL, &err);
		_exit(rc == -EACCES && strstr(err.text, "closed%20file") ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	scanning_close(&s);
}

struct watch {
	_Atomic bool stop;
	_Atomic unsigned int most; /* threads of this process, itself among them */
};

static void *watch_threads(void *arg)
{
	struct watch *w = arg;

	while (!w->stop) {
		auto_close_dir DIR *dir = opendir("/proc/self/task");
		unsigned int n = 0;

		while (dir && readdir(dir))
			n++;
		if (n > w->most)
			w->most = n;
	}
	return NULL;
}

/* With one read each, many threads keep the disk busy, and no fewer. */
static int scan_without_rings(struct scanning *s)
{
	struct watch w = {0};
	pthread_t thread;

	if (forbid_call(SYS_io_uring_setup) || /* as kernel.io_uring_disabled = 2 */
	    pthread_create(&thread, NULL, watch_threads, &w))
		return 3;
	for (int i = 0; i < 500 && w.most < 32; i++) {
		int fd = scan_now(s, NULL);

		if (fd < 0)
			return 4;
		close(fd);
	}
	w.stop = true;
	pthread_join(thread, NULL);
	return w.most < 32 ? 1 : 0;
}

static void test_without_rings(void **state)
{
	struct scanning s;
	pid_t child;
	int status;

	(void)state;
	scanning_open(&s);
	s.params.threads = 0;
	for (unsigned int i = 0; i < 100; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%u/%u", i % 7, i);
		world_file(s.origin, name, 5000, i);
	}
	child = fork();
	if (child == 0)
		_exit(scan_without_rings(&s));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	scanning_close(&s);
}

static void owned_file(struct scanning *s, const char *path, mode_t mode, gid_t gid)
{
	char full[600];

	world_file(s->origin, path, 10, 1);
	snprintf(full, sizeof(full), "%s/%s", s->origin, path);
	assert_int_equal(chown(full, 0, gid), 0);
	assert_int_equal(chmod(full, mode), 0);
}

/* access=origin tries one file of each mode in a directory: their owners must be alike then. */
static void test_rights_that_one_file_cannot_tell(void **state)
{
	struct scanning s;
	int fd;

	(void)state;
	if (geteuid() != 0)
		skip_because("needs root");
	scanning_open(&s);
	owned_file(&s, "a", 0640, 100);
	owned_file(&s, "b", 0644, 200); /* open to all: whose it is does not matter */
	owned_file(&s, "c", 0640, 100);
	owned_file(&s, "d", 0600, 300); /* the only one of its mode is tried */
	fd = scan_now(&s, NULL);
	assert_true(fd >= 0);
	close(fd);
	owned_file(&s, "e", 0640, 200);
	assert_int_equal(scan_now(&s, NULL), -EPERM);
	assert_non_null(strstr(s.err.text, "e is closed to others"));
	s.head.access.kind = LARDER_ACCESS_PUBLIC;
	fd = scan_now(&s, NULL);
	assert_true(fd >= 0);
	close(fd);
	scanning_close(&s);
}

static void test_stop(void **state)
{
	_Atomic bool stop = true;
	struct scanning s;

	(void)state;
	scanning_open(&s);
	world_file(s.origin, "f", 10, 1);
	s.params.stop = &stop;
	assert_int_equal(scan_now(&s, NULL), -ECANCELED);
	scanning_close(&s);
}

static void test_refuses_what_cannot_be_in_a_manifest(void **state)
{
	struct scanning s;
	char full[600];

	(void)state;
	scanning_open(&s);
	world_file(s.origin, "f", 10, 1);
	snprintf(full, sizeof(full), "%s/a\001fifo", s.origin);
	assert_int_equal(mkfifo(full, 0644), 0);
	assert_int_equal(scan_now(&s, NULL), -EINVAL);
	assert_non_null(strstr(s.err.text, "a%01fifo"));
	s.params.origin = "ftp://host";
	assert_int_equal(scan_now(&s, NULL), -EOPNOTSUPP);
	s.params.origin = "/nonexistent/x";
	assert_int_equal(scan_now(&s, NULL), -ENOENT);
	scanning_close(&s);
}

static void test_nothing_there(void **state)
{
	struct larder_manifest_head done = {0};
	struct scanning s;
	auto_fd int fd = -1;

	(void)state;
	scanning_open(&s);
	fd = scan_now(&s, &done);
	assert_true(fd >= 0);
	assert_int_equal(done.shards, 0);
	assert_int_equal(manifest_check(fd, &s.err), 0);
	larder_manifest_head_fini(&done);
	scanning_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_writes_what_is_there),
		cmocka_unit_test(test_many_small_files),
		cmocka_unit_test(test_few_descriptors),
		cmocka_unit_test(test_is_the_same_every_time),
		cmocka_unit_test(test_takes_digests_over),
		cmocka_unit_test(test_reads_what_is_new),
		cmocka_unit_test(test_changes_meanwhile),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_without_rings),
		cmocka_unit_test(test_rights_that_one_file_cannot_tell),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_refuses_what_cannot_be_in_a_manifest),
		cmocka_unit_test(test_nothing_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
