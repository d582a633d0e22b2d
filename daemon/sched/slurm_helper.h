/*
 * The process that asks slurmctld for larder-sched: a question a line on standard input, answers on
 * standard output, fields parted by tabs:
 *
 *	nodes	node NAME ADDRESS USABLE IDLE FEATURES ACTIVE	(a line each)	end
 *	jobs	job ID PENDING UID GID START NODES SPECS	(a line each)	end
 *		same			instead: nothing changed since the last answer
 *		fail TEXT		instead, or behind some lines
 */
#ifndef SCHED_SLURM_HELPER_H
#define SCHED_SLURM_HELPER_H

#define SLURM_HELPER_OPTION "--slurm-helper"

/* The exit status. */
int slurm_helper_main(void);

#endif
