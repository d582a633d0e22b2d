/*
 * Statements of the inventory: prepared once, stepped with three answers, bound and read.
 * Must not: know a table. Built with no snprintf: every text is in inventory_sql.def.
 * Called by the other inventory_*.c only.
 */
#include "store/inventory_sql.h"

#include <errno.h>
#include <string.h>

static const struct {
	const char *name, *sql;
} sqls[] = {
#define INVENTORY_SQL(name, sql) [INV_##name] = {#name, sql},
#include "store/inventory_sql.def"
#undef INVENTORY_SQL
};

static int constraint_errno(int extended)
{
	switch (extended) {
	case SQLITE_CONSTRAINT_FOREIGNKEY: return ENOENT;
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY: return EEXIST;
	default: return EINVAL;
	}
}

static int errno_of(sqlite3 *db)
{
	int extended = sqlite3_extended_errcode(db);

	switch (extended & 0xff) {
	case SQLITE_CONSTRAINT: return constraint_errno(extended);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB: return EUCLEAN;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL: return EBUSY;
	case SQLITE_FULL: return ENOSPC;
	case SQLITE_NOMEM: return ENOMEM;
	case SQLITE_READONLY: return EROFS;
	case SQLITE_CANTOPEN: return sqlite3_system_errno(db) ? sqlite3_system_errno(db) : EIO;
	default: return EIO;
	}
}

int inv_fail(sqlite3 *db, struct larder_error *err, const char *what)
{
	return larder_error_set(err, errno_of(db), "inventory: %s: %s", what, sqlite3_errmsg(db));
}

bool inv_is_damage(int rc)
{
	return rc == -EUCLEAN;
}

int inv_exec(sqlite3 *db, const char *sql, struct larder_error *err)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : inv_fail(db, err, sql);
}

int inv_prepare_all(struct inventory *inv, struct larder_error *err)
{
	for (size_t i = 0; i < INV_SQLS; i++)
		if (sqlite3_prepare_v3(inv->db, sqls[i].sql, -1, SQLITE_PREPARE_PERSISTENT,
				       &inv->stmts[i], NULL) != SQLITE_OK)
			return inv_fail(inv->db, err, sqls[i].name);
	return 0;
}

void inv_finalize_all(struct inventory *inv)
{
	for (size_t i = 0; i < INV_SQLS; i++) {
		sqlite3_finalize(inv->stmts[i]);
		inv->stmts[i] = NULL;
	}
}

sqlite3_stmt *inv_stmt(struct inventory *inv, enum inv_sql which)
{
	sqlite3_stmt *st = inv->stmts[which];

	/* A walk inside the same walk, or a write inside a walk: bugs of ours. */
	assert(!sqlite3_stmt_busy(st));
	assert(!inv->walking || sqlite3_stmt_readonly(st));
	return st;
}

void inv_stmt_end(sqlite3_stmt **st)
{
	/* reset repeats the error of the last step, which was told where it happened */
	(void)sqlite3_reset(*st);
	(void)sqlite3_clear_bindings(*st);
}

static const char *stmt_name(const struct inventory *inv, const sqlite3_stmt *st)
{
	for (size_t i = 0; i < INV_SQLS; i++)
		if (inv->stmts[i] == st)
			return sqls[i].name;
	return "?";
}

static int step_failed(const struct inventory *inv, const sqlite3_stmt *st,
		       struct larder_error *err)
{
	int rc = inv_fail(inv->db, err, stmt_name(inv, st));

	if (rc == -ENOSPC) /* not the cache: this disk, whatever was asked for */
		(void)larder_error_prefix(
			err, "%s of this node is full and its admin must make room", inv->dir);
	return rc;
}

int inv_step(struct inventory *inv, sqlite3_stmt *st, struct larder_error *err)
{
	/* Some errors make SQLite roll back by itself; what follows may not slip in alone. */
	if (inv->in_tx && sqlite3_get_autocommit(inv->db))
		return larder_error_set(err, EIO,
					"inventory: the transaction was rolled back by "
					"an earlier error");
	switch (sqlite3_step(st)) {
	case SQLITE_ROW: return 1;
	case SQLITE_DONE: return 0;
	default: return step_failed(inv, st, err);
	}
}

int inv_run(struct inventory *inv, sqlite3_stmt *st, struct larder_error *err)
{
	int rc = inv_step(inv, st, err);

	if (rc > 0)
		return larder_error_set(err, EIO, "inventory: rows from %s", stmt_name(inv, st));
	return rc;
}

int inv_step_tree(struct inventory *inv, sqlite3_stmt *st, uint64_t id, struct larder_error *err)
{
	int rc;

	inv_bind_u64(st, 1, id);
	rc = inv_step(inv, st, err);
	if (rc < 0)
		return rc;
	return rc ? 0 : larder_error_set(err, ENOENT, "there is no such tree");
}

