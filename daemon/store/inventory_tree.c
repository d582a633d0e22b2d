/*
 * Rows of trees.
 * Must not: touch files; decide what goes or stays.
 * Called by the control thread.
 */
#include <errno.h>
#include <string.h>

#include "core/state.h"
#include "store/inventory_sql.h"

/* In the order of INVENTORY_TREE_COLUMNS. */
static void tree_bind(sqlite3_stmt *st, const struct inv_tree *t)
{
	int at = 1;

	inv_bind_text(st, at++, t->tier);
	inv_bind_text(st, at++, t->domain);
	inv_bind_text(st, at++, t->name);
	inv_bind_text(st, at++, t->version);
	inv_bind_text(st, at++, t->digest);
	inv_bind_text(st, at++, larder_tree_state_word(t->state));
	inv_bind_i64(st, at++, t->owner);
	inv_bind_i64(st, at++, t->publisher);
	inv_bind_text(st, at++, t->access);
	inv_bind_text(st, at++, t->origin);
	inv_bind_u64(st, at++, t->shards);
	inv_bind_u64(st, at++, t->bytes);
	inv_bind_u64(st, at++, t->present_shards);
	inv_bind_u64(st, at++, t->present_bytes);
	inv_bind_real(st, at++, t->uses);
	inv_bind_i64(st, at++, t->hits);
	inv_bind_real(st, at++, t->base);
	inv_bind_u64(st, at++, t->last_seq);
	inv_bind_u64(st, at++, t->admitted_seq);
	inv_bind_i64(st, at++, t->last_use_s);
	inv_bind_i64(st, at++, t->admitted_s);
	inv_bind_i64(st, at++, t->last_lease_end_s);
	inv_bind_i64(st, at++, t->stage_ms);
	inv_bind_i64(st, at++, t->once);
	inv_bind_text(st, at++, t->error);
	inv_bind_i64(st, at++, t->first_use);
}

static void read_state(struct inv_row *row, struct inv_tree *t)
{
	char word[64];
	int state;

	inv_read_text(row, word, sizeof(word));
	state = state_tree_parse(word);
	if (state < 0)
		row->rc = -EUCLEAN;
	t->state = state < 0 ? LARDER_TREE_FAILED : (enum larder_tree_state)state;
}

/* id and INVENTORY_TREE_COLUMNS. Only what a row has is written: the struct is 7 KB of room. */
static int tree_read(sqlite3_stmt *st, struct inv_tree *t, struct larder_error *err)
{
	struct inv_row row = {.st = st};

	t->id = inv_read_u64(&row);
	inv_read_text(&row, t->tier, sizeof(t->tier));
	inv_read_text(&row, t->domain, sizeof(t->domain));
	inv_read_text(&row, t->name, sizeof(t->name));
	inv_read_text(&row, t->version, sizeof(t->version));
	inv_read_text(&row, t->digest, sizeof(t->digest));
	read_state(&row, t);
	t->owner = inv_read_u32(&row);
	t->publisher = inv_read_u32(&row);
	inv_read_text(&row, t->access, sizeof(t->access));
	inv_read_text(&row, t->origin, sizeof(t->origin));
	t->shards = inv_read_u64(&row);
	t->bytes = inv_read_u64(&row);
	t->present_shards = inv_read_u64(&row);
	t->present_bytes = inv_read_u64(&row);
	t->uses = inv_read_real(&row);
	t->hits = inv_read_u32(&row);
	t->base = inv_read_real(&row);
	t->last_seq = inv_read_u64(&row);
	t->admitted_seq = inv_read_u64(&row);
	t->last_use_s = inv_read_i64(&row);
	t->admitted_s = inv_read_i64(&row);
	t->last_lease_end_s = inv_read_i64(&row);
	t->stage_ms = inv_read_i64(&row);
	t->once = inv_read_i64(&row) != 0;
	inv_read_text(&row, t->error, sizeof(t->error));
	t->first_use = inv_read_i64(&row) != 0;
	return inv_read_end(&row, "tree", err);
}

