/*
 * larder-prolog-slurmctld: what it knows of the job, and of the nodes it asks. Its files share no
 * state but what is handed over; every failure means that the job simply goes on.
 */
#ifndef PROLOG_PROLOG_H
#define PROLOG_PROLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "larder/spec.h"

struct prolog_options {
	int64_t wait_ms;	  /* the longest wait for staging */
	int64_t timeout_ms;	  /* for one question to one node */
	uint32_t port;		  /* where nodes listen, unless `addresses` says otherwise */
	const char *addresses;	  /* a file, NODE HOST:PORT a line; NULL: none */
	const char *sched;	  /* larder-sched's HOST:PORT; NULL: it is not asked */
	const char *sched_user;	  /* the user that it runs as */
	const char *munge_socket; /* "": its usual place */
	const char *helper;	  /* larder-slurm-helper; "": nobody tells of a cancelled job */
};

/* --- job.c: the job, from Slurm's variables --- */

struct prolog_job {
	uint32_t id, uid, gid;
	struct larder_spec_list specs; /* of the catalog, as the submission fixed them. Owned. */
	char **nodes;		       /* owned */
	size_t n_nodes;
	const char *node_list; /* the same as Slurm writes it: n[1-3]. Borrowed */
	int64_t wait_ms;       /* as the user said; LARDER_WAIT_ALL: nothing */
};

/* The first of what prolog_job_read does: asks nobody. -ENODATA, -EINVAL as there. To be finished.
 */
int prolog_job_specs(char *(*get)(const char *name), struct larder_spec_list *specs,
		     struct larder_error *err);
/*
 * getenv is a parameter for tests. 0; -ENODATA: it wants nothing staged (no --dataset, none,
 * bypass); -EINVAL with a sentence. prolog_job_fini afterwards in any case.
 */
int prolog_job_read(char *(*get)(const char *name), struct prolog_job *job,
		    struct larder_error *err);
void prolog_job_fini(struct prolog_job *job);

/* --- addresses.c: where nodes can be asked --- */

struct fleet_caller;

/*
 * One for each of the job's nodes, to free: what the file says, else what larder-sched says, else
 * the node's name and the port. Who does not answer in time is done without. 0 or -ENOMEM.
 */
int prolog_addresses(const struct prolog_options *options, const struct prolog_job *job,
		     struct fleet_caller *caller, char **addresses, struct larder_error *err);
/* What the text of an addresses file says of that node; NULL: nothing, or no memory. To free. */
char *prolog_address_in(const char *text, const char *node);
/*
 * Puts what larder-sched's answer says where there is no address yet. 0; -EPROTO: it is none. Pure,
 * for tests.
 */
int prolog_take_addresses(uint8_t *answer, size_t len, const struct prolog_job *job,
			  char **addresses, struct larder_error *err);

/* --- fleet.c: the nodes --- */

/* What a node is asked next for a dataset; in the order in which it goes. */
enum prolog_step {
	PROLOG_MAY,   /* the job's user have it? */
	PROLOG_STAGE, /* bring it */
	PROLOG_WATCH, /* is it there? */
	PROLOG_READY,
	PROLOG_FAILED, /* the job hears of it in its own prolog */
};

struct prolog_node {
	const char *name;	    /* borrowed, the job's */
	char *address;		    /* owned */
	enum prolog_step *steps;    /* one a dataset. Owned. */
	bool answered, silent;	    /* once; nobody answers there any more, or not who should */
	unsigned int failures;	    /* in a row */
	char why[LARDER_ERROR_MAX]; /* the last failure */
};

struct prolog_fleet;

/* 0 or -errno. prolog_fleet_destroy afterwards in any case. */
int prolog_fleet_create(const struct prolog_options *options, const struct prolog_job *job,
			struct prolog_fleet **fleet, struct larder_error *err);
void prolog_fleet_destroy(struct prolog_fleet *fleet);
/*
 * One step at every node and dataset that are not at their end; *waiting: how many nodes have more
 * to come. Blocks for one timeout, and while a WATCH waits.
 */
void prolog_fleet_step(struct prolog_fleet *fleet, const _Atomic int *stop, size_t *waiting);
/* Borrowed; n_nodes of the job. */
const struct prolog_node *prolog_fleet_nodes(const struct prolog_fleet *fleet);

/*
 * Moves steps (n, those at their end are passed over) by the answer's frames, one DONE or ERROR for
 * each that was asked, and keeps the last failure's sentence. 0; -EPROTO: the answer is not what
 * was asked for. Pure, for tests.
 */
int prolog_answer(uint8_t *answer, size_t len, enum prolog_step *steps, size_t n,
		  char why[LARDER_ERROR_MAX]);

/* --- alive.c: has the job been cancelled meanwhile? --- */

struct prolog_alive;

/* Starts the helper. NULL when it cannot be: then nobody tells, which is no reason to stop. */
struct prolog_alive *prolog_alive_create(const char *helper, uint32_t job_id);
void prolog_alive_destroy(struct prolog_alive *alive);
/* Takes an answer that has come and asks again; never waits. true: the job is over. */
bool prolog_alive_over(struct prolog_alive *alive);
/* What one line of the helper says of that job. Pure, for tests. */
bool prolog_line_over(const char *line);

#endif
