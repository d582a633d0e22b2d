/*
 * Directory origins: what is listed, what is opened, and what never is.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "skip.h"

#include "larder/cleanup.h"
#include "origin/origins.h"
#include "xfer_help.h"

static const struct source_as self;

static struct source *open_origin(const struct world *w, const struct source_as *as)
{
	struct source *source = NULL;
	struct larder_error err = {0};

	if (source_posix.open(w->origin, as, NULL, &source, &err))
		fail_msg("open: %s", err.text);
	return source;
}

static int try_open(const struct world *w, const char *path, uint64_t size,
		    struct larder_error *err)
{
	struct source *source = open_origin(w, &self);
	struct shard shard = {.type = SHARD_FILE, .path = path, .size = size};
	auto_fd int fd = -1;
	int rc = source_posix.open_shard(source, &shard, &fd, err);

	assert_int_equal(rc == 0, fd >= 0);
	source_posix.close(source);
	return rc;
}

static void in_origin(const struct world *w, const char *path, char *out, size_t len)
{
	snprintf(out, len, "%s/%s", w->origin, path);
}

static void test_kinds(void **state)
{
	(void)state;
	assert_ptr_equal(origin_kind("/data/x"), &source_posix);
	assert_ptr_equal(origin_kind("https://x/y"), &source_http);
	assert_ptr_equal(origin_kind("http://x/y"), &source_http);
	assert_ptr_equal(origin_kind("s3://x/y"), &source_s3);
	assert_null(origin_kind("file:///x"));
	assert_null(origin_kind("data"));
}

static void test_origin_that_cannot_be_opened(void **state)
{
	struct source *source = NULL;
	struct larder_error err;
	struct world w;
	char file[600];

	(void)state;
	world_open(&w);
	world_file(w.origin, "f", 1, 1);
	in_origin(&w, "f", file, sizeof(file));
	assert_int_equal(source_posix.open(file, &self, NULL, &source, &err), -ENOTDIR);
	assert_int_equal(source_posix.open("/nonexistent/x", &self, NULL, &source, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/x"));
	assert_null(source);
	world_close(&w);
}

static void test_opens_what_is_inside(void **state)
{
	struct larder_error err = {0};
	struct world w;

	(void)state;
	world_open(&w);
	world_file(w.origin, "a/f", 10, 1);
	world_link(w.origin, "b/inside", "../a/f");
	world_link(w.origin, "c", "a");
	assert_int_equal(try_open(&w, "a/f", 10, &err), 0);
	assert_int_equal(try_open(&w, "b/inside", 10, &err), 0);
	assert_int_equal(try_open(&w, "c/f", 10, &err), 0);
	world_close(&w);
}

static void test_never_leaves_the_root(void **state)
{
	static const char *const paths[] = {"abs",
					    "up",
					    "updir/tree/secret",
					    "../tree/secret",
					    "/etc/passwd",
					    "magic/etc/passwd"};
	struct larder_error err;
	struct world w;

	(void)state;
	world_open(&w);
	world_file(w.tree, "secret", 10, 1);
	world_link(w.origin, "abs", "/etc/passwd");
	world_link(w.origin, "up", "../tree/secret");
	world_link(w.origin, "updir", "..");
	world_link(w.origin, "magic", "/proc/self/root");
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		assert_int_equal(try_open(&w, paths[i], 10, &err), -ELOOP);
		assert_non_null(strstr(err.text, "leads out of the origin"));
	}
	world_close(&w);
}

static void test_opens_regular_files_only(void **state)
{
	struct larder_error err;
	struct world w;
	char path[600];

	(void)state;
	world_open(&w);
	in_origin(&w, "fifo", path, sizeof(path));
	assert_int_equal(mkfifo(path, 0644), 0);
	world_dir(w.origin, "dir");
	alarm(20); /* a FIFO without a writer must not hold us up */
	assert_int_equal(try_open(&w, "fifo", 0, &err), -ESTALE);
	assert_int_equal(try_open(&w, "dir", 0, &err), -ESTALE);
	alarm(0);
	assert_non_null(strstr(err.text, "not a regular file"));
	world_file(w.origin, "f", 10, 1);
	assert_int_equal(try_open(&w, "f", 11, &err), -ESTALE);
	assert_non_null(strstr(err.text, "10 bytes"));
	assert_non_null(strstr(err.text, "says 11"));
	assert_int_equal(try_open(&w, "f/g", 11, &err), -ENOENT);
	assert_int_equal(try_open(&w, "none", 11, &err), -ENOENT);
	world_close(&w);
}

