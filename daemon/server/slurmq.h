/*
 * Questions to slurmctld, through the helper program larder-slurm-helper (its own process, because
 * libslurm can block for 18 s and is built for one Slurm version). One at a time, each with a
 * deadline; the helper is killed and started anew when one passes. No answer means unknown.
 */
#ifndef SERVER_SLURMQ_H
#define SERVER_SLURMQ_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "larder/error.h"

struct slurmq;

enum slurm_job_fate {
	SLURM_JOB_NO_ANSWER, /* slurmctld or helper did not answer: keep everything */
	SLURM_JOB_HERE, /* pending start or running or suspended or completing, and on this node */
	SLURM_JOB_ELSEWHERE, /* alive, but not on this node (a requeued job that is pending counts
				here) */
	SLURM_JOB_OVER,	     /* finished, cancelled, or unknown to slurmctld */
};

struct slurm_job {
	uint32_t job_id;
	enum slurm_job_fate fate;
	bool cancelled;	   /* OVER, or completing by scancel: its prolog need not wait any more */
	uint32_t restarts; /* restart count as slurmctld has it */
	int64_t time_limit_s; /* 0: none */
	int64_t start_s;      /* Unix time */
};
typedef void (*slurmq_job_fn)(const struct slurm_job *job, void *arg);
/* prolog_timeout_s: 0 none set; -1 no answer. */
typedef void (*slurmq_conf_fn)(int64_t prolog_timeout_s, void *arg);

/* helper: path of the program; slurm_conf "" : Slurm's own. Starts no process yet. */
int slurmq_create(sd_event *event, const char *helper, const char *slurm_conf, const char *node,
		  int64_t timeout_ms, struct slurmq **q, struct larder_error *err);
void slurmq_destroy(struct slurmq *q);
/* Queued; fn is always called once, never from inside this call. */
int slurmq_job(struct slurmq *q, uint32_t job_id, slurmq_job_fn fn, void *arg);
int slurmq_conf(struct slurmq *q, slurmq_conf_fn fn, void *arg);
/* Forgets callbacks with this arg. */
void slurmq_forget(struct slurmq *q, void *arg);

/* Is a step of the job alive here? connect() to SlurmdSpoolDir/<node>_<jobid>.<step> sockets. */
bool slurm_step_alive(const char *spool, const char *node, uint32_t job_id);

#endif
