/*
 * store/inventory_sync: what a barrier promises, with the syncs of this process in our hands: they
 * are counted, held up, made to fail, and remembered as what a power cut would leave.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "inventory_help.h"
#include "scratch.h"
#include "store/inventory.h"

#define NOW	   INT64_C(1700000000)
#define IMAGES_MAX 16
#define BLOCK	   4096
#define BITS	   40000000 /* their pages in the log are more than a checkpoint waits for */

enum file { DB, WAL, FILES };

/* What the disk holds of a file for sure: its bytes at its last sync. */
struct image {
	uint8_t *bytes;
	size_t len;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t control;
	char dir[512];
	bool watching;
	unsigned int by_control, by_thread; /* syncs */
	unsigned int of[FILES];
	bool held; /* syncs of the log wait */
	unsigned int waiting;
	unsigned int fail_at[FILES]; /* the how manieth sync fails, once */
	int fail_with;
	bool keep_images;
	struct image durable[FILES];
	unsigned int confirmed, n_images;
} hook = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static const char *const file_names[FILES] = {"inventory.db", "inventory.db-wal"};

static enum file file_of(int fd)
{
	struct stat st, named;
	char path[600];

	for (enum file f = DB; f < FILES; f++) {
		snprintf(path, sizeof(path), "%s/%s", hook.dir, file_names[f]);
		if (fstat(fd, &st) == 0 && stat(path, &named) == 0 && st.st_ino == named.st_ino &&
		    st.st_dev == named.st_dev)
			return f;
	}
	return FILES;
}

static struct image slurp(const char *path)
{
	struct image image = {NULL, 0};
	struct stat st;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	image.len = (size_t)st.st_size;
	image.bytes = malloc(image.len + 1);
	assert_int_equal(pread(fd, image.bytes, image.len, 0), image.len);
	close(fd);
	return image;
}

/*
 * Not of `f` alone: each block of both files is either what was synced or what was written since,
 * by chance; a file is as long as it was synced or as it is. Kept to be opened later.
 */
static void cut_power(void)
{
	char path[700];

	if (hook.n_images == IMAGES_MAX || !hook.durable[DB].bytes || !hook.durable[WAL].bytes)
		return;
	snprintf(path, sizeof(path), "%s/cut-%u", hook.dir, hook.n_images);
	assert_int_equal(mkdir(path, 0700), 0);
	for (enum file f = DB; f < FILES; f++) {
		struct image now, *then = &hook.durable[f];
		int fd;

		snprintf(path, sizeof(path), "%s/%s", hook.dir, file_names[f]);
		now = slurp(path);
		for (size_t at = 0; at < now.len && at < then->len; at += BLOCK) {
			size_t len = now.len < then->len ? now.len - at : then->len - at;

			if (random() % 2)
				memcpy(now.bytes + at, then->bytes + at, len < BLOCK ? len : BLOCK);
		}
		if (random() % 2 && then->len < now.len)
			now.len = then->len;
		snprintf(path, sizeof(path), "%s/cut-%u/%s", hook.dir, hook.n_images,
			 file_names[f]);
		fd = open(path, O_WRONLY | O_CREAT, 0600);
		assert_int_equal(write(fd, now.bytes, now.len), now.len);
		close(fd);
		free(now.bytes);
	}
	snprintf(path, sizeof(path), "%s/cut-%u/confirmed", hook.dir, hook.n_images++);
	scratch_write(path, &hook.confirmed, sizeof(hook.confirmed));
}

static void remember(enum file f)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/%s", hook.dir, file_names[f]);
	free(hook.durable[f].bytes);
	hook.durable[f] = slurp(path);
}

static int sync_hooked(long call, int fd)
{
	int failure = 0;
	enum file f;

	pthread_mutex_lock(&hook.lock);
	f = file_of(fd); /* reads hook.dir */
	if (hook.watching && f < FILES) {
		*(pthread_equal(pthread_self(), hook.control) ? &hook.by_control
							      : &hook.by_thread) += 1;
		hook.waiting++;
		pthread_cond_broadcast(&hook.changed);
		while (hook.held && f == WAL)
			pthread_cond_wait(&hook.changed, &hook.lock);
		hook.waiting--;
		failure = hook.of[f] + 1 == hook.fail_at[f] ? hook.fail_with : 0;
		if (hook.keep_images) {
			cut_power();
			remember(f);
			cut_power();
		}
		hook.of[f]++;
		pthread_cond_broadcast(&hook.changed);
	}
	pthread_mutex_unlock(&hook.lock);
	errno = failure;
	return failure ? -1 : (int)syscall(call, fd);
}

