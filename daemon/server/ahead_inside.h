/* What ahead.c and ahead_row.c share: a plan, and what it wants. */
#ifndef SERVER_AHEAD_INSIDE_H
#define SERVER_AHEAD_INSIDE_H

#include "larder/spec.h"
#include "server/access.h"
#include "server/session.h"
#include "server/stage.h"

enum item_state { ITEM_CHECKING, ITEM_STAGING, ITEM_READY, ITEM_FAILED };

struct item {
	struct interest interest;
	struct plan *plan;
	const struct larder_spec *spec;
	struct access_ask *ask;
	uint64_t tree_id;
	enum item_state state;
	bool brought; /* by this plan: it was not here before */
	char text[256];
};

struct plan {
	UT_hash_handle hh;
	uint32_t job_id; /* key */
	struct larderd *d;
	uid_t uid;
	gid_t gid;
	uint32_t priority;
	char *specs, *fixed;
	struct larder_spec_list list;
	struct item *items; /* list.count */
	unsigned int checking;
	int64_t since_s, until_ms;
	struct session *asker; /* waits until all checks have answered */
};

/* NULL: none. */
struct plan *plan_of(struct larderd *d, uint32_t job_id);
/* How it stands; the text is an item's. */
struct larder_msg_OUTCOME plan_outcome(struct plan *plan);

#endif
