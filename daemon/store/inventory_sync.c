/*
 * What makes commits durable, off the control thread: one thread that syncs the write-ahead log and
 * checkpoints it. Must not: call back by itself (inventory_dispatch does), give up a failure.
 * Called by inventory.c (start, stop) and the control thread (barrier, dispatch).
 *
 * Why a sync of inventory.db-wal makes every earlier commit durable:
 *  - A commit has written its frames into the log (write(2)) before a barrier can be asked for, and
 *    fdatasync of any descriptor of that inode covers them and the file's length.
 *  - The log's name: it is never removed while we run nor at the end (PERSIST_WAL); directory and
 *    log are synced once at the start, after the first frames were written.
 *  - Frames that are no more in the log: it is begun anew only when all of it was copied into the
 *    database and the database was synced (SQLite does both in a checkpoint that reaches the end).
 *  - The header of a log begun anew is synced by SQLite before its first frames, for frames of two
 *    logs must not mix. That would be an fsync on the control thread: so this thread makes a small
 *    commit of its own after each complete checkpoint, and the header is its business.
 *  - The descriptor is open before any frame of this run is written, so it learns of every failed
 *    write-back. A failure is told once, and what it hit may read back well from the page cache and
 *    be lost on the disk. So it sticks: nothing is called durable any more, nothing is checkpointed
 *    (a checkpoint copies frames without their checksums). The next start reads the log with its
 *    checksums and takes what is sound.
 */
#include "store/inventory_sql.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "larder/cleanup.h"

#define PAGE_BYTES  4096
#define LOG_PAGES   ((4 << 20) / PAGE_BYTES)  /* checkpoint above this, when idle */
#define LOG_URGENT  ((12 << 20) / PAGE_BYTES) /* so much further: idle or not */
#define LOG_RESTART ((64 << 20) / PAGE_BYTES) /* writers wait while the rest is copied */
#define IDLE_MS     100
#define OWN_BUSY_MS 50 /* how long a foreign reader (an admin's sqlite3) may hold RESTART up */

struct waiter {
	struct waiter *next;
	uint64_t ticket;
	inventory_barrier_fn fn;
	void *arg;
};

struct inv_sync {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	int wal_fd, event_fd;
	sqlite3 *db;       /* the thread's own */
	sqlite3_stmt *mark; /* its small commit */
	/* under lock */
	uint64_t asked; /* the last ticket */
	uint64_t done;  /* tickets up to this are answered */
	uint64_t good;  /* and up to this well */
	int stuck;      /* -errno of the first failure; for ever */
	int log_pages;  /* frames in the log after the last commit */
	int due_pages;  /* checkpoint above this */
	uint64_t commits;
	bool stop;
	/* the control thread's */
	struct waiter *first, **last;
};

static int sync_fd(int fd)
{
	while (fdatasync(fd))
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* One sync for all who asked before it began. Lock held, and let go while it runs. */
static void answer_asked(struct inv_sync *s)
{
	uint64_t target = s->asked;
	int rc = s->stuck;

	pthread_mutex_unlock(&s->lock);
	if (!rc)
		rc = sync_fd(s->wal_fd);
	pthread_mutex_lock(&s->lock);
	if (rc && !s->stuck)
		s->stuck = rc;
	if (!s->stuck)
		s->good = target;
	s->done = target;
	(void)eventfd_write(s->event_fd, 1);
}

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

/*
 * PASSIVE waits for nobody. Then, if it reached the end, a commit that begins the log anew here (a
 * commit of the control thread that slips in between does that itself, which is slower and sound).
 */
static int checkpoint(struct inv_sync *s, bool insist, bool *complete)
{
	int pages = 0, copied = 0;
	int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &copied);

	if (rc == SQLITE_OK && copied < pages && insist)
		rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_RESTART, &pages,
					       &copied);
	*complete = rc == SQLITE_OK && copied == pages;
	if (*complete) {
		rc = sqlite3_step(s->mark);
		rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
		(void)sqlite3_reset(s->mark);
	}
	return is_lost_write(rc) ? -EIO : 0;
}

static void checkpoint_unlocked(struct inv_sync *s)
{
	int before = s->log_pages;
	bool complete = false;
	int rc;

	/* The next commit tells how much is left; without one there is nothing to gain. */
	s->log_pages = 0;
	pthread_mutex_unlock(&s->lock);
	rc = checkpoint(s, before >= LOG_RESTART, &complete);
	pthread_mutex_lock(&s->lock);
	if (rc && !s->stuck)
		s->stuck = rc;
	/* Held up by a reader: not again at every commit, only when it has grown as much again. */
	s->due_pages = complete ? LOG_PAGES : before + LOG_PAGES;
}

static bool log_due(const struct inv_sync *s)
{
	return !s->stuck && s->log_pages >= s->due_pages;
}

static bool log_urgent(const struct inv_sync *s)
{
	return !s->stuck && s->log_pages >= s->due_pages + LOG_URGENT;
}