/* These stand before libc's for SQLite and for us. */
int fsync(int fd)
{
	return sync_hooked(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return sync_hooked(SYS_fdatasync, fd);
}

struct world {
	char *dir;
	struct inventory *inv;
	struct larder_error err;
};

static void watch(const char *dir)
{
	pthread_mutex_lock(&hook.lock);
	hook.watching = dir != NULL;
	hook.keep_images = hook.held = false;
	hook.control = pthread_self();
	hook.by_control = hook.by_thread = hook.of[DB] = hook.of[WAL] = 0;
	hook.fail_at[DB] = hook.fail_at[WAL] = 0;
	hook.confirmed = hook.n_images = 0;
	for (enum file f = DB; f < FILES; f++) {
		free(hook.durable[f].bytes);
		hook.durable[f] = (struct image){NULL, 0};
	}
	snprintf(hook.dir, sizeof(hook.dir), "%s", dir ? dir : "");
	pthread_mutex_unlock(&hook.lock);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->dir = scratch_create();
	ok(inventory_open(w->dir, true, &w->inv, &w->err));
	watch(w->dir);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	watch(NULL);
	inventory_close(w->inv);
	scratch_destroy(w->dir);
	free(w);
	return 0;
}

static uint64_t insert(struct world *w, unsigned int n, uint64_t shards)
{
	struct inv_tree t = {.state = LARDER_TREE_PARTIAL,
			     .tier = "nvme",
			     .domain = "site",
			     .name = "a",
			     .version = "v1",
			     .shards = shards};

	snprintf(t.digest, sizeof(t.digest), "%032x", n);
	ok(inventory_tree_insert(w->inv, &t, &w->err));
	return t.id;
}

/* Some 5 MB of log for 20 million shards. */
static void write_much(struct world *w, uint64_t tree, uint64_t shards)
{
	uint8_t *bits = malloc(shards / 8);

	memset(bits, (int)(random() % 255) + 1, shards / 8);
	ok(inventory_bitmap_store(w->inv, tree, bits, shards, &w->err));
	free(bits);
}

struct answers {
	unsigned int n;
	int rc[64];
	unsigned int order[64];
};
struct question {
	struct answers *answers;
	unsigned int number;
};

static void note(int rc, void *arg)
{
	struct question *q = arg;

	q->answers->rc[q->answers->n] = rc;
	q->answers->order[q->answers->n++] = q->number;
}

static void dispatch_until(struct world *w, const struct answers *answers, unsigned int n)
{
	struct pollfd p = {.fd = inventory_fd(w->inv), .events = POLLIN};

	while (answers->n < n) {
		assert_int_equal(poll(&p, 1, 20000), 1);
		inventory_dispatch(w->inv);
	}
}

/* One barrier, waited for. */
static int barrier(struct world *w)
{
	struct answers answers = {0};
	struct question q = {&answers, 0};

	ok(inventory_barrier(w->inv, note, &q));
	dispatch_until(w, &answers, 1);
	return answers.rc[0];
}

/* Until that many syncs of the file are done; a quarter of a minute at most. */
static bool wait_for(unsigned int *what, unsigned int n)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 15;
	pthread_mutex_lock(&hook.lock);
	while (*what < n && !rc)
		rc = pthread_cond_timedwait(&hook.changed, &hook.lock, &until);
	pthread_mutex_unlock(&hook.lock);
	return rc == 0;
}

static unsigned int count(const unsigned int *what)
{
	unsigned int n;

	pthread_mutex_lock(&hook.lock);
	n = *what;
	pthread_mutex_unlock(&hook.lock);
	return n;
}

static unsigned int syncs_of(enum file f)
{
	return count(&hook.of[f]);
}

static void fail_nth(enum file f, unsigned int nth, int code)
{
	pthread_mutex_lock(&hook.lock);
	hook.fail_at[f] = nth;
	hook.fail_with = code;
	pthread_mutex_unlock(&hook.lock);
}

static void set_held(bool held)
{
	pthread_mutex_lock(&hook.lock);
	hook.held = held;
	pthread_cond_broadcast(&hook.changed);
	pthread_mutex_unlock(&hook.lock);
}

static void a_barrier_syncs_the_log_and_then_calls_back(void **state)
{
	struct world *w = *state;
	struct answers answers = {0};
	struct question q[3] = {{&answers, 1}, {&answers, 2}, {&answers, 3}};

	insert(w, 1, 8);
	inventory_dispatch(w->inv); /* nothing was asked */
	for (int i = 0; i < 3; i++)
		ok(inventory_barrier(w->inv, note, &q[i]));
	assert_int_equal(answers.n, 0); /* only from dispatch */
	dispatch_until(w, &answers, 3);
	assert_true(syncs_of(WAL) >= 1);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(answers.rc[i], 0);
		assert_int_equal(answers.order[i], i + 1);
	}
	assert_int_equal(inventory_stuck(w->inv), 0);
}

