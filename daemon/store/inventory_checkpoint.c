/*
 * Checkpoints: when the log is long, its frames go to the database and it is begun anew, on the
 * thread of inventory_sync.c and on a connection of its own.
 * Must not: run on the control thread; go on after a failure (see inventory_sync.c).
 * Called by inventory_sync.c, and by SQLite after each commit.
 */
#include "larder/clock.h"
#include "larder/cond.h"
#include "store/inventory_sync.h"

#include <errno.h>

#define LOG_BYTES   (4 << 20)  /* checkpoint above this, when idle */
#define LOG_URGENT  (12 << 20) /* so much further: idle or not */
#define LOG_INSIST  (32 << 20) /* the writer waits while the rest is copied */
#define IDLE_MS	    100
#define OWN_BUSY_MS 250 /* how long a foreign reader (an admin's sqlite3) may hold that up */
#define INSIST_MS   500 /* how long the control thread ever waits for it */
#define PASSES	    6	/* before insisting, */
#define QUICK_MS    20	/* unless one was over in this time: then its syncs cost little just now */

/* The database's disk being full is no lost write: what was not copied is still in the log. */
static bool is_lost_write(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_FULL:
	case SQLITE_NOMEM: return false;
	default: return true;
	}
}

/* After the small commit. */
static int on_mark(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct inv_sync *s = arg;

	(void)db, (void)name;
	s->mark_bytes = pages * s->page_bytes;
	return SQLITE_OK;
}

static int insist_on_rest(struct inv_sync *s)
{
	pthread_mutex_lock(&s->lock);
	s->insisting = true;
	pthread_mutex_unlock(&s->lock);
	return sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
}

/*
 * PASSIVE waits for nobody, but what is committed meanwhile stays uncopied and keeps the log.
 * RESTART copies that and syncs, with the writers kept out. Beside a transfer to the same disk a
 * sync can take seconds, so it is not asked for before PASSIVE left it little to do.
 */
static int checkpoint(struct inv_sync *s, bool insist, bool *begun_anew)
{
	int64_t began, took = QUICK_MS + 1;
	int rc = SQLITE_OK;

	for (int i = 0; i < (insist ? PASSES : 1) && rc == SQLITE_OK && took > QUICK_MS; i++) {
		began = clock_mono_ms();
		rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
		took = clock_mono_ms() - began;
	}
	if (rc == SQLITE_OK && insist)
		rc = insist_on_rest(s);
	s->mark_bytes = 0;
	if (rc == SQLITE_OK) {
		rc = sqlite3_step(s->mark);
		rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
		(void)sqlite3_reset(s->mark);
	}
	*begun_anew = s->mark_bytes > 0 && s->mark_bytes < LOG_BYTES;
	return is_lost_write(rc) ? -EIO : 0;
}

void inv_checkpoint_run(struct inv_sync *s)
{
	int64_t before = s->log_bytes;
	bool begun_anew = false;
	int rc;

	/* The next commit tells how much is left; without one there is nothing to gain. */
	s->log_bytes = 0;
	pthread_mutex_unlock(&s->lock);
	rc = checkpoint(s, before >= LOG_INSIST, &begun_anew);
	pthread_mutex_lock(&s->lock);
	if (rc && !s->stuck)
		s->stuck = rc;
	s->insisting = false;
	pthread_cond_signal(&s->rested);
	/* Held up by commits or a reader: not again at once, but when it has grown as much. */
	s->due_bytes = begun_anew ? LOG_BYTES : before + LOG_BYTES;
}

bool inv_checkpoint_due(const struct inv_sync *s)
{
	return !s->stuck && s->log_bytes >= s->due_bytes;
}

static bool log_urgent(const struct inv_sync *s)
{
	return !s->stuck && s->log_bytes >= s->due_bytes + LOG_URGENT;
}

bool inv_checkpoint_wait(struct inv_sync *s)
{
	while (!s->stop && s->asked == s->done && !log_urgent(s)) {
		int64_t until = clock_mono_ms() + IDLE_MS;
		uint64_t commits = s->commits;
		int rc = 0;

		while (!rc && !s->stop && s->asked == s->done && !log_urgent(s))
			rc = cond_wait_until(&s->wake, &s->lock, until);
		if (rc && s->commits == commits)
			return true;
	}
	return !s->stop && log_urgent(s);
}

/* Without this the thread would never get the write lock from one that takes it again at once. */
static void wait_for_rest(struct inv_sync *s)
{
	int64_t until = clock_mono_ms() + INSIST_MS;

	while (s->insisting)
		if (cond_wait_until(&s->rested, &s->lock, until))
			return;
}

/* After each commit of the control thread, its write lock let go. */
static int on_commit(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct inv_sync *s = arg;
	bool due, urgent;

	(void)db, (void)name;
	pthread_mutex_lock(&s->lock);
	due = inv_checkpoint_due(s);
	urgent = log_urgent(s);
	s->commits++;
	s->log_bytes = pages * s->page_bytes;
	/* Waking it once is enough to begin, once more to hurry. */
	if (due != inv_checkpoint_due(s) || urgent != log_urgent(s))
		pthread_cond_signal(&s->wake);
	if (s->insisting)
		wait_for_rest(s);
	pthread_mutex_unlock(&s->lock);
	return SQLITE_OK;
}

/* An inventory that an older larderd made has larger pages. */
static int page_bytes(struct inv_sync *s, struct larder_error *err)
{
	sqlite3_stmt *st = NULL;
	int rc = 0;

	if (sqlite3_prepare_v2(s->db, "PRAGMA page_size", -1, &st, NULL) != SQLITE_OK ||
	    sqlite3_step(st) != SQLITE_ROW)
		rc = inv_fail(s->db, err, "page_size");
	else
		s->page_bytes = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return rc;
}

int inv_checkpoint_open(struct inventory *inv, struct inv_sync *s, struct larder_error *err)
{
	static const char mark[] =
		"UPDATE meta SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) "
		"WHERE key = 'logs'";
	int rc = inv_connect(inv->path, &s->db, err);

	if (!rc && sqlite3_prepare_v3(s->db, mark, -1, SQLITE_PREPARE_PERSISTENT, &s->mark, NULL) !=
			   SQLITE_OK)
		rc = inv_fail(s->db, err, "prepare");
	if (rc)
		return rc;
	rc = page_bytes(s, err);
	if (rc)
		return rc;
	(void)sqlite3_busy_timeout(s->db, OWN_BUSY_MS);
	(void)sqlite3_wal_hook(s->db, on_mark, s);
	s->due_bytes = LOG_BYTES;
	(void)sqlite3_wal_hook(inv->db, on_commit, s);
	return 0;
}
