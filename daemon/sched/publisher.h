/*
 * The one program of Larder that may change something in Slurm: `larder-sched --publisher`, run as
 * SlurmUser. Over its Unix socket it takes, from one user only, lines
 *
 *	set NODE,NODE…<tab>ds:A:1,ds:B:2	these nodes are to have exactly these of ours
 *	free JOB				our features go out of its constraint, first of all
 *	go MAX					do it, in at most MAX requests
 *
 * (tabs between the fields) and answers `done CHANGED REQUESTS LEFT` or `fail TEXT`. Features of
 * other forms are refused; what else a node or a constraint has, it keeps. There is no other
 *request.
 */
#ifndef SCHED_PUBLISHER_H
#define SCHED_PUBLISHER_H

#include "larder/error.h"

/* Until SIGTERM. 0, or -errno when it cannot start. */
int publisher_run(const char *socket, const char *only_user, struct larder_error *err);

#endif