static void those_who_ask_during_a_sync_share_the_next(void **state)
{
	struct world *w = *state;
	struct answers answers = {0};
	struct question q = {&answers, 0};

	set_held(true);
	ok(inventory_barrier(w->inv, note, &q));
	assert_true(wait_for(&hook.waiting, 1)); /* the first sync has begun */
	for (int i = 0; i < 40; i++)
		ok(inventory_barrier(w->inv, note, &q));
	inventory_dispatch(w->inv);
	assert_int_equal(answers.n, 0);
	assert_int_equal(syncs_of(WAL), 0);
	set_held(false);
	dispatch_until(w, &answers, 41);
	assert_int_equal(syncs_of(WAL), 2);
}

static void one_who_asks_during_a_sync_is_not_answered_by_it(void **state)
{
	struct world *w = *state;
	struct answers first = {0}, second = {0};
	struct question q1 = {&first, 0}, q2 = {&second, 0};

	set_held(true);
	ok(inventory_barrier(w->inv, note, &q1));
	assert_true(wait_for(&hook.waiting, 1));
	insert(w, 1, 8);
	ok(inventory_barrier(w->inv, note, &q2));
	/* The second sync fails: had the first one answered both, nobody would learn of it. */
	fail_nth(WAL, 2, EIO);
	set_held(false);
	dispatch_until(w, &first, 1);
	dispatch_until(w, &second, 1);
	assert_int_equal(first.rc[0], 0);
	assert_int_equal(second.rc[0], -EIO);
}

static void a_failed_sync_is_never_forgotten(void **state)
{
	struct world *w = *state;
	struct inv_tree t;
	uint64_t id;

	assert_int_equal(barrier(w), 0);
	id = insert(w, 1, 8);
	fail_nth(WAL, 2, EIO);
	assert_int_equal(barrier(w), -EIO);
	/* The kernel tells it once: the next fdatasync would say 0 of bytes that are lost. */
	assert_int_equal(barrier(w), -EIO);
	assert_int_equal(inventory_stuck(w->inv), -EIO);
	insert(w, 2, 8); /* the running daemon goes on */
	assert_int_equal(barrier(w), -EIO);
	inventory_close(w->inv);
	ok(inventory_open(w->dir, true, &w->inv, &w->err));
	assert_int_equal(barrier(w), 0);
	ok(inventory_tree_get(w->inv, id, &t, &w->err));
}

static void after_a_failed_sync_nothing_is_checkpointed(void **state)
{
	struct world *w = *state;
	uint64_t id = insert(w, 1, BITS);

	fail_nth(WAL, 1, ENOSPC);
	assert_int_equal(barrier(w), -ENOSPC);
	write_much(w, id, BITS);
	assert_int_equal(barrier(w), -ENOSPC);
	usleep(300000); /* three times the idle time: it would have begun */
	assert_int_equal(syncs_of(DB), 0);
	inventory_close(w->inv);
	assert_int_equal(syncs_of(DB), 0);
	watch(NULL);
	ok(inventory_open(w->dir, true, &w->inv, &w->err));
}

static void a_checkpoint_that_loses_writes_sticks_too(void **state)
{
	struct world *w = *state;
	uint64_t id = insert(w, 1, BITS);

	fail_nth(DB, 1, EIO);
	write_much(w, id, BITS);
	assert_true(wait_for(&hook.of[DB], 1));
	for (int i = 0; i < 1000 && !inventory_stuck(w->inv); i++)
		usleep(1000);
	assert_int_equal(inventory_stuck(w->inv), -EIO);
	assert_int_equal(barrier(w), -EIO);
}

static long log_mb(struct world *w)
{
	struct stat st;
	char path[600];

	snprintf(path, sizeof(path), "%s/inventory.db-wal", w->dir);
	assert_int_equal(stat(path, &st), 0);
	return (long)(st.st_size >> 20);
}

static void an_idle_log_is_begun_anew_off_the_control_thread(void **state)
{
	struct world *w = *state;
	uint64_t id = insert(w, 1, BITS);

	for (unsigned int round = 1; round <= 5; round++) {
		write_much(w, id, BITS);
		assert_int_equal(barrier(w), 0);
		assert_true(wait_for(&hook.of[DB], round));
		usleep(200000); /* the small commit with which the thread begins the log anew */
	}
	assert_int_equal(count(&hook.by_control), 0);
	assert_true(count(&hook.by_thread) >= 15); /* barrier, log, database of each round */
	/* It has the length of one round, not of five. */
	print_message("  the log is %ld MB after five rounds\n", log_mb(w));
	assert_true(log_mb(w) < 12);
}

