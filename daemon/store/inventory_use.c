/*
 * Uses of trees: counted, aged, and remembered beyond an eviction.
 * Must not: touch files; decide what goes or stays.
 * Called by the control thread, and by inventory_tree.c when a tree comes.
 */
#include <math.h>

#include "core/evict.h"
#include "store/inventory_sql.h"

static int use_now(struct inventory *inv, uint64_t id, int64_t now_s, int64_t half_life_s,
		   double *uses, struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_TREE_USE_GET);
	struct inv_row row = {.st = st};
	int64_t last_s, since_s;
	int rc = inv_step_tree(inv, st, id, err);

	if (rc)
		return rc;
	*uses = inv_read_real(&row);
	last_s = inv_read_i64(&row);
	if (__builtin_sub_overflow(now_s, last_s, &since_s))
		since_s = 0;
	*uses = evict_decay(*uses, since_s, half_life_s) + 1;
	return 0;
}

int inventory_tree_use(struct inventory *inv, uint64_t id, int64_t now_s, int64_t half_life_s,
		       double inflation, struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_TREE_USE);
	double uses = 0;
	uint64_t seq = 0;
	int rc = use_now(inv, id, now_s, half_life_s, &uses, err);

	if (!rc)
		rc = inventory_next_seq(inv, &seq, err);
	if (rc)
		return rc;
	inv_bind_u64(st, 1, id);
	inv_bind_real(st, 2, uses);
	inv_bind_i64(st, 3, now_s);
	inv_bind_u64(st, 4, seq);
	inv_bind_real(st, 5, isfinite(inflation) ? inflation : 0);
	return inv_change(inv, st, "there is no such tree", err);
}

int inv_history_take(struct inventory *inv, struct inv_tree *t, struct larder_error *err)
{
	auto_stmt get = inv_stmt(inv, INV_HISTORY_GET);
	auto_stmt drop = inv_stmt(inv, INV_HISTORY_DROP);
	struct inv_row row = {.st = get};
	int rc;

	inv_bind_text(get, 1, t->domain);
	inv_bind_text(get, 2, t->name);
	inv_bind_text(get, 3, t->version);
	rc = inv_step(inv, get, err);
	if (rc <= 0)
		return rc;
	t->uses = inv_read_real(&row);
	t->last_use_s = inv_read_i64(&row);
	inv_bind_text(drop, 1, t->domain);
	inv_bind_text(drop, 2, t->name);
	inv_bind_text(drop, 3, t->version);
	return inv_run(inv, drop, err);
}

int inventory_history_trim(struct inventory *inv, int64_t before_s, uint32_t *trimmed,
			   struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_HISTORY_TRIM);
	int rc;

	inv_bind_i64(st, 1, before_s);
	rc = inv_run(inv, st, err);
	if (!rc && trimmed)
		*trimmed = (uint32_t)sqlite3_changes(inv->db);
	return rc;
}
