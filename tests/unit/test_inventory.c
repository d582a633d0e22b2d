/* store/inventory: rows, transactions, opening what is old, new, damaged or somebody else's. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "skip.h"

#include "inventory_help.h"
#include "scratch.h"
#include "store/inventory.h"

#define NOW INT64_C(1700000000)

struct world {
	char *dir;
	struct inventory *inv;
	struct larder_error err;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->dir = scratch_create();
	ok(inventory_open(w->dir, true, &w->inv, &w->err));
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

static void reopen(struct world *w)
{
	inventory_close(w->inv);
	ok(inventory_open(w->dir, true, &w->inv, &w->err));
}

static struct inv_tree a_tree(const char *name, const char *version, unsigned int digest)
{
	struct inv_tree t = {.state = LARDER_TREE_STAGING,
			     .owner = INV_OWNER_SITE,
			     .publisher = 1000,
			     .shards = 40000,
			     .bytes = 1 << 30,
			     .admitted_s = NOW};

	strcpy(t.tier, "nvme");
	strcpy(t.domain, "site");
	snprintf(t.name, sizeof(t.name), "%s", name);
	snprintf(t.version, sizeof(t.version), "%s", version);
	snprintf(t.digest, sizeof(t.digest), "%032x", digest);
	strcpy(t.access, "users=a,b");
	strcpy(t.origin, "/data/of the/site");
	return t;
}

static uint64_t insert(struct world *w, const char *name, const char *version, unsigned int digest)
{
	struct inv_tree t = a_tree(name, version, digest);

	ok(inventory_tree_insert(w->inv, &t, &w->err));
	return t.id;
}

static struct inv_tree get(struct world *w, uint64_t id)
{
	struct inv_tree t;

	ok(inventory_tree_get(w->inv, id, &t, &w->err));
	return t;
}

static void put_lease(struct world *w, uint64_t tree, uint32_t job, uint32_t run)
{
	struct inv_lease lease = {.tree = tree,
				  .job_id = job,
				  .run = run,
				  .uid = 1000,
				  .since_s = NOW,
				  .subset = "train/*",
				  .boot_id = "boot"};

	ok(inventory_lease_put(w->inv, &lease, &w->err));
}

static uint32_t leases_of(struct world *w, uint64_t tree)
{
	uint32_t n = 99;

	ok(inventory_lease_count(w->inv, tree, &n, &w->err));
	return n;
}

/* --- trees */

static void a_tree_comes_back_as_it_went(void **state)
{
	struct world *w = *state;
	struct inv_tree t = a_tree("imagenet", "v3", 1), got;

	t.owner = 1234;
	t.once = true;
	t.uses = 2.5;
	t.base = 0.125;
	t.hits = 7;
	t.last_use_s = NOW - 5;
	t.last_lease_end_s = NOW - 4;
	t.stage_ms = 12345;
	t.present_shards = 3;
	t.present_bytes = 99;
	t.last_seq = 77;
	t.admitted_seq = 66;
	memset(t.origin, 'o', sizeof(t.origin) - 1);
	memset(t.error, 'e', sizeof(t.error) - 1);
	memset(t.access, 'a', sizeof(t.access) - 1);
	ok(inventory_tree_insert(w->inv, &t, &w->err));
	assert_true(t.id > 0);
	reopen(w);
	memset(&got, 0x5a, sizeof(got));
	ok(inventory_tree_get(w->inv, t.id, &got, &w->err));
	assert_string_equal(got.tier, t.tier);
	assert_string_equal(got.domain, t.domain);
	assert_string_equal(got.name, t.name);
	assert_string_equal(got.version, t.version);
	assert_string_equal(got.digest, t.digest);
	assert_string_equal(got.access, t.access);
	assert_string_equal(got.origin, t.origin);
	assert_string_equal(got.error, t.error);
	assert_int_equal(got.state, t.state);
	assert_int_equal(got.owner, 1234);
	assert_int_equal(got.publisher, 1000);
	assert_int_equal(got.shards, t.shards);
	assert_int_equal(got.bytes, t.bytes);
	assert_int_equal(got.present_shards, 3);
	assert_int_equal(got.present_bytes, 99);
	assert_true(got.uses == 2.5 && got.base == 0.125);
	assert_int_equal(got.hits, 7);
	assert_int_equal(got.last_seq, 77);
	assert_int_equal(got.admitted_seq, 66);
	assert_int_equal(got.last_use_s, NOW - 5);
	assert_int_equal(got.admitted_s, NOW);
	assert_int_equal(got.last_lease_end_s, NOW - 4);
	assert_int_equal(got.stage_ms, 12345);
	assert_true(got.once);
}

static void a_tree_is_there_once(void **state)
{
	struct world *w = *state;
	struct inv_tree t = a_tree("a", "v1", 1);
	uint64_t n = 0;

	ok(inventory_tree_insert(w->inv, &t, &w->err));
	t.id = 0;
	assert_int_equal(inventory_tree_insert(w->inv, &t, &w->err), -EEXIST);
	assert_int_equal(t.id, 0);
	strcpy(t.tier, "other");
	ok(inventory_tree_insert(w->inv, &t, &w->err));
	ok(inventory_tree_count(w->inv, &n, &w->err));
	assert_int_equal(n, 2);
}

static void what_makes_no_sense_is_refused(void **state)
{
	struct world *w = *state;
	struct inv_tree t = a_tree("a", "v1", 1);
	uint64_t n = 9;

	t.present_shards = t.shards + 1;
	assert_int_equal(inventory_tree_insert(w->inv, &t, &w->err), -EINVAL);
	t = a_tree("a", "v1", 1);
	t.bytes = UINT64_MAX;
	assert_int_equal(inventory_tree_insert(w->inv, &t, &w->err), -ERANGE);
	t = a_tree("", "v1", 1);
	assert_int_equal(inventory_tree_insert(w->inv, &t, &w->err), -EINVAL);
	t = a_tree("a", "v1", 1);
	t.state = LARDER_TREE_STATES; /* "?" is no word of state.def */
	assert_int_equal(inventory_tree_insert(w->inv, &t, &w->err), -ENOENT);
	ok(inventory_tree_count(w->inv, &n, &w->err));
	assert_int_equal(n, 0);
}

static void a_tree_that_is_not_there_is_enoent(void **state)
{
	struct world *w = *state;
	struct inv_tree t;

	assert_int_equal(inventory_tree_get(w->inv, 5, &t, &w->err), -ENOENT);
	assert_int_equal(inventory_tree_get(w->inv, UINT64_MAX, &t, &w->err), -ENOENT);
	assert_int_equal(inventory_tree_find(w->inv, "site", "a", "v", "", &t, &w->err), -ENOENT);
	assert_int_equal(inventory_tree_base(w->inv, "nvme", "site", "a", 0, &t, &w->err), -ENOENT);
	assert_int_equal(inventory_tree_state(w->inv, 5, LARDER_TREE_READY, NULL, &w->err),
			 -ENOENT);
	assert_int_equal(inventory_tree_present(w->inv, 5, 1, 1, &w->err), -ENOENT);
	assert_int_equal(inventory_tree_staged(w->inv, 5, 1, &w->err), -ENOENT);
	assert_int_equal(inventory_tree_use(w->inv, 5, NOW, 60, 0, &w->err), -ENOENT);
	assert_int_equal(inventory_tree_delete(w->inv, 5, &w->err), -ENOENT);
	assert_false(inventory_in_tx(w->inv));
}

