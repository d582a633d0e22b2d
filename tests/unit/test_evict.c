/* core/evict: who goes first under which policy, and that nobody who may not goes at all. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/evict.h"

#define NOW	 INT64_C(1700000000)
#define MAX	 64
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct chosen {
	struct evict_plan plan;
	struct evict_victim victims[MAX];
};

static struct chosen choose_for(enum evict_policy policy, const struct evict_candidate *c, size_t n,
				uint64_t bytes, uint64_t inodes)
{
	struct evict_params params = {.policy = policy,
				      .need_bytes = bytes,
				      .need_inodes = inodes,
				      .now_s = NOW,
				      .grace_s = 600,
				      .inflation = 0};
	struct chosen out = {0};

	assert_true(n <= MAX);
	evict_choose(&params, c, n, out.victims, &out.plan);
	return out;
}

static struct chosen choose(enum evict_policy policy, const struct evict_candidate *c, size_t n,
			    uint64_t bytes)
{
	return choose_for(policy, c, n, bytes, 0);
}

static void expect_order(const struct chosen *got, const uint64_t *ids, size_t n)
{
	assert_int_equal(got->plan.n_victims, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(got->victims[i].id, ids[i]);
}
#define expect(got, ...)                                                                           \
	expect_order(&(got), (const uint64_t[]){__VA_ARGS__},                                      \
		     COUNT(((const uint64_t[]){__VA_ARGS__})))

/* An old, idle tree of 100 bytes in 10 shards, but for what a test says otherwise. */
#pragma GCC diagnostic ignored "-Woverride-init"
#define TREE(n, ...)                                                                               \
	{                                                                                          \
		.id = (n), .bytes = 100, .inodes = 10, .present_shards = 10, .uses = 1, .hits = 1, \
		.stage_ms = 1000, .last_seq = (n), .admitted_seq = (n), .admitted_s = 1000,        \
		.last_lease_end_s = 2000, __VA_ARGS__                                              \
	}

static void what_is_held_stays_and_is_counted(void **unused)
{
	const struct evict_candidate c[] = {
		TREE(1, .hold = EVICT_LEASED, .failed = true),
		TREE(2, .hold = EVICT_PINNED, .bytes = 200),
		TREE(3, .hold = EVICT_STAGING, .bytes = 300),
		TREE(4, .hold = EVICT_ONLY_COPY, .bytes = 400),
		TREE(5),
	};
	struct chosen got;

	(void)unused;
	for (int p = EVICT_GDSF; p <= EVICT_LRU; p++) {
		got = choose((enum evict_policy)p, c, COUNT(c), 1000);
		expect(got, 5);
		assert_false(got.plan.enough);
		assert_int_equal(got.plan.bytes, 100);
		assert_int_equal(got.plan.leased_bytes, 100);
		assert_int_equal(got.plan.pinned_bytes, 200);
		assert_int_equal(got.plan.staging_bytes, 300);
		assert_int_equal(got.plan.kept_bytes, 400);
	}
}

static void classes_go_before_the_policy(void **unused)
{
	/* By any policy 1 would be the first and 5 the last. */
	const struct evict_candidate c[] = {
		TREE(1, .uses = 0, .hits = 0),
		TREE(2, .admitted_s = NOW - 10, .uses = 0, .hits = 0),
		TREE(3, .once = true, .uses = 9, .hits = 9),
		TREE(4, .superseded = true, .uses = 10, .hits = 10),
		TREE(5, .failed = true, .uses = 11, .hits = 11, .admitted_s = NOW),
	};
	static const char *const why[] = {"failed", "superseded", "once", "score", "grace"};
	struct chosen got;

	(void)unused;
	for (int p = EVICT_GDSF; p <= EVICT_LRU; p++) {
		got = choose((enum evict_policy)p, c, COUNT(c), 500);
		expect(got, 5, 4, 3, 1, 2);
		assert_true(got.plan.enough);
		for (size_t i = 0; i < COUNT(why); i++) {
			assert_string_equal(got.victims[i].why, why[i]);
			assert_int_equal(got.victims[i].rank, i);
			assert_int_equal(c[got.victims[i].candidate].id, got.victims[i].id);
		}
	}
}

