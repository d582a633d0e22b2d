/* store/inventory_grant: what a job was told stands, whenever its rows are made. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "inventory_help.h"
#include "scratch.h"
#include "store/inventory.h"

#define NOW INT64_C(1700000000)

struct world {
	char *dir;
	struct inventory *inv;
	struct larder_error err;
	uint64_t tree[2];
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->dir = scratch_create();
	ok(inventory_open(w->dir, true, &w->inv, &w->err));
	w->tree[0] = ready_tree(w->inv, "a");
	w->tree[1] = ready_tree(w->inv, "b");
	assert_true(w->tree[0] && w->tree[1]);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	inventory_close(w->inv);
	scratch_destroy(w->dir);
	free(w);
	return 0;
}

static void close_it(struct world *w)
{
	inventory_close(w->inv);
	w->inv = NULL;
}

static void open_it(struct world *w)
{
	ok(inventory_open(w->dir, true, &w->inv, &w->err));
}

/* Both trees, to that job. */
static int grant(struct world *w, struct inventory *inv, uint32_t job)
{
	struct inv_job row = {.job_id = job,
			      .run = 2,
			      .uid = 1000,
			      .gid = 100,
			      .outcome = LARDER_OUTCOME_READY,
			      .wait_ms = -1,
			      .since_s = NOW,
			      .specs = "a:v1,b:v1/part",
			      .boot_id = "boot",
			      .views = "ready\t1\n"};
	const struct inv_grant_lease leases[] = {
		{w->tree[0], 1000, "", "job=7 dataset=a:v1"},
		{w->tree[1], 1000, "part", "job=7 dataset=b:v1"},
	};

	return inventory_grant(inv,
			       &(struct inv_grant){.job = &row,
						   .leases = leases,
						   .n = 2,
						   .now_s = NOW,
						   .half_life_s = 3600,
						   .inflation = 0.5},
			       &w->err);
}

static uint32_t leases_of(struct world *w, uint64_t tree)
{
	uint32_t n = 99;

	ok(inventory_lease_count(w->inv, tree, &n, &w->err));
	return n;
}

static int take_counter(enum inv_counter counter, const char *name, const char *unit,
			const char *help, uint64_t value, void *arg)
{
	(void)name, (void)unit, (void)help;
	((uint64_t *)arg)[counter] = value;
	return 0;
}

static uint64_t counted(struct world *w, enum inv_counter counter)
{
	uint64_t all[INV_COUNTERS] = {0};

	ok(inventory_counter_each(w->inv, take_counter, all, &w->err));
	return all[counter];
}

static int take_lease(const struct inv_lease *lease, void *arg)
{
	struct inv_lease *got = arg;

	got[lease->subset[0] ? 1 : 0] = *lease;
	return 0;
}

static int count_event(const struct inv_event *event, void *arg)
{
	assert_string_equal(event->what, "acquire");
	assert_int_equal(event->at_s, NOW);
	strcat(arg, event->text);
	strcat(arg, ";");
	return 0;
}

/* Everything that a transaction of its own would have written, once. */
static void rows_are_made(struct world *w)
{
	struct inv_lease got[2] = {{0}};
	struct inv_tree tree;
	struct inv_job job;
	char events[256] = "";

	assert_int_equal(leases_of(w, w->tree[0]), 1);
	ok(inventory_lease_each(w->inv, 0, 7, take_lease, got, &w->err));
	assert_int_equal(got[0].tree, w->tree[0]);
	assert_int_equal(got[1].tree, w->tree[1]);
	assert_string_equal(got[1].subset, "part");
	assert_int_equal(got[1].run, 2);
	assert_int_equal(got[1].uid, 1000);
	assert_int_equal(got[1].since_s, NOW);
	assert_string_equal(got[1].boot_id, "boot");
	ok(inventory_job_get(w->inv, 7, &job, &w->err));
	assert_int_equal(job.run, 2);
	assert_int_equal(job.gid, 100);
	assert_int_equal(job.outcome, LARDER_OUTCOME_READY);
	assert_int_equal(job.wait_ms, -1);
	assert_string_equal(job.specs, "a:v1,b:v1/part");
	assert_string_equal(job.views, "ready\t1\n");
	ok(inventory_tree_get(w->inv, w->tree[1], &tree, &w->err));
	assert_int_equal(tree.hits, 1);
	assert_int_equal(tree.last_use_s, NOW);
	assert_true(tree.base > 0.4 && tree.base < 0.6);
	assert_int_equal(counted(w, INV_COUNTER_hits), 2);
	assert_int_equal(counted(w, INV_COUNTER_hit_bytes), 2000);
	assert_int_equal(counted(w, INV_COUNTER_acquires), 1);
	ok(inventory_event_each(w->inv, 0, 10, "acquire", count_event, events, &w->err));
	assert_string_equal(events, "job=7 dataset=a:v1;job=7 dataset=b:v1;");
}

/* Numbers of accesses that no row has. */
static int waste_numbers(struct inventory *inv)
{
	uint64_t seq;
	int rc = inventory_begin(inv, NULL);

	for (int i = 0; i < 5000 && !rc; i++)
		rc = inventory_next_seq(inv, &seq, NULL);
	inventory_rollback(inv);
	return rc;
}

