/*
 * What is asked about many trees at once: sizes, and who holds them, without reading whole rows.
 * Must not: write; know what a size means to the tier (core/quota.h).
 * Called by the control thread.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/state.h"
#include "store/inventory_sql.h"

int inventory_tree_sizes(struct inventory *inv, const char *tier, inventory_size_fn fn, void *arg,
			 struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_TREE_SIZES);
	int rc;

	inv_bind_text(st, 1, tier);
	inv_bind_text(st, 2, larder_tree_state_word(LARDER_TREE_EVICTING));
	while ((rc = inv_step(inv, st, err)) == 1) {
		struct inv_row row = {.st = st};
		uint64_t bytes = inv_read_u64(&row), shards = inv_read_u64(&row);

		rc = inv_read_end(&row, "tree", err);
		if (rc)
			return rc;
		fn(bytes, shards, arg);
	}
	return rc;
}

int inventory_tree_states(struct inventory *inv, uint64_t *counts, struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_TREE_STATES);
	char word[64];
	int rc, state;

	while ((rc = inv_step(inv, st, err)) == 1) {
		struct inv_row row = {.st = st};

		inv_read_text(&row, word, sizeof(word));
		state = state_tree_parse(word);
		if (row.rc || state < 0)
			return larder_error_set(err, EUCLEAN, "inventory: a tree in no state");
		counts[state]++;
	}
	return rc;
}

static int sum_of(struct inventory *inv, enum inv_sql which, const char *tier, uint64_t *sum,
		  struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, which);
	struct inv_row row = {.st = st};
	int rc;

	inv_bind_text(st, 1, tier);
	rc = inv_step(inv, st, err);
	if (rc < 0)
		return rc;
	*sum = inv_read_u64(&row);
	return inv_read_end(&row, "tree", err);
}

int inventory_tree_held(struct inventory *inv, const char *tier, uint64_t *leased, uint64_t *pinned,
			struct larder_error *err)
{
	int rc = inv_owe_nothing(inv, err);

	if (!rc)
		rc = sum_of(inv, INV_TREE_LEASED, tier, leased, err);
	return rc ? rc : sum_of(inv, INV_TREE_PINNED, tier, pinned, err);
}

/* --- holds */

struct hold_list {
	struct inv_hold *items;
	size_t n, room;
};

static struct inv_hold *add_hold(struct hold_list *list, uint64_t tree)
{
	if (list->n == list->room) {
		size_t room = list->room ? list->room * 2 : 64;
		struct inv_hold *more = reallocarray(list->items, room, sizeof(*more));

		if (!more)
			return NULL;
		list->items = more;
		list->room = room;
	}
	list->items[list->n] = (struct inv_hold){.tree = tree};
	return &list->items[list->n++];
}

static int by_tree(const void *a, const void *b)
{
	uint64_t x = ((const struct inv_hold *)a)->tree, y = ((const struct inv_hold *)b)->tree;

	return (x > y) - (x < y);
}

static struct inv_hold *find_hold(const struct inv_hold *holds, size_t n, uint64_t tree)
{
	struct inv_hold key = {.tree = tree};

	return n ? bsearch(&key, holds, n, sizeof(*holds), by_tree) : NULL;
}

static int count_leases(struct inventory *inv, struct hold_list *list, struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_LEASE_COUNTS);
	int rc;

	while ((rc = inv_step(inv, st, err)) == 1) {
		struct inv_row row = {.st = st};
		struct inv_hold *hold = add_hold(list, inv_read_u64(&row));

		if (!hold)
			return larder_error_set(err, ENOMEM, "out of memory");
		hold->leases = inv_read_u32(&row);
	}
	return rc;
}

/* Those of trees with leases too are found among the first `leased`, which are in order. */
static int count_pins(struct inventory *inv, struct hold_list *list, struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_PIN_COUNTS);
	size_t leased = list->n;
	int rc;

	while ((rc = inv_step(inv, st, err)) == 1) {
		struct inv_row row = {.st = st};
		uint64_t tree = inv_read_u64(&row);
		struct inv_hold *hold = find_hold(list->items, leased, tree);

		if (!hold && !(hold = add_hold(list, tree)))
			return larder_error_set(err, ENOMEM, "out of memory");
		hold->pins = inv_read_u32(&row);
	}
	if (list->n)
		qsort(list->items, list->n, sizeof(*list->items), by_tree);
	return rc;
}

int inventory_holds(struct inventory *inv, struct inv_hold **holds, size_t *n,
		    struct larder_error *err)
{
	struct hold_list list = {0};
	int rc = inv_owe_nothing(inv, err);

	if (!rc)
		rc = count_leases(inv, &list, err);
	if (!rc)
		rc = count_pins(inv, &list, err);
	if (rc) {
		free(list.items);
		return rc;
	}
	*holds = list.items;
	*n = list.n;
	return 0;
}

struct inv_hold inventory_hold_of(const struct inv_hold *holds, size_t n, uint64_t tree)
{
	const struct inv_hold *hold = find_hold(holds, n, tree);

	return hold ? *hold : (struct inv_hold){.tree = tree};
}