static void grace_counts_from_admission_and_from_the_last_lease(void **unused)
{
	const struct evict_candidate c[] = {
		TREE(1, .admitted_s = NOW - 599),
		TREE(2, .last_lease_end_s = NOW - 599),
		TREE(3, .last_lease_end_s = NOW - 600),
		TREE(4, .admitted_s = NOW + 50), /* a clock that went back */
		TREE(5, .superseded = true, .last_lease_end_s = NOW - 1),
		TREE(6, .once = true, .admitted_s = NOW - 5, .last_lease_end_s = NOW - 1),
		TREE(7, .once = true, .admitted_s = NOW - 5, .last_lease_end_s = 0),
	};
	struct chosen got = choose(EVICT_LRU, c, COUNT(c), 700);

	(void)unused;
	expect(got, 6, 3, 1, 2, 4, 5, 7);
	assert_string_equal(got.victims[0].why, "once");
	assert_string_equal(got.victims[1].why, "score");
	for (size_t i = 2; i < 7; i++)
		assert_string_equal(got.victims[i].why, "grace");
}

static void a_grace_of_nothing_spares_nobody(void **unused)
{
	const struct evict_candidate c[] = {TREE(1, .admitted_s = NOW)};
	struct evict_params params = {.policy = EVICT_LRU, .need_bytes = 100, .now_s = NOW};
	struct evict_victim v[1];
	struct evict_plan plan;

	(void)unused;
	evict_choose(&params, c, 1, v, &plan);
	assert_string_equal(v[0].why, "score");
}

static void what_was_brought_ahead_goes_before_what_was_asked_for(void **unused)
{
	const struct evict_candidate c[] = {
		TREE(1, .superseded = true),
		TREE(2, .ahead = true, .planned = true, .admitted_s = NOW, .uses = 1000),
		TREE(3, .failed = true),
	};
	struct chosen got = choose(EVICT_GDSF, c, COUNT(c), 300);

	(void)unused;
	expect(got, 3, 2, 1);
	assert_string_equal(got.victims[1].why, "ahead");
}

static void what_can_wait_takes_only_what_is_worth_less(void **unused)
{
	const struct evict_candidate c[] = {
		TREE(1, .stage_ms = 1000, .uses = 1),			 /* 0.01 */
		TREE(2, .stage_ms = 1000, .uses = 4),			 /* 0.04 */
		TREE(3, .stage_ms = 1000, .uses = 1, .admitted_s = NOW), /* its grace */
		TREE(4, .ahead = true, .planned = true),
		TREE(5, .ahead = true),
		TREE(6, .failed = true, .uses = 1000),
	};
	struct evict_params params = {.policy = EVICT_GDSF,
				      .need_bytes = 600,
				      .now_s = NOW,
				      .grace_s = 600,
				      .below = 0.02};
	struct evict_victim v[COUNT(c)];
	struct evict_plan plan;

	(void)unused;
	evict_choose(&params, c, COUNT(c), v, &plan);
	assert_false(plan.enough);
	assert_int_equal(plan.n_victims, 3);
	assert_int_equal(v[0].id, 6);
	assert_int_equal(v[1].id, 5);
	assert_int_equal(v[2].id, 1);
	params.below = EVICT_ANY;
	evict_choose(&params, c, COUNT(c), v, &plan);
	assert_true(plan.enough);
}

static void the_last_copy_stays_longer_and_the_tenth_goes_sooner(void **unused)
{
	const struct evict_candidate c[] = {
		TREE(1, .stage_ms = 1000, .copies = 1),
		TREE(2, .stage_ms = 1000, .copies = 0),
		TREE(3, .stage_ms = 1000, .copies = 10),
		TREE(4, .stage_ms = 1000, .copies = 2, .uses = 1.001),
		TREE(5, .stage_ms = 1000, .copies = 1, .admitted_s = NOW - 1000),
	};
	struct chosen got = choose(EVICT_GDSF, c, COUNT(c), 500);

	(void)unused;
	expect(got, 3, 2, 4, 1, 5);
	assert_string_equal(got.victims[4].why, "grace");
}

static void lru_takes_the_longest_unused(void **unused)
{
	const struct evict_candidate c[] = {
		TREE(1, .last_seq = 30),
		TREE(2, .last_seq = 10),
		TREE(3, .last_seq = 20),
	};
	struct chosen got = choose(EVICT_LRU, c, COUNT(c), 200);

	(void)unused;
	expect(got, 2, 3);
}

