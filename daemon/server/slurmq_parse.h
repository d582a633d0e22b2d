/* The helper's lines, read strictly; and what a job's state means for its lease. Pure. */
#ifndef SERVER_SLURMQ_PARSE_H
#define SERVER_SLURMQ_PARSE_H

#include "server/slurmq.h"

/*
 * "job id=42 state=running completing=0 here=1 restarts=0 limit_s=3600 start_s=1700000000" or
 * "job id=42 state=unknown". 0; -EPROTO for anything else, a different id included.
 */
int slurmq_parse_job(const char *line, uint32_t job_id, struct slurm_job *job);
/* "conf prolog_timeout_s=300" (0: none is set). 0 or -EPROTO. */
int slurmq_parse_conf(const char *line, int64_t *prolog_timeout_s);
/* "fail errno=1800 text=Unable to contact slurm controller". */
bool slurmq_is_failure(const char *line);

#endif
