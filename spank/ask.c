/*
 * Owns the connection to the daemon as the hooks use it: bounds, and what counts as unreachable.
 * Must not print or wait longer than it is told.
 * Called by job.c and task.c.
 */
#include "ask.h"
#include "larder/clock.h"

#include <errno.h>
#include <string.h>
#include <time.h>

int ask_init(struct ask *ask, const struct settings *settings, const char *node,
	     struct larder_error *err)
{
	ask->client = NULL;
	ask->timeout_ms = settings->timeout_ms;
	return settings_expand(settings->socket, node, ask->socket, sizeof(ask->socket), err);
}

void ask_pause_ms(int ms)
{
	struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	nanosleep(&pause, NULL);
}

/* Failures of the way to the daemon, not answers of it. */
static bool is_transport(int rc)
{
	switch (-rc) {
	case ETIMEDOUT:
	case ECONNRESET:
	case EPIPE:
	case EPROTO:
	case EPROTONOSUPPORT: return true;
	default: return false;
	}
}

void ask_fini(struct ask *ask)
{
	larder_client_close(ask->client);
	ask->client = NULL;
}

int ask_call(struct ask *ask, unsigned int type, const void *msg, int patience_ms, larder_row_fn fn,
	     void *arg, bool *unreachable, struct larder_error *err)
{
	int64_t until_ms = clock_mono_ms() + ask->timeout_ms;
	int left_ms, rc;

	*unreachable = true;
	if (!ask->client) {
		rc = larder_client_open(ask->socket, NULL, ask->timeout_ms, &ask->client, err);
		if (rc) {
			ask->client = NULL;
			return rc;
		}
	}
	left_ms = (int)(until_ms - clock_mono_ms());
	rc = larder_client_call(ask->client, type, msg, (left_ms > 1 ? left_ms : 1) + patience_ms,
				fn, arg, NULL, err);
	*unreachable = is_transport(rc);
	if (*unreachable)
		ask_fini(ask);
	return rc;
}