/* Without a moment's rest it happens all the same, and still not on the control thread. */
static void a_busy_log_is_begun_anew_too(void **state)
{
	struct world *w = *state;
	uint64_t id = insert(w, 1, BITS);

	unsigned int round = 0;

	/* On a disk that is slow just now it waits for quick syncs: more is written then. */
	do {
		write_much(w, id, BITS);
		write_much(w, id, BITS);
		for (unsigned int i = 0; i < 900; i++)
			insert(w, round * 1000 + i + 2, 8);
		round++;
	} while (round < 16 || (round < 80 && log_mb(w) >= round * 15 / 4));
	assert_int_equal(count(&hook.by_control), 0);
	print_message("  the log is %ld MB after %u MB\n", log_mb(w), round * 5);
	assert_true(log_mb(w) < round * 15 / 4); /* three quarters of what was written */
}

static void check_cut(struct world *w, unsigned int n)
{
	struct inventory *inv = NULL;
	struct inv_tree t;
	unsigned int confirmed = 0;
	char path[700];
	int fd;

	snprintf(path, sizeof(path), "%s/cut-%u/confirmed", w->dir, n);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, &confirmed, sizeof(confirmed)), sizeof(confirmed));
	close(fd);
	snprintf(path, sizeof(path), "%s/cut-%u", w->dir, n);
	ok(inventory_open(path, true, &inv, &w->err));
	for (uint64_t id = 1; id <= confirmed; id++)
		ok(inventory_tree_get(inv, id, &t, &w->err));
	inventory_close(inv);
	print_message("  cut %u: %u confirmed, all there\n", n, confirmed);
}

/*
 * Power is cut before and after each sync, over several beginnings of the log: what a barrier
 * confirmed is there, whatever part of the writes since the last syncs reached the disk.
 */
static void what_was_confirmed_survives_a_power_cut(void **state)
{
	struct world *w = *state;
	const uint64_t shards = BITS;
	uint64_t id;
	unsigned int cuts;

	srandom(11);
	id = insert(w, 0, shards);
	assert_int_equal(barrier(w), 0);
	pthread_mutex_lock(&hook.lock);
	hook.confirmed = 1;
	remember(DB);
	remember(WAL);
	hook.keep_images = true;
	pthread_mutex_unlock(&hook.lock);
	for (unsigned int round = 1; round <= 2; round++) {
		unsigned int syncs = syncs_of(DB);

		insert(w, round, 8);
		if (round == 1)
			write_much(w, id, shards); /* the log is full: a checkpoint follows */
		assert_int_equal(barrier(w), 0);
		pthread_mutex_lock(&hook.lock);
		hook.confirmed++;
		pthread_mutex_unlock(&hook.lock);
		if (round == 1)
			assert_true(wait_for(&hook.of[DB], syncs + 1));
		usleep(200000); /* the small commit, its header's sync */
	}
	watch(NULL);
	for (cuts = 0; cuts < IMAGES_MAX; cuts++) {
		char path[600];

		snprintf(path, sizeof(path), "%s/cut-%u", w->dir, cuts);
		if (access(path, F_OK))
			break;
		check_cut(w, cuts);
	}
	assert_true(cuts >= 10);
}

struct again {
	struct world *w;
	struct answers answers;
	struct question last;
};

static void ask_again(int rc, void *arg)
{
	struct again *again = arg;

	assert_int_equal(rc, 0);
	assert_int_equal(inventory_barrier(again->w->inv, note, &again->last), 0);
}

static void a_callback_may_ask_again(void **state)
{
	struct again again = {.w = *state};
	struct world *w = again.w;

	again.last.answers = &again.answers;
	ok(inventory_barrier(w->inv, ask_again, &again));
	dispatch_until(w, &again.answers, 1);
	assert_int_equal(again.answers.rc[0], 0);
}

static void who_was_not_dispatched_is_not_called_after_the_end(void **state)
{
	struct world *w = *state;
	struct answers answers = {0};
	struct question q = {&answers, 0};

	insert(w, 1, 8);
	ok(inventory_barrier(w->inv, note, &q));
	inventory_close(w->inv);
	w->inv = NULL;
	assert_int_equal(answers.n, 0);
	assert_true(syncs_of(WAL) >= 1); /* synced it was */
	ok(inventory_open(w->dir, true, &w->inv, &w->err));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_barrier_syncs_the_log_and_then_calls_back),
		TEST(those_who_ask_during_a_sync_share_the_next),
		TEST(one_who_asks_during_a_sync_is_not_answered_by_it),
		TEST(a_failed_sync_is_never_forgotten),
		TEST(after_a_failed_sync_nothing_is_checkpointed),
		TEST(a_checkpoint_that_loses_writes_sticks_too),
		TEST(an_idle_log_is_begun_anew_off_the_control_thread),
		TEST(a_busy_log_is_begun_anew_too),
		TEST(what_was_confirmed_survives_a_power_cut),
		TEST(a_callback_may_ask_again),
		TEST(who_was_not_dispatched_is_not_called_after_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
