/*
 * A VFS for SQLite that writes the log's frames of one commit with one call: SQLite writes each
 * frame in two, head and page, and a lease's commit has several. Locks of the log's index are
 * inventory_lock.c's; all else is the system's own VFS.
 * Must not: hold back anything once a commit's last frame was written, or reorder writes.
 * Used by inventory.c when it opens a connection.
 *
 * Only what is appended is gathered: a head that follows what was written last, and the page behind
 * it. The last frame of a commit says so in its head (the database's size, else 0); with its page
 * all goes out, and an error is that write's, so that SQLite rolls the commit back. What another
 * connection, a barrier or a checkpoint may look at was therefore written by then; what this one
 * reads, syncs or cuts itself is written before.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "store/inventory_sql.h"

#define VFS_NAME     "larder"
#define HEAD_BYTES   24		   /* of a frame; the log's own has 32 */
#define GATHER_BYTES (31u * 4120u) /* SQLite writes no more than 128 KiB with one call */

struct log_file {
	sqlite3_file base; /* first: SQLite's view of it */
	sqlite3_file *real;
	sqlite3_int64 at;   /* where what was gathered begins */
	sqlite3_int64 next; /* the end of what SQLite wrote last */
	int len;
	bool commit; /* the last head was that of a commit's last frame */
	unsigned char *bytes;
};

struct vfs {
	sqlite3_vfs vfs;
	sqlite3_vfs *system;
	struct inv_locks *locks;
};

static struct log_file *log_of(sqlite3_file *file)
{
	return (struct log_file *)(void *)file;
}

static int log_flush(struct log_file *log)
{
	int len = log->len;

	log->len = 0;
	return len ? log->real->pMethods->xWrite(log->real, log->bytes, len, log->at) : SQLITE_OK;
}

static bool is_commit(const void *head)
{
	uint32_t pages;

	memcpy(&pages, (const char *)head + 4, sizeof(pages));
	return be32toh(pages) != 0;
}

/* A head that is written again alone (SQLite corrects checksums so) follows nothing. */
static bool is_appended(const struct log_file *log, int n, sqlite3_int64 at)
{
	return at == log->next && (n == HEAD_BYTES || log->len > 0);
}

static int log_write(sqlite3_file *file, const void *data, int n, sqlite3_int64 at)
{
	struct log_file *log = log_of(file);
	bool gather = is_appended(log, n, at) && n <= (int)GATHER_BYTES;
	int rc = SQLITE_OK;

	if (!gather || log->len + n > (int)GATHER_BYTES)
		rc = log_flush(log);
	if (rc != SQLITE_OK)
		return rc;
	log->next = at + n;
	if (n == HEAD_BYTES)
		log->commit = is_commit(data);
	if (!gather)
		return log->real->pMethods->xWrite(log->real, data, n, at);
	if (!log->len)
		log->at = at;
	memcpy(log->bytes + log->len, data, (size_t)n);
	log->len += n;
	return log->commit && n != HEAD_BYTES ? log_flush(log) : SQLITE_OK;
}

static int log_close(sqlite3_file *file)
{
	struct log_file *log = log_of(file);
	int rc = log_flush(log);
	int closed = log->real->pMethods->xClose(log->real);

	free(log->bytes);
	log->bytes = NULL;
	return rc == SQLITE_OK ? closed : rc;
}

static int log_read(sqlite3_file *file, void *into, int n, sqlite3_int64 at)
{
	struct log_file *log = log_of(file);
	int rc = log_flush(log);

	return rc == SQLITE_OK ? log->real->pMethods->xRead(log->real, into, n, at) : rc;
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct log_file *log = log_of(file);
	int rc = log_flush(log);

	return rc == SQLITE_OK ? log->real->pMethods->xTruncate(log->real, size) : rc;
}

static int log_sync(sqlite3_file *file, int flags)
{
	struct log_file *log = log_of(file);
	int rc = log_flush(log);

	return rc == SQLITE_OK ? log->real->pMethods->xSync(log->real, flags) : rc;
}

static int log_size(sqlite3_file *file, sqlite3_int64 *size)
{
	struct log_file *log = log_of(file);
	int rc = log_flush(log);

	return rc == SQLITE_OK ? log->real->pMethods->xFileSize(log->real, size) : rc;
}

