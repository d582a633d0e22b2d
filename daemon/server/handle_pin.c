/*
 * Answers PIN and UNPIN: a person's hold on a tree, with an end and, for ordinary users, a budget.
 * Stages nothing. Called by dispatch.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/clock.h"
#include "larder/text.h"
#include "core/quota.h"
#include "server/dataset.h"
#include "server/dispatch.h"
#include "server/larderd.h"
#include "server/pick.h"

struct pin_order {
	int64_t ttl_ms;
	char reason[256];
	bool all_users;
};

struct pinned_sum {
	struct larderd *d;
	uid_t uid;
	uint64_t bytes;
};

static int add_pinned(const struct inv_pin *pin, void *arg)
{
	struct pinned_sum *sum = arg;
	struct larder_error ignored;
	struct inv_tree tree;

	if (pin->uid == sum->uid && !inventory_tree_get(sum->d->inv, pin->tree, &tree, &ignored))
		sum->bytes = quota_add(sum->bytes, tree.bytes);
	return 0;
}

/* What an ordinary user may pin is bounded in bytes and in time. */
static int within_quota(struct session *session, const struct inv_tree *tree,
			const struct pin_order *order, struct larder_error *err)
{
	struct larderd *d = session_daemon(session);
	struct pinned_sum sum = {.d = d, .uid = session_uid(session)};
	char have[32], need[32], quota[32];

	if (session_admin(session))
		return 0;
	if (order->ttl_ms <= 0 || order->ttl_ms > d->config.pin_max)
		return larder_error_set(
			err, EPERM, "a pin of yours may last %s at most; name a shorter time",
			larder_duration_format(d->config.pin_max, have, sizeof(have)));
	if (inventory_pin_each(d->inv, 0, add_pinned, &sum, err))
		return -err->code;
	if (quota_add(sum.bytes, tree->bytes) <= d->config.pin_quota)
		return 0;
	return larder_error_set(
		err, EDQUOT,
		"%s:%s is %s, and you have pinned %s of your quota of %s; unpin something",
		tree->name, tree->version, larder_size_format(tree->bytes, need, sizeof(need)),
		larder_size_format(sum.bytes, have, sizeof(have)),
		larder_size_format(d->config.pin_quota, quota, sizeof(quota)));
}

static void put_pin(struct session *session, const struct inv_tree *seen, void *arg)
{
	const struct pin_order *order = arg;
	struct larderd *d = session_daemon(session);
	struct larder_error err = {0};
	struct inv_tree now = *seen, *tree = &now;
	struct inv_pin pin = {.tree = tree->id, .uid = session_uid(session)};
	int rc = within_quota(session, tree, order, &err);

	pin.until_s = order->ttl_ms > 0
			      ? clock_s() + order->ttl_ms / 1000 + (order->ttl_ms % 1000 != 0)
			      : 0;
	snprintf(pin.reason, sizeof(pin.reason), "%s", order->reason);
	if (!rc) /* rights may have taken seconds to check: it may be leaving by now */
		rc = inventory_tree_get(d->inv, seen->id, tree, &err);
	if (!rc && tree->state == LARDER_TREE_EVICTING)
		rc = larder_error_set(&err, EBUSY,
				      "%s:%s is being evicted just now; stage it again first",
				      tree->name, tree->version);
	if (!rc)
		rc = inventory_pin_put(d->inv, &pin, &err);
	if (!rc)
		inventory_event_add(d->inv, clock_s(), "pin", "dataset=%s:%s uid=%u until=%lld",
				    tree->name, tree->version, pin.uid, (long long)pin.until_s);
	session_end(session, rc, &err);
}

void handle_PIN(struct session *session, const void *msg)
{
	const struct larder_msg_PIN *m = msg;
	struct pin_order *order = calloc(1, sizeof(*order));

	if (order) {
		order->ttl_ms = m->ttl_ms;
		snprintf(order->reason, sizeof(order->reason), "%s", m->reason);
		larder_text_printable(order->reason);
	}
	pick_tree(session, m->spec, put_pin, order);
}

static void drop_pin(struct session *session, const struct inv_tree *tree, void *arg)
{
	const struct pin_order *order = arg;
	struct larderd *d = session_daemon(session);
	struct larder_error err = {0};
	int rc = inventory_pin_delete(d->inv, tree->id,
				      order->all_users ? UINT32_MAX : session_uid(session), &err);

	if (rc == -ENOENT)
		rc = larder_error_set(&err, ENOENT, "%s:%s is not pinned%s", tree->name,
				      tree->version, order->all_users ? "" : " by you");
	if (!rc)
		inventory_event_add(d->inv, clock_s(), "unpin", "dataset=%s:%s uid=%u", tree->name,
				    tree->version, session_uid(session));
	session_end(session, rc, &err);
}

void handle_UNPIN(struct session *session, const void *msg)
{
	const struct larder_msg_UNPIN *m = msg;
	struct pin_order *order = calloc(1, sizeof(*order));

	if (m->all_users && !session_admin(session)) {
		free(order);
		session_refuse(
			session, EPERM,
			"other users' pins are for root and members of admin_groups to drop");
		return;
	}
	if (order)
		order->all_users = m->all_users;
	pick_tree(session, m->spec, drop_pin, order);
}
