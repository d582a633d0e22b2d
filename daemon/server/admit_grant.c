/*
 * Owns the short way of a job all of whose datasets are here: its record is written, it is told,
 * and the rows are made afterwards (request.c). Chooses no tree; what is here admit.c has seen.
 * Called by admit.c, once nothing of the request is missing.
 */
#include "server/admit.h"

#include "larder/clock.h"

static bool all_here(const struct request *request)
{
	for (unsigned int i = 0; i < request->n_wants; i++)
		if (request->wants[i].state != WANT_RESOLVED || !request->wants[i].here)
			return false;
	return request->n_wants > 0 && request->n_wants <= LARDER_SPECS_MAX;
}

static int write_grant(const struct request *request, struct larder_error *err)
{
	struct larderd *d = request->d;
	struct inv_grant_lease leases[LARDER_SPECS_MAX];
	char pairs[LARDER_SPECS_MAX][WANT_PAIRS_MAX];
	struct inv_job job; /* 20 KB of room, of which little is written */
	int rc = request_describe(request, LARDER_OUTCOME_READY, &job, err);

	for (unsigned int i = 0; i < request->n_wants && !rc; i++) {
		const struct want *want = &request->wants[i];

		want_pairs(want, pairs[i]);
		leases[i] = (struct inv_grant_lease){want->tree.id, want->hit_bytes,
						     want->spec.subset ? want->spec.subset : "",
						     pairs[i]};
	}
	return rc ? rc
		  : inventory_grant(d->inv,
				    &(struct inv_grant){
					    .job = &job,
					    .leases = leases,
					    .n = request->n_wants,
					    .now_s = clock_s(),
					    .half_life_s = d->config.use_half_life / 1000,
					    .inflation = d->inflation,
				    },
				    err);
}

bool admit_grant(struct request *request)
{
	struct larder_error ignored; /* take_each goes the other way, and tells */
	bool granted;

	if (!all_here(request))
		return false;
	for (unsigned int i = 0; i < request->n_wants; i++) {
		request->wants[i].hit_bytes = request->wants[i].tree.present_bytes;
		request->wants[i].state = WANT_READY;
		request->wants[i].found = "hit";
	}
	granted = write_grant(request, &ignored) == 0;
	for (unsigned int i = 0; i < request->n_wants && !granted; i++)
		request->wants[i].state = WANT_RESOLVED;
	request->counted |= granted;
	request->ready_saved = granted;
	return granted;
}
