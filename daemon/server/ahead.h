/*
 * Datasets for jobs that are to come: staged at low priority, held softly (the first to go when
 * anything else needs the room), and let go when the plan changes.
 */
#ifndef SERVER_AHEAD_H
#define SERVER_AHEAD_H

#include "server/larderd.h"
#include "server/session.h"

/* The plan for that job is over: it came, or will not. What nobody else wants is cancelled. */
void ahead_forget(struct larderd *d, uint32_t job_id);
/* Plans that were not renewed end. */
void ahead_expire(struct larderd *d);
void ahead_close(struct larderd *d);

/* Was it brought for a job that has not come? *held: a plan of now still wants it. */
bool ahead_spare(struct larderd *d, const struct inv_tree *tree, bool *held);
/* Lines about the plan for that job; false: there is none that the session may see. */
bool ahead_explain(struct session *session, uint32_t job_id);
/* JOB rows of the plans that the session may see. */
void ahead_rows(struct session *session);

#endif