static struct timespec after_ms(long ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += ms * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

/* Waits until nobody commits, a barrier is asked for, or the log is urgent. True: checkpoint now. */
static bool log_is_idle(struct inv_sync *s)
{
	while (!s->stop && s->asked == s->done && !log_urgent(s)) {
		struct timespec until = after_ms(IDLE_MS);
		uint64_t commits = s->commits;
		int rc = 0;

		while (!rc && !s->stop && s->asked == s->done && !log_urgent(s))
			rc = pthread_cond_timedwait(&s->wake, &s->lock, &until);
		if (rc && s->commits == commits)
			return true;
	}
	return !s->stop && log_urgent(s);
}

static void *sync_main(void *arg)
{
	struct inv_sync *s = arg;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		if (s->asked > s->done)
			answer_asked(s);
		else if (s->stop)
			break;
		else if (!log_due(s))
			pthread_cond_wait(&s->wake, &s->lock);
		if (log_due(s) && log_is_idle(s))
			checkpoint_unlocked(s);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* After each commit of the control thread, its write lock let go. */
static int on_commit(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct inv_sync *s = arg;
	bool due, urgent;

	(void)db, (void)name;
	pthread_mutex_lock(&s->lock);
	due = log_due(s);
	urgent = log_urgent(s);
	s->commits++;
	s->log_pages = pages;
	/* Waking it once is enough to begin, once more to hurry. */
	if (due != log_due(s) || urgent != log_urgent(s))
		pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	return SQLITE_OK;
}

static int open_log(struct inventory *inv, struct inv_sync *s, struct larder_error *err)
{
	s->wal_fd = openat(inv->dir_fd, "inventory.db-wal", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (s->wal_fd < 0)
		return larder_error_set(err, errno, "open %s-wal: %s", inv->path, strerror(errno));
	if (sync_fd(s->wal_fd) || fsync(inv->dir_fd))
		return larder_error_set(err, errno, "sync %s-wal: %s", inv->path, strerror(errno));
	s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->event_fd < 0)
		return larder_error_set(err, errno, "eventfd: %s", strerror(errno));
	return 0;
}

static int open_own(struct inventory *inv, struct inv_sync *s, struct larder_error *err)
{
	static const char mark[] = "UPDATE meta SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) "
				   "WHERE key = 'logs'";
	int rc = inv_connect(inv->path, &s->db, err);

	if (!rc && sqlite3_prepare_v3(s->db, mark, -1, SQLITE_PREPARE_PERSISTENT, &s->mark, NULL) !=
			   SQLITE_OK)
		rc = inv_fail(s->db, err, "prepare");
	if (!rc)
		(void)sqlite3_busy_timeout(s->db, OWN_BUSY_MS);
	return rc;
}

/* Signals are the control thread's. */
static int start_thread(struct inv_sync *s, struct larder_error *err)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&s->thread, NULL, sync_main, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		return larder_error_set(err, rc, "start the inventory's thread: %s", strerror(rc));
	(void)pthread_setname_np(s->thread, "inventory");
	return 0;
}

static void sync_free(struct inv_sync *s)
{
	while (s->first) {
		struct waiter *w = s->first;

		s->first = w->next;
		free(w);
	}
	sqlite3_finalize(s->mark);
	(void)sqlite3_close(s->db);
	larder_cleanup_fd(&s->wal_fd);
	larder_cleanup_fd(&s->event_fd);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static struct inv_sync *sync_new(void)
{
	struct inv_sync *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (!s)
		return NULL;
	s->wal_fd = s->event_fd = -1;
	s->due_pages = LOG_PAGES;
	s->last = &s->first;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &attr);
	pthread_condattr_destroy(&attr);
	return s;
}

int inv_sync_start(struct inventory *inv, struct larder_error *err)
{
	struct inv_sync *s = sync_new();
	int rc;

	if (!s)
		return larder_error_set(err, ENOMEM, "start the inventory's thread");
	rc = open_log(inv, s, err);
	if (!rc)
		rc = open_own(inv, s, err);
	if (!rc)
		rc = start_thread(s, err);
	if (rc) {
		sync_free(s);
		return rc;
	}
	(void)sqlite3_wal_hook(inv->db, on_commit, s);
	inv->sync = s;
	return 0;
}

int inv_sync_stop(struct inventory *inv)
{
	struct inv_sync *s = inv->sync;
	int stuck;

	(void)sqlite3_wal_hook(inv->db, NULL, NULL);
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	stuck = s->stuck;
	if (stuck)
		(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sync_free(s);
	inv->sync = NULL;
	return stuck;
}

int inventory_barrier(struct inventory *inv, inventory_barrier_fn fn, void *arg)
{
	struct inv_sync *s = inv->sync;
	struct waiter *w = calloc(1, sizeof(*w));

	/* What an open transaction wrote is not in the log yet: a barrier here would lie. */
	assert(!inv->in_tx);
	if (!w)
		return -ENOMEM;
	w->fn = fn;
	w->arg = arg;
	*s->last = w;
	s->last = &w->next;
	pthread_mutex_lock(&s->lock);
	w->ticket = ++s->asked;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

int inventory_fd(const struct inventory *inv)
{
	return inv->sync->event_fd;
}

int inventory_stuck(const struct inventory *inv)
{
	struct inv_sync *s = inv->sync;
	int stuck;

	pthread_mutex_lock(&s->lock);
	stuck = s->stuck;
	pthread_mutex_unlock(&s->lock);
	return stuck;
}

void inventory_dispatch(struct inventory *inv)
{
	struct inv_sync *s = inv->sync;
	uint64_t done, good;
	eventfd_t ignored;
	int stuck;

	(void)eventfd_read(s->event_fd, &ignored);
	pthread_mutex_lock(&s->lock);
	done = s->done;
	good = s->good;
	stuck = s->stuck;
	pthread_mutex_unlock(&s->lock);
	while (s->first && s->first->ticket <= done) {
		struct waiter *w = s->first;
		int rc = w->ticket <= good ? 0 : stuck;

		s->first = w->next;
		if (!s->first)
			s->last = &s->first;
		w->fn(rc, w->arg);
		free(w);
	}
}
