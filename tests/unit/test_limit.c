/*
 * How copying threads stand back: bytes a second, niceness and I/O priority, a cgroup. A limit is
 * judged from below only, for a slow machine is slower than any limit.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "skip.h"

#include "origin/origins.h"
#include "xfer/limit.h"
#include "xfer/manners.h"
#include "xfer_help.h"

#define KB UINT64_C(1024)
#define MB (UINT64_C(1024) * 1024)

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void test_takes_as_long_as_it_says(void **state)
{
	const _Atomic bool stop = false;
	struct limit limit;
	int64_t began = now_ms();

	(void)state;
	limit_init(&limit, 10 * MB);
	/* the first 100 ms are free, and the last one's own bytes are not waited for */
	for (int i = 0; i < 6; i++)
		assert_int_equal(limit_take(&limit, MB, &stop), 0);
	assert_true(now_ms() - began >= 390);
	limit_fini(&limit);
}

static void test_no_limit_waits_for_nothing(void **state)
{
	const _Atomic bool stop = false;
	struct limit limit;

	(void)state;
	limit_init(&limit, 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(limit_take(&limit, UINT64_MAX / 2, &stop), 0);
	assert_int_equal(limit_portion(&limit, 4096, MB), MB);
	limit_fini(&limit);
}

static void test_portions(void **state)
{
	struct limit limit;

	(void)state;
	limit_init(&limit, 64 * MB);
	assert_int_equal(limit_portion(&limit, MB, 256 * MB), 4 * MB);
	limit_set(&limit, 100 * KB);
	assert_int_equal(limit_portion(&limit, MB, 256 * MB), MB);
	limit_set(&limit, UINT64_C(1) << 60);
	assert_int_equal(limit_portion(&limit, MB, 256 * MB), 256 * MB);
	limit_fini(&limit);
}

struct waiter {
	struct limit *limit;
	const _Atomic bool *stop;
	int rc;
};

/* One KB at a byte a second is free at the beginning; the next would wait a quarter of an hour. */
static void *wait_long(void *arg)
{
	struct waiter *w = arg;

	limit_take(w->limit, KB, w->stop);
	w->rc = limit_take(w->limit, KB, w->stop);
	return NULL;
}

static void test_who_waits_hears_of_a_stop_and_of_a_change(void **state)
{
	_Atomic bool stop = false;
	struct limit limit;
	struct waiter w = {.limit = &limit, .stop = &stop, .rc = 1};
	pthread_t thread;

	(void)state;
	limit_init(&limit, 1);
	pthread_create(&thread, NULL, wait_long, &w);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(w.rc, -ECANCELED);
	atomic_store(&stop, false);
	limit_set(&limit, 2);
	pthread_create(&thread, NULL, wait_long, &w);
	limit_set(&limit, 0);
	pthread_join(thread, NULL);
	assert_int_equal(w.rc, 0);
	limit_fini(&limit);
}

/* Large and small shards through a pool at 8 MiB/s: 3 MiB need a quarter of a second at least. */
static void limited(bool no_uring)
{
	const struct xfer_pool_params pool_params = {.threads = 2,
						     .memory_bytes = 4 * 64 * KB,
						     .no_uring = no_uring,
						     .bytes_per_s = 8 * MB};
	struct transfer_params params = {.want = {.base_manifest_fd = -1}, .n_origins = 1};
	struct xfer_pool *pool;
	struct transfer *transfer;
	struct test_sink sink;
	struct outcome outcome;
	struct larder_error err = {0};
	struct world w;
	const char *origin;
	int64_t began;

	world_open(&w);
	world_file(w.origin, "large", 2 * MB, 1);
	for (unsigned int i = 0; i < 32; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%u", i);
		world_file(w.origin, name, 32 * KB, i);
	}
	test_sink_init(&sink, w.tree);
	outcome_init(&outcome);
	origin = w.origin;
	params.origins = &origin;
	params.want.manifest_fd = world_manifest(&w, w.origin);
	params.sink = &sink.sink;
	params.done = outcome_done;
	params.arg = &outcome;
	assert_int_equal(xfer_pool_create(&pool_params, &pool, &err), 0);
	began = now_ms();
	assert_int_equal(transfer_start(pool, origins, &params, &transfer, &err), 0);
	assert_int_equal(outcome_wait(&outcome), 0);
	assert_true(now_ms() - began >= 200);
	assert_true(world_same(w.origin, w.tree, "large"));
	transfer_destroy(transfer);
	xfer_pool_destroy(pool);
	close(params.want.manifest_fd);
	world_close(&w);
}

static void test_a_pool_keeps_to_it(void **state)
{
	(void)state;
	limited(false);
	limited(true);
}

/* --- manners, each on a thread that ends with the test --- */

struct seen {
	struct xfer_manners manners;
	int nice, ioprio;
	char cgroup[256]; /* of /proc/thread-self/cgroup: version 2's line */
	char cpu[256];	  /* that of version 1's cpu */
};

static void read_cgroup(const char *tree, char *out, size_t len)
{
	FILE *f = fopen("/proc/thread-self/cgroup", "r");
	char line[256];

	*out = '\0';
	while (f && fgets(line, sizeof(line), f)) {
		const char *at = strchr(line, ':');

		if (at && strncmp(at, tree, strlen(tree)) == 0)
			snprintf(out, len, "%.*s", (int)strcspn(at + strlen(tree), "\n"),
				 at + strlen(tree));
	}
	if (f)
		fclose(f);
}

static void *behave(void *arg)
{
	struct seen *seen = arg;

	manners_apply(&seen->manners);
	seen->nice = getpriority(PRIO_PROCESS, (id_t)gettid());
	seen->ioprio = (int)syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);
	read_cgroup("::", seen->cgroup, sizeof(seen->cgroup));
	read_cgroup(":cpu:", seen->cpu, sizeof(seen->cpu));
	return NULL;
}

