/*
 * Answers what larder-sched asks a node: MAY. Changes nothing. Called by dispatch, for those
 * alone who may ask for the fleet.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "server/access.h"
#include "server/dispatch.h"

struct may {
	struct session *session;
	struct access_ask *ask;
};

static void may_left(void *arg)
{
	struct may *may = arg;

	access_cancel(may->ask);
	free(may);
}

static void on_may(const struct access_answer *answer, void *arg)
{
	auto_free struct may *may = arg;
	struct session *session = may->session;

	session_park(session, NULL, NULL);
	session_end(session, answer->rc, answer->err);
}

/* Of the catalog alone: whose own dataset it is knows its owner. */
static int may_spec(const struct larder_msg_MAY *m, struct larder_spec *spec,
		    struct larder_error *err)
{
	*spec = (struct larder_spec){.kind = LARDER_SPEC_CATALOG};
	if (larder_name_check(m->name, err) ||
	    (*m->version && larder_version_check(m->version, err)))
		return -err->code;
	snprintf(spec->name, sizeof(spec->name), "%s", m->name);
	snprintf(spec->version, sizeof(spec->version), "%s", m->version);
	return 0;
}

void handle_MAY(struct session *session, const void *msg)
{
	const struct larder_msg_MAY *m = msg;
	struct larderd *d = session_daemon(session);
	struct may *may = calloc(1, sizeof(*may));
	struct larder_error err = {0};
	struct larder_spec spec;

	if (!may) {
		session_refuse(session, ENOMEM, "out of memory");
		return;
	}
	if (may_spec(m, &spec, &err)) {
		free(may);
		session_fail(session, &err);
		return;
	}
	may->session = session;
	session_park(session, may_left, may);
	if (access_ask(d,
		       &(struct access_question){.spec = &spec,
						 .uid = m->uid,
						 .gid = m->gid,
						 .timeout_ms = d->config.check_timeout},
		       on_may, may, &may->ask, &err)) {
		free(may);
		session_fail(session, &err);
	}
}
