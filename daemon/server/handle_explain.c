/*
 * Answers EXPLAIN: why a job waits or failed, why a dataset is or is not here, in sentences.
 * Changes nothing. Called by dispatch.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "larder/text.h"
#include "server/admit.h"
#include "server/ahead.h"
#include "server/dataset.h"
#include "server/dispatch.h"
#include "server/evictor.h"
#include "server/holders.h"
#include "server/names.h"
#include "server/request.h"
#include "server/visible.h"

static void say(struct session *session, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void say(struct session *session, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	session_row(session, LARDER_MSG_LINE, &(struct larder_msg_LINE){.text = text});
}

static void say_progress(struct session *session, struct stage *stage)
{
	struct larder_msg_TRANSFER t;
	char label[DATASET_LABEL_MAX], engine[64], done[32], need[32], rate[32],
		eta[48] = "not known yet";

	stage_describe(stage, &t, label, engine);
	if (t.eta_ms >= 0)
		larder_duration_format(t.eta_ms, eta, sizeof(eta));
	say(session, "  %s is %s: %s of %s, %s/s, time left %s, %u waiting for it", label, t.phase,
	    larder_size_format(t.done_bytes, done, sizeof(done)),
	    larder_size_format(t.need_bytes, need, sizeof(need)),
	    larder_size_format(t.bytes_per_s, rate, sizeof(rate)), eta, t.waiters);
}

/* --- a job */

static void explain_want(struct session *session, const struct want *want)
{
	char line[LARDER_ERROR_MAX + 8192];

	switch (want->state) {
	case WANT_CHECKING:
		say(session, "  %s: %s", want->spec.name,
		    want->spec.kind == LARDER_SPEC_OWN ? "its origin is being scanned"
						       : "catalog and rights are being checked");
		break;
	case WANT_RESOLVED:
		say(session, "  %s: waits for the job's other datasets to be checked",
		    want->spec.name);
		break;
	case WANT_STAGING:
		if (want->interest.stage)
			say_progress(session, want->interest.stage);
		break;
	case WANT_FAILED: say(session, "  %s: failed: %s", want->spec.name, want->err.text); break;
	case WANT_READY:
	case WANT_BYPASS:
		want_line(want, line, sizeof(line));
		say(session, "  %s", line);
		break;
	}
}

static void explain_job(struct session *session, struct request *request)
{
	int64_t now = clock_mono_ms();
	char since[48], left[48], holders[512];

	larder_duration_format((clock_s() - request->since_s) * 1000, since, sizeof(since));
	say(session, "job %u (run %u) asked for %s %s ago: %s", request->key.job_id,
	    request->key.run, request->specs, since, larder_outcome_word(request->outcome));
	if (request->text[0])
		say(session, "  %s", request->text);
	for (unsigned int i = 0; i < request->n_wants; i++)
		explain_want(session, &request->wants[i]);
	if (request->outcome != LARDER_OUTCOME_READY &&
	    holders_text(request->d, 0, request->key.job_id, session_uid(session),
			 session_admin(session), holders, sizeof(holders)))
		say(session, "  data on this node is held by %s", holders);
	if (request->outcome == LARDER_OUTCOME_PENDING)
		say(session, "  it is held back for %s more at most (%s)",
		    larder_duration_format(request->deadline_ms - now, left, sizeof(left)),
		    request->deadline_why);
	session_done(session, "");
}

/* --- a dataset */

