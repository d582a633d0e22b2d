/*
 * A disk whose power can be cut: one file, served by FUSE, that logs every write and flush. From
 * the log any moment can be put on an image: all up to the last flush, and of what came later a
 * part.
 */
#ifndef TESTS_CUTDISK_H
#define TESTS_CUTDISK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cutdisk {
	char image[160]; /* the file as it is now; at first what mkfs made */
	char base[160];	 /* a copy from before the first logged write */
	char log[160];
	char mount[160]; /* the served file is mount/disk */
	pid_t server;
	_Atomic uint64_t *records; /* logged so far; shared with the server */
};

/* dir: a directory with room (a tmpfs). image must be there. Dies with a message when it fails. */
void cutdisk_start(struct cutdisk *disk, const char *dir);
/* The file system on it is unmounted before. */
void cutdisk_stop(struct cutdisk *disk);

struct cutlog;

struct cutlog *cutlog_open(const struct cutdisk *disk);
void cutlog_close(struct cutlog *log);
uint64_t cutlog_records(const struct cutlog *log);
uint64_t cutlog_flushes(const struct cutlog *log);
/*
 * Power fails after record `at`: writes the image to `path`. Calls must come with rising `at`. What
 * was written after the last flush survives in blocks of 4 KiB, each with `chance` of 100.
 */
void cutlog_cut(struct cutlog *log, uint64_t at, unsigned int chance, unsigned int *seed,
		const char *path);

void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
