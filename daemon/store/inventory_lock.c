/*
 * Locks of the log's index, between this process's own connections: a table instead of the six
 * system calls that each transaction would make. Other processes are kept out for good by one
 * lock on all of it. Must not: call SQLite with the table's mutex held, but for that one lock.
 * Called by inventory_vfs.c, and by SQLite.
 *
 * The rules are those of SQLite's own VFS (shared ones count, an exclusive one is alone), which
 * asks the kernel too because of other processes. Here inventory.lock says already that there is no
 * other larderd, and who reads the database beside us (an admin's sqlite3) is told that it is
 * locked. The connection that came first holds that lock, and is closed last: until then a
 * connection that finds it gone takes it anew.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"

#include "store/inventory_sql.h"

/* Of the database: who begins to read it asks for this byte first (os_unix.c, PENDING_BYTE). */
#define DOOR_BYTE 0x40000000

/* Of one database. */
struct lock_table {
	struct lock_table *next;
	char *path;
	int door_fd; /* -1, or open as long as the table: a close drops all locks of ours */
	unsigned int users;
	struct lock_file *outside; /* keeps other processes out */
	unsigned int shared[SQLITE_SHM_NLOCK];
	unsigned int exclusive; /* mask */
};

struct inv_locks {
	pthread_mutex_t mutex; /* of all that is here */
	struct lock_table *first;
};

/* Of one connection: SQLite's file with three of its methods replaced. */
struct lock_file {
	sqlite3_io_methods methods;
	const sqlite3_io_methods *system;
	struct inv_locks *locks;
	struct lock_table *table;
	unsigned int shared, exclusive; /* masks */
};

static struct lock_file *lock_file_of(sqlite3_file *file)
{
	return (struct lock_file *)(void *)((char *)(uintptr_t)file->pMethods -
					    offsetof(struct lock_file, methods));
}

static unsigned int mask_of(int at, int n)
{
	return ((1u << n) - 1) << at;
}

static void let_go(struct lock_file *lf, unsigned int mask)
{
	for (unsigned int i = 0; i < SQLITE_SHM_NLOCK; i++)
		if (mask & lf->shared & (1u << i))
			lf->table->shared[i]--;
	lf->table->exclusive &= ~(mask & lf->exclusive);
	lf->shared &= ~mask;
	lf->exclusive &= ~mask;
}

/* Asking for what one has is no harm: SQLite does not. */
static int take_shared(struct lock_file *lf, unsigned int mask)
{
	unsigned int wanted = mask & ~lf->shared;

	if (lf->table->exclusive & wanted)
		return SQLITE_BUSY;
	for (unsigned int i = 0; i < SQLITE_SHM_NLOCK; i++)
		if (wanted & (1u << i))
			lf->table->shared[i]++;
	lf->shared |= wanted;
	return SQLITE_OK;
}

static int take_exclusive(struct lock_file *lf, unsigned int mask)
{
	unsigned int wanted = mask & ~lf->exclusive;

	if (lf->table->exclusive & wanted)
		return SQLITE_BUSY;
	for (unsigned int i = 0; i < SQLITE_SHM_NLOCK; i++)
		if (wanted & (1u << i) && lf->table->shared[i])
			return SQLITE_BUSY;
	lf->table->exclusive |= wanted;
	lf->exclusive |= wanted;
	return SQLITE_OK;
}

/*
 * Who opens the database from now on is told at once that it is locked; without this, after ten
 * seconds of trying. No harm if it fails. Our own connections ask for the byte no more: the first
 * has its shared lock by now, and SQLite counts the others'.
 */
static void shut_door(struct lock_table *table)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = DOOR_BYTE, .l_len = 1};

	if (table->door_fd < 0)
		table->door_fd = open(table->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (table->door_fd >= 0)
		(void)fcntl(table->door_fd, F_SETLK, &lock);
}

static int keep_others_out(struct lock_file *lf, sqlite3_file *file)
{
	int rc = SQLITE_OK;

	if (lf->table->outside)
		return rc;
	rc = lf->system->xShmLock(file, 0, SQLITE_SHM_NLOCK,
				  SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE);
	if (rc != SQLITE_OK)
		return rc;
	lf->table->outside = lf;
	shut_door(lf->table);
	return rc;
}

