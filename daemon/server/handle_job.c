/*
 * Answers the plugin's prolog and epilog: ACQUIRE, AWAIT, RELEASE.
 * Decides nothing; request.c does. Called by dispatch, for root alone.
 */
#include <errno.h>

#include "server/dispatch.h"
#include "server/larderd.h"
#include "server/request.h"

static int acquire_check(const struct larder_msg_ACQUIRE *m, struct larder_error *err)
{
	if (m->job_id == 0)
		return larder_error_set(err, EINVAL, "ACQUIRE: job id 0");
	if (m->mode > LARDER_MODE_BYPASS || m->mode == LARDER_MODE_LAZY)
		return larder_error_set(
			err, EINVAL, "ACQUIRE: mode %u is none that this larderd knows", m->mode);
	if (m->on_fail > LARDER_ON_FAIL_BYPASS)
		return larder_error_set(err, EINVAL,
					"ACQUIRE: on-fail %u is none that this larderd knows",
					m->on_fail);
	if (m->wait_ms < LARDER_WAIT_ALL)
		return larder_error_set(err, EINVAL, "ACQUIRE: a wait of %lld ms",
					(long long)m->wait_ms);
	return 0;
}

void handle_ACQUIRE(struct session *session, const void *msg)
{
	const struct larder_msg_ACQUIRE *m = msg;
	struct larder_error err = {0};
	struct request *request;
	struct request_params params = {
		.job_id = m->job_id,
		.run = m->run,
		.uid = m->uid,
		.gid = m->gid,
		.specs = m->specs,
		.fixed = m->fixed,
		.mode = (enum larder_mode)m->mode,
		.wait_ms = m->wait_ms,
		.on_fail = (enum larder_on_fail)m->on_fail,
	};

	if (acquire_check(m, &err) ||
	    request_start(session_daemon(session), &params, &request, &err)) {
		session_fail(session, &err);
		return;
	}
	request_await(request, session, 0);
	request_started(request);
}

void handle_AWAIT(struct session *session, const void *msg)
{
	const struct larder_msg_AWAIT *m = msg;
	struct request *request = request_get(session_daemon(session), m->job_id, m->run);

	if (!request)
		session_refuse(session, ENOENT, "job %u has asked this node for nothing",
			       m->job_id);
	else
		request_await(request, session, m->timeout_ms);
}

void handle_RELEASE(struct session *session, const void *msg)
{
	const struct larder_msg_RELEASE *m = msg;
	struct larder_error err = {0};

	session_end(session,
		    request_release(session_daemon(session), m->job_id, m->run, NULL, &err), &err);
}
