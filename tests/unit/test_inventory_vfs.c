/*
 * store/inventory_vfs and inventory_lock: the log that SQLite gets when its writes are gathered is
 * the one it meant, byte by byte enough for a recovery; a commit is one write, or none and an
 * error; and our connections are in each other's way as SQLite's rules say, others are kept out.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "larder/cleanup.h"
#include "scratch.h"
#include "store/inventory_sql.h"

/* SQLite's writes and locks, in our hands. */
static struct {
	unsigned int writes, locks;
	int fail_with; /* the next one, once */
} hook;

int fcntl64(int fd, int command, ...)
{
	va_list args;
	long arg;

	va_start(args, command);
	arg = va_arg(args, long); /* an int, or a pointer */
	va_end(args);
	hook.locks += command == F_SETLK ? 1 : 0;
	return (int)syscall(SYS_fcntl, fd, command, arg);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
	hook.writes++;
	if (hook.fail_with) {
		errno = hook.fail_with;
		hook.fail_with = 0;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, data, len, at);
}

struct world {
	char *dir;
	sqlite3 *db;
	uint32_t random;
};

static void run(sqlite3 *db, const char *sql)
{
	char *said = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &said) != SQLITE_OK)
		fail_msg("%s: %s", sql, said);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct larder_error err;
	const char *path;

	w->dir = scratch_create();
	w->random = 1;
	path = scratch_path(w->dir, "inventory.db");
	scratch_write(path, "", 0);
	if (inv_connect(path, &w->db, &err))
		fail_msg("%s", err.text);
	run(w->db, "CREATE TABLE t (id INTEGER PRIMARY KEY, bytes BLOB); CREATE TABLE u (n);"
		   "INSERT INTO u VALUES (0)");
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	assert_int_equal(sqlite3_close(w->db), SQLITE_OK);
	scratch_destroy(w->dir);
	free(w);
	return 0;
}

static unsigned int below(struct world *w, unsigned int n)
{
	w->random = w->random * 1103515245 + 12345;
	return (w->random >> 8) % n;
}

/* Everything, as text. */
static void digest(sqlite3 *db, char *buf, size_t len)
{
	sqlite3_stmt *st;

	assert_int_equal(
		sqlite3_prepare_v2(db,
				   "SELECT count(*) || ' ' || coalesce(sum(id), 0) || ' ' || "
				   "coalesce(sum(length(bytes)), 0) || ' ' || "
				   "coalesce(group_concat(hex(substr(bytes, 1, 4))), '') FROM t",
				   -1, &st, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	snprintf(buf, len, "%s", (const char *)sqlite3_column_text(st, 0));
	sqlite3_finalize(st);
}

static void copy(struct world *w, const char *name, const char *to)
{
	char bytes[65536];
	auto_fd int in = open(scratch_path(w->dir, "%s", name), O_RDONLY);
	auto_fd int out = open(scratch_path(w->dir, "%s", to), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, bytes, sizeof(bytes))) > 0)
		assert_int_equal(write(out, bytes, (size_t)n), n);
}

/* What a crash now would leave, read by SQLite without our help. */
static void assert_recovers(struct world *w)
{
	char ours[8192], theirs[8192];
	sqlite3 *db;

	unlink(scratch_path(w->dir, "copy-shm"));
	copy(w, "inventory.db", "copy");
	copy(w, "inventory.db-wal", "copy-wal");
	assert_int_equal(
		sqlite3_open_v2(scratch_path(w->dir, "copy"), &db, SQLITE_OPEN_READWRITE, "unix"),
		SQLITE_OK);
	digest(w->db, ours, sizeof(ours));
	digest(db, theirs, sizeof(theirs));
	assert_string_equal(theirs, ours);
	run(db, "PRAGMA integrity_check");
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void change(struct world *w)
{
	char sql[200];
	unsigned int id = below(w, 200);

	switch (below(w, 4)) {
	case 0: snprintf(sql, sizeof(sql), "DELETE FROM t WHERE id = %u", id); break;
	case 1: /* pages that may be in the log already: SQLite writes them over, and their heads */
		snprintf(sql, sizeof(sql),
			 "UPDATE t SET bytes = randomblob(%u) WHERE id BETWEEN %u AND %u",
			 below(w, 9000), id, id + 20);
		break;
	default:
		snprintf(sql, sizeof(sql), "INSERT OR REPLACE INTO t VALUES (%u, randomblob(%u))",
			 id, below(w, 40000));
	}
	run(w->db, sql);
}

/*
 * A small cache, so that pages go into the log before their commit, and are read back from there.
 * The inventory's settings forbid it: together with savepoints that are rolled back, as below,
 * SQLite 3.40 itself writes a log here of which a recovery reads a part only, without our VFS too.
 */
static void test_same_log(void **state)
{
	struct world *w = *state;

	run(w->db, "PRAGMA cache_size = 10; PRAGMA cache_spill = ON");
	for (int round = 0; round < 150; round++) {
		bool keep = below(w, 4) > 0;

		run(w->db, "BEGIN IMMEDIATE");
		for (unsigned int i = below(w, 30); i > 0; i--)
			change(w);
		run(w->db, keep ? "COMMIT" : "ROLLBACK");
		assert_recovers(w);
		if (below(w, 20) == 0)
			run(w->db, "PRAGMA wal_checkpoint(RESTART)");
		if (below(w, 20) == 0)
			run(w->db, "PRAGMA wal_checkpoint(TRUNCATE)");
	}
}

static void change_in_savepoint(struct world *w)
{
	run(w->db, "SAVEPOINT s");
	for (unsigned int i = below(w, 6); i > 0; i--)
		change(w);
	run(w->db, below(w, 2) ? "ROLLBACK TO s; RELEASE s" : "RELEASE s");
}

static void test_savepoints(void **state)
{
	struct world *w = *state;

	run(w->db, "PRAGMA cache_size = 10");
	for (int round = 0; round < 60; round++) {
		run(w->db, "BEGIN IMMEDIATE");
		for (unsigned int i = below(w, 10); i > 0; i--) {
			change_in_savepoint(w);
			change(w);
		}
		run(w->db, below(w, 4) ? "COMMIT" : "ROLLBACK");
		assert_recovers(w);
	}
}

static const char five_pages[] = "BEGIN IMMEDIATE; INSERT INTO t VALUES (1000, zeroblob(16000));"
				 "UPDATE u SET n = n + 1; COMMIT";

static void test_one_write(void **state)
{
	struct world *w = *state;

	run(w->db, "UPDATE u SET n = 1");
	hook.writes = 0;
	run(w->db, five_pages);
	assert_int_equal(hook.writes, 1);
	assert_recovers(w);
}

static void test_failed_write_is_no_commit(void **state)
{
	struct world *w = *state;

	run(w->db, "UPDATE u SET n = 1");
	hook.fail_with = ENOSPC;
	assert_int_equal(sqlite3_exec(w->db, five_pages, NULL, NULL, NULL), SQLITE_FULL);
	(void)sqlite3_exec(w->db, "ROLLBACK", NULL, NULL, NULL);
	assert_recovers(w);
	run(w->db, five_pages);
	assert_recovers(w);
}

/* --- locks */

static sqlite3 *second(struct world *w)
{
	struct larder_error err;
	sqlite3 *db;

	if (inv_connect(scratch_path(w->dir, "inventory.db"), &db, &err))
		fail_msg("%s", err.text);
	assert_int_equal(sqlite3_busy_timeout(db, 0), SQLITE_OK);
	return db;
}

static int try(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) & 0xff;
}