static int check_sums(uint64_t shards, uint64_t bytes, struct larder_error *err)
{
	if (shards > INT64_MAX || bytes > INT64_MAX)
		return larder_error_set(err, ERANGE,
					"a tree of %llu shards and %llu bytes is more "
					"than the inventory can count",
					(unsigned long long)shards, (unsigned long long)bytes);
	return 0;
}

static int insert_in_tx(struct inventory *inv, struct inv_tree *t, struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_TREE_INSERT);
	uint64_t seq = 0;
	int rc = 0;

	if (!(t->uses > 0))
		rc = inv_history_take(inv, t, err);
	if (!rc && (!t->last_seq || !t->admitted_seq))
		rc = inventory_next_seq(inv, &seq, err);
	if (rc)
		return rc;
	t->last_seq = t->last_seq ? t->last_seq : seq;
	t->admitted_seq = t->admitted_seq ? t->admitted_seq : seq;
	tree_bind(st, t);
	rc = inv_run(inv, st, err);
	if (!rc)
		t->id = (uint64_t)sqlite3_last_insert_rowid(inv->db);
	return rc;
}

int inventory_tree_insert(struct inventory *inv, struct inv_tree *tree, struct larder_error *err)
{
	struct inv_tree before = *tree;
	bool own;
	int rc = check_sums(tree->shards, tree->bytes, err);

	if (!rc)
		rc = inv_enter(inv, &own, err);
	if (rc)
		return rc;
	rc = inv_leave(inv, own, insert_in_tx(inv, tree, err), err);
	if (rc)
		*tree = before;
	return rc;
}

static int read_one(struct inventory *inv, sqlite3_stmt *st, struct inv_tree *tree,
		    struct larder_error *err)
{
	int rc = inv_step(inv, st, err);

	if (rc < 0)
		return rc;
	return rc ? tree_read(st, tree, err)
		  : larder_error_set(err, ENOENT, "there is no such tree");
}

int inventory_tree_get(struct inventory *inv, uint64_t id, struct inv_tree *tree,
		       struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_TREE_GET);

	inv_bind_u64(st, 1, id);
	return read_one(inv, st, tree, err);
}

static bool tree_is_newer(const struct inv_tree *a, const struct inv_tree *b)
{
	return a->last_seq != b->last_seq ? a->last_seq > b->last_seq : a->id > b->id;
}

/* The one used last, of a row a tier: for so few an ORDER BY would cost more than the look-up. */
static int read_latest(struct inventory *inv, sqlite3_stmt *st, struct inv_tree *tree,
		       struct larder_error *err)
{
	struct inv_tree other;
	int rc = read_one(inv, st, tree, err);

	if (rc)
		return rc;
	while ((rc = inv_step(inv, st, err)) == 1) {
		rc = tree_read(st, &other, err);
		if (rc)
			return rc;
		if (tree_is_newer(&other, tree))
			*tree = other;
	}
	return rc;
}

int inventory_tree_find(struct inventory *inv, const char *domain, const char *name,
			const char *version, const char *digest, struct inv_tree *tree,
			struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, *digest ? INV_TREE_FIND : INV_TREE_FIND_ANY);

	inv_bind_text(st, 1, domain);
	inv_bind_text(st, 2, name);
	inv_bind_text(st, 3, version);
	if (*digest)
		inv_bind_text(st, 4, digest);
	return read_latest(inv, st, tree, err);
}

int inventory_tree_base(struct inventory *inv, const char *tier, const char *domain,
			const char *name, uint64_t except, struct inv_tree *tree,
			struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_TREE_BASE);

	inv_bind_text(st, 1, tier);
	inv_bind_text(st, 2, domain);
	inv_bind_text(st, 3, name);
	inv_bind_text(st, 4, larder_tree_state_word(LARDER_TREE_READY));
	inv_bind_u64(st, 5, except);
	return read_one(inv, st, tree, err);
}

int inventory_tree_each(struct inventory *inv, const char *name, inventory_tree_fn fn, void *arg,
			struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, name ? INV_TREE_EACH_NAME : INV_TREE_EACH);
	struct larder_error ignored; /* who asks for leases on the way hears of it again */
	struct inv_tree tree;
	int rc;

	(void)inv_owe_nothing(inv, &ignored); /* as a walk may not write */
	if (name)
		inv_bind_text(st, 1, name);
	while ((rc = inv_step(inv, st, err)) == 1) {
		rc = tree_read(st, &tree, err);
		if (rc)
			return rc;
		inv->walking++;
		rc = fn(&tree, arg);
		inv->walking--;
		if (rc)
			return rc;
	}
	return rc;
}

