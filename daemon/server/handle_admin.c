/*
 * Answers the admin's small verbs: GC, DRAIN, RESUME, RELOAD.
 * Called by dispatch, for admins.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "larder/clock.h"
#include "larder/text.h"
#include "log/log.h"
#include "server/dispatch.h"
#include "server/reload.h"
#include "server/survey.h"

void handle_GC(struct session *session, const void *msg)
{
	const struct larder_msg_GC *m = msg;
	struct larderd *d = session_daemon(session);
	struct larder_error err = {0};
	uint32_t expired;

	if (!m->dry_run && (inventory_pin_expire(d->inv, clock_s(), &expired, &err) ||
			    inventory_event_trim(d->inv, d->config.log_keep, &err))) {
		session_fail(session, &err);
		return;
	}
	if (survey_start(d, m->dry_run ? SURVEY_GC_REHEARSE : SURVEY_GC, session, &err))
		session_fail(session, &err);
}

static void set_drained(struct session *session, const char *why)
{
	struct larderd *d = session_daemon(session);
	struct larder_error err = {0};
	int rc = inventory_meta_set(d->inv, "drained", why, &err);

	if (!rc) {
		snprintf(d->drained, sizeof(d->drained), "%s", why);
		inventory_event_add(d->inv, clock_s(), why[0] ? "drain" : "resume",
				    "uid=%u reason=%s", session_uid(session), why);
		log_event(LOG_LEVEL_INFO, why[0] ? "drain" : "resume", "uid=%u reason=\"%s\"",
			  session_uid(session), why);
	}
	session_end(session, rc, &err);
}

void handle_DRAIN(struct session *session, const void *msg)
{
	const struct larder_msg_DRAIN *m = msg;
	char why[256];

	snprintf(why, sizeof(why), "%s", m->reason[0] ? m->reason : "drained by an admin");
	set_drained(session, larder_text_printable(why));
}

void handle_RESUME(struct session *session, const void *msg)
{
	(void)msg;
	set_drained(session, "");
}

void handle_RELOAD(struct session *session, const void *msg)
{
	struct larder_error err = {0};

	(void)msg;
	if (reload_start(session_daemon(session), session, &err))
		session_fail(session, &err);
}