static void explain_tree(struct session *session, const struct inv_tree *tree)
{
	struct larderd *d = session_daemon(session);
	struct larder_error held = {0}, ignored;
	struct stage *stage = stage_of(d, tree->id);
	char size[32], have[32], ago[48], cure[400];
	uint32_t leases = 0, pins = 0;
	struct inv_quarantine q;

	admit_cure(tree, cure, sizeof(cure));
	inventory_lease_count(d->inv, tree->id, &leases, &ignored);
	inventory_pin_count(d->inv, tree->id, &pins, &ignored);
	say(session, "%s:%s@%.8s is %s in tier %s: %s of %s", tree->name, tree->version,
	    tree->digest, larder_tree_state_word(tree->state), tree->tier,
	    larder_size_format(tree->present_bytes, have, sizeof(have)),
	    larder_size_format(tree->bytes, size, sizeof(size)));
	if (stage)
		say_progress(session, stage);
	if (tree->first_use)
		say(session,
		    "  it was published without digests (--trust-first-use): what came first was "
		    "believed here, and is compared from then on");
	if (inventory_quarantine_get(d->inv, tree->id, &q, &ignored) == 1)
		say(session,
		    "  it is in quarantine since %s: %s; jobs that need that file fail at once; it is tried again when %s",
		    larder_duration_format((clock_s() - q.since_s) * 1000, ago, sizeof(ago)), q.why,
		    cure);
	else if (tree->error[0])
		say(session, "  its last transfer failed: %s", tree->error);
	if (tree->last_use_s)
		say(session, "  last used %s ago, %.1f uses (decayed), brought here in %lld ms",
		    larder_duration_format((clock_s() - tree->last_use_s) * 1000, ago, sizeof(ago)),
		    tree->uses, (long long)tree->stage_ms);
	if (evictor_may(d, tree, false, &held))
		say(session, "  it will not be evicted: %s", held.text);
	else
		say(session, "  it may be evicted when room is needed (%u leases, %u pins)", leases,
		    pins);
}

struct explain {
	struct larder_spec spec;
	char text[512];
	uint64_t
		*trees; /* ids: what is told of one may write (pins expire), which a walk may not */
	size_t n, room;
};

static void explain_free(void *arg)
{
	struct explain *explain = arg;

	larder_spec_fini(&explain->spec);
	free(explain->trees);
	free(explain);
}

static int note_fitting(const struct inv_tree *tree, void *arg)
{
	struct explain *explain = arg;

	if (explain->spec.version[0] && strcmp(explain->spec.version, tree->version) != 0)
		return 0;
	if (explain->n == explain->room) {
		size_t room = explain->room ? explain->room * 2 : 8;
		uint64_t *more = reallocarray(explain->trees, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		explain->trees = more;
		explain->room = room;
	}
	explain->trees[explain->n++] = tree->id;
	return 0;
}

static void explain_trees(struct session *session, const struct visible *visible, void *arg)
{
	struct explain *explain = arg;
	struct larder_error ignored;
	struct inv_tree tree;

	visible_each(visible, note_fitting, explain);
	for (size_t i = 0; i < explain->n; i++)
		if (!inventory_tree_get(session_daemon(session)->inv, explain->trees[i], &tree,
					&ignored))
			explain_tree(session, &tree);
	if (explain->n)
		session_done(session, "");
	else
		session_refuse(
			session, ENOENT,
			"%s is not on this node, so a job that names it has it staged first (larder stage %s does so ahead)",
			explain->text, explain->text);
}

static void explain_dataset(struct session *session, const char *what)
{
	struct explain *explain = calloc(1, sizeof(*explain));
	struct larder_error err = {0};

	if (!explain || larder_spec_parse(what, &explain->spec, &err)) {
		free(explain);
		session_refuse(session, err.code ? err.code : ENOMEM, "%s",
			       err.text[0] ? err.text : "out of memory");
		return;
	}
	snprintf(explain->text, sizeof(explain->text), "%s", what);
	visible_look(session, explain->spec.name, explain_trees, explain, explain_free);
}

void handle_EXPLAIN(struct session *session, const void *msg)
{
	const struct larder_msg_EXPLAIN *m = msg;
	struct larder_error ignored;
	struct request *request;
	uint64_t job_id;

	if (larder_u64_parse(m->what, &job_id, &ignored)) {
		explain_dataset(session, m->what);
		return;
	}
	request = job_id <= UINT32_MAX ? request_latest(session_daemon(session), (uint32_t)job_id)
				       : NULL;
	if (!request && job_id <= UINT32_MAX && ahead_explain(session, (uint32_t)job_id))
		session_done(session, "");
	else if (!request || (!session_admin(session) && request->uid != session_uid(session)))
		session_refuse(session, ENOENT, "job %s holds and waits for nothing on this node",
			       m->what);
	else
		explain_job(session, request);
}
