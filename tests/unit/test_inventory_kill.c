/*
 * store/inventory_grant under kill -9 at any moment: a child does what a daemon does to leases, and
 * notes in shared memory what it was about to do and what it was told. Whatever was told is there
 * when the inventory is opened again, once; whatever was not is there whole or not at all.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "inventory_help.h"
#include "scratch.h"
#include "store/inventory.h"

#define NOW    INT64_C(1700000000)
#define TREES  3u
#define JOBS   9u
#define ROUNDS 40
#define STEPS  400

enum deed { NOTHING, GRANT, RELEASE };

/* What is known to be so, and what may be so as well. */
struct known {
	bool holds[JOBS]; /* job i + 1 has leases on the trees of its mask */
	uint64_t acquires, hits;
	enum deed under_way; /* of that job: begun, and not told */
	uint32_t job;
	uint64_t acquires_before, hits_before; /* it began */
	uint64_t steps;
	char wrong[LARDER_ERROR_MAX + 128];
};

struct world {
	char *dir;
	struct inventory *inv;
	struct larder_error err;
	uint64_t tree[TREES];
	struct known *known;
	uint64_t random;
};

static uint64_t next_random(struct world *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random;
}

/* Trees that a job has: always the same, never none. */
static unsigned int mask_of(uint32_t job)
{
	return 1 + job % ((1u << TREES) - 1);
}

static unsigned int n_trees(uint32_t job)
{
	return (unsigned int)__builtin_popcount(mask_of(job));
}

static uint32_t holders(const struct known *k, unsigned int tree)
{
	uint32_t n = 0;

	for (uint32_t job = 1; job <= JOBS; job++)
		n += k->holds[job - 1] && mask_of(job) & (1u << tree);
	return n;
}

/* --- the child */

static void wrong(struct world *w, const char *what, int rc)
{
	snprintf(w->known->wrong, sizeof(w->known->wrong), "%s: %d %s", what, rc, w->err.text);
	_exit(1);
}

