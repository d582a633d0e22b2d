/*
 * The disk of cutdisk.h. The server is a process of one thread, so the log's order is the order in
 * which the kernel handed the writes over. Must know nothing of what is tested.
 */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cutdisk.h"

#define BLOCK 4096

/* In the log before the bytes. length 0: a flush. */
struct record {
	uint64_t offset;
	uint64_t length;
};

struct server {
	int image, log;
	off_t size;
	_Atomic uint64_t *records;
};

void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(2);
}

/* --- the server --- */

static struct server *server_get(void)
{
	return fuse_get_context()->private_data;
}

static int disk_getattr(const char *path, struct stat *st, struct fuse_file_info *info)
{
	(void)info;
	memset(st, 0, sizeof(*st));
	if (strcmp(path, "/") == 0) {
		st->st_mode = S_IFDIR | 0700;
		st->st_nlink = 2;
		return 0;
	}
	if (strcmp(path, "/disk") != 0)
		return -ENOENT;
	st->st_mode = S_IFREG | 0600;
	st->st_nlink = 1;
	st->st_size = server_get()->size;
	return 0;
}

static int disk_open(const char *path, struct fuse_file_info *info)
{
	(void)path;
	info->direct_io = 1;
	return 0;
}

static int disk_read(const char *path, char *buf, size_t size, off_t offset,
		     struct fuse_file_info *info)
{
	ssize_t n = pread(server_get()->image, buf, size, offset);

	(void)path;
	(void)info;
	return n < 0 ? -errno : (int)n;
}

static int log_append(struct server *s, uint64_t offset, const void *data, size_t size)
{
	struct record record = {.offset = offset, .length = size};

	if (write(s->log, &record, sizeof(record)) != (ssize_t)sizeof(record) ||
	    (size && write(s->log, data, size) != (ssize_t)size))
		return -EIO;
	atomic_fetch_add(s->records, 1);
	return 0;
}

static int disk_write(const char *path, const char *buf, size_t size, off_t offset,
		      struct fuse_file_info *info)
{
	struct server *s = server_get();

	(void)path;
	(void)info;
	if (offset + (off_t)size > s->size)
		return -ENOSPC;
	if (log_append(s, (uint64_t)offset, buf, size) < 0 ||
	    pwrite(s->image, buf, size, offset) != (ssize_t)size)
		return -EIO;
	return (int)size;
}

static int disk_fsync(const char *path, int datasync, struct fuse_file_info *info)
{
	(void)path;
	(void)datasync;
	(void)info;
	return log_append(server_get(), 0, NULL, 0);
}

static const struct fuse_operations OPS = {
	.getattr = disk_getattr,
	.open = disk_open,
	.read = disk_read,
	.write = disk_write,
	.fsync = disk_fsync,
};