static void an_id_is_never_used_again(void **state)
{
	struct world *w = *state;
	uint64_t first = insert(w, "a", "v1", 1), second;

	ok(inventory_tree_delete(w->inv, first, &w->err));
	second = insert(w, "a", "v1", 1);
	assert_true(second > first);
}

static void find_prefers_the_digest_then_the_last_used(void **state)
{
	struct world *w = *state;
	uint64_t a = insert(w, "a", "v1", 1), b = insert(w, "a", "v1", 2);
	struct inv_tree t;
	char digest[33];

	ok(inventory_tree_find(w->inv, "site", "a", "v1", "", &t, &w->err));
	assert_int_equal(t.id, b);
	ok(inventory_tree_use(w->inv, a, NOW, 60, 0, &w->err));
	ok(inventory_tree_find(w->inv, "site", "a", "v1", "", &t, &w->err));
	assert_int_equal(t.id, a);
	snprintf(digest, sizeof(digest), "%032x", 2);
	ok(inventory_tree_find(w->inv, "site", "a", "v1", digest, &t, &w->err));
	assert_int_equal(t.id, b);
	assert_int_equal(inventory_tree_find(w->inv, "user-7", "a", "v1", digest, &t, &w->err),
			 -ENOENT);
}

static void a_base_is_ready_in_the_same_tier_and_domain(void **state)
{
	struct world *w = *state;
	uint64_t a = insert(w, "a", "v1", 1), b = insert(w, "a", "v2", 2),
		 c = insert(w, "a", "v3", 3);
	struct inv_tree t;

	assert_int_equal(inventory_tree_base(w->inv, "nvme", "site", "a", c, &t, &w->err), -ENOENT);
	ok(inventory_tree_state(w->inv, a, LARDER_TREE_READY, NULL, &w->err));
	ok(inventory_tree_state(w->inv, b, LARDER_TREE_READY, NULL, &w->err));
	ok(inventory_tree_base(w->inv, "nvme", "site", "a", c, &t, &w->err));
	assert_int_equal(t.id, b);
	ok(inventory_tree_base(w->inv, "nvme", "site", "a", b, &t, &w->err));
	assert_int_equal(t.id, a);
	assert_int_equal(inventory_tree_base(w->inv, "other", "site", "a", 0, &t, &w->err),
			 -ENOENT);
	assert_int_equal(inventory_tree_base(w->inv, "nvme", "u", "a", 0, &t, &w->err), -ENOENT);
	assert_int_equal(inventory_tree_base(w->inv, "nvme", "site", "b", 0, &t, &w->err), -ENOENT);
}

struct walk {
	char seen[256];
	unsigned int n, stop_at;
	struct world *w;
};

static int note_tree(const struct inv_tree *tree, void *arg)
{
	struct walk *walk = arg;
	size_t len = strlen(walk->seen);

	snprintf(walk->seen + len, sizeof(walk->seen) - len, "%s:%s ", tree->name, tree->version);
	return ++walk->n == walk->stop_at ? -ECANCELED : 0;
}

static void a_walk_is_ordered_and_can_be_stopped(void **state)
{
	struct world *w = *state;
	struct walk all = {.n = 0}, one = {.n = 0}, stopped = {.stop_at = 2};

	insert(w, "b", "v1", 1);
	insert(w, "a", "v2", 2);
	insert(w, "a", "v1", 3);
	ok(inventory_tree_each(w->inv, NULL, note_tree, &all, &w->err));
	assert_string_equal(all.seen, "a:v1 a:v2 b:v1 ");
	ok(inventory_tree_each(w->inv, "b", note_tree, &one, &w->err));
	assert_string_equal(one.seen, "b:v1 ");
	assert_int_equal(inventory_tree_each(w->inv, NULL, note_tree, &stopped, &w->err),
			 -ECANCELED);
	assert_string_equal(stopped.seen, "a:v1 a:v2 ");
	insert(w, "c", "v1", 4); /* nothing of the stopped walk is left open */
}

static int ask_within(const struct inv_tree *tree, void *arg)
{
	struct walk *walk = arg;
	struct inv_tree again;
	uint32_t pins = 9;

	if (inventory_tree_get(walk->w->inv, tree->id, &again, NULL) ||
	    inventory_pin_count(walk->w->inv, tree->id, &pins, NULL))
		return -EIO;
	walk->n += leases_of(walk->w, tree->id) + pins;
	return strcmp(again.name, tree->name);
}

static void a_callback_may_ask(void **state)
{
	struct world *w = *state;
	struct walk walk = {.w = w};

	put_lease(w, insert(w, "a", "v1", 1), 7, 0);
	put_lease(w, insert(w, "b", "v1", 2), 7, 0);
	ok(inventory_tree_each(w->inv, NULL, ask_within, &walk, &w->err));
	assert_int_equal(walk.n, 2);
}

static int write_within(const struct inv_tree *tree, void *arg)
{
	struct walk *walk = arg;

	return inventory_tree_staged(walk->w->inv, tree->id, 1, NULL);
}

