/*
 * Owns larder-slurm-helper: questions to slurmctld, one line each way. The one file of the daemon's
 *side that includes slurm.h: it is built for one Slurm version, may hang for as long as libslurm
 *does, and is killed then. Must not decide anything, and keeps no state. Started by
 *server/slurmq.c.
 *
 *	job 42		job id=42 state=running completing=0 here=1 restarts=0 limit_s=3600
 *start_s=1700000000 job id=42 state=unknown
 *	conf		conf prolog_timeout_s=300	(0: none is set)
 *	ping		pong version=22.05
 *			fail errno=1800 text=…		instead, when slurmctld does not answer
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>

#include "larder/text.h"

static const char *const states[] = {
	[JOB_PENDING] = "pending",     [JOB_RUNNING] = "running",     [JOB_SUSPENDED] = "suspended",
	[JOB_COMPLETE] = "completed",  [JOB_CANCELLED] = "cancelled", [JOB_FAILED] = "failed",
	[JOB_TIMEOUT] = "timeout",     [JOB_NODE_FAIL] = "node_fail", [JOB_PREEMPTED] = "preempted",
	[JOB_BOOT_FAIL] = "boot_fail", [JOB_DEADLINE] = "deadline",   [JOB_OOM] = "oom",
};

/* libslurm answers with -1 and errno, or with the error itself: unknown jobs come as 2017 either
 * way. */
static int error_of(int rc)
{
	if (rc > 0)
		return rc;
	return errno > 0 ? errno : EIO;
}

static void say_failure(int error)
{
	char text[200];

	snprintf(text, sizeof(text), "%s", slurm_strerror(error));
	printf("fail errno=%d text=%s\n", error, larder_text_printable(text));
}

static bool is_here(const char *nodes, const char *node)
{
	/* hostlist_t was a pointer's name until 23.11. */
	__typeof__(slurm_hostlist_create(NULL)) list;
	bool here = false;

	if (!nodes || !*nodes)
		return false;
	list = slurm_hostlist_create(nodes);
	if (list) {
		here = slurm_hostlist_find(list, node) >= 0;
		slurm_hostlist_destroy(list);
	}
	return here;
}

static void say_job(const slurm_job_info_t *job, const char *node)
{
	uint32_t base = job->job_state & JOB_STATE_BASE;
	uint64_t limit_s = 0;

	if (base >= sizeof(states) / sizeof(states[0]) || !states[base]) {
		printf("fail errno=%d text=job state %" PRIu32 " is not known here\n", EPROTO,
		       base);
		return;
	}
	if (job->time_limit != INFINITE && job->time_limit != NO_VAL)
		limit_s = (uint64_t)job->time_limit * 60;
	printf("job id=%" PRIu32 " state=%s completing=%d here=%d restarts=%u limit_s=%" PRIu64
	       " start_s=%" PRId64 "\n",
	       job->job_id, states[base], (job->job_state & JOB_COMPLETING) != 0,
	       is_here(job->nodes, node), (unsigned int)job->restart_cnt, limit_s,
	       job->start_time > 0 ? (int64_t)job->start_time : 0);
}

/* An array's first id brings all its tasks, a het job's leader all components: one of them is
 * meant. */
static void answer_job(uint32_t id, const char *node)
{
	job_info_msg_t *jobs = NULL;
	int rc;

	errno = 0;
	rc = slurm_load_job(&jobs, id, SHOW_ALL);
	if (rc != SLURM_SUCCESS) {
		int error = error_of(rc);

		if (error == ESLURM_INVALID_JOB_ID)
			printf("job id=%" PRIu32 " state=unknown\n", id);
		else
			say_failure(error);
		return;
	}
	for (uint32_t i = 0; i < jobs->record_count; i++) {
		if (jobs->job_array[i].job_id == id) {
			say_job(&jobs->job_array[i], node);
			slurm_free_job_info_msg(jobs);
			return;
		}
	}
	slurm_free_job_info_msg(jobs);
	printf("job id=%" PRIu32 " state=unknown\n", id);
}

static void answer_conf(void)
{
	slurm_conf_t *conf = NULL;
	uint64_t seconds;
	int rc;

	errno = 0;
	rc = slurm_load_ctl_conf((time_t)0, &conf);
	if (rc != SLURM_SUCCESS || !conf) {
		say_failure(error_of(rc));
		return;
	}
#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(25, 5, 0)
	seconds = conf->prolog_timeout;
#else
	seconds = conf->prolog_epilog_timeout;
#endif
	/* 16 bits wide; the two highest values mean "not set" and "none". */
	if (seconds >= NO_VAL16)
		seconds = 0;
	printf("conf prolog_timeout_s=%" PRIu64 "\n", seconds);
	slurm_free_ctl_conf(conf);
}

static int answer(char *line, const char *node)
{
	uint64_t id;

	line[strcspn(line, "\n")] = '\0';
	if (strcmp(line, "ping") == 0) {
		printf("pong version=%d.%02d\n", SLURM_VERSION_MAJOR(SLURM_VERSION_NUMBER),
		       SLURM_VERSION_MINOR(SLURM_VERSION_NUMBER));
	} else if (strcmp(line, "conf") == 0) {
		answer_conf();
	} else if (strncmp(line, "job ", 4) == 0 && larder_u64_parse(line + 4, &id, NULL) == 0 &&
		   id > 0 && id <= UINT32_MAX) {
		answer_job((uint32_t)id, node);
	} else {
		fprintf(stderr,
			"larder-slurm-helper: what is \"%s\"? It knows: job ID, conf, ping\n",
			larder_text_printable(line));
		return -EINVAL;
	}
	return fflush(stdout) == 0 ? 0 : -EIO;
}

int main(int argc, char **argv)
{
	char line[64];
	int rc = 0;

	if (argc != 3 || strcmp(argv[1], "--node") != 0) {
		fprintf(stderr,
			"usage: larder-slurm-helper --node NODENAME\n"
			"Answers larderd's questions to slurmctld, a line each, from standard input.\n");
		return 2;
	}
	slurm_init(NULL);
	while (rc == 0 && fgets(line, sizeof(line), stdin))
		rc = answer(line, argv[2]);
	return rc == 0 ? 0 : 1;
}
