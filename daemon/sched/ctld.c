/*
 * Owns the process that asks slurmctld, its deadlines and the reading of its lines.
 * Must not know what an answer means. Called by the control thread, which waits here at most for
 * the deadline; nodes are polled and users answered by others meanwhile.
 */
#include "sched/ctld.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "sched/slurm_helper.h"

#define ANSWER_BYTES_MAX (256u << 20) /* of all lines together */
#define FIELDS_MAX	 16

struct ctld {
	char *slurm_conf;
	int64_t timeout_ms;
	pid_t pid; /* 0: none runs */
	int sock;
};

struct text {
	char *bytes;
	size_t len, room;
};

int ctld_create(const char *slurm_conf, int64_t timeout_ms, struct ctld **out,
		struct larder_error *err)
{
	struct ctld *ctld = calloc(1, sizeof(*ctld));

	*out = NULL;
	if (!ctld || asprintf(&ctld->slurm_conf, "SLURM_CONF=%s", slurm_conf) < 0) {
		free(ctld);
		return larder_error_set(err, ENOMEM, "out of memory");
	}
	ctld->timeout_ms = timeout_ms;
	ctld->sock = -1;
	*out = ctld;
	return 0;
}

/* One that hangs in libslurm hears nothing but SIGKILL. */
static void end_helper(struct ctld *ctld)
{
	if (ctld->sock >= 0)
		close(ctld->sock);
	ctld->sock = -1;
	if (!ctld->pid)
		return;
	kill(ctld->pid, SIGKILL);
	while (waitpid(ctld->pid, NULL, 0) < 0 && errno == EINTR)
		;
	ctld->pid = 0;
}

void ctld_destroy(struct ctld *ctld)
{
	if (!ctld)
		return;
	end_helper(ctld);
	free(ctld->slurm_conf);
	free(ctld);
}

static int spawn(struct ctld *ctld, int theirs)
{
	static char name[] = "larder-sched", option[] = SLURM_HELPER_OPTION;
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", lang[] = "LANG=C.UTF-8";
	char *const argv[] = {name, option, NULL};
	bool own = ctld->slurm_conf[strlen("SLURM_CONF=")] != '\0';
	char *const envp[] = {path, lang, own ? ctld->slurm_conf : NULL, NULL};
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
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_adddup2(&actions, theirs, 0);
	posix_spawn_file_actions_adddup2(&actions, theirs, 1);
	/* libslurm's own sentences are not for our log */
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	rc = posix_spawn(&ctld->pid, "/proc/self/exe", &actions, &attr, argv, envp);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	if (rc)
		ctld->pid = 0;
	return -rc;
}

static int start_helper(struct ctld *ctld, struct larder_error *err)
{
	int pair[2], rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return larder_error_set(err, errno, "socketpair: %s", strerror(errno));
	auto_fd int theirs = pair[1];

	ctld->sock = pair[0];
	rc = spawn(ctld, theirs);
	return rc ? larder_error_set(err, rc, "start the process that asks slurmctld: %s",
				     strerror(-rc))
		  : 0;
}

static int more(struct ctld *ctld, struct text *text, struct larder_error *err)
{
	ssize_t n;

	if (text->room - text->len < 65536) {
		size_t room = text->room ? text->room * 2 : 131072;
		char *bytes = room > ANSWER_BYTES_MAX ? NULL : realloc(text->bytes, room);

		if (!bytes)
			return larder_error_set(err, ENOMEM,
						"slurmctld's answer is too long for our memory");
		text->bytes = bytes;
		text->room = room;
	}
	n = recv(ctld->sock, text->bytes + text->len, text->room - text->len - 1, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return larder_error_set(err, EIO,
					"the process that asks slurmctld ended without an answer");
	text->len += (size_t)n;
	text->bytes[text->len] = '\0';
	return 0;
}

/* The last line of an answer, once it is whole; NULL until then. */
static char *last_line(struct text *text)
{
	char *line;

	if (!text->len || text->bytes[text->len - 1] != '\n')
		return NULL;
	for (line = text->bytes + text->len - 1; line > text->bytes && line[-1] != '\n'; line--)
		;
	return strcmp(line, "end\n") == 0 || strcmp(line, "same\n") == 0 ||
			       strncmp(line, "fail\t", 5) == 0
		       ? line
		       : NULL;
}

static int await(struct ctld *ctld, int wake_fd, struct text *text, char **last,
		 struct larder_error *err)
{
	int64_t deadline = clock_mono_ms() + ctld->timeout_ms;

	while (!(*last = last_line(text))) {
		struct pollfd fds[] = {{.fd = ctld->sock, .events = POLLIN},
				       {.fd = wake_fd, .events = POLLIN}};
		int64_t left = deadline - clock_mono_ms();

		if (left <= 0)
			return larder_error_set(err, ETIMEDOUT,
						"slurmctld does not answer within %lld ms",
						(long long)ctld->timeout_ms);
		if (poll(fds, 2, (int)left) < 0 && errno != EINTR)
			return larder_error_set(err, errno, "poll: %s", strerror(errno));
		if (fds[1].revents)
			return larder_error_set(err, ECANCELED, "stopped");
		if (fds[0].revents && more(ctld, text, err))
			return -err->code;
	}
	return 0;
}

static int each_line(char *lines, ctld_line_fn fn, void *arg, struct larder_error *err)
{
	int rc = 0;

	for (char *line; !rc && (line = strsep(&lines, "\n")) && *line;) {
		char *fields[FIELDS_MAX];
		unsigned int n = 0;

		for (char *field; n < FIELDS_MAX && (field = strsep(&line, "\t"));)
			fields[n++] = field;
		rc = fn(fields, n, arg, err);
	}
	return rc;
}

static int converse(struct ctld *ctld, const char *question, int wake_fd, struct text *text,
		    char **last, struct larder_error *err)
{
	char line[64];
	int len = snprintf(line, sizeof(line), "%s\n", question);

	if (ctld->sock < 0 && start_helper(ctld, err))
		return -err->code;
	if (send(ctld->sock, line, (size_t)len, MSG_NOSIGNAL) != len)
		return larder_error_set(err, EIO, "the process that asks slurmctld has ended");
	return await(ctld, wake_fd, text, last, err);
}

int ctld_ask(struct ctld *ctld, const char *question, int wake_fd, bool *same, ctld_line_fn fn,
	     void *arg, struct larder_error *err)
{
	struct text text = {0};
	char *last = NULL;
	int rc = converse(ctld, question, wake_fd, &text, &last, err);

	*same = false;
	if (rc) {
		end_helper(ctld);
	} else if (strncmp(last, "fail\t", 5) == 0) {
		last[strcspn(last, "\n")] = '\0';
		rc = larder_error_set(err, EIO, "%s", last + 5);
	} else {
		*same = strcmp(last, "same\n") == 0;
		*last = '\0';
		rc = each_line(text.bytes, fn, arg, err);
	}
	free(text.bytes);
	return rc;
}
