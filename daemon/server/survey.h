/*
 * A walk over the trees on disk, off the control thread, compared with the inventory: what no row
 * knows is adopted (after the inventory was lost) or thrown away (gc).
 */
#ifndef SERVER_SURVEY_H
#define SERVER_SURVEY_H

#include "server/larderd.h"
#include "server/session.h"

enum survey_mode { SURVEY_ADOPT, SURVEY_GC, SURVEY_GC_REHEARSE };

/* session NULL: nobody waits for it. Else it is answered with FREED rows and DONE. */
int survey_start(struct larderd *d, enum survey_mode mode, struct session *session,
		 struct larder_error *err);

#endif
