/*
 * Where a tree's bytes came from, by origin, and trees that are in quarantine because an origin
 * gave wrong bytes.
 * Must not: decide what is tried again.
 * Called by the control thread.
 */
#include <string.h>

#include "store/inventory_sql.h"

int inventory_source_add(struct inventory *inv, const struct inv_source *source,
			 struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_SOURCE_ADD);

	inv_bind_u64(st, 1, source->tree);
	inv_bind_text(st, 2, source->origin);
	inv_bind_u64(st, 3, source->bytes);
	inv_bind_u64(st, 4, source->shards);
	inv_bind_i64(st, 5, source->busy_ms);
	return inv_run(inv, st, err);
}

int inventory_source_each(struct inventory *inv, uint64_t tree, inventory_source_fn fn, void *arg,
			  struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_SOURCE_EACH);
	struct inv_source source;
	int rc;

	inv_bind_u64(st, 1, tree);
	while ((rc = inv_step(inv, st, err)) == 1) {
		struct inv_row row = {.st = st};

		source.tree = inv_read_u64(&row);
		inv_read_text(&row, source.origin, sizeof(source.origin));
		source.bytes = inv_read_u64(&row);
		source.shards = inv_read_u64(&row);
		source.busy_ms = inv_read_i64(&row);
		rc = inv_read_end(&row, "origin of a tree", err);
		if (rc)
			return rc;
		inv->walking++;
		rc = fn(&source, arg);
		inv->walking--;
		if (rc)
			return rc;
	}
	return rc;
}

int inventory_quarantine_put(struct inventory *inv, uint64_t tree, const struct inv_quarantine *q,
			     struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_QUARANTINE_PUT);

	inv_bind_u64(st, 1, tree);
	inv_bind_i64(st, 2, q->since_s);
	inv_bind_text(st, 3, q->shard);
	inv_bind_text(st, 4, q->why);
	return inv_run(inv, st, err);
}

int inventory_quarantine_get(struct inventory *inv, uint64_t tree, struct inv_quarantine *out,
			     struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_QUARANTINE_GET);
	struct inv_row row = {.st = st};
	int rc;

	*out = (struct inv_quarantine){0};
	inv_bind_u64(st, 1, tree);
	rc = inv_step(inv, st, err);
	if (rc <= 0)
		return rc;
	out->since_s = inv_read_i64(&row);
	inv_read_text(&row, out->shard, sizeof(out->shard));
	inv_read_text(&row, out->why, sizeof(out->why));
	rc = inv_read_end(&row, "quarantine", err);
	return rc ? rc : 1;
}

int inventory_quarantine_clear(struct inventory *inv, uint64_t tree, struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_QUARANTINE_CLEAR);

	inv_bind_u64(st, 1, tree);
	return inv_run(inv, st, err);
}