static void gdsf_takes_the_cheapest_to_bring_back(void **unused)
{
	const struct evict_candidate c[] = {
		TREE(1, .stage_ms = 9000),			     /* 90 ms a byte and use */
		TREE(2, .stage_ms = 1000),			     /* 10 */
		TREE(3, .stage_ms = 1000, .uses = 5),		     /* 50 */
		TREE(4, .stage_ms = 1000, .bytes = 20, .uses = 1.5), /* 75 */
		TREE(5, .stage_ms = 1000, .base = 0),		     /* as 2: the id decides */
	};
	struct chosen got = choose(EVICT_GDSF, c, COUNT(c), 420);

	(void)unused;
	expect(got, 2, 5, 3, 4, 1);
	assert_true(fabs(got.plan.inflation - 0.09) < 1e-12);
}

static void gdsf_ages_what_was_used_before_the_inflation(void **unused)
{
	/* 1 was worth more when it was used, when L was 0; 2 came with an L of 1. */
	const struct evict_candidate c[] = {
		TREE(1, .uses = 20, .base = 0), /* 0.2 */
		TREE(2, .uses = 1, .base = 1),	/* 1.01 */
	};
	struct evict_params params = {
		.policy = EVICT_GDSF, .need_bytes = 100, .now_s = NOW, .inflation = 1};
	struct evict_victim v[2];
	struct evict_plan plan;

	(void)unused;
	evict_choose(&params, c, 2, v, &plan);
	assert_int_equal(v[0].id, 1);
	assert_true(plan.inflation >= 1); /* never falls */
	params.need_bytes = 200;
	evict_choose(&params, c, 2, v, &plan);
	assert_true(fabs(plan.inflation - 1.01) < 1e-12);
}

static void only_the_score_inflates(void **unused)
{
	const struct evict_candidate c[] = {
		TREE(1, .failed = true, .uses = 1e9),
		TREE(2, .once = true, .uses = 1e9),
		TREE(3, .superseded = true, .uses = 1e9),
		TREE(4, .uses = 1),
	};

	(void)unused;
	assert_true(choose(EVICT_GDSF, c, COUNT(c), 400).plan.inflation < 0.011);
	assert_true(choose(EVICT_GDSF, c, COUNT(c), 300).plan.inflation == 0);
	assert_true(choose(EVICT_LRU, c, COUNT(c), 400).plan.inflation == 0);
}

static void a_score_survives_bad_numbers(void **unused)
{
	struct evict_candidate c = TREE(1);

	(void)unused;
	assert_true(fabs(evict_score(&c, 0) - 0.01) < 1e-12);
	c.base = 7; /* above L: an older inventory's */
	assert_true(fabs(evict_score(&c, 2) - 2.01) < 1e-12);
	c.base = NAN;
	c.uses = INFINITY;
	assert_true(evict_score(&c, 2) == 2);
	c.uses = -3;
	assert_true(evict_score(&c, 2) == 2);
	c = (struct evict_candidate)TREE(1, .bytes = 0);
	assert_true(isfinite(evict_score(&c, 0)));
	c = (struct evict_candidate)TREE(1, .bytes = 200000000, .stage_ms = 0);
	assert_true(fabs(evict_score(&c, 0) - 1.5 / 200e6) < 1e-15);
}

static void uses_halve(void **unused)
{
	(void)unused;
	assert_true(evict_decay(8, 0, 100) == 8);
	assert_true(evict_decay(8, 100, 100) == 4);
	assert_true(evict_decay(8, 300, 100) == 1);
	assert_true(evict_decay(8, -100, 100) == 8);
	assert_true(evict_decay(8, 100, 0) == 8);
	assert_true(evict_decay(8, INT64_MAX, 1) == 0);
	assert_true(evict_decay(NAN, 1, 1) == 0);
	assert_true(evict_decay(-1, 1, 1) == 0);
}

static void s3fifo_lets_what_came_once_go_first(void **unused)
{
	/* Small holds 3 of 6 hundred: it gives until a tenth is left, in order of admission. */
	const struct evict_candidate c[] = {
		TREE(1, .admitted_seq = 50, .last_seq = 90),
		TREE(2, .admitted_seq = 40),
		TREE(3, .admitted_seq = 60),
		TREE(4, .hits = 3, .last_seq = 5),
		TREE(5, .hits = 2, .last_seq = 80),
		TREE(6, .hits = 2, .last_seq = 70),
	};
	struct chosen got = choose(EVICT_S3FIFO, c, COUNT(c), 600);

	(void)unused;
	expect(got, 2, 1, 3, 6, 5, 4);
}

