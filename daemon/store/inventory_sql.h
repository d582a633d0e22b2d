/*
 * What inventory*.c share and nobody else may include: SQLite, the statements, the thread's handle.
 * A statement is borrowed with inv_stmt and given back by auto_stmt at the end of its scope.
 */
#ifndef STORE_INVENTORY_SQL_H
#define STORE_INVENTORY_SQL_H

#include <assert.h>
#include <sqlite3.h>

#include "store/inventory.h"

enum inv_sql {
#define INVENTORY_SQL(name, sql) INV_##name,
#include "store/inventory_sql.def"
#undef INVENTORY_SQL
	INV_SQLS
};

struct inv_sync;

struct inventory {
	sqlite3 *db;
	sqlite3_stmt *stmts[INV_SQLS];
	bool in_tx;	      /* ours; SQLite may have rolled back by itself meanwhile */
	unsigned int walking; /* callbacks that are running: they may not write */
	uint64_t seq;	      /* the last that was given out */
	uint64_t seq_limit;   /* up to here the database knows */
	int dir_fd, lock_fd;
	char *dir, *path; /* STATE, STATE/inventory.db */
	struct inv_sync *sync;
	inventory_watch_fn watch; /* NULL: nobody wants to know */
	void *watch_arg;
	struct inv_owed *owed; /* inventory_grant.c's */
};

/* --- inventory_watch.c: a row of that tree, its leases or pins changed, or will have */
void inv_touched(struct inventory *inv, uint64_t tree);

/* --- inventory_sql.c: statements, errors, transactions */

/* -errno with SQLite's sentence behind ours. */
int inv_fail(sqlite3 *db, struct larder_error *err, const char *what);
bool inv_is_damage(int rc);
sqlite3_stmt *inv_stmt(struct inventory *inv, enum inv_sql which);
void inv_stmt_end(sqlite3_stmt **st);
#define auto_stmt __attribute__((cleanup(inv_stmt_end))) sqlite3_stmt *
/* 1: a row. 0: no (more) rows. -errno. */
int inv_step(struct inventory *inv, sqlite3_stmt *st, struct larder_error *err);
/* That tree's row, its number being the first parameter: 0, or -ENOENT with a sentence. */
int inv_step_tree(struct inventory *inv, sqlite3_stmt *st, uint64_t id, struct larder_error *err);
/* A statement that gives no rows: 0 or -errno. */
int inv_run(struct inventory *inv, sqlite3_stmt *st, struct larder_error *err);
/* The same, and *rows gets how many it changed, or -ENOENT with `missing` when it was none. */
int inv_change(struct inventory *inv, sqlite3_stmt *st, const char *missing,
	       struct larder_error *err);
/*
 * Several statements as one: a transaction, or a savepoint in the one that is open.
 * inv_leave ends it by rc and returns rc, or the error of the commit.
 */
int inv_enter(struct inventory *inv, bool *own, struct larder_error *err);
int inv_leave(struct inventory *inv, bool own, int rc, struct larder_error *err);
int inv_prepare_all(struct inventory *inv, struct larder_error *err);
void inv_finalize_all(struct inventory *inv);
int inv_exec(sqlite3 *db, const char *sql, struct larder_error *err);

/* Binding cannot fail but by a wrong number, which is a bug. Texts stay the caller's. */
void inv_bind_text(sqlite3_stmt *st, int at, const char *text);
void inv_bind_i64(sqlite3_stmt *st, int at, int64_t value);
/* Above INT64_MAX: that. What may not be clipped is checked by inv_fits. */
void inv_bind_u64(sqlite3_stmt *st, int at, uint64_t value);
void inv_bind_real(sqlite3_stmt *st, int at, double value);
void inv_bind_blob(sqlite3_stmt *st, int at, const void *data, size_t len);

/* A row read column by column; rc turns -EUCLEAN when something does not fit. */
struct inv_row {
	sqlite3_stmt *st;
	int at, rc;
};
void inv_read_text(struct inv_row *row, char *out, size_t len);
int64_t inv_read_i64(struct inv_row *row);
uint64_t inv_read_u64(struct inv_row *row);
uint32_t inv_read_u32(struct inv_row *row);
double inv_read_real(struct inv_row *row);
int inv_read_end(const struct inv_row *row, const char *what, struct larder_error *err);

/* --- inventory_use.c: the history moves into the tree: its row would come back a second time
 * otherwise */
int inv_history_take(struct inventory *inv, struct inv_tree *tree, struct larder_error *err);

/* --- inventory_schema.c */
int inv_migrate(sqlite3 *db, const char *path, struct larder_error *err);
int inv_fill_words(sqlite3 *db, struct larder_error *err);

/* --- inventory_vfs.c: the name of the VFS for connections; NULL: no memory */
const char *inv_vfs(void);

/* --- inventory_lock.c */
struct inv_locks;
/* NULL: no memory. For the VFS, which stays as long as the process. */
struct inv_locks *inv_locks_create(void);
/* That database, just opened by the system's VFS, is locked by our table from now on until it is
 * closed. SQLITE_OK or SQLITE_NOMEM. */
int inv_lock_adopt(struct inv_locks *locks, const char *path, sqlite3_file *file);

/* --- inventory.c: a connection with our settings */
int inv_connect(const char *path, sqlite3 **db, struct larder_error *err);

/* --- inventory_log.c */
int inv_seq_load(struct inventory *inv, struct larder_error *err);

/* --- inventory_grant.c */
/* Makes the rows of a grant that is owed. 0: nothing is owed. Not while a statement is bound. */
int inv_owe_nothing(struct inventory *inv, struct larder_error *err);
/* Once the tables are there; makes the rows of what an earlier larderd owed. */
int inv_grant_open(struct inventory *inv, struct larder_error *err);
void inv_grant_close(struct inventory *inv);

/* --- inventory_sync.c */
int inv_sync_start(struct inventory *inv, struct larder_error *err);
/* Ends what was asked for, then the thread. Returns the failure that stuck, or 0. */
int inv_sync_stop(struct inventory *inv);

#endif