static void serve(const struct cutdisk *disk)
{
	char name[] = "cutdisk";
	char *argv[] = {name, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct server s = {.records = disk->records};
	struct fuse *fuse;
	struct stat st;

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing hangs on a server without its test */
	s.image = open(disk->image, O_RDWR | O_CLOEXEC);
	s.log = open(disk->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (s.image < 0 || s.log < 0 || fstat(s.image, &st) < 0)
		die("cutdisk: %s: %s", disk->image, strerror(errno));
	s.size = st.st_size;
	fuse = fuse_new(&args, &OPS, sizeof(OPS), &s);
	if (!fuse || fuse_mount(fuse, disk->mount) != 0)
		die("cutdisk: cannot mount %s", disk->mount);
	fuse_loop(fuse);
	_exit(0);
}

static void copy_file(const char *from, const char *to)
{
	char command[512];

	snprintf(command, sizeof(command), "cp --sparse=always %s %s", from, to);
	if (system(command) != 0)
		die("%s failed", command);
}

void cutdisk_start(struct cutdisk *disk, const char *dir)
{
	char served[200];
	struct stat st;
	int i;

	snprintf(disk->image, sizeof(disk->image), "%s/image", dir);
	snprintf(disk->base, sizeof(disk->base), "%s/base", dir);
	snprintf(disk->log, sizeof(disk->log), "%s/log", dir);
	snprintf(disk->mount, sizeof(disk->mount), "%s/served", dir);
	snprintf(served, sizeof(served), "%s/disk", disk->mount);
	disk->records = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (disk->records == MAP_FAILED || mkdir(disk->mount, 0700) < 0)
		die("cutdisk: %s: %s", disk->mount, strerror(errno));
	copy_file(disk->image, disk->base);
	disk->server = fork();
	if (disk->server == 0)
		serve(disk);
	for (i = 0; i < 500 && stat(served, &st) < 0; i++)
		usleep(10 * 1000);
	if (i == 500)
		die("cutdisk: the server did not come up");
}

void cutdisk_stop(struct cutdisk *disk)
{
	int status;

	umount2(disk->mount, MNT_DETACH);
	waitpid(disk->server, &status, 0);
}

/* --- the log --- */

struct cutlog {
	const unsigned char *data;
	size_t size;
	const struct record **records; /* in data */
	uint64_t n, flushes;
	int stable; /* an image: base and everything up to the last flush that was passed */
	char path[170];
	uint64_t applied; /* records that are in it */
};

static void log_index(struct cutlog *log)
{
	size_t at = 0;
	uint64_t cap = 0;

	while (at + sizeof(struct record) <= log->size) {
		/* the log is packed: read by memcpy, kept by address */
		struct record record;

		if (log->n == cap) {
			cap = cap ? 2 * cap : 4096;
			log->records = reallocarray(log->records, cap, sizeof(*log->records));
			if (!log->records)
				die("out of memory");
		}
		memcpy(&record, log->data + at, sizeof(record));
		log->records[log->n++] = (const void *)(log->data + at);
		log->flushes += record.length == 0;
		at += sizeof(record) + record.length;
	}
}

struct cutlog *cutlog_open(const struct cutdisk *disk)
{
	struct cutlog *log = calloc(1, sizeof(*log));
	int fd = open(disk->log, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (!log || fd < 0 || fstat(fd, &st) < 0)
		die("open %s: %s", disk->log, strerror(errno));
	log->size = (size_t)st.st_size;
	log->data = mmap(NULL, log->size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (log->data == MAP_FAILED)
		die("map %s: %s", disk->log, strerror(errno));
	log_index(log);
	snprintf(log->path, sizeof(log->path), "%s", disk->base);
	log->stable = open(log->path, O_RDWR | O_CLOEXEC);
	if (log->stable < 0)
		die("open %s: %s", log->path, strerror(errno));
	return log;
}

void cutlog_close(struct cutlog *log)
{
	munmap((void *)(uintptr_t)log->data, log->size);
	close(log->stable);
	free(log->records);
	free(log);
}

uint64_t cutlog_records(const struct cutlog *log)
{
	return log->n;
}

uint64_t cutlog_flushes(const struct cutlog *log)
{
	return log->flushes;
}

static struct record record_get(const struct cutlog *log, uint64_t i, const unsigned char **bytes)
{
	struct record record;

	memcpy(&record, log->records[i], sizeof(record));
	*bytes = (const unsigned char *)log->records[i] + sizeof(record);
	return record;
}

static void put(int fd, const unsigned char *bytes, size_t n, uint64_t offset)
{
	if (pwrite(fd, bytes, n, (off_t)offset) != (ssize_t)n)
		die("write an image: %s", strerror(errno));
}

/* Everything up to the last flush before `at` is safe for all later cuts too. */
static void advance(struct cutlog *log, uint64_t at)
{
	uint64_t until = log->applied;
	const unsigned char *bytes;
	uint64_t i;

	for (i = log->applied; i < at; i++)
		if (record_get(log, i, &bytes).length == 0)
			until = i + 1;
	for (; log->applied < until; log->applied++) {
		struct record record = record_get(log, log->applied, &bytes);

		put(log->stable, bytes, record.length, record.offset);
	}
}

void cutlog_cut(struct cutlog *log, uint64_t at, unsigned int chance, unsigned int *seed,
		const char *path)
{
	const unsigned char *bytes;
	uint64_t i, done;
	int fd;

	advance(log, at);
	copy_file(log->path, path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("open %s: %s", path, strerror(errno));
	for (i = log->applied; i < at; i++) {
		struct record record = record_get(log, i, &bytes);

		for (done = 0; done < record.length; done += BLOCK) {
			uint64_t n = record.length - done < BLOCK ? record.length - done : BLOCK;

			if ((unsigned int)rand_r(seed) % 100 < chance)
				put(fd, bytes + done, n, record.offset + done);
		}
	}
	close(fd);
}
