/*
 * Questions to the node's daemon, each within the configured timeout, over one connection that is
 * made anew when the daemon is started again.
 */
#ifndef SPANK_ASK_H
#define SPANK_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "larder/client.h"
#include "settings.h"

struct ask {
	char socket[PATH_MAX];
	int timeout_ms;
	struct larder_client *client; /* NULL: not connected */
};

/* Connects nowhere yet. 0 or -ENAMETOOLONG. */
int ask_init(struct ask *ask, const struct settings *settings, const char *node,
	     struct larder_error *err);
/*
 * One question; connects when need be. 0 or -errno; after a failure of the way the next call
 * connects anew. *unreachable tells a daemon that could not be asked (absent, hung, of another
 * version) from one that refused. Connecting and the first row take at most timeout_ms +
 * patience_ms together, each further row no longer than that; patience_ms is how long the daemon
 * may think.
 */
int ask_call(struct ask *ask, unsigned int type, const void *msg, int patience_ms, larder_row_fn fn,
	     void *arg, bool *unreachable, struct larder_error *err);
void ask_fini(struct ask *ask);

void ask_pause_ms(int ms);

#endif