static void s3fifo_spares_a_small_queue_of_a_tenth(void **unused)
{
	const struct evict_candidate c[] = {
		TREE(1, .bytes = 10),
		TREE(2, .bytes = 10), /* 20 of 220: no more than a tenth */
		TREE(3, .hits = 5),
		TREE(4, .hits = 2, .uses = 1.2),
	};
	struct chosen got = choose(EVICT_S3FIFO, c, COUNT(c), 220);

	(void)unused;
	/* With 4 gone it is 20 of 120, with 1 gone 10 of 110, with 3 gone main is empty. */
	expect(got, 4, 1, 3, 2);
	got = choose(EVICT_S3FIFO,
		     (const struct evict_candidate[]){TREE(1, .bytes = 20), TREE(2, .bytes = 10),
						      TREE(3, .hits = 5), TREE(4, .hits = 2)},
		     4, 230);
	expect(got, 1, 4, 3, 2);
}

static void s3fifo_knows_ghosts_by_their_history(void **unused)
{
	const struct evict_candidate c[] = {
		TREE(1, .hits = 1, .uses = 1.4), /* was here before: 0.4 is left of it */
		TREE(2, .hits = 1, .uses = 0.9),
	};
	struct chosen got = choose(EVICT_S3FIFO, c, COUNT(c), 200);

	(void)unused;
	expect(got, 2, 1);
}

static void s3fifo_counts_to_three(void **unused)
{
	const struct evict_candidate c[] = {
		TREE(1, .hits = 3, .last_seq = 9),
		TREE(2, .hits = 300, .last_seq = 8),
	};
	struct chosen got = choose(EVICT_S3FIFO, c, COUNT(c), 200);

	(void)unused;
	expect(got, 2, 1);
}

static void no_more_go_than_are_needed(void **unused)
{
	const struct evict_candidate c[] = {TREE(1), TREE(2), TREE(3)};
	struct chosen got = choose(EVICT_LRU, c, COUNT(c), 0);

	(void)unused;
	assert_int_equal(got.plan.n_victims, 0);
	assert_true(got.plan.enough);
	got = choose(EVICT_LRU, c, COUNT(c), 200);
	expect(got, 1, 2);
	assert_true(got.victims[0].whole && got.victims[1].whole);
	assert_true(choose(EVICT_LRU, NULL, 0, 0).plan.enough);
	assert_false(choose(EVICT_LRU, NULL, 0, 1).plan.enough);
}

static const struct {
	const char *what;
	struct evict_candidate tree;
	uint64_t need_bytes, need_inodes;
	bool whole;
	uint64_t bytes, inodes;
} trims[] = {
	{"half is needed: half goes", TREE(1), 50, 0, false, 50, 5},
	{"one byte", TREE(1), 1, 0, false, 1, 0},
	{"a tenth stays", TREE(1), 90, 0, false, 90, 9},
	{"less than a tenth would stay", TREE(1), 91, 0, true, 100, 10},
	{"all of it", TREE(1), 100, 0, true, 100, 10},
	{"a single shard", TREE(1, .present_shards = 1), 50, 0, true, 100, 10},
	{"no shard known", TREE(1, .present_shards = 0), 50, 0, true, 100, 10},
	{"failed: nobody wants what stays", TREE(1, .failed = true), 50, 0, true, 100, 10},
	{"once: neither", TREE(1, .once = true), 50, 0, true, 100, 10},
	{"superseded may be wanted still", TREE(1, .superseded = true), 50, 0, false, 50, 5},
	{"inodes cannot be promised", TREE(1), 50, 1, true, 100, 10},
	{"only inodes", TREE(1), 0, 1, true, 100, 10},
	{"large numbers", TREE(1, .bytes = UINT64_MAX, .inodes = UINT64_MAX), UINT64_MAX / 2 + 1, 0,
	 false, UINT64_MAX / 2 + 1, UINT64_MAX / 2 + 1},
};

