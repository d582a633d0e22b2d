/*
 * The order in which trees go: class, policy, id. A heap sort, so that nothing is allocated and the
 * order does not hang on the input's.
 * Must not: decide how many go. Called by evict.c only.
 */
#include "core/evict_order.h"

#include <math.h>

#include "core/quota.h"

/* s3fifo: the share of the small queue (its paper's 10 %), and how far its counter goes. */
#define SMALL_SHARE 10
#define COUNT_MAX   3

typedef bool (*before_fn)(const struct evict_order *order, const struct evict_victim *a,
			  const struct evict_victim *b);

static bool within(int64_t now_s, int64_t since_s, int64_t grace_s)
{
	int64_t age;

	/* 0: never. A clock that went back leaves the future, which counts as just now. */
	if (since_s <= 0 || grace_s <= 0)
		return false;
	return __builtin_sub_overflow(now_s, since_s, &age) || age < grace_s;
}

static bool in_grace(const struct evict_params *params, const struct evict_candidate *c)
{
	int64_t grace_s = params->grace_s;

	/* What was asked for once has had its turn when its lease has ended. */
	if (c->once && c->last_lease_end_s > 0)
		return false;
	if (c->copies == 1 && __builtin_mul_overflow(grace_s, 2, &grace_s))
		grace_s = INT64_MAX;
	return within(params->now_s, c->admitted_s, grace_s) ||
	       within(params->now_s, c->last_lease_end_s, grace_s);
}

enum evict_class evict_class_of(const struct evict_order *order, const struct evict_candidate *c)
{
	if (c->failed)
		return EVICT_CLASS_FAILED;
	if (c->ahead)
		return EVICT_CLASS_AHEAD;
	if (in_grace(order->params, c))
		return EVICT_CLASS_GRACE;
	if (c->superseded)
		return EVICT_CLASS_SUPERSEDED;
	return c->once ? EVICT_CLASS_ONCE : EVICT_CLASS_SCORE;
}

const char *evict_class_word(enum evict_class class)
{
	switch (class) {
	case EVICT_CLASS_FAILED: return "failed";
	case EVICT_CLASS_AHEAD: return "ahead";
	case EVICT_CLASS_SUPERSEDED: return "superseded";
	case EVICT_CLASS_ONCE: return "once";
	case EVICT_CLASS_SCORE: return "score";
	case EVICT_CLASS_GRACE: return "grace";
	}
	return "?";
}

