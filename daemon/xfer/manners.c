/*
 * Owns a copying thread's niceness, I/O priority and cgroup.
 * Must not fail a transfer: what is refused is left out, and said once when the pool starts.
 * Called by the pool's threads at their start, and by pool.c.
 *
 * With cgroup v2 threads of one process may only be in different cgroups of one threaded domain,
 * and only cpu, cpuset, pids and perf_event know threads; of v1 the trees of cpu and cpuset take
 * any thread: so a cgroup limits the processor. Input and output have the I/O priority; memory has
 * transfer_memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "xfer/manners.h"

#define IOPRIO_LOWEST 7

static int enter_by(const char *cgroup, const char *file)
{
	char path[4096];
	auto_fd int fd = -1;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", cgroup, file) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	/* "0" is the writing thread */
	return fd < 0 || write(fd, "0", 1) < 0 ? -errno : 0;
}

static int enter_cgroup(const char *cgroup)
{
	int rc = enter_by(cgroup, "cgroup.threads");

	return rc == -ENOENT ? enter_by(cgroup, "tasks") : rc; /* v1 */
}

static void set_ioprio(enum xfer_ioprio ioprio)
{
	int value = ioprio == XFER_IOPRIO_IDLE ? IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0)
					       : IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, IOPRIO_LOWEST);

	if (ioprio != XFER_IOPRIO_NONE)
		syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, value);
}

void manners_apply(const struct xfer_manners *manners)
{
	/* Linux: of this thread, though POSIX says of the process */
	if (manners->nice)
		setpriority(PRIO_PROCESS, (id_t)gettid(), manners->nice);
	set_ioprio(manners->ioprio);
	if (manners->cgroup && *manners->cgroup)
		enter_cgroup(manners->cgroup);
}

struct probe {
	const char *cgroup;
	int rc;
};

static void *probe_main(void *arg)
{
	struct probe *probe = arg;

	probe->rc = enter_cgroup(probe->cgroup);
	return NULL;
}

static const char *remedy(int rc)
{
	switch (-rc) {
	case ENOENT:
	case ENOTDIR:
		return "make it: with cgroup v2 below larderd's own, with v1 below cpu or cpuset";
	case EOPNOTSUPP: return "it is not threaded: write \"threaded\" into its cgroup.type";
	case EINVAL: return "it is not below larderd's own cgroup";
	default: return strerror(-rc);
	}
}

int manners_check_cgroup(const char *cgroup, struct larder_error *why)
{
	struct probe probe = {.cgroup = cgroup, .rc = -EAGAIN};
	pthread_t thread;

	if (!cgroup || !*cgroup)
		return 0;
	if (pthread_create(&thread, NULL, probe_main, &probe) == 0)
		pthread_join(thread, NULL);
	if (!probe.rc)
		return 0;
	return larder_error_set(why, probe.rc,
				"transfer_cgroup %s: %s; copying is not limited by it", cgroup,
				remedy(probe.rc));
}