static void a_callback_that_writes_is_a_bug(void **state)
{
	struct world *w = *state;
	int status;
	pid_t child;

	insert(w, "a", "v1", 1);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct walk walk = {.w = w};

		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		prctl(PR_SET_DUMPABLE, 0); /* no core of a wanted abort */
		signal(SIGABRT, SIG_DFL);
		inventory_tree_each(w->inv, NULL, write_within, &walk, NULL);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* --- states and bitmaps */

static void only_edges_of_the_table_are_walked(void **state)
{
	struct world *w = *state;
	uint64_t id = insert(w, "a", "v1", 1);
	struct inv_tree t;

	assert_int_equal(inventory_tree_state(w->inv, id, LARDER_TREE_EVICTING, NULL, &w->err),
			 -EINVAL);
	assert_int_equal(get(w, id).state, LARDER_TREE_STAGING);
	ok(inventory_tree_state(w->inv, id, LARDER_TREE_FAILED, "the origin is gone", &w->err));
	t = get(w, id);
	assert_int_equal(t.state, LARDER_TREE_FAILED);
	assert_string_equal(t.error, "the origin is gone");
	ok(inventory_tree_state(w->inv, id, LARDER_TREE_STAGING, NULL, &w->err));
	assert_string_equal(get(w, id).error, "");
}

static void ready_means_all_of_it(void **state)
{
	struct world *w = *state;
	uint64_t id = insert(w, "a", "v1", 1), indices[] = {5, 39999};
	uint8_t bits[5000];
	struct inv_tree t;

	ok(inventory_bitmap_set(w->inv, id, indices, 2, &w->err));
	ok(inventory_tree_present(w->inv, id, 2, 100, &w->err));
	ok(inventory_tree_state(w->inv, id, LARDER_TREE_READY, NULL, &w->err));
	t = get(w, id);
	assert_int_equal(t.present_shards, 40000);
	assert_int_equal(t.present_bytes, 1 << 30);
	ok(inventory_bitmap_load(w->inv, id, bits, 40000, &w->err));
	for (size_t i = 0; i < sizeof(bits); i++)
		assert_int_equal(bits[i], 0xff);
	/* Back to PARTIAL nothing is claimed until a bitmap is stored. */
	ok(inventory_tree_state(w->inv, id, LARDER_TREE_PARTIAL, NULL, &w->err));
	ok(inventory_bitmap_load(w->inv, id, bits, 40000, &w->err));
	for (size_t i = 0; i < sizeof(bits); i++)
		assert_int_equal(bits[i], 0);
}

static void bits_are_where_they_were_put(void **state)
{
	struct world *w = *state;
	uint64_t indices[] = {39999, 0, 16383, 16384, 32768, 7, 8, 7}, wrong = 40000;
	uint64_t id = insert(w, "a", "v1", 1), n = 0;
	uint8_t bits[5000];

	ok(inventory_bitmap_set(w->inv, id, indices, 4, &w->err));
	ok(inventory_bitmap_set(w->inv, id, indices + 4, 4, &w->err));
	ok(inventory_bitmap_set(w->inv, id, NULL, 0, &w->err));
	reopen(w);
	memset(bits, 0x5a, sizeof(bits));
	ok(inventory_bitmap_load(w->inv, id, bits, 40000, &w->err));
	for (uint64_t i = 0; i < 40000; i++)
		n += bits[i / 8] >> i % 8 & 1;
	assert_int_equal(n, 7);
	for (size_t i = 0; i < 8; i++)
		assert_true(bits[indices[i] / 8] >> indices[i] % 8 & 1);
	assert_int_equal(inventory_bitmap_set(w->inv, id, &wrong, 1, &w->err), -EINVAL);
	assert_int_equal(inventory_bitmap_load(w->inv, id, bits, 39999, &w->err), -EINVAL);
	assert_int_equal(inventory_bitmap_set(w->inv, 99, indices, 1, &w->err), -ENOENT);
}

static void a_bitmap_is_stored_as_a_whole(void **state)
{
	struct world *w = *state;
	uint64_t id = insert(w, "a", "v1", 1), old = 20000;
	uint8_t bits[5000] = {0}, got[5000];

	ok(inventory_bitmap_set(w->inv, id, &old, 1, &w->err));
	bits[0] = 0x81;
	bits[4999] = 0xff;
	ok(inventory_bitmap_store(w->inv, id, bits, 40000, &w->err));
	ok(inventory_bitmap_load(w->inv, id, got, 40000, &w->err));
	assert_memory_equal(bits, got, sizeof(bits));
	assert_int_equal(inventory_bitmap_store(w->inv, id, bits, 8, &w->err), -EINVAL);
}

static void bits_behind_the_last_shard_are_never_set(void **state)
{
	struct world *w = *state;
	struct inv_tree t = a_tree("a", "v1", 1);
	uint8_t bits[3] = {0xff, 0xff, 0xff};

	t.shards = 19;
	ok(inventory_tree_insert(w->inv, &t, &w->err));
	ok(inventory_bitmap_store(w->inv, t.id, bits, 19, &w->err));
	ok(inventory_bitmap_load(w->inv, t.id, bits, 19, &w->err));
	assert_int_equal(bits[2], 7);
	ok(inventory_tree_state(w->inv, t.id, LARDER_TREE_READY, NULL, &w->err));
	ok(inventory_bitmap_load(w->inv, t.id, bits, 19, &w->err));
	assert_int_equal(bits[2], 7);
}

static void a_tree_of_nothing_has_no_bits(void **state)
{
	struct world *w = *state;
	struct inv_tree t = a_tree("a", "v1", 1);
	uint8_t bits[1] = {0x5a};

	t.shards = t.bytes = 0;
	ok(inventory_tree_insert(w->inv, &t, &w->err));
	ok(inventory_bitmap_store(w->inv, t.id, bits, 0, &w->err));
	ok(inventory_bitmap_load(w->inv, t.id, bits, 0, &w->err));
	assert_int_equal(bits[0], 0x5a);
}

/* --- uses and history */

static void an_access_counts_and_decays(void **state)
{
	struct world *w = *state;
	uint64_t id = insert(w, "a", "v1", 1);
	struct inv_tree t = get(w, id);
	uint64_t seq = t.last_seq;

	assert_true(seq > 0 && t.admitted_seq == seq);
	ok(inventory_tree_use(w->inv, id, NOW, 100, 0.5, &w->err));
	ok(inventory_tree_use(w->inv, id, NOW + 100, 100, 0.75, &w->err));
	t = get(w, id);
	assert_true(fabs(t.uses - 1.5) < 1e-9);
	assert_true(t.base == 0.75);
	assert_int_equal(t.hits, 2);
	assert_int_equal(t.last_use_s, NOW + 100);
	assert_true(t.last_seq > seq);
	assert_int_equal(t.admitted_seq, seq);
}

static void uses_survive_an_eviction(void **state)
{
	struct world *w = *state;
	uint64_t id = insert(w, "a", "v1", 1);
	struct inv_tree t;

	for (int i = 0; i < 3; i++)
		ok(inventory_tree_use(w->inv, id, NOW, 100, 0, &w->err));
	ok(inventory_tree_delete(w->inv, id, &w->err));
	id = insert(w, "a", "v1", 2); /* another digest, the same dataset */
	t = get(w, id);
	assert_true(t.uses == 3);
	assert_int_equal(t.last_use_s, NOW);
	assert_int_equal(t.hits, 0);
	ok(inventory_tree_use(w->inv, id, NOW + 100, 100, 0, &w->err));
	assert_true(fabs(get(w, id).uses - 2.5) < 1e-9);
	/* It has moved: nobody gets it a second time, nor another dataset. */
	assert_true(get(w, insert(w, "a", "v1", 3)).uses == 0);
	assert_true(get(w, insert(w, "a", "v2", 4)).uses == 0);
}

static void old_history_is_forgotten(void **state)
{
	struct world *w = *state;
	uint64_t a = insert(w, "a", "v1", 1), b = insert(w, "b", "v1", 2);
	uint32_t trimmed = 9;

	ok(inventory_tree_use(w->inv, a, NOW - 10, 100, 0, &w->err));
	ok(inventory_tree_use(w->inv, b, NOW, 100, 0, &w->err));
	ok(inventory_tree_delete(w->inv, a, &w->err));
	ok(inventory_tree_delete(w->inv, b, &w->err));
	ok(inventory_history_trim(w->inv, NOW, &trimmed, &w->err));
	assert_int_equal(trimmed, 1);
	assert_true(get(w, insert(w, "a", "v1", 1)).uses == 0);
	assert_true(get(w, insert(w, "b", "v1", 2)).uses == 1);
}

static void sequence_numbers_only_grow(void **state)
{
	struct world *w = *state;
	uint64_t last = 0, seq = 0, undone = 0;

	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 1500; i++) {
			ok(inventory_next_seq(w->inv, &seq, &w->err));
			assert_true(seq > last);
			last = seq;
		}
		/* The block was reserved in a transaction that is undone: it must be again. */
		ok(inventory_begin(w->inv, &w->err));
		for (int i = 0; i < 2000; i++)
			ok(inventory_next_seq(w->inv, &undone, &w->err));
		inventory_rollback(w->inv);
		ok(inventory_next_seq(w->inv, &last, &w->err));
		assert_true(last > undone);
		if (round % 2)
			reopen(w);
	}
}

