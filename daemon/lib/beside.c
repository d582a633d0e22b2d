/*
 * Owns: the path of what stands beside this program.
 * Must not: trust argv[0], which is the caller's to choose.
 * Called by: larder, larder-prolog-slurmctld, larder-prolog-stage.
 */
#include "larder/beside.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

const char *larder_beside(const char *relative, char *buf, size_t len)
{
	ssize_t n = readlink("/proc/self/exe", buf, len);
	const char *slash = n > 0 ? memrchr(buf, '/', (size_t)n) : NULL;
	size_t at = slash ? (size_t)(slash + 1 - buf) : 0;

	if (n < 0)
		return NULL;
	if (!slash || at + strlen(relative) >= len) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	strcpy(buf + at, relative);
	return buf;
}
