/*
 * Owns whose turn it is: who of the stages that are admitted transfers next, and who makes way.
 * Moves no byte. Called when a place is free and when somebody joins the line.
 */
#include <utlist.h>

#include "log/log.h"
#include "server/stage_inside.h"
#include "server/stage_plan.h"

/* How long the line of those that can wait may be, that others find a place at once. */
static unsigned int low_limit(const struct larderd *d)
{
	return d->config.max_transfers > 4 ? d->config.max_transfers / 4 : 1;
}

static uint32_t priority_of(const struct stage *stage)
{
	const struct interest *one;
	uint32_t most = 0;

	DL_FOREACH(stage->interests, one)
	if (one->priority > most)
		most = one->priority;
	return most;
}

static bool goes_first(const struct stage *stage, const struct stage *before)
{
	return !before || priority_of(stage) > priority_of(before);
}

/* By priority and in the order in which they came, those that can wait behind all others. */
static struct stage *next_queued(struct larderd *d)
{
	struct stage *stage, *tmp, *now = NULL, *later = NULL;
	unsigned int low = 0;

	HASH_ITER(hh, d->stages, stage, tmp)
	{
		bool can_wait = stage_low(stage);

		low += stage->phase == STAGE_RUNNING && can_wait;
		if (stage->phase != STAGE_QUEUED)
			continue;
		if (can_wait && goes_first(stage, later))
			later = stage;
		if (!can_wait && goes_first(stage, now))
			now = stage;
	}
	if (now)
		return now;
	return low < low_limit(d) ? later : NULL;
}

/* Somebody's job is in the line while one that can wait runs: that one begins again, later. */
static void make_way(struct larderd *d)
{
	struct stage *stage, *tmp, *low = NULL;
	bool needed = false;

	HASH_ITER(hh, d->stages, stage, tmp)
	{
		needed |= stage->phase == STAGE_QUEUED && !stage_low(stage);
		if (stage->phase == STAGE_RUNNING && stage->cancelled)
			return; /* a place will be free soon */
		if (stage->phase == STAGE_RUNNING && stage_low(stage))
			low = stage;
	}
	if (!needed || !low)
		return;
	log_event(LOG_LEVEL_INFO, "stage.way", "dataset=%s:%s", low->tree.name, low->tree.version);
	low->cancelled = true;
	low->plan->stop = true;
	transfer_cancel(low->transfer);
}

void stage_start_next(struct larderd *d)
{
	struct stage *stage;

	while (d->running_transfers < d->config.max_transfers && (stage = next_queued(d)))
		stage_transfer(stage);
	if (d->running_transfers >= d->config.max_transfers)
		make_way(d);
}
