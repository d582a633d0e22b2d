/*
 * Owns the child that tells whether the job still is: larder-slurm-helper, for libslurm may hang.
 * Must not wait for it: no answer means that the job is alive.
 * Called by main.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "prolog/prolog.h"

extern char **environ;

struct prolog_alive {
	uint32_t job_id;
	pid_t pid;
	int to, from; /* the helper's standard input and output */
	bool asked;
	char line[256];
	size_t len;
};

bool prolog_line_over(const char *line)
{
	static const char *const alive[] = {"running", "suspended"};
	const char *state = strstr(line, " state=");

	if (strncmp(line, "job ", 4) != 0 || !state)
		return false; /* slurmctld did not answer */
	if (strstr(line, " completing=1"))
		return true;
	state += strlen(" state=");
	for (size_t i = 0; i < sizeof(alive) / sizeof(alive[0]); i++)
		if (strncmp(state, alive[i], strlen(alive[i])) == 0)
			return false;
	return true;
}

static int start(struct prolog_alive *alive, const char *helper)
{
	char *const argv[] = {(char *)(uintptr_t)helper, (char[]){"--node"}, (char[]){"-"}, NULL};
	auto_fd int in = -1, out = -1, to = -1, from = -1;
	posix_spawn_file_actions_t actions;
	int one[2], two[2], rc;

	if (pipe2(one, O_CLOEXEC) < 0)
		return -errno;
	in = one[0];
	to = one[1];
	if (pipe2(two, O_CLOEXEC) < 0)
		return -errno;
	from = two[0];
	out = two[1];
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	rc = posix_spawn(&alive->pid, helper, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (rc)
		return -rc;
	fcntl(from, F_SETFL, O_NONBLOCK);
	alive->to = take_fd(&to);
	alive->from = take_fd(&from);
	return 0;
}

struct prolog_alive *prolog_alive_create(const char *helper, uint32_t job_id)
{
	struct prolog_alive *alive = helper && *helper ? calloc(1, sizeof(*alive)) : NULL;

	if (!alive)
		return NULL;
	alive->job_id = job_id;
	if (start(alive, helper)) {
		free(alive);
		return NULL;
	}
	return alive;
}

void prolog_alive_destroy(struct prolog_alive *alive)
{
	if (!alive)
		return;
	close(alive->to);
	close(alive->from);
	/* It may hang in libslurm. */
	kill(alive->pid, SIGKILL);
	waitpid(alive->pid, NULL, 0);
	free(alive);
}

static void ask(struct prolog_alive *alive)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "job %u\n", alive->job_id);

	/* SIGPIPE is ignored by main.c: a helper that ended tells nothing any more. */
	alive->asked = write(alive->to, text, (size_t)len) == len;
}

bool prolog_alive_over(struct prolog_alive *alive)
{
	ssize_t n;
	char *end;

	if (!alive)
		return false;
	if (!alive->asked)
		ask(alive);
	n = read(alive->from, alive->line + alive->len, sizeof(alive->line) - 1 - alive->len);
	if (n <= 0)
		return false;
	alive->len += (size_t)n;
	alive->line[alive->len] = '\0';
	end = strchr(alive->line, '\n');
	if (!end && alive->len < sizeof(alive->line) - 1)
		return false;
	alive->asked = false;
	alive->len = 0;
	return end && prolog_line_over(alive->line);
}