/* What was given out and committed survives the process without a close. */
static void sequence_numbers_grow_over_a_crash(void **state)
{
	struct world *w = *state;
	uint64_t before = 0, after = 0;
	int pipe_fd[2];
	pid_t child;

	inventory_close(w->inv);
	w->inv = NULL;
	assert_int_equal(pipe(pipe_fd), 0);
	child = fork();
	if (child == 0) {
		uint64_t seq = 0;
		struct inventory *inv = NULL;

		if (inventory_open(w->dir, true, &inv, NULL))
			_exit(1);
		for (int i = 0; i < 3000; i++)
			(void)inventory_next_seq(inv, &seq, NULL);
		_exit(write(pipe_fd[1], &seq, sizeof(seq)) == sizeof(seq) ? 0 : 1);
	}
	close(pipe_fd[1]);
	assert_int_equal(read(pipe_fd[0], &before, sizeof(before)), sizeof(before));
	close(pipe_fd[0]);
	waitpid(child, NULL, 0);
	ok(inventory_open(w->dir, true, &w->inv, &w->err));
	ok(inventory_next_seq(w->inv, &after, &w->err));
	assert_true(after > before && before >= 3000);
}

/* --- leases, jobs, pins */

static void a_leased_tree_cannot_be_deleted(void **state)
{
	struct world *w = *state;
	uint64_t id = insert(w, "a", "v1", 1);

	put_lease(w, id, 42, 0);
	ok(inventory_tree_use(w->inv, id, NOW, 100, 0, &w->err));
	assert_int_equal(inventory_tree_delete(w->inv, id, &w->err), -EBUSY);
	assert_int_equal(get(w, id).id, id);
	ok(inventory_lease_release(w->inv, 42, 0, NOW, NULL, &w->err));
	ok(inventory_tree_delete(w->inv, id, &w->err));
}

static void a_lease_is_put_once(void **state)
{
	struct world *w = *state;
	uint64_t id = insert(w, "a", "v1", 1);
	struct inv_lease lease = {.tree = 999, .job_id = 1, .boot_id = "boot"};

	put_lease(w, id, 42, 0);
	put_lease(w, id, 42, 0);
	assert_int_equal(leases_of(w, id), 1);
	assert_int_equal(inventory_lease_put(w->inv, &lease, &w->err), -ENOENT);
	lease.tree = id;
	lease.job_id = 0;
	assert_int_equal(inventory_lease_put(w->inv, &lease, &w->err), -EINVAL);
}

static void a_release_takes_all_runs_up_to_its_own(void **state)
{
	struct world *w = *state;
	uint64_t a = insert(w, "a", "v1", 1), b = insert(w, "b", "v1", 2);
	uint32_t released = 9;

	put_lease(w, a, 42, 0);
	put_lease(w, a, 42, 1);
	put_lease(w, b, 42, 1);
	put_lease(w, b, 42, 2);
	put_lease(w, b, 43, 0);
	ok(inventory_lease_release(w->inv, 42, 1, NOW + 9, &released, &w->err));
	assert_int_equal(released, 3);
	assert_int_equal(leases_of(w, a), 0);
	assert_int_equal(leases_of(w, b), 2);
	assert_int_equal(get(w, a).last_lease_end_s, NOW + 9);
	ok(inventory_lease_release(w->inv, 42, 1, NOW + 20, &released, &w->err));
	assert_int_equal(released, 0);
	assert_int_equal(get(w, a).last_lease_end_s, NOW + 9);
	ok(inventory_lease_release(w->inv, 4242, 1, NOW, NULL, &w->err));
}

static int note_lease(const struct inv_lease *lease, void *arg)
{
	struct walk *walk = arg;
	size_t len = strlen(walk->seen);

	assert_string_equal(lease->subset, "train/*");
	assert_string_equal(lease->boot_id, "boot");
	assert_int_equal(lease->uid, 1000);
	assert_int_equal(lease->since_s, NOW);
	snprintf(walk->seen + len, sizeof(walk->seen) - len, "%u.%u@%u ", lease->job_id, lease->run,
		 (unsigned int)lease->tree);
	return ++walk->n == walk->stop_at;
}

static void expect_leases(struct world *w, uint64_t tree, uint32_t job, const char *seen)
{
	struct walk walk = {.n = 0};

	ok(inventory_lease_each(w->inv, tree, job, note_lease, &walk, &w->err));
	assert_string_equal(walk.seen, seen);
}

static void leases_are_listed_by_tree_and_by_job(void **state)
{
	struct world *w = *state;
	uint64_t a = insert(w, "a", "v1", 1), b = insert(w, "b", "v1", 2);
	struct walk stopped = {.stop_at = 1};

	assert_int_equal(a, 1);
	assert_int_equal(b, 2);
	put_lease(w, b, 42, 1);
	put_lease(w, a, 42, 0);
	put_lease(w, a, 7, 0);
	expect_leases(w, 0, 0, "7.0@1 42.0@1 42.1@2 ");
	expect_leases(w, a, 0, "7.0@1 42.0@1 ");
	expect_leases(w, 0, 42, "42.0@1 42.1@2 ");
	expect_leases(w, b, 42, "42.1@2 ");
	expect_leases(w, b, 7, "");
	assert_int_equal(inventory_lease_each(w->inv, 0, 0, note_lease, &stopped, &w->err), 1);
}

static void a_lease_outlives_the_daemon(void **state)
{
	struct world *w = *state;
	uint64_t id = insert(w, "a", "v1", 1);
	pid_t child;

	inventory_close(w->inv);
	w->inv = NULL;
	child = fork();
	if (child == 0) {
		struct inv_lease lease = {.tree = id, .job_id = 42, .boot_id = "boot"};
		struct inventory *inv = NULL;

		_exit(inventory_open(w->dir, true, &inv, NULL) ||
		      inventory_lease_put(inv, &lease, NULL)); /* and no close */
	}
	waitpid(child, NULL, 0);
	ok(inventory_open(w->dir, true, &w->inv, &w->err));
	assert_int_equal(leases_of(w, id), 1);
}