static int state_now(struct inventory *inv, uint64_t id, enum larder_tree_state *state,
		     struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_TREE_STATE_GET);
	struct inv_tree tree = {.id = id};
	struct inv_row row = {.st = st};
	int rc = inv_step_tree(inv, st, id, err);

	if (rc)
		return rc;
	read_state(&row, &tree);
	*state = tree.state;
	return inv_read_end(&row, "tree", err);
}

static int state_set(struct inventory *inv, uint64_t id, enum larder_tree_state state,
		     const char *error, struct larder_error *err)
{
	auto_stmt set = inv_stmt(inv, INV_TREE_STATE_SET);
	auto_stmt fill = inv_stmt(inv, INV_TREE_FILL);
	auto_stmt drop = inv_stmt(inv, INV_BITMAP_DROP);
	enum larder_tree_state now;
	int rc = state_now(inv, id, &now, err);

	if (!rc)
		rc = state_tree_check(now, state, err);
	if (rc)
		return rc;
	inv_bind_u64(set, 1, id);
	inv_bind_text(set, 2, larder_tree_state_word(state));
	inv_bind_text(set, 3, error ? error : "");
	rc = inv_run(inv, set, err);
	if (rc || state != LARDER_TREE_READY)
		return rc;
	inv_bind_u64(fill, 1, id);
	inv_bind_u64(drop, 1, id);
	rc = inv_run(inv, fill, err);
	return rc ? rc : inv_run(inv, drop, err);
}

int inventory_tree_state(struct inventory *inv, uint64_t id, enum larder_tree_state state,
			 const char *error, struct larder_error *err)
{
	bool own;
	int rc = inv_enter(inv, &own, err);

	return rc ? rc : inv_leave(inv, own, state_set(inv, id, state, error, err), err);
}

int inventory_tree_present(struct inventory *inv, uint64_t id, uint64_t shards, uint64_t bytes,
			   struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_TREE_PRESENT);
	int rc = check_sums(shards, bytes, err);

	if (rc)
		return rc;
	inv_bind_u64(st, 1, id);
	inv_bind_u64(st, 2, shards);
	inv_bind_u64(st, 3, bytes);
	return inv_change(inv, st, "there is no such tree", err);
}

int inventory_tree_staged(struct inventory *inv, uint64_t id, int64_t stage_ms,
			  struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_TREE_STAGED);

	inv_bind_u64(st, 1, id);
	inv_bind_i64(st, 2, stage_ms);
	return inv_change(inv, st, "there is no such tree", err);
}

static int delete_in_tx(struct inventory *inv, uint64_t id, struct larder_error *err)
{
	auto_stmt keep = inv_stmt(inv, INV_HISTORY_KEEP);
	auto_stmt st = inv_stmt(inv, INV_TREE_DELETE);
	uint32_t leases = 0;
	int rc = inventory_lease_count(inv, id, &leases, err);

	/* Only for the sentence: the foreign key of the lease is what stops it. */
	if (!rc && leases)
		rc = larder_error_set(err, EBUSY, "%u leases are on that tree", leases);
	if (rc)
		return rc;
	inv_bind_u64(keep, 1, id);
	inv_bind_u64(st, 1, id);
	rc = inv_run(inv, keep, err);
	return rc ? rc : inv_change(inv, st, "there is no such tree", err);
}

int inventory_tree_delete(struct inventory *inv, uint64_t id, struct larder_error *err)
{
	bool own;
	int rc = inv_enter(inv, &own, err);

	return rc ? rc : inv_leave(inv, own, delete_in_tx(inv, id, err), err);
}

int inventory_tree_count(struct inventory *inv, uint64_t *n, struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_TREE_COUNT);
	struct inv_row row = {.st = st};
	int rc = inv_step(inv, st, err);

	if (rc == 1)
		*n = inv_read_u64(&row);
	return rc < 0 ? rc : 0;
}
