/*
 * server/candidates and the sums over trees: what one walk or one statement says of all of them is
 * what is found when each is asked for, after thousands of random changes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "inventory_help.h"
#include "scratch.h"
#include "server/evictor.h"

#define NOW   INT64_C(1700000000)
#define STEPS 3000
#define LOOK  20 /* steps between two looks at everything */

struct world {
	struct larderd d;
	struct config_tier tier_config[2];
	struct node_tier tiers[2];
	struct larder_error err;
	uint64_t random;
	uint64_t tree; /* the one that was chosen */
	uint64_t looked;
};

static uint64_t below(struct world *w, uint64_t n)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random % n;
}

/* --- random changes */

static void insert(struct world *w)
{
	struct inv_tree t = {.state = (enum larder_tree_state)below(w, LARDER_TREE_STATES),
			     .owner = INV_OWNER_SITE,
			     .shards = 100,
			     .bytes = 100000};

	snprintf(t.tier, sizeof(t.tier), "%s", w->tier_config[below(w, 2)].name);
	snprintf(t.domain, sizeof(t.domain), "s%u", (unsigned int)below(w, 2));
	snprintf(t.name, sizeof(t.name), "%s", (const char *[]){"a", "ab", "b"}[below(w, 3)]);
	snprintf(t.version, sizeof(t.version), "v%u", (unsigned int)below(w, 4));
	snprintf(t.digest, sizeof(t.digest), "%032x", (unsigned int)below(w, 3));
	t.present_shards = below(w, 101);
	t.present_bytes = below(w, 100001);
	if (below(w, 2))
		strcpy(t.origin, "/data");
	if (inventory_tree_insert(w->d.inv, &t, &w->err))
		assert_int_equal(w->err.code, EEXIST);
}

static int choose(const struct inv_tree *tree, void *arg)
{
	struct world *w = arg;

	if (!w->tree || below(w, 4) == 0)
		w->tree = tree->id;
	return 0;
}

static void change_one(struct world *w)
{
	struct inventory *inv = w->d.inv;
	struct inv_lease lease = {.job_id = 1 + (uint32_t)below(w, 20)};
	struct inv_pin pin = {.uid = (uint32_t)below(w, 3)};

	w->tree = 0;
	ok(inventory_tree_each(inv, NULL, choose, w, &w->err));
	if (!w->tree)
		return;
	lease.tree = pin.tree = w->tree;
	switch (below(w, 7)) {
	case 0: ok(inventory_lease_put(inv, &lease, &w->err)); return;
	case 1: ok(inventory_lease_release(inv, lease.job_id, 0, NOW, NULL, &w->err)); return;
	case 2: ok(inventory_pin_put(inv, &pin, &w->err)); return;
	case 3: (void)inventory_pin_delete(inv, w->tree, pin.uid, NULL); return;
	case 4: ok(inventory_tree_use(inv, w->tree, NOW, 3600, 0, &w->err)); return;
	case 5:
		ok(inventory_tree_present(inv, w->tree, below(w, 101), below(w, 9999), &w->err));
		return;
	default: (void)inventory_tree_delete(inv, w->tree, NULL); return; /* -EBUSY: leased */
	}
}

static void step(struct world *w)
{
	bool undone = below(w, 5) == 0;

	if (undone)
		ok(inventory_begin(w->d.inv, &w->err));
	for (uint64_t n = undone ? 3 : 1; n; n--)
		if (below(w, 4) == 0)
			insert(w);
		else
			change_one(w);
	if (undone)
		inventory_rollback(w->d.inv);
}

/* --- each tree asked for by itself */

static bool is_superseded(struct world *w, const struct inv_tree *tree)
{
	struct inv_tree newer;

	return !inventory_tree_base(w->d.inv, tree->tier, tree->domain, tree->name, tree->id,
				    &newer, &w->err) &&
	       newer.admitted_seq > tree->admitted_seq && newer.last_seq > tree->last_seq;
}

struct sums {
	uint64_t bytes, shards, leased, pinned, n;
};

static void add_to(struct world *w, const struct inv_tree *tree, struct inv_hold *hold,
		   struct sums *sums)
{
	ok(inventory_lease_count(w->d.inv, tree->id, &hold->leases, &w->err));
	ok(inventory_pin_count(w->d.inv, tree->id, &hold->pins, &w->err));
	sums->leased += hold->leases ? tree->present_bytes : 0;
	sums->pinned += hold->pins ? tree->present_bytes : 0;
	if (tree->state == LARDER_TREE_EVICTING)
		return;
	sums->bytes += tree->present_bytes;
	sums->shards += tree->present_shards;
	sums->n++;
}

struct looking {
	struct world *w;
	const struct node_tier *tier;
	struct evict_candidate *candidates;
	size_t n, at;
	struct sums sums;
	uint64_t states[LARDER_TREE_STATES];
};

static int compare(const struct inv_tree *tree, void *arg)
{
	struct looking *look = arg;
	const struct evict_candidate *c = &look->candidates[look->at];
	struct inv_hold hold = {.tree = tree->id};

	look->states[tree->state]++;
	if (strcmp(tree->tier, look->tier->config->name) != 0)
		return 0;
	add_to(look->w, tree, &hold, &look->sums);
	if (tree->state == LARDER_TREE_EVICTING)
		return 0;
	assert_true(look->at++ < look->n);
	assert_int_equal(c->id, tree->id);
	assert_int_equal(c->superseded, is_superseded(look->w, tree));
	assert_int_equal(c->hold, evictor_hold(&look->w->d, tree, &hold));
	assert_int_equal(c->last_seq, tree->last_seq);
	look->w->looked += c->superseded;
	return 0;
}

static void add_size(uint64_t bytes, uint64_t shards, void *arg)
{
	struct sums *sums = arg;

	sums->bytes += bytes;
	sums->shards += shards;
	sums->n++;
}

static void look_at_everything(struct world *w, const struct node_tier *tier)
{
	struct looking look = {.w = w, .tier = tier};
	uint64_t states[LARDER_TREE_STATES] = {0};
	struct sums sums = {0};

	ok(evictor_candidates(&w->d, tier, &look.candidates, &look.n, &w->err));
	ok(inventory_tree_each(w->d.inv, NULL, compare, &look, &w->err));
	assert_int_equal(look.at, look.n);
	free(look.candidates);
	ok(inventory_tree_sizes(w->d.inv, tier->config->name, add_size, &sums, &w->err));
	ok(inventory_tree_held(w->d.inv, tier->config->name, &sums.leased, &sums.pinned, &w->err));
	assert_memory_equal(&sums, &look.sums, sizeof(sums));
	ok(inventory_tree_states(w->d.inv, states, &w->err));
	assert_memory_equal(states, look.states, sizeof(states));
}

static void what_is_said_of_all_is_true_of_each(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	char *dir = scratch_create(), zero[] = "t0", one[] = "t1";

	(void)state;
	assert_non_null(w);
	w->random = UINT64_C(88172645463325252);
	w->d.config.use_half_life = 3600000;
	for (int i = 0; i < 2; i++) {
		w->tier_config[i].name = i ? one : zero;
		w->tiers[i].config = &w->tier_config[i];
	}
	ok(inventory_open(dir, true, &w->d.inv, &w->err));
	for (int i = 1; i <= STEPS; i++) {
		step(w);
		if (i % LOOK == 0)
			look_at_everything(w, &w->tiers[below(w, 2)]);
	}
	assert_true(w->looked > 100); /* superseded ones */
	inventory_close(w->d.inv);
	scratch_destroy(dir);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_said_of_all_is_true_of_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