static int lock_shm(sqlite3_file *file, int at, int n, int flags)
{
	struct lock_file *lf = lock_file_of(file);
	int rc = SQLITE_OK;

	pthread_mutex_lock(&lf->locks->mutex);
	if (flags & SQLITE_SHM_UNLOCK)
		let_go(lf, mask_of(at, n));
	else
		rc = keep_others_out(lf, file);
	if (rc == SQLITE_OK && flags == (SQLITE_SHM_LOCK | SQLITE_SHM_SHARED))
		rc = take_shared(lf, mask_of(at, n));
	else if (rc == SQLITE_OK && flags == (SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE))
		rc = take_exclusive(lf, mask_of(at, n));
	pthread_mutex_unlock(&lf->locks->mutex);
	return rc;
}

static void forget_locks(struct lock_file *lf)
{
	let_go(lf, mask_of(0, SQLITE_SHM_NLOCK));
	if (lf->table->outside == lf)
		lf->table->outside = NULL;
}

static int unmap_shm(sqlite3_file *file, int remove)
{
	struct lock_file *lf = lock_file_of(file);
	int rc;

	pthread_mutex_lock(&lf->locks->mutex);
	rc = lf->system->xShmUnmap(file, remove); /* lets the kernel's lock go, too */
	forget_locks(lf);
	pthread_mutex_unlock(&lf->locks->mutex);
	return rc;
}

static void table_free(struct lock_table *table)
{
	larder_cleanup_fd(&table->door_fd);
	free(table->path);
	free(table);
}

static struct lock_table *table_create(const char *path)
{
	struct lock_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->door_fd = -1;
	table->path = strdup(path);
	if (table->path)
		return table;
	table_free(table);
	return NULL;
}

/* Counted; NULL: no memory. */
static struct lock_table *table_get(struct inv_locks *locks, const char *path)
{
	struct lock_table *table = locks->first;

	while (table && strcmp(table->path, path) != 0)
		table = table->next;
	if (!table && (table = table_create(path))) {
		table->next = locks->first;
		locks->first = table;
	}
	if (table)
		table->users++;
	return table;
}

static void table_put(struct inv_locks *locks, struct lock_table *table)
{
	struct lock_table **at = &locks->first;

	if (--table->users)
		return;
	while (*at != table)
		at = &(*at)->next;
	*at = table->next;
	table_free(table);
}

static int close_file(sqlite3_file *file)
{
	struct lock_file *lf = lock_file_of(file);
	int rc;

	pthread_mutex_lock(&lf->locks->mutex);
	file->pMethods = lf->system;
	rc = lf->system->xClose(file);
	forget_locks(lf);
	if (lf->table->outside)
		shut_door(lf->table); /* SQLite tried for the whole database, and let go of it */
	table_put(lf->locks, lf->table);
	pthread_mutex_unlock(&lf->locks->mutex);
	free(lf);
	return rc;
}

int inv_lock_adopt(struct inv_locks *locks, const char *path, sqlite3_file *file)
{
	struct lock_file *lf = calloc(1, sizeof(*lf));

	if (!lf)
		return SQLITE_NOMEM;
	pthread_mutex_lock(&locks->mutex);
	lf->table = table_get(locks, path);
	pthread_mutex_unlock(&locks->mutex);
	if (!lf->table) {
		free(lf);
		return SQLITE_NOMEM;
	}
	lf->locks = locks;
	lf->system = file->pMethods;
	lf->methods = *file->pMethods;
	lf->methods.xShmLock = lock_shm;
	lf->methods.xShmUnmap = unmap_shm;
	lf->methods.xClose = close_file;
	file->pMethods = &lf->methods;
	return SQLITE_OK;
}

struct inv_locks *inv_locks_create(void)
{
	struct inv_locks *locks = calloc(1, sizeof(*locks));

	if (locks)
		pthread_mutex_init(&locks->mutex, NULL);
	return locks;
}
