/*
 * A child process on the event loop: started without inheriting anything, watched through a
 * pidfd, killed when nobody wants it any more, and reaped in the background in any case, so that
 * a child in D state never holds the control thread.
 */
#ifndef SERVER_CHILD_H
#define SERVER_CHILD_H

#include <systemd/sd-event.h>

#include "larder/error.h"

struct child;

#define CHILD_FDS_MAX 8

struct child_params {
	const char *path; /* of the program; no search */
	char *const *argv, *const *envp;
	int fds[CHILD_FDS_MAX]; /* fds[i] becomes i in the child; -1: /dev/null. Borrowed. */
	unsigned int n_fds;	/* at least 3; everything else is closed */
};

/* status as waitpid gives it; -1 when it cannot be known. The child is gone after this call. */
typedef void (*child_exit_fn)(int status, void *arg);

int child_start(sd_event *event, const struct child_params *params, child_exit_fn exited, void *arg,
		struct child **child, struct larder_error *err);
/* SIGKILL; `exited` is still called when it is dead. */
void child_kill(struct child *child);
/* SIGKILL, and `exited` is not called any more; the loop reaps it whenever it dies. */
void child_abandon(struct child *child);
/* "ended with status 3" or "was ended by signal 9". Writes into buf and returns it. */
const char *child_status_format(int status, char *buf, size_t len);

#endif
