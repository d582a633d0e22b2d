/*
 * What makes commits durable, off the control thread: one thread that syncs the write-ahead log,
 * and has inventory_checkpoint.c copy it. Must not: call back by itself (inventory_dispatch does);
 * forget a failure. Called by inventory.c (start, stop) and the control thread (barrier, dispatch).
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
 *    commit of its own after each checkpoint, and the header is its business. Commits that come
 *    all the time keep the log from being begun anew; when it is long, the next one waits for it.
 *  - The descriptor is open before any frame of this run is written, so it learns of every failed
 *    write-back. A failure is told once, and what it hit may read back well from the page cache and
 *    be lost on the disk. So it sticks: nothing is called durable any more, nothing is checkpointed
 *    (a checkpoint copies frames without their checksums). The next start reads the log with its
 *    checksums and takes what is sound.
 */
#include "larder/cond.h"
#include "store/inventory_sync.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>

#include "larder/cleanup.h"

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

static void *sync_main(void *arg)
{
	struct inv_sync *s = arg;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		if (s->asked > s->done)
			answer_asked(s);
		else if (s->stop)
			break;
		else if (!inv_checkpoint_due(s))
			pthread_cond_wait(&s->wake, &s->lock);
		if (inv_checkpoint_due(s) && inv_checkpoint_wait(s))
			inv_checkpoint_run(s);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
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
	pthread_cond_destroy(&s->rested);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static struct inv_sync *sync_new(void)
{
	struct inv_sync *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->wal_fd = s->event_fd = -1;
	s->last = &s->first;
	pthread_mutex_init(&s->lock, NULL);
	cond_init(&s->wake);
	cond_init(&s->rested);
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
		rc = inv_checkpoint_open(inv, s, err);
	if (!rc)
		rc = start_thread(s, err);
	if (rc) {
		(void)sqlite3_wal_hook(inv->db, NULL, NULL);
		sync_free(s);
		return rc;
	}
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