static int note_job(const struct inv_job *job, void *arg)
{
	struct walk *walk = arg;
	size_t len = strlen(walk->seen);

	snprintf(walk->seen + len, sizeof(walk->seen) - len, "%u.%u ", job->job_id, job->run);
	return 0;
}

static void a_job_is_kept_by_run(void **state)
{
	struct world *w = *state;
	struct inv_job job = {.job_id = 42,
			      .uid = 1,
			      .gid = 2,
			      .mode = 3,
			      .on_fail = 1,
			      .outcome = LARDER_OUTCOME_PENDING,
			      .since_s = NOW},
		       got;
	struct walk walk = {.n = 0};

	memset(job.specs, 's', sizeof(job.specs) - 1);
	strcpy(job.boot_id, "boot");
	strcpy(job.text, "need 3 GiB");
	ok(inventory_job_put(w->inv, &job, &w->err));
	job.run = 2;
	ok(inventory_job_put(w->inv, &job, &w->err));
	job.outcome = LARDER_OUTCOME_FAILED;
	ok(inventory_job_put(w->inv, &job, &w->err));
	memset(&got, 0x5a, sizeof(got));
	ok(inventory_job_get(w->inv, 42, &got, &w->err));
	assert_int_equal(got.run, 2);
	assert_int_equal(got.uid, 1);
	assert_int_equal(got.gid, 2);
	assert_int_equal(got.mode, 3);
	assert_int_equal(got.on_fail, 1);
	assert_int_equal(got.outcome, LARDER_OUTCOME_FAILED);
	assert_int_equal(got.since_s, NOW);
	assert_string_equal(got.specs, job.specs);
	assert_string_equal(got.boot_id, "boot");
	assert_string_equal(got.text, "need 3 GiB");
	ok(inventory_job_each(w->inv, note_job, &walk, &w->err));
	assert_string_equal(walk.seen, "42.0 42.2 ");
	ok(inventory_job_delete(w->inv, 42, 1, &w->err));
	ok(inventory_job_get(w->inv, 42, &got, &w->err));
	ok(inventory_job_delete(w->inv, 42, 2, &w->err));
	ok(inventory_job_delete(w->inv, 42, 2, &w->err));
	assert_int_equal(inventory_job_get(w->inv, 42, &got, &w->err), -ENOENT);
}

static int note_pin(const struct inv_pin *pin, void *arg)
{
	struct walk *walk = arg;
	size_t len = strlen(walk->seen);

	snprintf(walk->seen + len, sizeof(walk->seen) - len, "%u:%u:%s ", (unsigned int)pin->tree,
		 pin->uid, pin->reason);
	return 0;
}

static void put_pin(struct world *w, uint64_t tree, uint32_t uid, int64_t until_s)
{
	struct inv_pin pin = {.tree = tree, .uid = uid, .until_s = until_s, .reason = "demo"};

	ok(inventory_pin_put(w->inv, &pin, &w->err));
}

static void pins_expire_and_go_with_their_tree(void **state)
{
	struct world *w = *state;
	uint64_t a = insert(w, "a", "v1", 1), b = insert(w, "b", "v1", 2);
	struct inv_pin pin = {.tree = 99, .uid = 1};
	struct walk walk = {.n = 0}, of_b = {.n = 0};
	uint32_t n = 9;

	put_pin(w, a, 1000, NOW + 5);
	put_pin(w, a, 1000, NOW + 10); /* again: the later end counts */
	put_pin(w, a, 0, 0);
	put_pin(w, b, 1001, NOW + 30);
	assert_int_equal(inventory_pin_put(w->inv, &pin, &w->err), -ENOENT);
	ok(inventory_pin_count(w->inv, a, &n, &w->err));
	assert_int_equal(n, 2);
	ok(inventory_pin_expire(w->inv, NOW + 9, &n, &w->err));
	assert_int_equal(n, 0);
	ok(inventory_pin_expire(w->inv, NOW + 10, &n, &w->err));
	assert_int_equal(n, 1);
	ok(inventory_pin_each(w->inv, 0, note_pin, &walk, &w->err));
	assert_string_equal(walk.seen, "1:0:demo 2:1001:demo ");
	ok(inventory_pin_each(w->inv, b, note_pin, &of_b, &w->err));
	assert_string_equal(of_b.seen, "2:1001:demo ");
	assert_int_equal(inventory_pin_delete(w->inv, a, 1000, &w->err), -ENOENT);
	ok(inventory_pin_delete(w->inv, a, UINT32_MAX, &w->err));
	assert_int_equal(inventory_pin_delete(w->inv, a, UINT32_MAX, &w->err), -ENOENT);
	ok(inventory_tree_delete(w->inv, b, &w->err));
	ok(inventory_pin_count(w->inv, b, &n, &w->err));
	assert_int_equal(n, 0);
}

/* --- events, counters, values, tiers */

static int note_event(const struct inv_event *event, void *arg)
{
	struct walk *walk = arg;
	size_t len = strlen(walk->seen);

	snprintf(walk->seen + len, sizeof(walk->seen) - len, "%u=%s/%s ", (unsigned int)event->seq,
		 event->what, event->text);
	return 0;
}

static void expect_events(struct world *w, uint64_t after, uint32_t limit, const char *what,
			  const char *seen)
{
	struct walk walk = {.n = 0};

	ok(inventory_event_each(w->inv, after, limit, what, note_event, &walk, &w->err));
	assert_string_equal(walk.seen, seen);
}

static void the_log_gives_the_newest_oldest_first(void **state)
{
	struct world *w = *state;

	assert_int_equal(inventory_event_add(w->inv, NOW, "stage.begin", "n=%d", 1), 0);
	assert_int_equal(inventory_event_add(w->inv, NOW, "stage.done", "n=%d", 2), 0);
	assert_int_equal(inventory_event_add(w->inv, NOW, "evict", "n=%d", 3), 0);
	assert_int_equal(inventory_event_add(w->inv, NOW, "stage%done", "n=%d", 4), 0);
	expect_events(w, 0, 10, "",
		      "1=stage.begin/n=1 2=stage.done/n=2 3=evict/n=3 "
		      "4=stage%done/n=4 ");
	expect_events(w, 0, 2, "", "3=evict/n=3 4=stage%done/n=4 ");
	expect_events(w, 2, 10, "", "3=evict/n=3 4=stage%done/n=4 ");
	expect_events(w, 0, 10, "stage.", "1=stage.begin/n=1 2=stage.done/n=2 ");
	expect_events(w, 0, 10, "stage%", "4=stage%done/n=4 ");
	expect_events(w, 4, 10, NULL, "");
	ok(inventory_event_trim(w->inv, 2, &w->err));
	expect_events(w, 0, 10, "", "3=evict/n=3 4=stage%done/n=4 ");
	ok(inventory_event_trim(w->inv, 0, &w->err)); /* one stays: its number goes on */
	assert_int_equal(inventory_event_add(w->inv, NOW, "x", "y"), 0);
	expect_events(w, 0, 10, "", "4=stage%done/n=4 5=x/y ");
}

