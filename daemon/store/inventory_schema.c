/*
 * The inventory's schema: made, brought up to date, and its words of states filled in.
 * Must not: read or write what the tables are for.
 * Called by inventory.c when it opens a database.
 */
#include "store/inventory_sql.h"

#include <errno.h>

#include "larder/wire.h"

#define APPLICATION_ID 1280459851 /* "LRDK": so that we know it from others' databases */
#define TEXT_(x)       #x
#define TEXT(x)	       TEXT_(x)

static const struct migration {
	int version;
	const char *sql, *stamp;
} migrations[] = {
#define INVENTORY_MIGRATION(version, sql)                                                          \
	{version, sql,                                                                             \
	 "PRAGMA user_version = " #version "; PRAGMA application_id = " TEXT(APPLICATION_ID)},
#include "store/inventory_schema.def"
#undef INVENTORY_MIGRATION
};

#define MIGRATIONS (sizeof(migrations) / sizeof(migrations[0]))

/* The one number that a PRAGMA or a count answers. */
static int ask(sqlite3 *db, const char *sql, int64_t *value, struct larder_error *err)
{
	sqlite3_stmt *st = NULL;
	int rc = -EIO;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		return inv_fail(db, err, sql);
	switch (sqlite3_step(st)) {
	case SQLITE_ROW:
		*value = sqlite3_column_int64(st, 0);
		rc = 0;
		break;
	case SQLITE_DONE:
		*value = 0;
		rc = 0;
		break;
	default: rc = inv_fail(db, err, sql);
	}
	sqlite3_finalize(st);
	return rc;
}

static int check_ours(sqlite3 *db, const char *path, int64_t *version, struct larder_error *err)
{
	int64_t id = 0, tables = 0;
	int newest = migrations[MIGRATIONS - 1].version;
	int rc = ask(db, "PRAGMA user_version", version, err);

	if (!rc)
		rc = ask(db, "PRAGMA application_id", &id, err);
	if (!rc)
		rc = ask(db, "SELECT count(*) FROM sqlite_schema", &tables, err);
	if (rc)
		return rc;
	if (tables && id != APPLICATION_ID)
		return larder_error_set(err, EINVAL,
					"%s is a database, but no inventory of "
					"larder: move it away",
					path);
	if (*version > newest)
		return larder_error_set(err, ENOTSUP,
					"%s was made by a newer larderd (schema %lld, this one "
					"knows %d): install that one again, or move the file away; "
					"the trees are found again",
					path, (long long)*version, newest);
	return 0;
}

static int migrate_once(sqlite3 *db, const struct migration *m, struct larder_error *err)
{
	int64_t broken = 0;
	int rc = inv_exec(db, "BEGIN IMMEDIATE", err);

	if (rc)
		return rc;
	rc = inv_exec(db, m->sql, err);
	if (!rc)
		rc = inv_exec(db, m->stamp, err);
	if (!rc)
		rc = ask(db, "SELECT count(*) FROM pragma_foreign_key_check", &broken, err);
	if (!rc && broken)
		rc = larder_error_set(err, EUCLEAN,
				      "inventory: %lld rows refer to nothing after "
				      "the migration to schema %d",
				      (long long)broken, m->version);
	if (!rc)
		rc = inv_exec(db, "COMMIT", err);
	if (rc)
		(void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

int inv_migrate(sqlite3 *db, const char *path, struct larder_error *err)
{
	int64_t version = 0;
	int rc = check_ours(db, path, &version, err);

	if (rc)
		return rc;
	/* A migration may rebuild tables that others refer to: checked at its end instead. */
	rc = inv_exec(db, "PRAGMA foreign_keys = OFF", err);
	for (size_t i = 0; !rc && i < MIGRATIONS; i++)
		if (migrations[i].version > version)
			rc = migrate_once(db, &migrations[i], err);
	return rc ? rc : inv_exec(db, "PRAGMA foreign_keys = ON", err);
}

static int fill(sqlite3 *db, const char *sql, const char *(*word)(unsigned int), unsigned int n,
		struct larder_error *err)
{
	sqlite3_stmt *st = NULL;
	int rc = 0;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		return inv_fail(db, err, sql);
	for (unsigned int i = 0; !rc && i < n; i++) {
		inv_bind_text(st, 1, word(i));
		if (sqlite3_step(st) != SQLITE_DONE)
			rc = inv_fail(db, err, sql);
		(void)sqlite3_reset(st);
	}
	sqlite3_finalize(st);
	return rc;
}

int inv_fill_words(sqlite3 *db, struct larder_error *err)
{
	int rc = fill(db, "INSERT OR IGNORE INTO tree_state (word) VALUES (?1)",
		      larder_tree_state_word, LARDER_TREE_STATES, err);

	return rc ? rc
		  : fill(db, "INSERT OR IGNORE INTO outcome (word) VALUES (?1)",
			 larder_outcome_word, LARDER_OUTCOMES, err);
}