int inv_change(struct inventory *inv, sqlite3_stmt *st, const char *missing,
	       struct larder_error *err)
{
	int rc = inv_run(inv, st, err);

	if (rc == 0 && sqlite3_changes(inv->db) == 0)
		return larder_error_set(err, ENOENT, "inventory: %s", missing);
	return rc;
}

static int run_named(struct inventory *inv, enum inv_sql which, struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, which);

	return inv_run(inv, st, err);
}

int inventory_begin(struct inventory *inv, struct larder_error *err)
{
	int rc;

	assert(!inv->in_tx);
	rc = inv_owe_nothing(inv, err);
	if (rc)
		return rc;
	rc = run_named(inv, INV_BEGIN, err);
	inv->in_tx = rc == 0;
	return rc;
}

int inventory_commit(struct inventory *inv, struct larder_error *err)
{
	int rc;

	assert(inv->in_tx);
	rc = run_named(inv, INV_COMMIT, err);
	if (rc)
		inventory_rollback(inv);
	inv->in_tx = false;
	return rc;
}

void inventory_rollback(struct inventory *inv)
{
	struct larder_error ignored;

	if (inv->in_tx && !sqlite3_get_autocommit(inv->db))
		(void)run_named(inv, INV_ROLLBACK, &ignored);
	inv->in_tx = false;
	/* The block of numbers may have been reserved in what is gone now: reserve again. */
	inv->seq_limit = inv->seq;
}

bool inventory_in_tx(const struct inventory *inv)
{
	return inv->in_tx;
}

int inv_enter(struct inventory *inv, bool *own, struct larder_error *err)
{
	*own = !inv->in_tx;
	return *own ? inventory_begin(inv, err) : run_named(inv, INV_INNER_BEGIN, err);
}

int inv_leave(struct inventory *inv, bool own, int rc, struct larder_error *err)
{
	struct larder_error ignored;

	if (rc == 0)
		return own ? inventory_commit(inv, err) : run_named(inv, INV_INNER_COMMIT, err);
	if (own) {
		inventory_rollback(inv);
	} else if (!sqlite3_get_autocommit(inv->db)) {
		(void)run_named(inv, INV_INNER_ROLLBACK, &ignored);
		(void)run_named(inv, INV_INNER_COMMIT, &ignored);
		inv->seq_limit = inv->seq;
	}
	return rc;
}

static void bound(int rc)
{
	assert(rc == SQLITE_OK);
	(void)rc;
}

void inv_bind_text(sqlite3_stmt *st, int at, const char *text)
{
	bound(sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC));
}

void inv_bind_i64(sqlite3_stmt *st, int at, int64_t value)
{
	bound(sqlite3_bind_int64(st, at, value));
}

void inv_bind_u64(sqlite3_stmt *st, int at, uint64_t value)
{
	bound(sqlite3_bind_int64(st, at, value > INT64_MAX ? INT64_MAX : (int64_t)value));
}

void inv_bind_real(sqlite3_stmt *st, int at, double value)
{
	bound(sqlite3_bind_double(st, at, value));
}

void inv_bind_blob(sqlite3_stmt *st, int at, const void *data, size_t len)
{
	bound(sqlite3_bind_blob64(st, at, data, len, SQLITE_STATIC));
}

void inv_read_text(struct inv_row *row, char *out, size_t len)
{
	const unsigned char *text = sqlite3_column_text(row->st, row->at);
	int bytes = sqlite3_column_bytes(row->st, row->at++);

	/* Cutting a path or a digest would make it another one: the row is damaged instead. */
	if (!text || bytes < 0 || (size_t)bytes >= len) {
		row->rc = -EUCLEAN;
		out[0] = '\0';
		return;
	}
	memcpy(out, text, (size_t)bytes);
	out[bytes] = '\0';
}

int64_t inv_read_i64(struct inv_row *row)
{
	return sqlite3_column_int64(row->st, row->at++);
}

uint64_t inv_read_u64(struct inv_row *row)
{
	int64_t value = inv_read_i64(row);

	if (value < 0)
		row->rc = -EUCLEAN;
	return value < 0 ? 0 : (uint64_t)value;
}

uint32_t inv_read_u32(struct inv_row *row)
{
	uint64_t value = inv_read_u64(row);

	if (value > UINT32_MAX)
		row->rc = -EUCLEAN;
	return (uint32_t)value;
}

double inv_read_real(struct inv_row *row)
{
	return sqlite3_column_double(row->st, row->at++);
}

int inv_read_end(const struct inv_row *row, const char *what, struct larder_error *err)
{
	if (row->rc)
		return larder_error_set(err, row->rc, "inventory: a row of %s does not fit", what);
	return 0;
}
