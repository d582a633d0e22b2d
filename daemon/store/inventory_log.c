/*
 * What happened and what is worth remembering: events, counters, small values, sequence numbers,
 * the tiers' ids. Must not: format anything for people but an event's pairs.
 * Called by the control thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "larder/text.h"
#include "store/inventory_sql.h"

/* Sequence numbers are reserved in the database by blocks: an access writes no extra row. */
#define SEQ_KEY	      "seq"
#define SEQ_BLOCK     1024
#define RECOVERED_KEY "recovered"

int inventory_meta_get(struct inventory *inv, const char *key, char *value, size_t len,
		       struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_META_GET);
	struct inv_row row = {.st = st};
	int rc;

	inv_bind_text(st, 1, key);
	rc = inv_step(inv, st, err);
	if (rc < 0)
		return rc;
	if (rc == 0)
		return larder_error_set(err, ENOENT, "inventory: no value of %s", key);
	inv_read_text(&row, value, len);
	return inv_read_end(&row, key, err);
}

int inventory_meta_set(struct inventory *inv, const char *key, const char *value,
		       struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_META_SET);

	inv_bind_text(st, 1, key);
	inv_bind_text(st, 2, value);
	return inv_run(inv, st, err);
}

bool inventory_needs_recovery(struct inventory *inv)
{
	struct larder_error ignored;
	char value[8];

	return inventory_meta_get(inv, RECOVERED_KEY, value, sizeof(value), &ignored) != 0;
}

int inventory_set_recovered(struct inventory *inv, struct larder_error *err)
{
	return inventory_meta_set(inv, RECOVERED_KEY, "1", err);
}

int inv_seq_load(struct inventory *inv, struct larder_error *err)
{
	char text[32];
	int rc = inventory_meta_get(inv, SEQ_KEY, text, sizeof(text), err);

	inv->seq = 0;
	if (!rc)
		rc = larder_u64_parse(text, &inv->seq, err);
	inv->seq_limit = inv->seq;
	return rc == -ENOENT ? 0 : rc;
}

int inventory_next_seq(struct inventory *inv, uint64_t *seq, struct larder_error *err)
{
	char text[32];
	int rc;

	if (inv->seq == inv->seq_limit) {
		(void)snprintf(text, sizeof(text), "%" PRIu64, inv->seq + SEQ_BLOCK);
		rc = inventory_meta_set(inv, SEQ_KEY, text, err);
		if (rc)
			return rc;
		inv->seq_limit = inv->seq + SEQ_BLOCK;
	}
	*seq = ++inv->seq;
	return 0;
}

int inventory_tier_check(struct inventory *inv, const char *name, const char *id,
			 struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_TIER_GET);
	struct inv_row row = {.st = st};
	char known[128];
	int rc;

	inv_bind_text(st, 1, name);
	rc = inv_step(inv, st, err);
	if (rc < 0)
		return rc;
	if (rc == 0)
		return inventory_tier_replace(inv, name, id, err);
	inv_read_text(&row, known, sizeof(known));
	rc = inv_read_end(&row, "tier", err);
	if (!rc && strcmp(known, id) != 0)
		rc = larder_error_set(err, ESTALE,
				      "tier %s has id %s where %s was known: another "
				      "disk, or a new one",
				      name, id, known);
	return rc;
}

int inventory_tier_replace(struct inventory *inv, const char *name, const char *id,
			   struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_TIER_SET);

	inv_bind_text(st, 1, name);
	inv_bind_text(st, 2, id);
	return inv_run(inv, st, err);
}

int inventory_event_add(struct inventory *inv, int64_t now_s, const char *what, const char *fmt,
			...)
{
	auto_stmt st = inv_stmt(inv, INV_EVENT_ADD);
	struct inv_event event;
	struct larder_error ignored;
	va_list args;

	/* Cut to what inventory_event_each can give back. */
	(void)snprintf(event.what, sizeof(event.what), "%s", what);
	va_start(args, fmt);
	(void)vsnprintf(event.text, sizeof(event.text), fmt, args);
	va_end(args);
	inv_bind_i64(st, 1, now_s);
	inv_bind_text(st, 2, event.what);
	inv_bind_text(st, 3, event.text);
	return inv_run(inv, st, &ignored);
}

int inventory_event_each(struct inventory *inv, uint64_t after, uint32_t limit, const char *what,
			 inventory_event_fn fn, void *arg, struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_EVENT_EACH);
	struct inv_event event;
	int rc;

	inv_bind_u64(st, 1, after);
	inv_bind_i64(st, 2, limit);
	inv_bind_text(st, 3, what ? what : "");
	while ((rc = inv_step(inv, st, err)) == 1) {
		struct inv_row row = {.st = st};

		event.seq = inv_read_u64(&row);
		event.at_s = inv_read_i64(&row);
		inv_read_text(&row, event.what, sizeof(event.what));
		inv_read_text(&row, event.text, sizeof(event.text));
		rc = inv_read_end(&row, "event", err);
		if (rc)
			return rc;
		inv->walking++;
		rc = fn(&event, arg);
		inv->walking--;
		if (rc)
			return rc;
	}
	return rc;
}

int inventory_event_trim(struct inventory *inv, uint64_t keep, struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_EVENT_TRIM);

	inv_bind_u64(st, 1, keep);
	return inv_run(inv, st, err);
}

static const struct {
	const char *name, *unit, *help;
} counters[] = {
#define LARDER_COUNTER(name, unit, help) [INV_COUNTER_##name] = {#name, unit, help},
#include "larder/counter.def"
#undef LARDER_COUNTER
};

int inventory_count(struct inventory *inv, enum inv_counter counter, uint64_t delta)
{
	auto_stmt st = inv_stmt(inv, INV_COUNTER_ADD);
	struct larder_error ignored;

	if (delta == 0)
		return 0;
	inv_bind_text(st, 1, counters[counter].name);
	inv_bind_u64(st, 2, delta);
	return inv_run(inv, st, &ignored);
}

static int counter_get(struct inventory *inv, const char *name, uint64_t *value,
		       struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_COUNTER_GET);
	struct inv_row row = {.st = st};
	int rc;

	*value = 0;
	inv_bind_text(st, 1, name);
	rc = inv_step(inv, st, err);
	if (rc == 1)
		*value = inv_read_u64(&row);
	return rc < 0 ? rc : 0;
}

/* In the order of counter.def; one that never counted is 0. */
int inventory_counter_each(struct inventory *inv,
			   int (*fn)(enum inv_counter counter, const char *name, const char *unit,
				     const char *help, uint64_t value, void *arg),
			   void *arg, struct larder_error *err)
{
	for (unsigned int i = 0; i < INV_COUNTERS; i++) {
		uint64_t value;
		int rc = counter_get(inv, counters[i].name, &value, err);

		if (!rc)
			rc = fn((enum inv_counter)i, counters[i].name, counters[i].unit,
				counters[i].help, value, arg);
		if (rc)
			return rc;
	}
	return 0;
}
