/*
 * The inventory's file: found, locked, checked, opened, moved aside when it is damaged, closed.
 * Must not: know what is in the tables; touch a -wal or database file by other means than SQLite
 * while it is open (closing a descriptor of the database drops SQLite's POSIX locks).
 * Called by main.c and the server's recovery.
 */
#include "store/inventory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "larder/cleanup.h"
#include "store/inventory_sql.h"

#define DB_NAME	    "inventory.db"
#define LOCK_NAME   "inventory.lock"
#define DAMAGED_MAX 1000
#define BUSY_MS	    5000 /* another connection (a sync thread's restart of the log, an admin's) */

/*
 * NORMAL: a commit writes frames and syncs nothing; barriers do. The log is kept when the last
 * connection goes, its name is durable once. journal_size_limit cuts it after a burst. Small pages:
 * rows are short, and a commit copies and sums up every byte of the pages it touched (a lease's has
 * seven). What an older larderd made keeps its pages of 4,096 bytes.
 *
 * No page goes into the log before its commit: SQLite 3.40 forgets to correct the checksums of
 * frames behind a savepoint that was rolled back if one of them had been written over, and a
 * recovery then ends at that frame, before commits that were told.
 */
static const char settings[] = "PRAGMA page_size = 1024;"
			       "PRAGMA journal_mode = WAL;"
			       "PRAGMA synchronous = NORMAL;"
			       "PRAGMA wal_autocheckpoint = 0;"
			       "PRAGMA journal_size_limit = 16777216;"
			       "PRAGMA foreign_keys = ON;"
			       "PRAGMA temp_store = MEMORY;"
			       "PRAGMA cache_size = -8192;"
			       "PRAGMA cache_spill = OFF;"
			       "PRAGMA secure_delete = OFF;"
			       "PRAGMA trusted_schema = OFF;"
			       "PRAGMA cell_size_check = ON;";

int inv_connect(const char *path, sqlite3 **out, struct larder_error *err)
{
	const char *vfs = inv_vfs();
	sqlite3 *db = NULL;
	int keep = 1;
	int rc = -EIO;

	if (!vfs)
		return larder_error_set(err, ENOMEM, "open %s", path);
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, vfs) !=
	    SQLITE_OK) {
		rc = db ? inv_fail(db, err, path) : larder_error_set(err, ENOMEM, "open %s", path);
		goto fail;
	}
	(void)sqlite3_extended_result_codes(db, 1);
	(void)sqlite3_busy_timeout(db, BUSY_MS);
	rc = inv_exec(db, settings, err);
	if (rc)
		goto fail;
	if (sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &keep) != SQLITE_OK) {
		rc = inv_fail(db, err, "keep the log");
		goto fail;
	}
	*out = db;
	return 0;
fail:
	(void)sqlite3_close(db);
	return rc;
}

static int check_sound(sqlite3 *db, struct larder_error *err)
{
	sqlite3_stmt *st = NULL;
	const char *said;
	int rc = -EUCLEAN;

	if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &st, NULL) != SQLITE_OK)
		return inv_fail(db, err, "check");
	switch (sqlite3_step(st)) {
	case SQLITE_ROW:
		said = (const char *)sqlite3_column_text(st, 0);
		if (said && strcmp(said, "ok") == 0)
			rc = 0;
		else
			rc = larder_error_set(err, EUCLEAN, "inventory: %s", said ? said : "?");
		break;
	case SQLITE_DONE: rc = larder_error_set(err, EUCLEAN, "inventory: no answer"); break;
	default: rc = inv_fail(db, err, "check");
	}
	sqlite3_finalize(st);
	return rc;
}

/* Frames that a crash left in the log go to the database, synced, and a new log is begun: what is
 * there from now on was written while the sync thread's descriptor was open: inventory_sync.c. */
static int begin_log(sqlite3 *db, struct larder_error *err)
{
	int rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

	if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY)
		return inv_fail(db, err, "checkpoint");
	return inv_exec(db,
			"UPDATE meta SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) "
			"WHERE key = 'logs'",
			err);
}

static void close_database(struct inventory *inv)
{
	int stuck = inv->sync ? inv_sync_stop(inv) : 0;

	inv_finalize_all(inv);
	/* After a failed sync the log may not be what it seems: the next start reads it with its
	 * checksums; a checkpoint would not. */
	if (stuck && inv->db)
		(void)sqlite3_db_config(inv->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	(void)sqlite3_close(inv->db);
	inv->db = NULL;
	inv->sync = NULL;
}

static int open_database(struct inventory *inv, struct larder_error *err)
{
	/* SQLite would make it readable for all; its log takes the mode of the database. */
	auto_fd int fd = openat(inv->dir_fd, DB_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int rc;

	if (fd < 0)
		return larder_error_set(err, errno, "open %s: %s", inv->path, strerror(errno));
	close(take_fd(&fd)); /* before SQLite takes its locks, which this close would drop */
	rc = inv_connect(inv->path, &inv->db, err);
	if (!rc)
		rc = check_sound(inv->db, err);
	if (!rc)
		rc = inv_migrate(inv->db, inv->path, err);
	if (!rc)
		rc = inv_fill_words(inv->db, err);
	if (!rc)
		rc = begin_log(inv->db, err);
	if (!rc)
		rc = inv_prepare_all(inv, err);
	if (!rc)
		rc = inv_seq_load(inv, err);
	if (!rc)
		rc = inv_sync_start(inv, err);
	if (rc)
		close_database(inv);
	return rc;
}

/* The first N for which no inventory.db.damaged-N is there. */
static int damaged_name(int dir_fd, char *name, size_t len)
{
	for (int n = 1; n <= DAMAGED_MAX; n++) {
		(void)snprintf(name, len, DB_NAME ".damaged-%d", n);
		if (faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) && errno == ENOENT)
			return 0;
	}
	return -EEXIST;
}

static int move_aside(struct inventory *inv, char *name, size_t len, struct larder_error *err)
{
	static const char *const tails[] = {"-wal", "-shm", ""};
	char from[64], to[96];

	if (damaged_name(inv->dir_fd, name, len))
		return larder_error_set(err, EEXIST,
					"%s is damaged, and there are %d damaged ones "
					"beside it already",
					inv->path, DAMAGED_MAX);
	/* The log first: a database without its log is older, a log without its own harms. */
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		(void)snprintf(from, sizeof(from), DB_NAME "%s", tails[i]);
		(void)snprintf(to, sizeof(to), "%s%s", name, tails[i]);
		if (renameat(inv->dir_fd, from, inv->dir_fd, to) && errno != ENOENT)
			return larder_error_set(err, errno, "move the damaged %s aside: %s",
						inv->path, strerror(errno));
	}
	return 0;
}