static void behaves(struct seen *seen)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, behave, seen), 0);
	pthread_join(thread, NULL);
}

static void test_nice_and_ioprio(void **state)
{
	struct seen low = {.manners = {.nice = 7, .ioprio = XFER_IOPRIO_LOW}};
	struct seen idle = {.manners = {.ioprio = XFER_IOPRIO_IDLE}};

	(void)state;
	behaves(&low);
	assert_int_equal(low.nice, 7);
	assert_int_equal(low.ioprio, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 7));
	behaves(&idle);
	assert_int_equal(IOPRIO_PRIO_CLASS(idle.ioprio), IOPRIO_CLASS_IDLE);
}

static bool write_file(const char *dir, const char *name, const char *text)
{
	char path[1024];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return ok;
}

/* A new cgroup below this process's own, in `dir`; false where this machine does not let us. */
static bool cgroup_make(const char *mount_at, char dir[600])
{
	char own[256];

	read_cgroup("::", own, sizeof(own));
	if (!*own || mount("none", mount_at, "cgroup2", 0, NULL))
		return false;
	snprintf(dir, 600, "%s%s/larder-test-%d", mount_at, own, (int)getpid());
	if (mkdir(dir, 0755) == 0)
		return true;
	umount(mount_at);
	return false;
}

static void test_a_cgroup_takes_the_threads(void **state)
{
	struct seen seen = {0};
	struct larder_error why = {0};
	char dir[600], missing[700];
	struct world w;

	(void)state;
	world_open(&w);
	if (!cgroup_make(w.tree, dir)) {
		world_close(&w);
		skip_because("no cgroup v2 that may be changed");
	}
	snprintf(missing, sizeof(missing), "%s/missing", dir);
	assert_int_equal(manners_check_cgroup(missing, &why), -ENOENT);
	assert_non_null(strstr(why.text, "transfer_cgroup"));
	assert_true(manners_check_cgroup(dir, &why) < 0); /* a domain takes no threads */
	assert_non_null(strstr(why.text, "threaded"));
	assert_true(write_file(dir, "cgroup.type", "threaded"));
	assert_int_equal(manners_check_cgroup(dir, &why), 0);
	seen.manners.cgroup = dir;
	behaves(&seen);
	assert_non_null(strstr(seen.cgroup, "larder-test-"));
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(umount(w.tree), 0);
	world_close(&w);
}

static void test_a_cgroup_of_version_1_takes_them_too(void **state)
{
	struct seen seen = {0};
	struct larder_error why = {0};
	char own[256], dir[600];
	struct world w;

	(void)state;
	world_open(&w);
	read_cgroup(":cpu:", own, sizeof(own));
	if (!*own || mount("none", w.tree, "cgroup", 0, "cpu")) {
		world_close(&w);
		skip_because("no cpu tree of cgroup v1");
	}
	snprintf(dir, sizeof(dir), "%s%s/larder-test-%d", w.tree, own, (int)getpid());
	assert_int_equal(manners_check_cgroup(dir, &why), -ENOENT);
	assert_non_null(strstr(why.text, "with v1 below cpu"));
	assert_int_equal(mkdir(dir, 0755), 0);
	assert_int_equal(manners_check_cgroup(dir, &why), 0);
	seen.manners.cgroup = dir;
	behaves(&seen);
	assert_non_null(strstr(seen.cpu, "larder-test-"));
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(umount(w.tree), 0);
	world_close(&w);
}

static void test_no_cgroup_is_no_problem(void **state)
{
	struct larder_error why = {0};

	(void)state;
	assert_int_equal(manners_check_cgroup("", &why), 0);
	assert_int_equal(manners_check_cgroup(NULL, &why), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_takes_as_long_as_it_says),
		cmocka_unit_test(test_no_limit_waits_for_nothing),
		cmocka_unit_test(test_portions),
		cmocka_unit_test(test_who_waits_hears_of_a_stop_and_of_a_change),
		cmocka_unit_test(test_a_pool_keeps_to_it),
		cmocka_unit_test(test_nice_and_ioprio),
		cmocka_unit_test(test_a_cgroup_takes_the_threads),
		cmocka_unit_test(test_a_cgroup_of_version_1_takes_them_too),
		cmocka_unit_test(test_no_cgroup_is_no_problem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