static bool s3_main(const struct evict_candidate *c)
{
	return c->hits > 1 || (isfinite(c->uses) && c->uses > (double)c->hits);
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_gdsf(const struct evict_order *order, const struct evict_candidate *a,
			const struct evict_candidate *b)
{
	double x = evict_score(a, order->params->inflation);
	double y = evict_score(b, order->params->inflation);

	return (x > y) - (x < y);
}

static int compare_s3fifo(const struct evict_candidate *a, const struct evict_candidate *b)
{
	uint32_t x = a->hits < COUNT_MAX ? a->hits : COUNT_MAX;
	uint32_t y = b->hits < COUNT_MAX ? b->hits : COUNT_MAX;

	if (s3_main(a) != s3_main(b))
		return s3_main(a) ? 1 : -1;
	if (!s3_main(a))
		return compare_u64(a->admitted_seq, b->admitted_seq);
	return x != y ? compare_u64(x, y) : compare_u64(a->last_seq, b->last_seq);
}

static int compare_policy(const struct evict_order *order, const struct evict_candidate *a,
			  const struct evict_candidate *b)
{
	switch (order->params->policy) {
	case EVICT_GDSF: return compare_gdsf(order, a, b);
	case EVICT_S3FIFO: return compare_s3fifo(a, b);
	case EVICT_LRU: break;
	}
	return compare_u64(a->last_seq, b->last_seq);
}

static bool before_by_policy(const struct evict_order *order, const struct evict_victim *a,
			     const struct evict_victim *b)
{
	const struct evict_candidate *x = &order->candidates[a->candidate];
	const struct evict_candidate *y = &order->candidates[b->candidate];
	enum evict_class class_x = evict_class_of(order, x), class_y = evict_class_of(order, y);
	int by_policy;

	if (class_x != class_y)
		return class_x < class_y;
	by_policy = compare_policy(order, x, y);
	return by_policy ? by_policy < 0 : x->id < y->id;
}

static bool before_by_rank(const struct evict_order *order, const struct evict_victim *a,
			   const struct evict_victim *b)
{
	(void)order;
	return a->rank < b->rank;
}

static void swap(struct evict_victim *a, struct evict_victim *b)
{
	struct evict_victim t = *a;

	*a = *b;
	*b = t;
}

/* Lets v[root] sink in the heap of n whose top is the last in order. */
static void sift(const struct evict_order *order, struct evict_victim *v, size_t root, size_t n,
		 before_fn before)
{
	for (size_t child; (child = 2 * root + 1) < n; root = child) {
		if (child + 1 < n && before(order, &v[child], &v[child + 1]))
			child++;
		if (!before(order, &v[root], &v[child]))
			return;
		swap(&v[root], &v[child]);
	}
}

static void heap_sort(const struct evict_order *order, struct evict_victim *v, size_t n,
		      before_fn before)
{
	for (size_t i = n / 2; i-- > 0;)
		sift(order, v, i, n, before);
	for (size_t end = n; end > 1; end--) {
		swap(&v[0], &v[end - 1]);
		sift(order, v, 0, end - 1, before);
	}
}

/* Bytes in the tier and in its small queue; held trees take their place in both. */
static void s3_weigh(const struct evict_order *order, uint64_t *all, uint64_t *small)
{
	*all = *small = 0;
	for (size_t i = 0; i < order->n; i++) {
		const struct evict_candidate *c = &order->candidates[i];

		*all = quota_add(*all, c->bytes);
		if (!s3_main(c))
			*small = quota_add(*small, c->bytes);
	}
}

/*
 * Gives ranks to one class, v[from..to): those of the small queue stand before those of main there,
 * each in its own order; now they take turns as the queues' sizes ask.
 */
static void s3_merge(const struct evict_order *order, struct evict_victim *v, size_t from,
		     size_t to, uint64_t *all, uint64_t *small)
{
	size_t s = from, m = from, main_at;

	while (m < to && !s3_main(&order->candidates[v[m].candidate]))
		m++;
	main_at = m;
	for (size_t rank = from; rank < to; rank++) {
		bool from_small = s < main_at && (m == to || *small > *all / SMALL_SHARE);
		size_t at = from_small ? s++ : m++;
		uint64_t bytes = order->candidates[v[at].candidate].bytes;

		v[at].rank = rank;
		*all = quota_sub(*all, bytes);
		if (from_small)
			*small = quota_sub(*small, bytes);
	}
}

static void s3_interleave(const struct evict_order *order, struct evict_victim *v, size_t n)
{
	uint64_t all, small;
	size_t from = 0;

	s3_weigh(order, &all, &small);
	while (from < n) {
		enum evict_class class =
			evict_class_of(order, &order->candidates[v[from].candidate]);
		size_t to = from + 1;

		while (to < n &&
		       evict_class_of(order, &order->candidates[v[to].candidate]) == class)
			to++;
		s3_merge(order, v, from, to, &all, &small);
		from = to;
	}
}

void evict_order_sort(struct evict_victim *victims, size_t n)
{
	heap_sort(NULL, victims, n, before_by_rank);
}

/* For what comes with a worth of its own: what is worth as much stays. */
static bool worth_less(const struct evict_order *order, const struct evict_candidate *c)
{
	const struct evict_params *params = order->params;
	enum evict_class class = evict_class_of(order, c);

	if (params->below <= EVICT_ANY)
		return true;
	if (class == EVICT_CLASS_AHEAD)
		return !c->planned;
	return class != EVICT_CLASS_GRACE &&
	       (class != EVICT_CLASS_SCORE || evict_score(c, params->inflation) < params->below);
}

size_t evict_order_fill(const struct evict_order *order, struct evict_victim *victims)
{
	size_t n = 0;

	for (size_t i = 0; i < order->n; i++)
		if (order->candidates[i].hold == EVICT_FREE &&
		    worth_less(order, &order->candidates[i]))
			victims[n++] = (struct evict_victim){.id = order->candidates[i].id,
							     .candidate = i};
	heap_sort(order, victims, n, before_by_policy);
	for (size_t i = 0; i < n; i++)
		victims[i].rank = i;
	if (order->params->policy == EVICT_S3FIFO) {
		s3_interleave(order, victims, n);
		evict_order_sort(victims, n);
	}
	return n;
}