static void a_long_event_is_cut(void **state)
{
	struct world *w = *state;
	char what[200], text[4000];
	struct walk walk = {.n = 0};

	memset(what, 'w', sizeof(what));
	memset(text, 't', sizeof(text));
	assert_int_equal(inventory_event_add(w->inv, NOW, "x", "%.*s", 4000, text), 0);
	what[199] = '\0';
	assert_int_equal(inventory_event_add(w->inv, NOW, what, "z"), 0);
	ok(inventory_event_each(w->inv, 0, 10, "", note_event, &walk, &w->err));
}

struct sums {
	uint64_t of[INV_COUNTERS];
	unsigned int n;
};

static int note_counter(enum inv_counter counter, const char *name, const char *unit,
			const char *help, uint64_t value, void *arg)
{
	struct sums *sums = arg;

	assert_int_equal(counter, sums->n);
	assert_true(*name && *unit && *help);
	sums->of[sums->n++] = value;
	return 0;
}

static struct sums sums(struct world *w)
{
	struct sums s = {.n = 0};

	ok(inventory_counter_each(w->inv, note_counter, &s, &w->err));
	assert_int_equal(s.n, INV_COUNTERS);
	return s;
}

static void counters_change_with_what_they_count(void **state)
{
	struct world *w = *state;

	assert_int_equal(inventory_count(w->inv, INV_COUNTER_hits, 2), 0);
	ok(inventory_begin(w->inv, &w->err));
	assert_int_equal(inventory_count(w->inv, INV_COUNTER_hits, 3), 0);
	assert_int_equal(inventory_count(w->inv, INV_COUNTER_misses, 1), 0);
	inventory_rollback(w->inv);
	assert_int_equal(inventory_count(w->inv, INV_COUNTER_hits, 0), 0);
	reopen(w);
	assert_int_equal(sums(w).of[INV_COUNTER_hits], 2);
	assert_int_equal(sums(w).of[INV_COUNTER_misses], 0);
}

static void a_counter_stops_at_its_limit(void **state)
{
	struct world *w = *state;

	assert_int_equal(inventory_count(w->inv, INV_COUNTER_hit_bytes, UINT64_MAX), 0);
	assert_int_equal(inventory_count(w->inv, INV_COUNTER_hit_bytes, UINT64_MAX), 0);
	assert_int_equal(sums(w).of[INV_COUNTER_hit_bytes], INT64_MAX);
}

static void values_are_kept(void **state)
{
	struct world *w = *state;
	char value[16];

	assert_int_equal(inventory_meta_get(w->inv, "L", value, sizeof(value), &w->err), -ENOENT);
	ok(inventory_meta_set(w->inv, "L", "0.5", &w->err));
	ok(inventory_meta_set(w->inv, "L", "0.75'; DROP", &w->err));
	reopen(w);
	ok(inventory_meta_get(w->inv, "L", value, sizeof(value), &w->err));
	assert_string_equal(value, "0.75'; DROP");
	assert_int_equal(inventory_meta_get(w->inv, "L", value, 4, &w->err), -EUCLEAN);
}

static void another_disk_under_a_tiers_name_is_noticed(void **state)
{
	struct world *w = *state;

	ok(inventory_tier_check(w->inv, "nvme", "id-1", &w->err));
	ok(inventory_tier_check(w->inv, "nvme", "id-1", &w->err));
	assert_int_equal(inventory_tier_check(w->inv, "nvme", "id-2", &w->err), -ESTALE);
	assert_non_null(strstr(w->err.text, "id-2"));
	ok(inventory_tier_replace(w->inv, "nvme", "id-2", &w->err));
	ok(inventory_tier_check(w->inv, "nvme", "id-2", &w->err));
}

/* --- transactions */

static void a_transaction_is_all_or_nothing(void **state)
{
	struct world *w = *state;
	struct inv_tree t;
	uint64_t id;

	ok(inventory_begin(w->inv, &w->err));
	assert_true(inventory_in_tx(w->inv));
	id = insert(w, "a", "v1", 1);
	put_lease(w, id, 42, 0);
	inventory_rollback(w->inv);
	assert_false(inventory_in_tx(w->inv));
	assert_int_equal(inventory_tree_get(w->inv, id, &t, &w->err), -ENOENT);
	ok(inventory_begin(w->inv, &w->err));
	id = insert(w, "a", "v1", 1);
	put_lease(w, id, 42, 0);
	ok(inventory_commit(w->inv, &w->err));
	reopen(w);
	assert_int_equal(leases_of(w, id), 1);
	inventory_rollback(w->inv); /* with none open: nothing */
}

static void a_step_that_fails_leaves_the_rest_of_its_transaction(void **state)
{
	struct world *w = *state;
	uint64_t id = insert(w, "a", "v1", 1), bad[] = {1, 50000};

	put_lease(w, id, 42, 0);
	ok(inventory_tree_use(w->inv, id, NOW, 60, 0, &w->err));
	ok(inventory_begin(w->inv, &w->err));
	assert_int_equal(inventory_count(w->inv, INV_COUNTER_hits, 1), 0);
	assert_int_equal(inventory_tree_delete(w->inv, id, &w->err), -EBUSY);
	assert_int_equal(inventory_bitmap_set(w->inv, id, bad, 2, &w->err), -EINVAL);
	assert_int_equal(inventory_tree_state(w->inv, id, LARDER_TREE_EVICTING, NULL, &w->err),
			 -EINVAL);
	ok(inventory_commit(w->inv, &w->err));
	assert_int_equal(sums(w).of[INV_COUNTER_hits], 1);
	assert_int_equal(get(w, id).state, LARDER_TREE_STAGING);
}

static void what_was_open_at_the_end_is_undone(void **state)
{
	struct world *w = *state;
	struct inv_tree t;
	uint64_t id;

	ok(inventory_begin(w->inv, &w->err));
	id = insert(w, "a", "v1", 1);
	reopen(w);
	assert_int_equal(inventory_tree_get(w->inv, id, &t, &w->err), -ENOENT);
}

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_disk_that_takes_no_more_undoes_the_transaction(void **state)
{
	struct world *w = *state;
	uint64_t kept = insert(w, "a", "v1", 1), lost = 0;
	struct inv_tree t;
	int rc = 0;

	signal(SIGXFSZ, SIG_IGN);
	limit_files(200 * 1024); /* the log may not grow beyond this */
	for (unsigned int n = 2; n < 200 && !rc; n++) {
		struct inv_tree more = a_tree("b", "v1", n);

		ok(inventory_begin(w->inv, &w->err));
		ok(inventory_tree_insert(w->inv, &more, &w->err));
		lost = more.id;
		rc = inventory_commit(w->inv, &w->err);
	}
	assert_int_equal(rc, -EIO);
	assert_false(inventory_in_tx(w->inv));
	assert_int_equal(inventory_tree_get(w->inv, lost, &t, &w->err), -ENOENT);
	ok(inventory_tree_get(w->inv, lost - 1, &t, &w->err));
	rc = 0;
	for (int64_t ms = 10; ms < 300 && !rc; ms++) /* some frames may still fit */
		rc = inventory_tree_staged(w->inv, kept, ms, &w->err);
	assert_int_equal(rc, -EIO);
	limit_files(RLIM_INFINITY);
	ok(inventory_tree_staged(w->inv, kept, 5, &w->err));
	assert_int_equal(get(w, kept).stage_ms, 5);
	assert_true(insert(w, "c", "v1", 1) >= lost);
}