static int log_lock(sqlite3_file *file, int level)
{
	struct log_file *log = log_of(file);

	return log->real->pMethods->xLock(log->real, level);
}

static int log_unlock(sqlite3_file *file, int level)
{
	struct log_file *log = log_of(file);

	return log->real->pMethods->xUnlock(log->real, level);
}

static int log_reserved(sqlite3_file *file, int *out)
{
	struct log_file *log = log_of(file);

	return log->real->pMethods->xCheckReservedLock(log->real, out);
}

static int log_control(sqlite3_file *file, int op, void *arg)
{
	struct log_file *log = log_of(file);

	return log->real->pMethods->xFileControl(log->real, op, arg);
}

static int log_sector(sqlite3_file *file)
{
	struct log_file *log = log_of(file);

	return log->real->pMethods->xSectorSize(log->real);
}

static int log_device(sqlite3_file *file)
{
	struct log_file *log = log_of(file);

	return log->real->pMethods->xDeviceCharacteristics(log->real);
}

/* A log is neither shared memory nor mapped: version 1 has all that is called of it. */
static const sqlite3_io_methods log_methods = {
	.iVersion = 1,
	.xClose = log_close,
	.xRead = log_read,
	.xWrite = log_write,
	.xTruncate = log_truncate,
	.xSync = log_sync,
	.xFileSize = log_size,
	.xLock = log_lock,
	.xUnlock = log_unlock,
	.xCheckReservedLock = log_reserved,
	.xFileControl = log_control,
	.xSectorSize = log_sector,
	.xDeviceCharacteristics = log_device,
};

static int database_open(struct vfs *ours, const char *name, sqlite3_file *file, int flags,
			 int *got)
{
	int rc = ours->system->xOpen(ours->system, name, file, flags, got);

	if (rc != SQLITE_OK)
		return rc;
	rc = inv_lock_adopt(ours->locks, name, file);
	if (rc == SQLITE_OK)
		return rc;
	(void)file->pMethods->xClose(file);
	file->pMethods = NULL;
	return rc;
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *got)
{
	struct vfs *ours = vfs->pAppData;
	sqlite3_vfs *system = ours->system;
	struct log_file *log = log_of(file);
	int rc;

	if (flags & SQLITE_OPEN_MAIN_DB)
		return database_open(ours, name, file, flags, got);
	if (!(flags & SQLITE_OPEN_WAL))
		return system->xOpen(system, name, file, flags, got);
	*log = (struct log_file){.real = (sqlite3_file *)(void *)(log + 1)};
	log->bytes = malloc(GATHER_BYTES);
	if (!log->bytes)
		return SQLITE_NOMEM;
	rc = system->xOpen(system, name, log->real, flags, got);
	if (rc == SQLITE_OK)
		log->base.pMethods = &log_methods; /* else xClose is not called */
	else
		free(log->bytes);
	return rc;
}

static struct vfs *vfs_create(sqlite3_vfs *system)
{
	struct vfs *ours = system ? calloc(1, sizeof(*ours)) : NULL;

	if (!ours)
		return NULL;
	ours->system = system;
	ours->locks = inv_locks_create();
	if (!ours->locks) {
		free(ours);
		return NULL;
	}
	ours->vfs = *system; /* its other functions do not ask which vfs they are called for */
	ours->vfs.zName = VFS_NAME;
	ours->vfs.pAppData = ours;
	ours->vfs.pNext = NULL;
	ours->vfs.szOsFile += (int)sizeof(struct log_file);
	ours->vfs.xOpen = vfs_open;
	return ours;
}

/* SQLite keeps the list of them, so it stays there until the process ends. */
const char *inv_vfs(void)
{
	struct vfs *ours;

	/* How much memory it has nobody asks, and counting takes a mutex each time. Too late and
	 * of no effect when SQLite is in use already. */
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	if (sqlite3_vfs_find(VFS_NAME))
		return VFS_NAME;
	ours = vfs_create(sqlite3_vfs_find(NULL));
	if (ours && sqlite3_vfs_register(&ours->vfs, 0) == SQLITE_OK)
		return VFS_NAME;
	if (ours)
		free(ours->locks);
	free(ours);
	return NULL;
}
