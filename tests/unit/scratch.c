/*
 * Owns temporary directories of unit tests.
 * Must leave nothing behind. Called by tests only.
 */
#include "scratch.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *scratch_create(void)
{
	const char *base = getenv("TMPDIR");
	char *dir = NULL;

	if (asprintf(&dir, "%s/larder-unit.XXXXXX", base && *base ? base : "/tmp") < 0)
		fail_msg("out of memory");
	if (!mkdtemp(dir))
		fail_msg("mkdtemp %s failed", dir);
	return dir;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* Directories may be 0555: give them their w back before anything in them goes. */
static int open_up(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	if (type == FTW_D || type == FTW_DNR)
		return chmod(path, (st->st_mode & 07777) | 0700);
	return 0;
}

void scratch_destroy(char *dir)
{
	if (!dir)
		return;
	nftw(dir, open_up, 16, FTW_PHYS | FTW_MOUNT);
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	free(dir);
}

const char *scratch_path(const char *dir, const char *fmt, ...)
{
	static char ring[8][4608];
	static unsigned int next;
	char *out = ring[next++ % 8];
	int n = snprintf(out, sizeof(ring[0]), "%s/", dir);
	va_list args;

	va_start(args, fmt);
	vsnprintf(out + n, sizeof(ring[0]) - (size_t)n, fmt, args);
	va_end(args);
	return out;
}

void scratch_write(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		fail_msg("create %s failed", path);
	if (write(fd, data, len) != (ssize_t)len)
		fail_msg("write %s failed", path);
	close(fd);
}