static void add_size(uint64_t bytes, uint64_t shards, void *arg)
{
	uint64_t *sums = arg;

	sums[0] += bytes;
	sums[1] += shards;
	sums[2]++;
}

static void sizes_are_those_of_a_tiers_trees_that_stay(void **state)
{
	struct world *w = *state;
	uint64_t a = insert(w, "a", "v1", 1), b = insert(w, "b", "v1", 1), sums[3] = {0};
	uint64_t states[LARDER_TREE_STATES] = {0};
	struct inv_tree other = a_tree("c", "v1", 1);

	strcpy(other.tier, "other");
	ok(inventory_tree_insert(w->inv, &other, &w->err));
	insert(w, "d", "v1", 1);
	ok(inventory_tree_present(w->inv, a, 7, 700, &w->err));
	ok(inventory_tree_present(w->inv, other.id, 9, 900, &w->err));
	ok(inventory_tree_state(w->inv, b, LARDER_TREE_READY, NULL, &w->err));
	ok(inventory_tree_state(w->inv, b, LARDER_TREE_EVICTING, NULL, &w->err));
	ok(inventory_tree_sizes(w->inv, "nvme", add_size, sums, &w->err));
	assert_int_equal(sums[0], 700);
	assert_int_equal(sums[1], 7);
	assert_int_equal(sums[2], 2);
	ok(inventory_tree_states(w->inv, states, &w->err));
	assert_int_equal(states[LARDER_TREE_STAGING], 3);
	assert_int_equal(states[LARDER_TREE_EVICTING], 1);
	assert_int_equal(states[LARDER_TREE_READY], 0);
}

static void who_holds_what_is_told_for_all_trees_at_once(void **state)
{
	struct world *w = *state;
	uint64_t a = insert(w, "a", "v1", 1), b = insert(w, "b", "v1", 1),
		 c = insert(w, "c", "v1", 1), d = insert(w, "d", "v1", 1), leased, pinned;
	struct inv_hold *holds, hold;
	size_t n;

	ok(inventory_holds(w->inv, &holds, &n, &w->err));
	assert_int_equal(n, 0);
	assert_int_equal(inventory_hold_of(holds, n, a).leases, 0);
	put_lease(w, d, 1, 0);
	put_lease(w, b, 1, 0);
	put_lease(w, b, 2, 0);
	put_pin(w, a, 1, 0);
	put_pin(w, b, 1, 0);
	put_pin(w, b, 2, 0);
	put_pin(w, b, 3, 0);
	ok(inventory_tree_present(w->inv, a, 1, 1, &w->err));
	ok(inventory_tree_present(w->inv, b, 1, 20, &w->err));
	ok(inventory_tree_present(w->inv, c, 1, 300, &w->err));
	ok(inventory_tree_present(w->inv, d, 1, 4000, &w->err));
	ok(inventory_holds(w->inv, &holds, &n, &w->err));
	assert_int_equal(n, 3);
	hold = inventory_hold_of(holds, n, a);
	assert_true(hold.tree == a && hold.leases == 0 && hold.pins == 1);
	hold = inventory_hold_of(holds, n, b);
	assert_true(hold.tree == b && hold.leases == 2 && hold.pins == 3);
	hold = inventory_hold_of(holds, n, c);
	assert_true(hold.tree == c && hold.leases == 0 && hold.pins == 0);
	hold = inventory_hold_of(holds, n, d);
	assert_true(hold.tree == d && hold.leases == 1 && hold.pins == 0);
	free(holds);
	ok(inventory_tree_held(w->inv, "nvme", &leased, &pinned, &w->err));
	assert_int_equal(leased, 4020);
	assert_int_equal(pinned, 21);
	ok(inventory_tree_held(w->inv, "other", &leased, &pinned, &w->err));
	assert_int_equal(leased, 0);
}

/* --- opening */

static char *db_path(struct world *w, const char *tail)
{
	static char path[4][512];
	static unsigned int at;
	char *out = path[at++ % 4];

	snprintf(out, sizeof(path[0]), "%s/inventory.db%s", w->dir, tail);
	return out;
}

static void close_it(struct world *w)
{
	inventory_close(w->inv);
	w->inv = NULL;
}

static void poke(struct world *w, off_t at, const void *bytes, size_t len)
{
	int fd = open(db_path(w, ""), O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, at), len);
	close(fd);
	unlink(db_path(w, "-wal"));
	unlink(db_path(w, "-shm"));
}

static void an_empty_file_becomes_an_inventory(void **state)
{
	struct world *w = *state;

	close_it(w);
	assert_int_equal(unlink(db_path(w, "-wal")) | truncate(db_path(w, ""), 0), 0);
	ok(inventory_open(w->dir, true, &w->inv, &w->err));
	insert(w, "a", "v1", 1);
	assert_true(inventory_needs_recovery(w->inv));
}

