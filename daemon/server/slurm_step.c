/*
 * Owns the question "does a step of this job run here", asked of the node alone.
 * Must not block: sockets of step daemons that are gone refuse at once, full ones count as alive.
 * Called by reconcile, on the control thread.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "larder/cleanup.h"
#include "server/slurmq.h"

#define TRIES_MAX 64 /* sockets of one job that are asked; a job has few steps at a time */

/* SlurmdSpoolDir as slurm.conf has it: %n is the node's name, %h the host's. */
static void expand(const char *spool, const char *node, char *out, size_t len)
{
	char host[256] = "";
	size_t at = 0;

	gethostname(host, sizeof(host) - 1);
	host[strcspn(host, ".")] = '\0';
	out[0] = '\0';
	for (const char *p = spool; *p && at + 1 < len; p++) {
		if (p[0] == '%' && (p[1] == 'n' || p[1] == 'h')) {
			snprintf(out + at, len - at, "%s", p[1] == 'n' ? node : host);
			at += strlen(out + at);
			p++;
		} else {
			out[at++] = *p;
			out[at] = '\0';
		}
	}
}

/* By way of the directory's descriptor: a socket's path has 107 bytes, a spool's name may need
 * them. */
static bool answers(int dir, const char *name)
{
	auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int n = snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s", dir, name);

	if (fd < 0 || n < 0 || (size_t)n >= sizeof(addr.sun_path))
		return false;
	return connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 || errno == EAGAIN ||
	       errno == EINPROGRESS;
}

bool slurm_step_alive(const char *spool, const char *node, uint32_t job_id)
{
	char path[4096], prefix[300];
	auto_close_dir DIR *dir = NULL;
	const struct dirent *entry;
	size_t len;
	int tries = 0;

	snprintf(prefix, sizeof(prefix), "%s_%u.", node, job_id);
	len = strlen(prefix);
	expand(spool, node, path, sizeof(path));
	dir = *path ? opendir(path) : NULL;
	while (dir && tries < TRIES_MAX && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, prefix, len) != 0)
			continue;
		tries++;
		if (answers(dirfd(dir), entry->d_name))
			return true;
	}
	return false;
}