/* In a process of its own, which then ends as if it had been killed. */
static void grant_and_die(struct world *w, bool waste)
{
	int status = 1;
	pid_t child;

	close_it(w);
	child = fork();
	if (child == 0) {
		struct inventory *inv;

		if (inventory_open(w->dir, true, &inv, &w->err) || (waste && waste_numbers(inv)) ||
		    grant(w, inv, 7))
			_exit(1);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static const char *file(struct world *w, const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	return path;
}

static const char *record(struct world *w)
{
	return file(w, "inventory.grant");
}

static size_t read_record(struct world *w, char *bytes, size_t room)
{
	FILE *f = fopen(record(w), "r");
	size_t n;

	assert_non_null(f);
	n = fread(bytes, 1, room, f);
	fclose(f);
	return n;
}

static void write_record(struct world *w, const char *bytes, size_t n)
{
	FILE *f = fopen(record(w), "r+");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static void settling_makes_the_rows(void **state)
{
	struct world *w = *state;

	ok(grant(w, w->inv, 7));
	ok(inventory_settle(w->inv, &w->err));
	ok(inventory_settle(w->inv, &w->err));
	rows_are_made(w);
}

static void who_looks_at_leases_sees_it_at_once(void **state)
{
	struct world *w = *state;

	ok(grant(w, w->inv, 7));
	assert_int_equal(leases_of(w, w->tree[1]), 1);
	rows_are_made(w);
}

static void no_transaction_comes_before_it(void **state)
{
	struct world *w = *state;

	ok(grant(w, w->inv, 7));
	assert_int_equal(inventory_tree_delete(w->inv, w->tree[0], &w->err), -EBUSY);
	rows_are_made(w);
}

static void a_second_grant_settles_the_first(void **state)
{
	struct world *w = *state;

	ok(grant(w, w->inv, 7));
	ok(grant(w, w->inv, 8));
	assert_int_equal(leases_of(w, w->tree[0]), 2);
	assert_int_equal(counted(w, INV_COUNTER_acquires), 2);
}

static void closing_makes_the_rows(void **state)
{
	struct world *w = *state;

	ok(grant(w, w->inv, 7));
	close_it(w);
	unlink(record(w));
	open_it(w);
	rows_are_made(w);
}

static void it_outlives_a_kill(void **state)
{
	struct world *w = *state;

	grant_and_die(w, false);
	open_it(w);
	rows_are_made(w);
}

/* Killed after the commit, and before the record was struck out. */
static void commit_and_die(struct world *w, bool waste)
{
	static char bytes[64 << 10];
	size_t n;

	grant_and_die(w, waste);
	n = read_record(w, bytes, sizeof(bytes));
	open_it(w);
	close_it(w);
	write_record(w, bytes, n);
}

static void rows_are_not_made_twice(void **state)
{
	struct world *w = *state;

	commit_and_die(w, false);
	open_it(w);
	rows_are_made(w);
}

/* Numbers of accesses that a transaction took which was rolled back are not those of rows. */
static void rows_are_not_made_twice_after_a_rollback(void **state)
{
	struct world *w = *state;

	commit_and_die(w, true);
	open_it(w);
	rows_are_made(w);
}

static void a_record_that_was_settled_says_nothing_any_more(void **state)
{
	struct world *w = *state;

	ok(grant(w, w->inv, 7));
	ok(inventory_settle(w->inv, &w->err));
	ok(inventory_lease_release(w->inv, 7, 2, NOW, NULL, &w->err));
	ok(inventory_job_delete(w->inv, 7, 2, &w->err));
	close_it(w);
	open_it(w);
	assert_int_equal(leases_of(w, w->tree[0]), 0);
}

/* The striking out of a record was lost, in a power cut or by a fault of the disk. */
static void an_old_record_brings_back_nothing(void **state)
{
	static char bytes[64 << 10];
	struct world *w = *state;
	struct inv_job job;
	size_t n;

	grant_and_die(w, false);
	n = read_record(w, bytes, sizeof(bytes));
	open_it(w);
	rows_are_made(w);
	ok(inventory_lease_release(w->inv, 7, 2, NOW, NULL, &w->err));
	ok(inventory_job_delete(w->inv, 7, 2, &w->err));
	close_it(w);
	write_record(w, bytes, n);
	open_it(w);
	assert_int_equal(leases_of(w, w->tree[0]), 0);
	assert_int_equal(inventory_job_get(w->inv, 7, &job, &w->err), -ENOENT);
	assert_int_equal(counted(w, INV_COUNTER_hits), 2);
	assert_int_equal(counted(w, INV_COUNTER_acquires), 1);
}

static void a_record_that_was_cut_short_says_nothing(void **state)
{
	static char bytes[64 << 10];
	struct world *w = *state;
	size_t n;

	grant_and_die(w, false);
	n = read_record(w, bytes, sizeof(bytes));
	bytes[100] = (char)(bytes[100] ^ 1);
	write_record(w, bytes, n);
	open_it(w);
	assert_int_equal(leases_of(w, w->tree[0]), 0);
	ok(grant(w, w->inv, 7));
	rows_are_made(w);
}

static void a_file_of_another_length_says_nothing(void **state)
{
	struct world *w = *state;

	grant_and_die(w, false);
	assert_int_equal(truncate(record(w), 60), 0);
	open_it(w);
	assert_int_equal(leases_of(w, w->tree[0]), 0);
	ok(grant(w, w->inv, 7));
	rows_are_made(w);
}

/* The disk was full when the file was made, and had room for a record later. */
static void a_record_in_a_file_that_could_not_be_filled_outlives_a_kill(void **state)
{
	static char bytes[64 << 10];
	struct world *w = *state;
	size_t n;

	grant_and_die(w, false);
	n = read_record(w, bytes, sizeof(bytes));
	while (n && !bytes[n - 1])
		n--;
	assert_int_equal(truncate(record(w), (off_t)n), 0);
	open_it(w);
	rows_are_made(w);
}

static int count_leases(const struct inv_tree *tree, void *arg)
{
	struct world *w = arg;

	assert_int_equal(leases_of(w, tree->id), 1);
	return 0;
}

static void who_walks_may_ask_for_leases(void **state)
{
	struct world *w = *state;

	ok(grant(w, w->inv, 7));
	ok(inventory_tree_each(w->inv, NULL, count_leases, w, &w->err));
	rows_are_made(w);
}

/* The inventory was lost, and its trees are found again with other numbers. */
static void a_record_of_a_tree_that_is_gone_stands_in_nobodys_way(void **state)
{
	struct world *w = *state;
	struct inv_job job;

	grant_and_die(w, false);
	assert_int_equal(unlink(file(w, "inventory.db")), 0);
	assert_int_equal(unlink(file(w, "inventory.db-wal")), 0);
	open_it(w);
	assert_int_equal(inventory_job_get(w->inv, 7, &job, &w->err), -ENOENT);
	ok(inventory_begin(w->inv, &w->err));
	ok(inventory_commit(w->inv, &w->err));
	assert_int_equal(counted(w, INV_COUNTER_hits), 0);
}

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void while_its_rows_cannot_be_made_nobody_gets_past_it(void **state)
{
	struct world *w = *state;
	uint32_t n = 0;

	signal(SIGXFSZ, SIG_IGN);
	for (uint32_t job = 100; job < 140; job++) /* the log is longer than the record then */
		ok(grant(w, w->inv, job) ? -1 : inventory_settle(w->inv, &w->err));
	limit_files(64 << 10);
	ok(grant(w, w->inv, 7));
	assert_int_equal(inventory_settle(w->inv, &w->err), -EIO);
	assert_int_equal(inventory_lease_count(w->inv, w->tree[0], &n, &w->err), -EIO);
	assert_int_equal(inventory_begin(w->inv, &w->err), -EIO);
	assert_int_equal(
		inventory_tree_state(w->inv, w->tree[0], LARDER_TREE_EVICTING, NULL, &w->err),
		-EIO);
	assert_int_equal(grant(w, w->inv, 8), -EIO);
	close_it(w);
	limit_files(RLIM_INFINITY);
	open_it(w);
	assert_int_equal(leases_of(w, w->tree[0]), 41);
	assert_int_equal(counted(w, INV_COUNTER_acquires), 41);
}

static void what_is_larger_than_a_record_is_not_granted(void **state)
{
	static char text[40 << 10];
	struct world *w = *state;
	struct inv_job row = {.job_id = 7};
	const struct inv_grant_lease lease = {w->tree[0], 1, "",
					      memset(text, 'x', sizeof(text) - 1)};
	const struct inv_grant large = {.job = &row, .leases = &lease, .n = 1};

	assert_int_equal(inventory_grant(w->inv, &large, &w->err), -E2BIG);
	assert_int_equal(leases_of(w, w->tree[0]), 0);
	ok(grant(w, w->inv, 7));
	rows_are_made(w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(settling_makes_the_rows),
		TEST(who_looks_at_leases_sees_it_at_once),
		TEST(no_transaction_comes_before_it),
		TEST(a_second_grant_settles_the_first),
		TEST(closing_makes_the_rows),
		TEST(it_outlives_a_kill),
		TEST(rows_are_not_made_twice),
		TEST(rows_are_not_made_twice_after_a_rollback),
		TEST(a_record_that_was_settled_says_nothing_any_more),
		TEST(an_old_record_brings_back_nothing),
		TEST(a_record_that_was_cut_short_says_nothing),
		TEST(a_file_of_another_length_says_nothing),
		TEST(a_record_in_a_file_that_could_not_be_filled_outlives_a_kill),
		TEST(who_walks_may_ask_for_leases),
		TEST(a_record_of_a_tree_that_is_gone_stands_in_nobodys_way),
		TEST(while_its_rows_cannot_be_made_nobody_gets_past_it),
		TEST(what_is_larger_than_a_record_is_not_granted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