static void only_root_may_read_it(void **state)
{
	static const char *const tails[] = {"", "-wal", "-shm"};
	struct world *w = *state;
	struct stat st;

	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(stat(db_path(w, tails[i]), &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
}

static void recovery_is_asked_for_until_it_was_done(void **state)
{
	struct world *w = *state;

	assert_true(inventory_needs_recovery(w->inv));
	reopen(w);
	assert_true(inventory_needs_recovery(w->inv));
	ok(inventory_set_recovered(w->inv, &w->err));
	reopen(w);
	assert_false(inventory_needs_recovery(w->inv));
}

static void a_newer_schema_is_refused(void **state)
{
	struct world *w = *state;
	const uint8_t version[4] = {0, 0, 0, 200};
	struct inventory *inv = NULL;

	close_it(w);
	poke(w, 60, version, 4); /* user_version, big endian, of SQLite's header */
	assert_int_equal(inventory_open(w->dir, true, &inv, &w->err), -ENOTSUP);
	assert_null(inv);
	assert_non_null(strstr(w->err.text, "newer"));
	assert_int_equal(access(db_path(w, ".damaged-1"), F_OK), -1);
}

static void somebody_elses_database_is_left_alone(void **state)
{
	struct world *w = *state;
	const uint8_t id[4] = {1, 2, 3, 4};

	close_it(w);
	poke(w, 68, id, 4); /* application_id */
	assert_int_equal(inventory_open(w->dir, true, &w->inv, &w->err), -EINVAL);
	assert_non_null(strstr(w->err.text, "no inventory"));
}

static void expect_moved_aside(struct world *w, const char *where)
{
	struct inv_tree t;

	assert_int_equal(inventory_open(w->dir, true, &w->inv, &w->err), -EUCLEAN);
	assert_non_null(w->inv);
	assert_non_null(strstr(w->err.text, where));
	assert_int_equal(access(db_path(w, strchr(where, '.') + 3), F_OK), 0);
	assert_true(inventory_needs_recovery(w->inv));
	assert_int_equal(inventory_tree_get(w->inv, 1, &t, &w->err), -ENOENT);
	insert(w, "b", "v1", 2);
	reopen(w); /* told once */
	assert_int_equal(get(w, 1).id, 1);
}

static void a_damaged_file_is_moved_aside(void **state)
{
	struct world *w = *state;
	char rubbish[4096];

	memset(rubbish, 0xa5, sizeof(rubbish));
	insert(w, "a", "v1", 1);
	ok(inventory_set_recovered(w->inv, &w->err));
	close_it(w);
	poke(w, 0, rubbish, 100);
	expect_moved_aside(w, "inventory.db.damaged-1");
	close_it(w);
	poke(w, 4096, rubbish, 4096); /* a good header, and a page that is not */
	expect_moved_aside(w, "inventory.db.damaged-2");
}

static void a_cut_file_is_damaged_too(void **state)
{
	struct world *w = *state;

	insert(w, "a", "v1", 1);
	close_it(w);
	unlink(db_path(w, "-wal"));
	assert_int_equal(truncate(db_path(w, ""), 5000), 0);
	expect_moved_aside(w, "inventory.db.damaged-1");
}

static void a_damaged_log_loses_its_tail_only(void **state)
{
	struct world *w = *state;
	struct stat st;
	pid_t child;
	int fd;

	close_it(w);
	child = fork();
	if (child == 0) {
		struct world c = {.dir = w->dir};

		if (inventory_open(c.dir, true, &c.inv, NULL))
			_exit(1);
		insert(&c, "a", "v1", 1);
		insert(&c, "b", "v1", 2);
		_exit(0); /* as a crash: the log is full */
	}
	waitpid(child, NULL, 0);
	assert_int_equal(stat(db_path(w, "-wal"), &st), 0);
	fd = open(db_path(w, "-wal"), O_WRONLY);
	assert_int_equal(pwrite(fd, "rubbish", 7, st.st_size - 100), 7);
	close(fd);
	ok(inventory_open(w->dir, true, &w->inv, &w->err));
	assert_int_equal(get(w, 1).id, 1);
	assert_int_equal(inventory_tree_get(w->inv, 2, &(struct inv_tree){0}, &w->err), -ENOENT);
}

static void one_state_directory_one_daemon(void **state)
{
	struct world *w = *state;
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct inventory *inv = NULL;
		struct larder_error err;
		int rc = inventory_open(w->dir, true, &inv, &err);

		_exit(rc == -EBUSY && strstr(err.text, "in use by process") ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* A child that was forked and hangs may not keep a restarted daemon out. */
static void a_child_does_not_inherit_the_lock(void **state)
{
	struct world *w = *state;
	int gate[2];
	pid_t hangs;

	assert_int_equal(pipe(gate), 0);
	hangs = fork();
	if (hangs == 0) {
		char byte;

		close(gate[1]);
		_exit(read(gate[0], &byte, 1) < 0);
	}
	reopen(w);
	close(gate[0]);
	close(gate[1]);
	waitpid(hangs, NULL, 0);
}

static void tmpfs_is_refused(void **state)
{
	struct world *w = *state;
	char dir[] = "/dev/shm/larder-unit.XXXXXX";
	struct inventory *inv = NULL;

	if (!mkdtemp(dir))
		skip_because("needs a tmpfs at /dev/shm");
	assert_int_equal(inventory_open(dir, false, &inv, &w->err), -EINVAL);
	assert_non_null(strstr(w->err.text, "tmpfs"));
	assert_null(inv);
	rmdir(dir);
}

static void a_directory_that_cannot_be_made_is_an_error(void **state)
{
	struct world *w = *state;
	struct inventory *inv = NULL;
	char path[512];

	snprintf(path, sizeof(path), "%s/no/such", w->dir);
	assert_int_equal(inventory_open(path, true, &inv, &w->err), -ENOENT);
	assert_null(inv);
	assert_int_equal(inventory_open("/dev/null", true, &inv, NULL), -ENOTDIR);
	inventory_close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sizes_are_those_of_a_tiers_trees_that_stay),
		TEST(who_holds_what_is_told_for_all_trees_at_once),
		TEST(a_tree_comes_back_as_it_went),
		TEST(a_tree_is_there_once),
		TEST(what_makes_no_sense_is_refused),
		TEST(a_tree_that_is_not_there_is_enoent),
		TEST(an_id_is_never_used_again),
		TEST(find_prefers_the_digest_then_the_last_used),
		TEST(a_base_is_ready_in_the_same_tier_and_domain),
		TEST(a_walk_is_ordered_and_can_be_stopped),
		TEST(a_callback_may_ask),
		TEST(a_callback_that_writes_is_a_bug),
		TEST(only_edges_of_the_table_are_walked),
		TEST(ready_means_all_of_it),
		TEST(bits_are_where_they_were_put),
		TEST(a_bitmap_is_stored_as_a_whole),
		TEST(bits_behind_the_last_shard_are_never_set),
		TEST(a_tree_of_nothing_has_no_bits),
		TEST(an_access_counts_and_decays),
		TEST(uses_survive_an_eviction),
		TEST(old_history_is_forgotten),
		TEST(sequence_numbers_only_grow),
		TEST(sequence_numbers_grow_over_a_crash),
		TEST(a_leased_tree_cannot_be_deleted),
		TEST(a_lease_is_put_once),
		TEST(a_release_takes_all_runs_up_to_its_own),
		TEST(leases_are_listed_by_tree_and_by_job),
		TEST(a_lease_outlives_the_daemon),
		TEST(a_job_is_kept_by_run),
		TEST(pins_expire_and_go_with_their_tree),
		TEST(the_log_gives_the_newest_oldest_first),
		TEST(a_long_event_is_cut),
		TEST(counters_change_with_what_they_count),
		TEST(a_counter_stops_at_its_limit),
		TEST(values_are_kept),
		TEST(another_disk_under_a_tiers_name_is_noticed),
		TEST(a_transaction_is_all_or_nothing),
		TEST(a_step_that_fails_leaves_the_rest_of_its_transaction),
		TEST(what_was_open_at_the_end_is_undone),
		TEST(a_disk_that_takes_no_more_undoes_the_transaction),
		TEST(an_empty_file_becomes_an_inventory),
		TEST(only_root_may_read_it),
		TEST(recovery_is_asked_for_until_it_was_done),
		TEST(a_newer_schema_is_refused),
		TEST(somebody_elses_database_is_left_alone),
		TEST(a_damaged_file_is_moved_aside),
		TEST(a_cut_file_is_damaged_too),
		TEST(a_damaged_log_loses_its_tail_only),
		TEST(one_state_directory_one_daemon),
		TEST(a_child_does_not_inherit_the_lock),
		TEST(tmpfs_is_refused),
		TEST(a_directory_that_cannot_be_made_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
