/*
 * Answers VERIFY: a tree read again, shard by shard; what is damaged is claimed no more, and with
 * `repair` (or while a job holds it) staged again at once. The scrub does the same by itself.
 * Reads and unlinks on a worker; claims nothing while a stage or a trim works on the same tree.
 * Called by dispatch, for admins, and by a timer.
 */
#include "larder/clock.h"
#include "server/hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "larder/cleanup.h"
#include "log/log.h"
#include "server/dataset.h"
#include "server/dispatch.h"
#include "server/order.h"
#include "server/pick.h"
#include "server/scrub.h"
#include "server/stage.h"
#include "server/trimmer.h"

struct bad_shard {
	struct bad_shard *prev, *next;
	uint64_t index, size;
	char *path;
	char problem[256];
	bool drop; /* its name is to go */
};

enum verify_phase {
	VERIFY_READING,
	VERIFY_WAITING,	 /* for the stage or trim that has begun meanwhile: it counts on what was
			    claimed */
	VERIFY_CLAIMING, /* until the last name is gone: nothing may be staged into the tree */
};

struct verify {
	struct work work;
	UT_hash_handle hh;
	uint64_t tree_id; /* key */
	enum verify_phase phase;
	struct larderd *d;
	struct session *session; /* NULL: the scrub, or the client is gone */
	struct node_tier *tier;
	struct inv_tree tree;
	bool repair;
	uint8_t *claimed; /* bits, when it began */
	struct bad_shard *bad;
	uint64_t n_bad;
	_Atomic uint64_t done_bytes;
	_Atomic bool stop;
	int rc;
	struct larder_error err;
};

static void verify_free(struct verify *verify)
{
	struct bad_shard *bad, *tmp;

	DL_FOREACH_SAFE(verify->bad, bad, tmp)
	{
		free(bad->path);
		free(bad);
	}
	HASH_DEL(verify->d->verifies, verify);
	free(verify->claimed);
	free(verify);
}

/* --- on the worker */

static void on_bad(const struct shard *shard, const char *problem, void *arg)
{
	struct verify *verify = arg;
	struct bad_shard *bad = calloc(1, sizeof(*bad));

	if (!bad || !(bad->path = strdup(shard->path))) {
		free(bad);
		verify->rc = larder_error_set(&verify->err, ENOMEM, "out of memory");
		return;
	}
	bad->index = shard->index;
	bad->size = shard->size;
	snprintf(bad->problem, sizeof(bad->problem), "%s", problem);
	DL_APPEND(verify->bad, bad);
	verify->n_bad++;
}

static void verify_run(struct work *work)
{
	struct verify *verify = (struct verify *)work;
	struct tree_key key = dataset_key(&verify->tree);
	/* repair: what is not there counts as damage */
	int rc = tree_verify(verify->tier->tier, &key, verify->repair ? NULL : verify->claimed,
			     on_bad, verify, &verify->done_bytes, &verify->stop, &verify->err);

	if (rc)
		verify->rc = rc;
}

/* --- on the control thread */

static int load_bits(struct verify *verify, uint8_t **out, struct larder_error *err)
{
	const struct inv_tree *tree = &verify->tree;
	auto_free uint8_t *bits = calloc(tree->shards / 8 + 1, 1);

	if (!bits)
		return larder_error_set(err, ENOMEM, "out of memory");
	if (tree->state == LARDER_TREE_READY)
		memset(bits, 0xff, tree->shards / 8 + 1);
	else if (inventory_bitmap_load(verify->d->inv, tree->id, bits, tree->shards, err))
		return -err->code;
	*out = take_ptr(&bits);
	return 0;
}

static bool bit(const uint8_t *bits, uint64_t i)
{
	return bits[i / 8] >> i % 8 & 1;
}