/* Returns -EUCLEAN with a fresh inventory open, or another error with none. */
static int start_anew(struct inventory *inv, struct larder_error *why)
{
	char name[64];
	struct larder_error damage = *why;
	int rc = move_aside(inv, name, sizeof(name), why);

	if (!rc)
		rc = open_database(inv, why);
	if (rc)
		return rc == -EUCLEAN ? larder_error_set(why, EIO, "%s: a fresh one is damaged too",
							 inv->path)
				      : rc;
	return larder_error_set(why, EUCLEAN,
				"%s was damaged (%.300s); it is %s now, and an empty "
				"one takes its place until the trees are found again",
				inv->path, damage.text, name);
}

static int check_file_system(const struct inventory *inv, bool allow_tmpfs,
			     struct larder_error *err)
{
	struct statfs fs;

	if (fstatfs(inv->dir_fd, &fs))
		return larder_error_set(err, errno, "statfs %s: %s", inv->dir, strerror(errno));
	if (!allow_tmpfs && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC))
		return larder_error_set(err, EINVAL,
					"state_dir %s is on tmpfs and would not survive "
					"a reboot: choose a directory on a disk",
					inv->dir);
	return 0;
}

/* A record lock: a child that was forked does not inherit it, and so cannot keep it. */
static int lock_state(struct inventory *inv, struct larder_error *err)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	inv->lock_fd =
		openat(inv->dir_fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (inv->lock_fd < 0)
		return larder_error_set(err, errno, "open %s/" LOCK_NAME ": %s", inv->dir,
					strerror(errno));
	if (fcntl(inv->lock_fd, F_SETLK, &lock) == 0)
		return 0;
	if (errno != EAGAIN && errno != EACCES)
		return larder_error_set(err, errno, "lock %s/" LOCK_NAME ": %s", inv->dir,
					strerror(errno));
	(void)fcntl(inv->lock_fd, F_GETLK, &lock);
	return larder_error_set(err, EBUSY,
				"state_dir %s is in use by process %d: one larderd, one "
				"state_dir",
				inv->dir, (int)lock.l_pid);
}

static int open_state(struct inventory *inv, const char *dir, bool allow_tmpfs,
		      struct larder_error *err)
{
	int rc;

	inv->dir = strdup(dir);
	if (!inv->dir || asprintf(&inv->path, "%s/" DB_NAME, dir) < 0) {
		inv->path = NULL;
		return larder_error_set(err, ENOMEM, "open the inventory in %s", dir);
	}
	if (mkdir(dir, 0700) && errno != EEXIST)
		return larder_error_set(err, errno, "make state_dir %s: %s", dir, strerror(errno));
	inv->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (inv->dir_fd < 0)
		return larder_error_set(err, errno, "open state_dir %s: %s", dir, strerror(errno));
	rc = check_file_system(inv, allow_tmpfs, err);
	return rc ? rc : lock_state(inv, err);
}

int inventory_open(const char *state_dir, bool allow_tmpfs, struct inventory **out,
		   struct larder_error *err)
{
	struct larder_error own, grant_err;
	struct inventory *inv = calloc(1, sizeof(*inv));
	int rc;

	*out = NULL;
	err = err ? err : &own;
	if (!inv)
		return larder_error_set(err, ENOMEM, "open the inventory in %s", state_dir);
	inv->dir_fd = inv->lock_fd = -1;
	rc = open_state(inv, state_dir, allow_tmpfs, err);
	if (!rc) {
		rc = open_database(inv, err);
		if (inv_is_damage(rc))
			rc = start_anew(inv, err);
	}
	if ((!rc || inv_is_damage(rc)) && inv_grant_open(inv, &grant_err)) {
		*err = grant_err; /* which else keeps what it says of the damage */
		rc = -grant_err.code;
	}
	if (rc && !inv_is_damage(rc)) {
		inventory_close(inv);
		return rc;
	}
	*out = inv;
	return rc;
}

void inventory_close(struct inventory *inv)
{
	if (!inv)
		return;
	if (inv->in_tx)
		inventory_rollback(inv);
	inv_grant_close(inv);
	close_database(inv);
	larder_cleanup_fd(&inv->lock_fd);
	larder_cleanup_fd(&inv->dir_fd);
	free(inv->path);
	free(inv->dir);
	free(inv);
}