static void test_reads_as_somebody_else(void **state)
{
	const struct source_as nobody = {.uid = 65534, .gid = 65534};
	struct shard shard = {.type = SHARD_FILE, .path = "f", .size = 10};
	struct larder_error err;
	struct source *source;
	struct world w;
	char path[600];
	int fd = -1;

	(void)state;
	if (geteuid() != 0)
		skip_because("needs root");
	world_open(&w);
	world_file(w.origin, "f", 10, 1);
	in_origin(&w, "f", path, sizeof(path));
	assert_int_equal(chmod(path, 0640), 0);
	source = open_origin(&w, &nobody);
	assert_int_equal(source_posix.open_shard(source, &shard, &fd, &err), -EACCES);
	assert_int_equal(setfsuid((uid_t)-1), 0);   /* back, after a failure too */
	assert_int_equal(chown(path, 0, 65534), 0); /* its group may */
	assert_int_equal(source_posix.open_shard(source, &shard, &fd, &err), 0);
	close(fd);
	source_posix.close(source);
	assert_int_equal(chmod(w.origin, 0700), 0);
	assert_int_equal(source_posix.open(w.origin, &nobody, NULL, &source, &err), -EACCES);
	assert_int_equal(access(path, R_OK), 0);
	world_close(&w);
}

static void test_reads_with_the_groups(void **state)
{
	const gid_t groups[] = {777, 778};
	const struct source_as as = {.uid = 65534, .gid = 65534, .groups = groups, .n_groups = 2};
	struct shard shard = {.type = SHARD_FILE, .path = "f", .size = 10};
	struct larder_error err = {0};
	struct source *source;
	struct world w;
	char path[600];
	int fd = -1;

	(void)state;
	if (geteuid() != 0)
		skip_because("needs root");
	world_open(&w);
	world_file(w.origin, "f", 10, 1);
	in_origin(&w, "f", path, sizeof(path));
	assert_int_equal(chown(path, 0, 778), 0);
	assert_int_equal(chmod(path, 0040), 0);
	source = open_origin(&w, &as);
	assert_int_equal(source_posix.open_shard(source, &shard, &fd, &err), 0);
	close(fd);
	source_posix.close(source);
	world_close(&w);
}

/* --- listing --- */

struct listing {
	pthread_mutex_t lock;
	unsigned int n;
	char text[8192]; /* " f:path l:path>target d:path " */
};

static int note(const struct source_entry *entry, void *arg)
{
	struct listing *l = arg;
	size_t len;

	pthread_mutex_lock(&l->lock);
	len = strlen(l->text);
	l->n++;
	if (len < sizeof(l->text) - 400)
		snprintf(l->text + len, sizeof(l->text) - len, " %c:%s%s%s", (char)entry->type,
			 entry->path, entry->target ? ">" : "", entry->target ? entry->target : "");
	pthread_mutex_unlock(&l->lock);
	return 0;
}

static int list(const struct world *w, struct listing *l, struct larder_error *err)
{
	struct source *source = open_origin(w, &self);
	int rc;

	memset(l, 0, sizeof(*l));
	pthread_mutex_init(&l->lock, NULL);
	rc = source_posix.list(source, 4, note, l, err);
	source_posix.close(source);
	strcat(l->text, " ");
	return rc;
}

static void test_lists_all(void **state)
{
	struct larder_error err = {0};
	struct listing l;
	struct world w;

	(void)state;
	world_open(&w);
	assert_int_equal(list(&w, &l, &err), 0);
	assert_int_equal(l.n, 0);
	world_file(w.origin, "f", 10, 1);
	world_file(w.origin, ".hidden/f", 10, 1);
	world_file(w.origin, "a/b/c/d/e", 0, 1);
	world_file(w.origin, "with\nnewline", 1, 1);
	world_dir(w.origin, "empty");
	world_link(w.origin, "a/l", "b/c");
	world_link(w.origin, "dangling", "nowhere");
	assert_int_equal(list(&w, &l, &err), 0);
	assert_int_equal(l.n, 7);
	assert_non_null(strstr(l.text, " f:f "));
	assert_non_null(strstr(l.text, " f:.hidden/f "));
	assert_non_null(strstr(l.text, " f:a/b/c/d/e "));
	assert_non_null(strstr(l.text, " f:with\nnewline "));
	assert_non_null(strstr(l.text, " d:empty "));
	assert_non_null(strstr(l.text, " l:a/l>b/c "));
	assert_non_null(strstr(l.text, " l:dangling>nowhere "));
	world_close(&w);
}

