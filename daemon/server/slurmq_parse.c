/*
 * Owns the meaning of the helper's lines. Pure.
 * Must not guess: a line that is not exactly as agreed is no answer.
 * Called by slurmq.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "larder/text.h"
#include "server/slurmq_parse.h"

/* Slurm's base states, as the helper names them. */
static const struct {
	const char *word;
	bool alive;
} states[] = {
	{"pending", true},    {"running", true},    {"suspended", true}, {"completed", false},
	{"cancelled", false}, {"failed", false},    {"timeout", false},	 {"node_fail", false},
	{"preempted", false}, {"boot_fail", false}, {"deadline", false}, {"oom", false},
};

/* Moves *p behind " key=" and gives the value's length; NULL when something else stands there. */
static const char *take_pair(const char **p, const char *key, size_t *len)
{
	size_t key_len = strlen(key);
	const char *value;

	if (**p != ' ' || strncmp(*p + 1, key, key_len) != 0 || (*p)[1 + key_len] != '=')
		return NULL;
	value = *p + key_len + 2;
	*len = strcspn(value, " ");
	*p = value + *len;
	return *len ? value : NULL;
}

static int take_number(const char **p, const char *key, uint64_t max, uint64_t *number)
{
	char digits[24];
	size_t len;
	const char *value = take_pair(p, key, &len);

	if (!value || len >= sizeof(digits))
		return -EPROTO;
	memcpy(digits, value, len);
	digits[len] = '\0';
	return larder_u64_parse(digits, number, NULL) || *number > max ? -EPROTO : 0;
}

static int take_state(const char **p, bool *alive, bool *pending)
{
	size_t len;
	const char *value = take_pair(p, "state", &len);

	for (size_t i = 0; value && i < sizeof(states) / sizeof(states[0]); i++) {
		if (strlen(states[i].word) != len || strncmp(states[i].word, value, len) != 0)
			continue;
		*alive = states[i].alive;
		*pending = i == 0;
		return 0;
	}
	return -EPROTO;
}

/*
 * Completing means that some node still runs the job's processes or its epilog, and slurmctld then
 * names just those nodes: on this one the lease is still in use. A job that completes will not run
 * its body any more, whatever ended it (scancel, time limit, requeue), so its prolog need not wait.
 */
static void judge(struct slurm_job *job, bool alive, bool pending, bool completing, bool here)
{
	if (completing)
		job->fate = here ? SLURM_JOB_HERE : SLURM_JOB_ELSEWHERE;
	else if (!alive)
		job->fate = SLURM_JOB_OVER;
	else
		job->fate = here && !pending ? SLURM_JOB_HERE : SLURM_JOB_ELSEWHERE;
	if (completing && !alive && !here)
		job->fate = SLURM_JOB_OVER; /* this node has done its part */
	job->cancelled = completing || job->fate == SLURM_JOB_OVER;
}

int slurmq_parse_job(const char *line, uint32_t job_id, struct slurm_job *job)
{
	uint64_t id, completing, here, restarts, limit, start;
	bool alive = false, pending = false;
	const char *p = line;

	*job = (struct slurm_job){.job_id = job_id, .fate = SLURM_JOB_NO_ANSWER};
	if (strncmp(p, "job", 3) != 0)
		return -EPROTO;
	p += 3;
	if (take_number(&p, "id", UINT32_MAX, &id) || id != job_id)
		return -EPROTO;
	if (strcmp(p, " state=unknown") == 0) {
		job->fate = SLURM_JOB_OVER;
		job->cancelled = true;
		return 0;
	}
	if (take_state(&p, &alive, &pending) || take_number(&p, "completing", 1, &completing) ||
	    take_number(&p, "here", 1, &here) ||
	    take_number(&p, "restarts", UINT32_MAX, &restarts) ||
	    take_number(&p, "limit_s", INT64_MAX, &limit) ||
	    take_number(&p, "start_s", INT64_MAX, &start) || *p)
		return -EPROTO;
	job->restarts = (uint32_t)restarts;
	job->time_limit_s = (int64_t)limit;
	job->start_s = (int64_t)start;
	judge(job, alive, pending, completing, here);
	return 0;
}

int slurmq_parse_conf(const char *line, int64_t *prolog_timeout_s)
{
	const char *p = line + 4;
	uint64_t seconds;

	if (strncmp(line, "conf", 4) != 0 ||
	    take_number(&p, "prolog_timeout_s", INT32_MAX, &seconds) || *p)
		return -EPROTO;
	*prolog_timeout_s = (int64_t)seconds;
	return 0;
}

bool slurmq_is_failure(const char *line)
{
	const char *p = line + 4;
	uint64_t number;

	return strncmp(line, "fail", 4) == 0 && take_number(&p, "errno", INT32_MAX, &number) == 0 &&
	       strncmp(p, " text=", 6) == 0;
}
