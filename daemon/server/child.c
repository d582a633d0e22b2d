/*
 * Owns starting, watching, killing and reaping of child processes on the event loop.
 * Knows nothing of what a child does or says, and never waits for one.
 * Called by check.c and slurmq.c.
 */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "larder/cleanup.h"
#include "server/child.h"

/* Sources of the descriptors are moved above this first, so that no dup2 overwrites a later one. */
#define FD_STAGE 16

struct child {
	pid_t pid;
	int pidfd;
	sd_event_source *source; /* keeps the child until it is reaped */
	child_exit_fn exited;	 /* NULL: abandoned */
	void *arg;
};

static void child_free(void *arg)
{
	struct child *child = arg;

	if (child->pidfd >= 0)
		close(child->pidfd);
	free(child);
}

static int reap(struct child *child)
{
	int status = -1;
	pid_t got;

	do
		got = waitpid(child->pid, &status, WNOHANG);
	while (got < 0 && errno == EINTR);
	return got == child->pid ? status : -1;
}

static int on_exit_event(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct child *child = arg;
	child_exit_fn exited = child->exited;
	void *exited_arg = child->arg;
	int status = reap(child);

	(void)fd;
	(void)revents;
	/* Takes back the loop's reference: source and child go when this callback returns. */
	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	sd_event_source_set_floating(source, 0);
	if (exited)
		exited(status, exited_arg);
	return 0;
}

/* The process is there already: whatever fails here must not leave it running unseen. */
static int watch(sd_event *event, struct child *child, struct larder_error *err)
{
	int rc;

	child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
	if (child->pidfd < 0)
		return larder_error_set(err, errno,
					"pidfd_open: %m (kernel 5.3 or newer is needed)");
	rc = sd_event_add_io(event, &child->source, child->pidfd, EPOLLIN, on_exit_event, child);
	if (rc < 0)
		return larder_error_set(err, rc, "watch a child process: %s", strerror(-rc));
	sd_event_source_set_destroy_callback(child->source, child_free);
	/* The loop owns it from now on; child_abandon needs nobody to keep anything. */
	sd_event_source_set_floating(child->source, 1);
	sd_event_source_unref(child->source);
	return 0;
}

static int stage_fds(const struct child_params *params, int staged[], struct larder_error *err)
{
	for (unsigned int i = 0; i < params->n_fds; i++) {
		if (params->fds[i] < 0)
			staged[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
		else
			staged[i] = fcntl(params->fds[i], F_DUPFD_CLOEXEC, FD_STAGE);
		if (staged[i] < 0)
			return larder_error_set(err, errno, "descriptor for a child process: %m");
		if (staged[i] >= FD_STAGE)
			continue;
		int low = staged[i];

		staged[i] = fcntl(low, F_DUPFD_CLOEXEC, FD_STAGE);
		close(low);
		if (staged[i] < 0)
			return larder_error_set(err, errno, "descriptor for a child process: %m");
	}
	return 0;
}

/* The daemon blocks signals for its loop and ignores SIGPIPE; a child starts with neither. */
static int spawn(const struct child_params *params, const int staged[], pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t all, none;
	int rc;

	sigfillset(&all);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	rc = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	for (unsigned int i = 0; !rc && i < params->n_fds; i++)
		rc = posix_spawn_file_actions_adddup2(&actions, staged[i], (int)i);
	if (!rc)
		rc = posix_spawn_file_actions_addclosefrom_np(&actions, (int)params->n_fds);
	if (!rc)
		rc = posix_spawn(pid, params->path, &actions, &attr, params->argv, params->envp);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

static int start(const struct child_params *params, pid_t *pid, struct larder_error *err)
{
	int staged[CHILD_FDS_MAX] = {-1, -1, -1, -1, -1, -1, -1, -1};
	int rc = stage_fds(params, staged, err);

	if (!rc) {
		rc = spawn(params, staged, pid);
		if (rc)
			rc = larder_error_set(err, rc, "start %s: %s", params->path, strerror(rc));
	}
	for (unsigned int i = 0; i < params->n_fds; i++)
		if (staged[i] >= 0)
			close(staged[i]);
	return rc;
}

int child_start(sd_event *event, const struct child_params *params, child_exit_fn exited, void *arg,
		struct child **out, struct larder_error *err)
{
	auto_free struct child *child = calloc(1, sizeof(*child));
	int rc;

	if (!child)
		return larder_error_set(err, ENOMEM, "out of memory");
	child->pidfd = -1;
	child->exited = exited;
	child->arg = arg;
	rc = start(params, &child->pid, err);
	if (rc)
		return rc;
	rc = watch(event, child, err);
	if (rc) {
		kill(child->pid, SIGKILL);
		waitpid(child->pid, NULL, 0); /* it has done nothing yet: it dies at once */
		if (child->pidfd >= 0)
			close(child->pidfd);
		return rc;
	}
	*out = take_ptr(&child);
	return 0;
}

void child_kill(struct child *child)
{
	if (child)
		syscall(SYS_pidfd_send_signal, child->pidfd, SIGKILL, NULL, 0);
}

void child_abandon(struct child *child)
{
	if (!child)
		return;
	child->exited = NULL;
	child_kill(child);
}

const char *child_status_format(int status, char *buf, size_t len)
{
	if (status != -1 && WIFSIGNALED(status))
		snprintf(buf, len, "was ended by signal %d", WTERMSIG(status));
	else if (status != -1 && WIFEXITED(status))
		snprintf(buf, len, "ended with status %d", WEXITSTATUS(status));
	else
		snprintf(buf, len, "ended for an unknown reason");
	return buf;
}
