/*
 * Owns the notice of what changed: for whom the inventory would else have to be read again and
 * again. SQLite tells of rows of `tree`; the functions that write leases and pins, whose tables
 * have no row numbers, tell themselves. Reads and writes nothing. Called by inventory*.c.
 */
#include <string.h>

#include "store/inventory_sql.h"

void inv_touched(struct inventory *inv, uint64_t tree)
{
	if (inv->watch)
		inv->watch(tree, inv->watch_arg);
}

static void on_row(void *arg, int what, const char *database, const char *table, sqlite3_int64 row)
{
	(void)what;
	(void)database;
	if (strcmp(table, "tree") == 0)
		inv_touched(arg, (uint64_t)row);
}

void inventory_watch(struct inventory *inv, inventory_watch_fn fn, void *arg)
{
	inv->watch = fn;
	inv->watch_arg = arg;
	(void)sqlite3_update_hook(inv->db, fn ? on_row : NULL, inv);
}