/* Claims less before anything goes. */
static int claim_damage(struct verify *verify, struct larder_error *err)
{
	struct inventory *inv = verify->d->inv;
	struct inv_tree *tree = &verify->tree;
	auto_free uint8_t *bits = NULL;
	struct bad_shard *bad;
	uint64_t bytes = 0, shards = 0;
	int rc = load_bits(verify, &bits, err);

	if (rc || (rc = inventory_begin(inv, err)))
		return rc;
	DL_FOREACH(verify->bad, bad)
	{
		bool was = bit(verify->claimed, bad->index), is = bit(bits, bad->index);

		bad->drop = was || !is; /* else it was staged while this read */
		if (!was || !is)
			continue; /* was not claimed: repair lists it, and stages it */
		bits[bad->index / 8] = (uint8_t)(bits[bad->index / 8] & ~(1u << bad->index % 8));
		bytes += bad->size;
		shards++;
	}
	inventory_count(inv, INV_COUNTER_scrub_failures, shards);
	inventory_event_add(inv, clock_s(), "damage", "dataset=%s:%s shards=%llu", tree->name,
			    tree->version, (unsigned long long)verify->n_bad);
	if (tree->state == LARDER_TREE_READY)
		rc = inventory_tree_state(inv, tree->id, LARDER_TREE_PARTIAL, NULL, err);
	if (!rc)
		rc = inventory_bitmap_store(inv, tree->id, bits, tree->shards, err);
	if (!rc)
		rc = inventory_tree_present(
			inv, tree->id, tree->present_shards - shards,
			tree->present_bytes > bytes ? tree->present_bytes - bytes : 0, err);
	if (!rc)
		rc = inventory_commit(inv, err);
	if (rc)
		inventory_rollback(inv);
	return rc;
}

static void send_bad(const struct verify *verify)
{
	struct bad_shard *bad;
	char label[DATASET_LABEL_MAX];

	DL_FOREACH(verify->bad, bad)
	{
		auto_free char *path = larder_path_encode(bad->path);

		session_row(
			verify->session, LARDER_MSG_SHARD,
			&(struct larder_msg_SHARD){.dataset = dataset_label(&verify->tree, label),
						   .path = path,
						   .size = bad->size,
						   .problem = bad->problem});
	}
}

static void verify_answer(struct verify *verify, bool staged)
{
	char note[160];

	if (!verify->session)
		return;
	send_bad(verify);
	if (verify->rc)
		session_fail(verify->session, &verify->err);
	else if (verify->n_bad && !staged)
		session_refuse(
			verify->session, EBADMSG,
			"%llu shards of %s:%s are damaged and were taken out (larder repair %s:%s stages them again)",
			(unsigned long long)verify->n_bad, verify->tree.name, verify->tree.version,
			verify->tree.name, verify->tree.version);
	else {
		snprintf(note, sizeof(note),
			 verify->n_bad ? "%llu damaged shards are being staged again" : "all sound",
			 (unsigned long long)verify->n_bad);
		session_done(verify->session, note);
	}
}

static void verify_end(struct verify *verify, bool staged)
{
	struct larderd *d = verify->d;
	uint64_t tree_id = verify->tree_id;

	verify_answer(verify, staged);
	verify_free(verify);
	stage_unblock(d, tree_id);
}

static void drop_run(struct work *work)
{
	struct verify *verify = (struct verify *)work;
	struct tree_key key = dataset_key(&verify->tree);
	struct bad_shard *bad;

	DL_FOREACH(verify->bad, bad)
	if (!verify->rc && bad->drop &&
	    tree_drop_shard(verify->tier->tier, &key, bad->path, &verify->err))
		verify->rc = -verify->err.code;
}

static void drop_done(struct work *work)
{
	struct verify *verify = (struct verify *)work;
	uint32_t leases = 0;
	bool staged = false;

	inventory_lease_count(verify->d->inv, verify->tree_id, &leases, &verify->err);
	if (!verify->rc && (verify->repair || leases))
		staged = order_stage(verify->d, verify->tree_id, -1, NULL, 0, NULL, &verify->err) >=
			 0;
	verify_end(verify, staged);
}

/* The claim is durable: the damaged names go, and what is wanted comes back. */
static void on_claimed(int rc, void *arg)
{
	struct verify *verify = arg;

	if (rc) {
		verify->rc = larder_error_set(&verify->err, rc, "inventory: %s", strerror(-rc));
		verify_end(verify, false);
		return;
	}
	verify->work = (struct work){.run = drop_run, .done = drop_done};
	worker_run(verify->d->slow, &verify->work);
}

static struct verify *verify_of(struct larderd *d, uint64_t tree_id)
{
	struct verify *verify;

	HASH_FIND(hh, d->verifies, &tree_id, sizeof(tree_id), verify);
	return verify;
}

bool verify_claims(struct larderd *d, uint64_t tree_id)
{
	struct verify *verify = verify_of(d, tree_id);

	return verify && verify->phase == VERIFY_CLAIMING;
}

