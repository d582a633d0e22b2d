/*
 * What slurmctld runs for each job that starts. Most want nothing staged, and that is all that is
 * found out here, with the C library alone: larder-prolog-stage, which asks the nodes, loads thirty
 * libraries for it. Must not fail a job: the exit code is 0, whatever happens, also to that one.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "larder/beside.h"
#include "prolog/prolog.h"

#define STAGE "larder-prolog-stage"

/* A person who asks for help has no job either. */
static bool nothing_to_do(void)
{
	struct larder_spec_list specs = {0};
	struct larder_error why;
	bool nothing = getenv("SLURM_JOB_ID") && prolog_job_specs(getenv, &specs, &why) == -ENODATA;

	larder_spec_list_fini(&specs);
	return nothing;
}

static void complain(const char *path, const char *problem)
{
	syslog(LOG_ERR, "%s: %s; jobs are not staged for: install all of Larder", path, problem);
}

/* In the child. */
static void become(const char *path, char **argv, const sigset_t *before)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigprocmask(SIG_SETMASK, before, NULL);
	execv(path, argv);
	complain(path, strerror(errno));
	_exit(0);
}

/* To its end; slurmctld's signal for a job that is cancelled is passed on. */
static void wait_for(pid_t pid, const char *path, const sigset_t *signals)
{
	int status = 0, signal;
	bool over = false;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		signal = sigwaitinfo(signals, NULL);
		if (signal != SIGTERM && signal != SIGINT)
			continue;
		kill(pid, signal);
		over = true;
	}
	if (status && !over) /* its own is 0: it did not come up, or crashed */
		complain(path, WIFEXITED(status) ? "it did not start" : "it crashed");
}

/* As a child: a library that it lacks, or a crash, must not keep the job back. */
static void stage(char **argv)
{
	char buf[PATH_MAX];
	const char *path = larder_beside(STAGE, buf, sizeof(buf));
	sigset_t signals, before;
	pid_t pid;

	openlog("larder-prolog-slurmctld", LOG_PID, LOG_DAEMON);
	if (!path) {
		complain(STAGE, strerror(errno));
		return;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	signal(SIGCHLD, SIG_DFL); /* else there would be nothing to wait for */
	sigprocmask(SIG_BLOCK, &signals, &before);
	pid = fork();
	if (pid == 0)
		become(path, argv, &before);
	if (pid > 0)
		wait_for(pid, path, &signals);
	else
		complain(path, strerror(errno));
}

int main(int argc, char **argv)
{
	(void)argc;
	if (!nothing_to_do())
		stage(argv);
	return 0;
}