static void the_last_one_is_trimmed(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < COUNT(trims); i++) {
		struct chosen got = choose_for(EVICT_LRU, &trims[i].tree, 1, trims[i].need_bytes,
					       trims[i].need_inodes);

		print_message("  %s\n", trims[i].what);
		assert_int_equal(got.plan.n_victims, 1);
		assert_true(got.plan.enough);
		assert_int_equal(got.victims[0].whole, trims[i].whole);
		assert_true(got.victims[0].bytes == trims[i].bytes);
		assert_true(got.victims[0].inodes == trims[i].inodes);
		assert_true(got.plan.bytes == trims[i].bytes);
	}
}

static void only_the_last_one_is_trimmed(void **unused)
{
	const struct evict_candidate c[] = {TREE(1), TREE(2), TREE(3)};
	struct chosen got = choose(EVICT_LRU, c, COUNT(c), 130);

	(void)unused;
	expect(got, 1, 2);
	assert_true(got.victims[0].whole);
	assert_false(got.victims[1].whole);
	assert_int_equal(got.victims[1].bytes, 30);
	assert_int_equal(got.plan.bytes, 130);
}

static void what_gives_nothing_waits_until_all_must_go(void **unused)
{
	/* 1 shares every shard with another tree: unlinking it alone frees nothing. */
	const struct evict_candidate c[] = {TREE(1, .bytes = 0, .inodes = 0), TREE(2),
					    TREE(3, .bytes = 0, .inodes = 50)};
	struct chosen got = choose(EVICT_LRU, c, COUNT(c), 100);

	(void)unused;
	expect(got, 2);
	got = choose_for(EVICT_LRU, c, COUNT(c), 0, 60);
	expect(got, 2, 3);
	assert_true(got.plan.enough);
	got = choose(EVICT_LRU, c, COUNT(c), 101);
	expect(got, 1, 2, 3);
	assert_false(got.plan.enough);
}

static void sums_stop_at_their_limit(void **unused)
{
	const struct evict_candidate c[] = {
		TREE(1, .bytes = UINT64_MAX, .present_shards = 1),
		TREE(2, .bytes = UINT64_MAX, .present_shards = 1),
		TREE(3, .bytes = UINT64_MAX, .hold = EVICT_PINNED),
		TREE(4, .bytes = UINT64_MAX, .hold = EVICT_PINNED),
	};
	struct chosen got = choose_for(EVICT_S3FIFO, c, COUNT(c), UINT64_MAX, 15);

	(void)unused;
	assert_true(got.plan.enough);
	assert_true(got.plan.bytes == UINT64_MAX);
	assert_true(got.plan.pinned_bytes == UINT64_MAX);
}

static void policies_have_names(void **unused)
{
	(void)unused;
	assert_int_equal(evict_policy_parse("gdsf"), EVICT_GDSF);
	assert_int_equal(evict_policy_parse("s3fifo"), EVICT_S3FIFO);
	assert_int_equal(evict_policy_parse("lru"), EVICT_LRU);
	assert_int_equal(evict_policy_parse("LRU"), -EINVAL);
	assert_int_equal(evict_policy_parse("fifo"), -EINVAL);
	assert_int_equal(evict_policy_parse(""), -EINVAL);
	assert_int_equal(evict_policy_parse(NULL), -EINVAL);
}

static struct evict_candidate random_candidate(uint64_t id)
{
	return (struct evict_candidate){
		.id = id,
		.hold = random() % 3 ? EVICT_FREE : (enum evict_hold)(random() % 5),
		.failed = random() % 10 == 0,
		.superseded = random() % 5 == 0,
		.once = random() % 6 == 0,
		.bytes = random() % 8 ? (uint64_t)random() % 1000 : 0,
		.inodes = (uint64_t)random() % 20,
		.present_shards = (uint64_t)random() % 4,
		.stage_ms = random() % 3 ? random() % 10000 : 0,
		.uses = (double)(random() % 40) / 4,
		.last_seq = (uint64_t)random() % 50, /* ties are wanted */
		.admitted_seq = (uint64_t)random() % 50,
		.hits = (uint32_t)random() % 6,
		.base = (double)(random() % 100) / 10,
		.admitted_s = random() % 4 ? 1000 : NOW - random() % 1200,
		.last_lease_end_s = random() % 4 ? 0 : NOW - random() % 1200,
	};
}