void verify_go_on(struct larderd *d, uint64_t tree_id)
{
	struct verify *verify = verify_of(d, tree_id);

	if (!verify || verify->phase != VERIFY_WAITING || stage_of(d, tree_id) ||
	    trimmer_has(d, tree_id))
		return;
	verify->phase = VERIFY_CLAIMING;
	if (inventory_tree_get(d->inv, tree_id, &verify->tree, &verify->err))
		verify->rc = larder_error_set(&verify->err, ENOENT,
					      "%s:%s was evicted while it was read",
					      verify->tree.name, verify->tree.version);
	if (!verify->rc)
		verify->rc = claim_damage(verify, &verify->err);
	if (!verify->rc && inventory_barrier(d->inv, on_claimed, verify))
		verify->rc = larder_error_set(&verify->err, ENOMEM, "out of memory");
	if (verify->rc)
		verify_end(verify, false);
}

static void verify_done(struct work *work)
{
	struct verify *verify = (struct verify *)work;
	struct larderd *d = verify->d;

	inventory_count(d->inv, INV_COUNTER_scrubbed_bytes, verify->done_bytes);
	log_event(verify->n_bad ? LOG_LEVEL_ERR : LOG_LEVEL_INFO, "verify",
		  "dataset=%s:%s bytes=%llu damaged=%llu rc=%d", verify->tree.name,
		  verify->tree.version, (unsigned long long)verify->done_bytes,
		  (unsigned long long)verify->n_bad, verify->rc);
	if (verify->rc || !verify->n_bad) {
		verify_end(verify, false);
		return;
	}
	verify->phase = VERIFY_WAITING;
	verify_go_on(d, verify->tree_id);
}

void verifies_stop(struct larderd *d)
{
	struct verify *verify, *tmp;

	HASH_ITER(hh, d->verifies, verify, tmp)
	verify->stop = true;
}

void verifies_close(struct larderd *d)
{
	while (d->verifies)
		verify_free(d->verifies);
}

static void verify_left(void *arg)
{
	struct verify *verify = arg;

	verify->session = NULL;
	verify->stop = true;
}

int verify_start(struct larderd *d, const struct inv_tree *tree, bool repair,
		 struct session *session, struct larder_error *err)
{
	struct verify *verify = calloc(1, sizeof(*verify));

	if (!verify)
		return larder_error_set(err, ENOMEM, "out of memory");
	*verify = (struct verify){
		.d = d, .session = session, .tree_id = tree->id, .tree = *tree, .repair = repair};
	verify->tier = dataset_tier(d, tree->tier);
	if (!verify->tier || stage_uses(d, tree->id) || trimmer_has(d, tree->id) ||
	    verify_of(d, tree->id) || tree->state == LARDER_TREE_EVICTING) {
		free(verify);
		return larder_error_set(
			err, EBUSY,
			"%s:%s is being staged, verified or evicted just now; try again when it is over",
			tree->name, tree->version);
	}
	HASH_ADD(hh, d->verifies, tree_id, sizeof(tree->id), verify);
	if (load_bits(verify, &verify->claimed, err)) {
		verify_free(verify);
		return -err->code;
	}
	verify->work = (struct work){.run = verify_run, .done = verify_done};
	if (session)
		session_park(session, verify_left, verify);
	worker_run(d->slow, &verify->work);
	return 0;
}

static void verify_picked(struct session *session, const struct inv_tree *tree, void *arg)
{
	const bool *repair = arg;
	struct larder_error err = {0};

	if (verify_start(session_daemon(session), tree, *repair, session, &err))
		session_fail(session, &err);
}

/* By number, for --all: admins see every tree, so there is no right to look into. */
static void verify_numbered(struct session *session, const struct larder_msg_VERIFY *m)
{
	struct larderd *d = session_daemon(session);
	struct larder_error err = {0};
	struct inv_tree tree;
	int rc = inventory_tree_get(d->inv, m->id, &tree, &err);

	if (rc == -ENOENT)
		session_done(session, "evicted meanwhile");
	else if (rc || verify_start(d, &tree, m->repair, session, &err))
		session_fail(session, &err);
}

void handle_VERIFY(struct session *session, const void *msg)
{
	const struct larder_msg_VERIFY *m = msg;
	bool *repair;

	if (m->id) {
		verify_numbered(session, m);
		return;
	}
	repair = malloc(sizeof(*repair));
	if (repair)
		*repair = m->repair;
	pick_tree(session, m->spec, verify_picked, repair);
}