static void test_lists_many(void **state)
{
	struct larder_error err = {0};
	struct listing l;
	struct world w;

	(void)state;
	world_open(&w);
	for (unsigned int i = 0; i < 3000; i++) {
		char name[64];

		snprintf(name, sizeof(name), "%u/%u/%u", i % 11, i % 101, i);
		world_file(w.origin, name, 0, 0);
	}
	assert_int_equal(list(&w, &l, &err), 0);
	assert_int_equal(l.n, 3000);
	world_close(&w);
}

static void test_a_second_name_is_a_second_shard(void **state)
{
	struct larder_error err = {0};
	struct listing l;
	struct world w;
	char a[600], b[600];

	(void)state;
	world_open(&w);
	world_file(w.origin, "a", 10, 1);
	in_origin(&w, "a", a, sizeof(a));
	in_origin(&w, "b", b, sizeof(b));
	assert_int_equal(link(a, b), 0);
	assert_int_equal(list(&w, &l, &err), 0);
	assert_int_equal(l.n, 2);
	world_close(&w);
}

static void refuses(void (*make)(const struct world *w, const char *path), const char *says)
{
	struct larder_error err = {0};
	struct listing l;
	struct world w;

	world_open(&w);
	world_file(w.origin, "sub/ok", 1, 1);
	make(&w, "sub/bad one");
	assert_true(list(&w, &l, &err) < 0);
	assert_non_null(strstr(err.text, "sub/bad%20one"));
	if (!strstr(err.text, says))
		fail_msg("\"%s\" does not say \"%s\"", err.text, says);
	world_close(&w);
}

static void make_fifo(const struct world *w, const char *path)
{
	char full[600];

	in_origin(w, path, full, sizeof(full));
	assert_int_equal(mkfifo(full, 0644), 0);
}

static void make_socket(const struct world *w, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", w->origin, path) <
		    (int)sizeof(addr.sun_path));
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
}

static void make_device(const struct world *w, const char *path)
{
	char full[600];

	in_origin(w, path, full, sizeof(full));
	if (mknod(full, S_IFCHR | 0644, makedev(1, 3)))
		skip_because("devices cannot be made here");
}

static void make_leaving(const struct world *w, const char *path)
{
	world_link(w->origin, path, "../../x");
}

static void make_absolute(const struct world *w, const char *path)
{
	world_link(w->origin, path, "/etc");
}

static void test_refuses(void **state)
{
	(void)state;
	refuses(make_fifo, "FIFO");
	refuses(make_socket, "socket");
	refuses(make_leaving, "leaves the tree");
	refuses(make_absolute, "leaves the tree");
	refuses(make_device, "device");
}

static int stop_at_once(const struct source_entry *entry, void *arg)
{
	(void)entry;
	(*(_Atomic int *)arg)++;
	return -ECANCELED;
}

static void test_found_may_stop_it(void **state)
{
	struct larder_error err = {0};
	struct source *source;
	_Atomic int calls = 0;
	struct world w;

	(void)state;
	world_open(&w);
	for (unsigned int i = 0; i < 500; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%u/f", i);
		world_file(w.origin, name, 0, 0);
	}
	source = open_origin(&w, &self);
	assert_int_equal(source_posix.list(source, 4, stop_at_once, &calls, &err), -ECANCELED);
	assert_true(calls >= 1 && calls <= 4); /* once a thread at most */
	source_posix.close(source);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_origin_that_cannot_be_opened),
		cmocka_unit_test(test_opens_what_is_inside),
		cmocka_unit_test(test_never_leaves_the_root),
		cmocka_unit_test(test_opens_regular_files_only),
		cmocka_unit_test(test_reads_as_somebody_else),
		cmocka_unit_test(test_reads_with_the_groups),
		cmocka_unit_test(test_lists_all),
		cmocka_unit_test(test_lists_many),
		cmocka_unit_test(test_a_second_name_is_a_second_shard),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_found_may_stop_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
