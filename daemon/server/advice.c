/*
 * Owns what the fleet told about copies elsewhere, and answers ADVISE. Input to the eviction's
 * scores, never an order; what is not renewed is forgotten. Called by dispatch and the evictor.
 */
#include "server/advice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "larder/clock.h"
#include "server/dispatch.h"
#include "server/hash.h"

#define TTL_MAX_MS 86400000

struct advice {
	UT_hash_handle hh;
	uint64_t tree_id;
	uint32_t copies;
	int64_t until_ms;
};

uint32_t advice_copies(struct larderd *d, uint64_t tree_id)
{
	struct advice *advice;

	HASH_FIND(hh, d->advices, &tree_id, sizeof(tree_id), advice);
	return advice && clock_mono_ms() < advice->until_ms ? advice->copies : 0;
}

void advice_expire(struct larderd *d, bool all)
{
	struct advice *advice, *tmp;

	HASH_ITER(hh, d->advices, advice, tmp)
	if (all || clock_mono_ms() >= advice->until_ms) {
		HASH_DEL(d->advices, advice);
		free(advice);
	}
}

static struct advice *advice_for(struct larderd *d, uint64_t tree_id)
{
	struct advice *advice;

	HASH_FIND(hh, d->advices, &tree_id, sizeof(tree_id), advice);
	if (!advice && (advice = calloc(1, sizeof(*advice)))) {
		advice->tree_id = tree_id;
		HASH_ADD(hh, d->advices, tree_id, sizeof(tree_id), advice);
	}
	return advice;
}

void handle_ADVISE(struct session *session, const void *msg)
{
	const struct larder_msg_ADVISE *m = msg;
	struct larderd *d = session_daemon(session);
	struct larder_error err = {0};
	struct advice *advice;
	struct inv_tree tree;

	if (inventory_tree_get(d->inv, m->id, &tree, &err)) {
		session_fail(session, &err);
		return;
	}
	if (strcmp(tree.digest, m->digest) != 0) {
		session_refuse(session, ESTALE, "tree %llu has another digest",
			       (unsigned long long)m->id);
		return;
	}
	advice = advice_for(d, m->id);
	if (!advice) {
		session_refuse(session, ENOMEM, "out of memory");
		return;
	}
	advice->copies = m->copies;
	advice->until_ms = clock_mono_ms() + (m->ttl_ms < TTL_MAX_MS ? m->ttl_ms : TTL_MAX_MS);
	session_done(session, "");
}