static int number(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *st;
	int n;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return n;
}

static void test_one_writer(void **state)
{
	struct world *w = *state;
	sqlite3 *other = second(w);

	run(w->db, "BEGIN IMMEDIATE; UPDATE u SET n = 1");
	assert_int_equal(try(other, "BEGIN IMMEDIATE"), SQLITE_BUSY);
	assert_int_equal(number(other, "SELECT n FROM u"), 0);
	run(w->db, "COMMIT");
	assert_int_equal(try(other, "UPDATE u SET n = n + 1"), SQLITE_OK);
	assert_int_equal(number(w->db, "SELECT n FROM u"), 2);
	run(other, "BEGIN IMMEDIATE");
	assert_int_equal(sqlite3_close(other), SQLITE_OK); /* lets go of what it held */
	run(w->db, "UPDATE u SET n = 3");
}

/* A reader goes on reading what it began with, and what it reads is not written over. */
static void test_reader_holds_the_log(void **state)
{
	struct world *w = *state;
	sqlite3 *other = second(w);

	run(w->db, "BEGIN; SELECT n FROM u");
	run(other, "UPDATE u SET n = 7");
	assert_int_equal(number(other, "PRAGMA wal_checkpoint(RESTART)"), 1); /* busy */
	run(other, five_pages);
	assert_int_equal(number(w->db, "SELECT n FROM u"), 0);
	assert_int_equal(number(w->db, "SELECT count(*) FROM t"), 0);
	run(w->db, "COMMIT");
	assert_int_equal(number(w->db, "SELECT n FROM u"), 8);
	assert_int_equal(number(other, "PRAGMA wal_checkpoint(TRUNCATE)"), 0);
	assert_int_equal(number(w->db, "SELECT n FROM u"), 8);
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
	assert_recovers(w);
}

static void test_no_system_call(void **state)
{
	struct world *w = *state;

	run(w->db, "UPDATE u SET n = 1");
	hook.locks = 0;
	run(w->db, five_pages);
	assert_int_equal(number(w->db, "SELECT n FROM u"), 2);
	assert_int_equal(hook.locks, 0);
}

/* What main does when it is called with a database: SQLite as it is, in another process. */
static int stranger(const char *path)
{
	sqlite3 *db;
	int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix");

	if (rc == SQLITE_OK)
		rc = try(db, "UPDATE u SET n = n + 1");
	if (rc == SQLITE_OK || rc == SQLITE_BUSY)
		rc = try(db, "SELECT * FROM u");
	sqlite3_close(db);
	return rc;
}

static int ask_stranger(struct world *w)
{
	char self[] = "/proc/self/exe";
	char *argv[] = {self, strdup(scratch_path(w->dir, "inventory.db")), NULL};
	pid_t pid;
	int status;

	assert_int_equal(posix_spawn(&pid, self, NULL, NULL, argv, environ), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	free(argv[1]);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_others_are_kept_out(void **state)
{
	struct world *w = *state;
	sqlite3 *other = second(w);

	assert_int_equal(ask_stranger(w), SQLITE_BUSY);
	assert_int_equal(number(other, "SELECT n FROM u"), 0);
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
	assert_int_equal(ask_stranger(w), SQLITE_BUSY); /* the first one is still there */
	assert_int_equal(number(w->db, "SELECT n FROM u"), 0);
	assert_int_equal(sqlite3_close(w->db), SQLITE_OK);
	assert_int_equal(ask_stranger(w), SQLITE_OK);
	w->db = second(w);
	assert_int_equal(number(w->db, "SELECT n FROM u"), 1);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return stranger(argv[1]);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_writer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reader_holds_the_log, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_system_call, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others_are_kept_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same_log, setup, teardown),
		cmocka_unit_test_setup_teardown(test_savepoints, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failed_write_is_no_commit, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
