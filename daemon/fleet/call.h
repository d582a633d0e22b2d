/*
 * Asks other machines, many at once, each within its own time: the asking side of serve.h.
 */
#ifndef FLEET_CALL_H
#define FLEET_CALL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "larder/error.h"

struct fleet_caller;

/* One question. Strings and request are borrowed until it is answered. */
struct fleet_call {
	const char *address; /* host:port */
	const char *node;    /* who must answer */
	uid_t to;	     /* the user that it runs as; root for a larderd */
	const void *request; /* frames */
	size_t len;
	int64_t timeout_ms; /* from its turn on, connecting included */
	void *arg;	    /* the asker's */
	/* the answer */
	int rc; /* -ECONNREFUSED, -ETIMEDOUT, -EACCES (they refuse us, or the seal is wrong), … */
	struct larder_error err;
	uint8_t *answer; /* to free */
	size_t answer_len;
};

/* at_once: calls under way at the same time; keep: connections kept for the next round. A caller
 * belongs to one thread at a time. */
int fleet_caller_create(const char *munge_socket, unsigned int at_once, unsigned int keep,
			struct fleet_caller **caller, struct larder_error *err);
void fleet_caller_destroy(struct fleet_caller *caller);

/*
 * Asks them all; returns when each has its answer or its failure. done (may be NULL) is called for
 * each as soon as it has. Nobody waits for a dead machine but its own call. stop (may be NULL):
 * once it is not 0, what is left ends with -ECANCELED.
 */
void fleet_call_all(struct fleet_caller *caller, struct fleet_call *calls, size_t n,
		    void (*done)(struct fleet_call *call), const _Atomic int *stop);

#endif
