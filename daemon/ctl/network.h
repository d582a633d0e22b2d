/*
 * Asking over the network: a thread with a socket pair turns each frame into a call of another
 * machine, so that a verb speaks to it as to a daemon of this host.
 */
#ifndef CTL_NETWORK_H
#define CTL_NETWORK_H

#include <sys/types.h>

#include "larder/client.h"

struct network_settings {
	char sched[256];     /* HOST:PORT of larder-sched; "": there is none */
	char sched_user[64]; /* the user that it runs as */
	char munge[256];     /* munged's socket; "": its usual place */
	unsigned int port;   /* where nodes listen when larder-sched does not say */
};

/*
 * The keys sched, sched_user, fleet_port and munge_socket of larder.conf (LARDER_CONF names
 * another file), each on a line of its own; LARDER_SCHED, LARDER_SCHED_USER, LARDER_FLEET_PORT and
 * LARDER_MUNGE_SOCKET override them. What cannot be read is as it is by default.
 */
void network_settings_read(struct network_settings *settings);

struct network_peer {
	const char *address; /* HOST:PORT */
	const char *node;    /* who must answer */
	uid_t to;	     /* the user that it runs as */
	const char *munge;
};
/* Speaks to nobody yet. One thread at a time may open. 0 or -errno. */
int network_open(const struct network_peer *peer, struct larder_client **client,
		 struct larder_error *err);
/* The same to larder-sched: -ENOTCONN when none is configured. */
int network_open_sched(const struct network_settings *settings, struct larder_client **client,
		       struct larder_error *err);

#endif