static int class_rank(const char *why)
{
	static const char *const words[] = {"failed", "superseded", "once", "score", "grace"};

	for (int i = 0; i < (int)COUNT(words); i++)
		if (strcmp(words[i], why) == 0)
			return i;
	fail_msg("no such class: %s", why);
	return -1;
}

static void check_victims(const struct evict_params *params, const struct evict_candidate *c,
			  size_t n, const struct chosen *got)
{
	uint64_t bytes = 0, inodes = 0, free_bytes = 0, free_inodes = 0;
	bool seen[MAX] = {false};

	for (size_t i = 0; i < n; i++) {
		free_bytes += c[i].hold == EVICT_FREE ? c[i].bytes : 0;
		free_inodes += c[i].hold == EVICT_FREE ? c[i].inodes : 0;
	}
	for (size_t i = 0; i < got->plan.n_victims; i++) {
		const struct evict_victim *v = &got->victims[i];
		const struct evict_candidate *from = &c[v->candidate];

		assert_true(v->candidate < n && !seen[v->candidate]);
		seen[v->candidate] = true;
		assert_int_equal(v->id, from->id);
		assert_int_equal(from->hold, EVICT_FREE);
		assert_true(v->bytes <= from->bytes && v->inodes <= from->inodes);
		if (v->whole)
			assert_true(v->bytes == from->bytes && v->inodes == from->inodes);
		else
			assert_true(i == got->plan.n_victims - 1 && from->present_shards > 1 &&
				    from->bytes - v->bytes >= from->bytes / 10);
		if (i) {
			assert_true(class_rank(v->why) >= class_rank(v[-1].why));
			assert_true(v->rank > v[-1].rank);
		}
		bytes += v->bytes;
		inodes += v->inodes;
	}
	assert_int_equal(got->plan.bytes, bytes);
	assert_int_equal(got->plan.inodes, inodes);
	assert_int_equal(got->plan.enough,
			 free_bytes >= params->need_bytes && free_inodes >= params->need_inodes);
	if (got->plan.enough)
		assert_true(bytes >= params->need_bytes && inodes >= params->need_inodes);
	assert_true(got->plan.inflation >= params->inflation);
}

static void shuffle(struct evict_candidate *c, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t j = (size_t)random() % i;
		struct evict_candidate t = c[i - 1];

		c[i - 1] = c[j];
		c[j] = t;
	}
}

static void check_same(const struct chosen *a, const struct chosen *b)
{
	assert_int_equal(a->plan.n_victims, b->plan.n_victims);
	assert_int_equal(a->plan.bytes, b->plan.bytes);
	assert_true(a->plan.inflation == b->plan.inflation);
	for (size_t i = 0; i < a->plan.n_victims; i++) {
		assert_int_equal(a->victims[i].id, b->victims[i].id);
		assert_int_equal(a->victims[i].bytes, b->victims[i].bytes);
		assert_int_equal(a->victims[i].whole, b->victims[i].whole);
		assert_string_equal(a->victims[i].why, b->victims[i].why);
	}
}

static void whatever_the_candidates_the_rules_hold(void **unused)
{
	struct evict_candidate c[MAX];
	struct chosen got, again;

	(void)unused;
	srandom(7);
	for (int round = 0; round < 20000; round++) {
		size_t n = (size_t)random() % MAX;
		struct evict_params params = {
			.policy = (enum evict_policy)(random() % 3),
			.need_bytes = random() % 5 ? (uint64_t)random() % 20000 : 0,
			.need_inodes = random() % 2 ? (uint64_t)random() % 300 : 0,
			.now_s = NOW,
			.grace_s = 600,
			.inflation = (double)(random() % 50) / 10,
		};

		for (size_t i = 0; i < n; i++)
			c[i] = random_candidate(i + 1);
		evict_choose(&params, c, n, got.victims, &got.plan);
		check_victims(&params, c, n, &got);
		shuffle(c, n);
		evict_choose(&params, c, n, again.victims, &again.plan);
		check_same(&got, &again);
	}
}

/* A cache of 12 trees, and what the inventory remembers of the hot ones while they are out. */
struct cache {
	struct evict_candidate c[12];
	size_t n;
	double inflation, history[9];
	uint64_t seq;
};

