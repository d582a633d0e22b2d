/*
 * Owns how a stage is shown: progress, rate, time left. Changes nothing but the memory of the rate.
 * Used by STATUS, WATCH, AWAIT and metrics.
 */
#include <stdio.h>
#include <string.h>

#include <utlist.h>

#include "larder/clock.h"
#include "server/dataset.h"
#include "server/stage.h"
#include "server/stage_plan.h"

#define RATE_WINDOW_MS 2000

static const char *phase_word(const struct stage *stage, const struct transfer_progress *p)
{
	switch (stage->phase) {
	case STAGE_BLOCKED: return "blocked";
	case STAGE_PLANNING: return "planning";
	case STAGE_ADMITTING: return "waiting for room";
	case STAGE_QUEUED: return stage_low(stage) ? "queued (ahead)" : "queued";
	case STAGE_RUNNING: break;
	}
	return p->phase ? p->phase : "copying";
}

/* Over the last seconds; the average while those are too few. */
static uint64_t rate_now(struct stage *stage, uint64_t bytes)
{
	int64_t now = clock_mono_ms(), span = now - stage->rate_ms, all = now - stage->began_ms;

	if (span >= RATE_WINDOW_MS) {
		stage->rate = (bytes - stage->rate_bytes) * 1000 / (uint64_t)span;
		stage->rate_bytes = bytes;
		stage->rate_ms = now;
	}
	if (stage->rate)
		return stage->rate;
	return all > 0 ? bytes * 1000 / (uint64_t)all : 0;
}

static unsigned int count_waiters(const struct stage *stage)
{
	const struct interest *one;
	unsigned int n = 0;

	DL_FOREACH(stage->interests, one)
	n++;
	return n;
}

void stage_describe(struct stage *stage, struct larder_msg_TRANSFER *row, char label[],
		    char engine[64])
{
	struct transfer_progress p = {0};
	const struct stage_plan *plan = stage->plan;
	bool planned = plan && stage->phase != STAGE_PLANNING;

	if (stage->transfer)
		transfer_progress_get(stage->transfer, &p);
	dataset_label(&stage->tree, label);
	snprintf(engine, 64, "%s", p.engine);
	*row = (struct larder_msg_TRANSFER){
		.dataset = label,
		.origin = stage->tree.origin,
		.engine = engine,
		.done_bytes = (planned ? plan->sums.present_bytes : 0) + p.done_bytes,
		.need_bytes = planned ? plan->sums.bytes : stage->tree.bytes,
		.done_shards = (planned ? plan->sums.present_shards : 0) + p.done_shards,
		.need_shards = planned ? plan->sums.shards : stage->tree.shards,
		.eta_ms = -1,
		.waiters = count_waiters(stage),
		.phase = phase_word(stage, &p),
	};
	if (stage->phase == STAGE_RUNNING)
		row->bytes_per_s = rate_now(stage, p.done_bytes);
	if (row->bytes_per_s && row->need_bytes >= row->done_bytes)
		row->eta_ms =
			(int64_t)((row->need_bytes - row->done_bytes) / row->bytes_per_s * 1000 +
				  500);
}
