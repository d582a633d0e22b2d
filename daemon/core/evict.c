/*
 * Which trees go: classes first, then the policy's order, then as few as suffice.
 * Must not: look at a clock or a disk, remember anything between two calls, touch what is held.
 * Called by the server's evictor, `larder evict --dry-run` and the simulator of the tests.
 */
#include "core/evict.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "core/evict_order.h"
#include "core/quota.h"

/* A trim that leaves less than 1/10 takes all: a stump costs a tree's care and serves nobody. */
#define STUMP_SHARE 10

/* What is still missing. */
struct need {
	uint64_t bytes, inodes;
};

static void plan_hold(struct evict_plan *plan, const struct evict_candidate *c)
{
	uint64_t *sum = NULL;

	switch (c->hold) {
	case EVICT_FREE: return;
	case EVICT_LEASED: sum = &plan->leased_bytes; break;
	case EVICT_PINNED: sum = &plan->pinned_bytes; break;
	case EVICT_STAGING: sum = &plan->staging_bytes; break;
	case EVICT_ONLY_COPY: sum = &plan->kept_bytes; break;
	}
	if (sum)
		*sum = quota_add(*sum, c->bytes);
}

static bool gives(const struct evict_candidate *c, const struct need *missing)
{
	return (missing->bytes && c->bytes) || (missing->inodes && c->inodes);
}

static bool may_trim(const struct evict_candidate *c, enum evict_class class,
		     const struct need *missing)
{
	if (class == EVICT_CLASS_FAILED || class == EVICT_CLASS_ONCE || missing->inodes)
		return false;
	if (c->present_shards <= 1 || missing->bytes >= c->bytes)
		return false;
	return c->bytes - missing->bytes >= c->bytes / STUMP_SHARE;
}

/* Shards go in the order of a hash, so inodes go about as bytes do: rounded down, not promised. */
static uint64_t share_of(uint64_t whole, uint64_t part, uint64_t all)
{
	return (uint64_t)((__uint128_t)whole * part / all);
}

static void take(struct evict_victim *v, const struct evict_order *order,
		 const struct evict_candidate *c, const struct need *missing)
{
	enum evict_class class = evict_class_of(order, c);

	v->id = c->id;
	v->why = evict_class_word(class);
	v->whole = !may_trim(c, class, missing);
	v->bytes = v->whole ? c->bytes : missing->bytes;
	v->inodes = v->whole ? c->inodes : share_of(c->inodes, v->bytes, c->bytes);
}

/* L rises to the score of what the score chose, never falls; other classes say nothing about it. */
static void inflate(struct evict_plan *plan, const struct evict_order *order,
		    const struct evict_candidate *c)
{
	enum evict_class class = evict_class_of(order, c);
	double score;

	if (order->params->policy != EVICT_GDSF)
		return;
	if (class != EVICT_CLASS_SCORE && class != EVICT_CLASS_GRACE)
		return;
	score = evict_score(c, order->params->inflation);
	if (score > plan->inflation)
		plan->inflation = score;
}

/*
 * Walks the order and keeps victims at the front of the array. `all`: also those that give nothing,
 * because together with others (the last links of shared shards) they may.
 */
static size_t walk(const struct evict_order *order, struct evict_victim *victims, size_t n,
		   bool all, struct evict_plan *plan)
{
	struct need missing = {order->params->need_bytes, order->params->need_inodes};
	size_t taken = 0;

	plan->bytes = plan->inodes = 0;
	plan->inflation = order->params->inflation;
	for (size_t i = 0; i < n && (all || missing.bytes || missing.inodes); i++) {
		const struct evict_candidate *c = &order->candidates[victims[i].candidate];
		struct evict_victim v = victims[i];

		if (!all && !gives(c, &missing))
			continue;
		take(&v, order, c, &missing);
		inflate(plan, order, c);
		plan->bytes = quota_add(plan->bytes, v.bytes);
		plan->inodes = quota_add(plan->inodes, v.inodes);
		missing.bytes = quota_sub(missing.bytes, v.bytes);
		missing.inodes = quota_sub(missing.inodes, v.inodes);
		/* Swapped, not overwritten: a second walk must find every candidate again. */
		victims[i] = victims[taken];
		victims[taken++] = v;
	}
	plan->enough = !missing.bytes && !missing.inodes;
	return taken;
}

void evict_choose(const struct evict_params *params, const struct evict_candidate *candidates,
		  size_t n, struct evict_victim *victims, struct evict_plan *plan)
{
	struct evict_order order = {.params = params, .candidates = candidates, .n = n};
	size_t free_ones;

	*plan = (struct evict_plan){.inflation = params->inflation};
	for (size_t i = 0; i < n; i++)
		plan_hold(plan, &candidates[i]);
	free_ones = evict_order_fill(&order, victims);
	plan->n_victims = walk(&order, victims, free_ones, false, plan);
	if (plan->enough)
		return;
	evict_order_sort(victims, free_ones);
	plan->n_victims = walk(&order, victims, free_ones, true, plan);
}

static double stage_seconds(const struct evict_candidate *c)
{
	/* Not measured: a slow shared origin's 200 MB/s, and half a second to begin. */
	if (c->stage_ms <= 0)
		return 0.5 + (double)c->bytes / 200e6;
	return (double)c->stage_ms / 1000.0;
}

static double copies_weight(uint32_t copies)
{
	if (copies == 0)
		return 1;
	return fmax(2.0 / (double)copies, 0.25);
}

double evict_score(const struct evict_candidate *candidate, double inflation)
{
	double base = isfinite(candidate->base) ? fmin(candidate->base, inflation) : inflation;
	double uses = isfinite(candidate->uses) ? fmax(candidate->uses, 0.0) : 0.0;
	double bytes = candidate->bytes ? (double)candidate->bytes : 1.0;

	return base + uses * copies_weight(candidate->copies) * stage_seconds(candidate) / bytes;
}

double evict_decay(double uses, int64_t since_s, int64_t half_life_s)
{
	if (!isfinite(uses) || uses < 0)
		return 0;
	if (since_s <= 0 || half_life_s <= 0)
		return uses;
	return uses * exp2(-(double)since_s / (double)half_life_s);
}

int evict_policy_parse(const char *word)
{
	static const char *const words[] = {
		[EVICT_GDSF] = "gdsf",
		[EVICT_S3FIFO] = "s3fifo",
		[EVICT_LRU] = "lru",
	};

	for (size_t i = 0; word && i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i], word) == 0)
			return (int)i;
	return -EINVAL;
}
