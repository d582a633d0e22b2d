/*
 * What slurmctld runs for each job that starts. Most want nothing staged, and that is all that is
 * found out here, with the C library alone: larder-prolog-stage, which asks the nodes, loads thirty
 * libraries for it. Must not fail a job: the exit code is 0, whatever happens.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "larder/beside.h"
#include "prolog/prolog.h"

#define STAGE "larder-prolog-stage"

/* A person who asks for help has no job either. */
static bool nothing_to_do(void)
{
	struct prolog_job job = {0};
	struct larder_error why;
	bool nothing = getenv("SLURM_JOB_ID") && prolog_job_read(getenv, &job, &why) == -ENODATA;

	prolog_job_fini(&job);
	return nothing;
}

/* Beside this program. Returns only when that is not to be had. */
static void stage(char **argv)
{
	char buf[PATH_MAX];
	const char *path = larder_beside(STAGE, buf, sizeof(buf));

	if (path)
		execv(path, argv);
	openlog("larder-prolog-slurmctld", LOG_PID, LOG_DAEMON);
	syslog(LOG_ERR, "cannot start %s: %s; jobs are not staged for: install all of Larder",
	       path ? path : STAGE, strerror(errno));
}

int main(int argc, char **argv)
{
	(void)argc;
	if (!nothing_to_do())
		stage(argv);
	return 0;
}