static size_t cache_find(const struct cache *cache, uint64_t id)
{
	size_t at = 0;

	while (at < cache->n && cache->c[at].id != id)
		at++;
	return at;
}

static void cache_evict_one(struct cache *cache, enum evict_policy policy)
{
	struct evict_params params = {
		.policy = policy, .need_bytes = 100, .now_s = NOW, .inflation = cache->inflation};
	struct evict_victim victims[12];
	struct evict_plan plan;
	struct evict_candidate *out;

	evict_choose(&params, cache->c, cache->n, victims, &plan);
	assert_true(plan.enough && plan.n_victims == 1);
	cache->inflation = plan.inflation;
	out = &cache->c[victims[0].candidate];
	if (out->id <= 8)
		cache->history[out->id] = out->uses;
	*out = cache->c[--cache->n];
}

/* True: was there. */
static bool cache_use(struct cache *cache, enum evict_policy policy, uint64_t id)
{
	size_t at = cache_find(cache, id);
	bool hit = at < cache->n;

	if (!hit) {
		if (cache->n == COUNT(cache->c))
			cache_evict_one(cache, policy);
		at = cache->n++;
		cache->c[at] =
			(struct evict_candidate)TREE(id, .hits = 0, .admitted_seq = ++cache->seq);
		cache->c[at].uses = id <= 8 ? cache->history[id] : 0;
	}
	cache->c[at].last_seq = ++cache->seq;
	cache->c[at].hits++;
	cache->c[at].uses++;
	cache->c[at].base = cache->inflation;
	return hit;
}

/* Eight trees in turn, and between any two of them one that never comes again: LRU's weakness. */
static uint64_t hits_of(enum evict_policy policy)
{
	struct cache cache = {.n = 0};
	uint64_t hits = 0;

	for (uint64_t round = 0; round < 2000; round++) {
		hits += cache_use(&cache, policy, round % 8 + 1);
		assert_false(cache_use(&cache, policy, 1000 + round));
	}
	return hits;
}

static void a_scan_does_not_drive_out_what_is_used_again(void **unused)
{
	uint64_t gdsf = hits_of(EVICT_GDSF), s3fifo = hits_of(EVICT_S3FIFO),
		 lru = hits_of(EVICT_LRU);

	(void)unused;
	print_message("  hits of 2000: gdsf %u, s3fifo %u, lru %u\n", (unsigned int)gdsf,
		      (unsigned int)s3fifo, (unsigned int)lru);
	assert_true(gdsf > 1500);
	assert_true(s3fifo > 1500);
	assert_true(lru < 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_held_stays_and_is_counted),
		cmocka_unit_test(classes_go_before_the_policy),
		cmocka_unit_test(grace_counts_from_admission_and_from_the_last_lease),
		cmocka_unit_test(a_grace_of_nothing_spares_nobody),
		cmocka_unit_test(lru_takes_the_longest_unused),
		cmocka_unit_test(gdsf_takes_the_cheapest_to_bring_back),
		cmocka_unit_test(gdsf_ages_what_was_used_before_the_inflation),
		cmocka_unit_test(only_the_score_inflates),
		cmocka_unit_test(a_score_survives_bad_numbers),
		cmocka_unit_test(uses_halve),
		cmocka_unit_test(s3fifo_lets_what_came_once_go_first),
		cmocka_unit_test(s3fifo_spares_a_small_queue_of_a_tenth),
		cmocka_unit_test(s3fifo_knows_ghosts_by_their_history),
		cmocka_unit_test(s3fifo_counts_to_three),
		cmocka_unit_test(no_more_go_than_are_needed),
		cmocka_unit_test(the_last_one_is_trimmed),
		cmocka_unit_test(only_the_last_one_is_trimmed),
		cmocka_unit_test(what_gives_nothing_waits_until_all_must_go),
		cmocka_unit_test(sums_stop_at_their_limit),
		cmocka_unit_test(policies_have_names),
		cmocka_unit_test(what_was_brought_ahead_goes_before_what_was_asked_for),
		cmocka_unit_test(what_can_wait_takes_only_what_is_worth_less),
		cmocka_unit_test(the_last_copy_stays_longer_and_the_tenth_goes_sooner),
		cmocka_unit_test(whatever_the_candidates_the_rules_hold),
		cmocka_unit_test(a_scan_does_not_drive_out_what_is_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
