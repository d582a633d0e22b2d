/*
 * What a lease's commit only tells, its event and its counts, may follow in the next transaction:
 * a job waits for the lease alone. Kept in memory until then, for moments: the server flushes when
 * it has nothing else to do. A crash in between loses these lines, never a lease.
 * Must not: hold back anything of a transaction that was begun with inventory_begin.
 * Called by inventory_sql.c (transactions) and inventory_log.c (events, counters).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/inventory_sql.h"

#define KEPT_MAX 256 /* events; then a brief transaction is an ordinary one */

struct later_event {
	struct later_event *next;
	int64_t at_s;
	char *text; /* into what */
	char what[];
};

void inv_later_drop(struct inv_later *later)
{
	while (later->first) {
		struct later_event *event = later->first;

		later->first = event->next;
		free(event);
	}
	*later = (struct inv_later){0};
}

int inv_later_event(struct inv_later *later, int64_t at_s, const char *what, const char *text)
{
	size_t what_len = strlen(what) + 1, text_len = strlen(text) + 1;
	struct later_event *event = malloc(sizeof(*event) + what_len + text_len);

	if (!event)
		return -ENOMEM;
	*event = (struct later_event){.at_s = at_s, .text = event->what + what_len};
	memcpy(event->what, what, what_len);
	memcpy(event->text, text, text_len);
	if (later->last)
		later->last->next = event;
	else
		later->first = event;
	later->last = event;
	later->n++;
	return 0;
}

void inv_later_move(struct inv_later *from, struct inv_later *to)
{
	for (int i = 0; i < INV_COUNTERS; i++)
		to->counts[i] += from->counts[i];
	if (from->first && to->last)
		to->last->next = from->first;
	else if (from->first)
		to->first = from->first;
	to->last = from->last ? from->last : to->last;
	to->n += from->n;
	to->any |= from->any;
	*from = (struct inv_later){0};
}

int inv_later_write(struct inventory *inv, const struct inv_later *later)
{
	int rc = 0;

	for (int i = 0; i < INV_COUNTERS && !rc; i++)
		rc = inventory_count(inv, (enum inv_counter)i, later->counts[i]);
	for (const struct later_event *e = later->first; e && !rc; e = e->next)
		rc = inventory_event_add(inv, e->at_s, e->what, "%s", e->text);
	return rc;
}

int inventory_begin_brief(struct inventory *inv, struct larder_error *err)
{
	int rc;

	if (inv->kept.n >= KEPT_MAX)
		return inventory_begin(inv, err);
	rc = inv_begin(inv, err);
	inv->brief = rc == 0;
	return rc;
}

bool inventory_unwritten(const struct inventory *inv)
{
	return inv->kept.any;
}

void inventory_flush(struct inventory *inv)
{
	struct larder_error ignored;

	if (!inv->kept.any || inv->in_tx || inv->walking)
		return;
	if (!inventory_begin(inv, &ignored))
		(void)inventory_commit(inv, &ignored);
}