#define must(call)                                                                                 \
	do {                                                                                       \
		int rc_ = (call);                                                                  \
		if (rc_)                                                                           \
			wrong(w, #call, rc_);                                                      \
	} while (0)

static void grant(struct world *w, uint32_t job)
{
	struct inv_job row = {.job_id = job,
			      .outcome = LARDER_OUTCOME_READY,
			      .since_s = NOW,
			      .specs = "a",
			      .boot_id = "boot",
			      .views = "ready\t1\n"};
	struct inv_grant_lease leases[TREES];
	struct inv_grant all = {.job = &row, .leases = leases, .now_s = NOW, .half_life_s = 3600};

	for (unsigned int i = 0; i < TREES; i++)
		if (mask_of(job) & (1u << i))
			leases[all.n++] = (struct inv_grant_lease){w->tree[i], 10, "", "job"};
	must(inventory_grant(w->inv, &all, &w->err));
	w->known->acquires++;
	w->known->hits += all.n;
	w->known->holds[job - 1] = true;
}

static void release(struct world *w, uint32_t job)
{
	uint32_t released = 0;

	must(inventory_begin(w->inv, &w->err));
	must(inventory_lease_release(w->inv, job, 0, NOW, &released, &w->err));
	must(inventory_job_delete(w->inv, job, 0, &w->err));
	must(inventory_commit(w->inv, &w->err));
	if (released != n_trees(job))
		wrong(w, "leases released", (int)released);
	w->known->holds[job - 1] = false;
}

static void change(struct world *w, uint32_t job)
{
	struct known *k = w->known;

	k->job = job;
	k->acquires_before = k->acquires;
	k->hits_before = k->hits;
	atomic_signal_fence(memory_order_seq_cst);
	k->under_way = k->holds[job - 1] ? RELEASE : GRANT;
	if (k->under_way == RELEASE)
		release(w, job);
	else
		grant(w, job);
	atomic_signal_fence(memory_order_seq_cst);
	k->under_way = NOTHING;
}

static int count_in_walk(const struct inv_tree *tree, void *arg)
{
	struct world *w = arg;
	uint32_t n = 99;

	for (unsigned int i = 0; i < TREES; i++) {
		if (w->tree[i] != tree->id)
			continue;
		must(inventory_lease_count(w->inv, tree->id, &n, &w->err));
		if (n != holders(w->known, i))
			wrong(w, "leases in a walk", (int)n);
	}
	return 0;
}

static void look(struct world *w, unsigned int tree)
{
	uint32_t n = 99;
	struct inv_hold *holds;
	size_t n_holds;

	must(inventory_holds(w->inv, &holds, &n_holds, &w->err));
	n = inventory_hold_of(holds, n_holds, w->tree[tree]).leases;
	free(holds);
	if (n != holders(w->known, tree))
		wrong(w, "leases held", (int)n);
}

/* As the evictor does: nothing goes that somebody has. */
static void try_to_evict(struct world *w, unsigned int tree)
{
	int rc;

	must(inventory_begin(w->inv, &w->err));
	rc = inventory_tree_delete(w->inv, w->tree[tree], &w->err);
	if (rc != (holders(w->known, tree) ? -EBUSY : 0))
		wrong(w, "tree_delete", rc);
	inventory_rollback(w->inv);
}

static void do_something(struct world *w)
{
	unsigned int tree = (unsigned int)(next_random(w) % TREES);

	switch (next_random(w) % 10) {
	case 0: look(w, tree); return;
	case 1: try_to_evict(w, tree); return;
	case 2: must(inventory_tree_each(w->inv, NULL, count_in_walk, w, &w->err)); return;
	case 3: must(inventory_settle(w->inv, &w->err)); return;
	case 4: must(inventory_event_add(w->inv, NOW, "x", "y")); return;
	default: change(w, 1 + (uint32_t)(next_random(w) % JOBS)); return;
	}
}

static void live(struct world *w)
{
	must(inventory_open(w->dir, true, &w->inv, &w->err));
	for (int i = 0; i < STEPS; i++) {
		do_something(w);
		w->known->steps++;
	}
	_exit(0); /* without a stop, too */
}

/* --- what is there afterwards */

static int take_counter(enum inv_counter counter, const char *name, const char *unit,
			const char *help, uint64_t value, void *arg)
{
	(void)name, (void)unit, (void)help;
	((uint64_t *)arg)[counter] = value;
	return 0;
}

static int mark_job(const struct inv_job *job, void *arg)
{
	((bool *)arg)[job->job_id - 1] = true;
	return 0;
}

/* What was under way is so, or is not: the job's row tells, and everything else must agree. */
static void settle_what_was_under_way(struct world *w, const bool *has_row)
{
	struct known *k = w->known;
	uint32_t job = k->job;

	if (k->under_way == NOTHING)
		return;
	if (k->under_way == GRANT) {
		k->acquires = k->acquires_before + has_row[job - 1];
		k->hits = k->hits_before + (has_row[job - 1] ? n_trees(job) : 0);
	}
	k->holds[job - 1] = has_row[job - 1];
	k->under_way = NOTHING;
}

static void everything_that_was_told_is_there(struct world *w)
{
	uint64_t counters[INV_COUNTERS] = {0};
	bool has_row[JOBS] = {false};
	struct inv_tree tree;
	uint64_t hits = 0;
	uint32_t n;

	ok(inventory_job_each(w->inv, mark_job, has_row, &w->err));
	settle_what_was_under_way(w, has_row);
	assert_memory_equal(has_row, w->known->holds, sizeof(has_row));
	for (unsigned int i = 0; i < TREES; i++) {
		ok(inventory_lease_count(w->inv, w->tree[i], &n, &w->err));
		assert_int_equal(n, holders(w->known, i));
		ok(inventory_tree_get(w->inv, w->tree[i], &tree, &w->err));
		hits += tree.hits;
	}
	ok(inventory_counter_each(w->inv, take_counter, counters, &w->err));
	assert_int_equal(counters[INV_COUNTER_acquires], w->known->acquires);
	assert_int_equal(counters[INV_COUNTER_hits], w->known->hits);
	assert_int_equal(hits, w->known->hits);
}

/* Once it has begun to work, so that few rounds are spent on opening. */
static void kill_some_time_later(struct world *w, pid_t child)
{
	uint64_t began = w->known->steps;
	int status;

	while (*(volatile uint64_t *)&w->known->steps == began &&
	       waitpid(child, &status, WNOHANG) == 0)
		usleep(100);
	usleep((useconds_t)(next_random(w) % 4000));
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	if (w->known->wrong[0])
		fail_msg("%s", w->known->wrong);
}

static void what_was_told_outlives_a_kill_at_any_moment(void **state)
{
	static struct world it = {.random = UINT64_C(88172645463325252)};
	struct world *w = &it;

	(void)state;
	w->dir = scratch_create();
	w->known = mmap(NULL, sizeof(*w->known), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	assert_ptr_not_equal(w->known, MAP_FAILED);
	ok(inventory_open(w->dir, true, &w->inv, &w->err));
	for (unsigned int i = 0; i < TREES; i++)
		w->tree[i] = ready_tree(w->inv, (const char *[]){"a", "b", "c"}[i]);
	for (int round = 0; round < ROUNDS; round++) {
		pid_t child;

		inventory_close(w->inv);
		w->inv = NULL;
		child = fork();
		if (child == 0)
			live(w);
		(void)next_random(w);
		kill_some_time_later(w, child);
		ok(inventory_open(w->dir, true, &w->inv, &w->err));
		everything_that_was_told_is_there(w);
	}
	print_message("# %llu steps, %llu jobs\n", (unsigned long long)w->known->steps,
		      (unsigned long long)w->known->acquires);
	inventory_close(w->inv);
	munmap(w->known, sizeof(*w->known));
	scratch_destroy(w->dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_told_outlives_a_kill_at_any_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
