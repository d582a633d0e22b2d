/*
 * Owns the frames that nodes are to get with their next question: staging ahead, advice.
 * Must not send: the poller does. Called by the control thread.
 */
#include "log/log.h"
#include "sched/choose.h"
#include "sched/control.h"

#define ADVICE_MAX	32u	     /* trees that one node is told of in one go */
#define ADVICE_EVERY_MS 10000	     /* how often copies are counted */
#define ORDERS_BYTES	(256u << 10) /* a node with so much waiting gets no more: it is told again */

/* One that does not answer is told when it is back. */
static void put(struct node *node, unsigned int type, const void *msg)
{
	if (!node->here || node->problem || node->orders.len > ORDERS_BYTES ||
	    frames_add(&node->orders, type, 1, msg, NULL))
		node->lost_orders = true;
}

void orders_ahead(const struct ahead_order *order, void *arg)
{
	struct control *c = arg;
	const struct larder_msg_AHEAD ahead = {.job_id = order->job_id,
					       .uid = order->uid,
					       .gid = order->gid,
					       .specs = order->specs,
					       .fixed = "",
					       .start_s = order->start_s,
					       .ttl_ms = c->sched->config.ahead_ttl};
	const struct larder_msg_FORGET forget = {.job_id = order->job_id};
	struct node *node;

	sched_lock(c->sched);
	node = model_find(&c->sched->model, order->node);
	if (node && order->forget)
		put(node, LARDER_MSG_FORGET, &forget);
	else if (node)
		put(node, LARDER_MSG_AHEAD, &ahead);
	sched_unlock(c->sched);
	log_event(LOG_LEVEL_DEBUG, order->forget ? "ahead.forget" : "ahead",
		  "job=%u node=%s specs=%s", order->job_id, order->node, order->specs);
}

static void advise_node(const struct sched_config *config, struct node *node, int64_t now_ms)
{
	unsigned int told = 0;

	for (unsigned int i = 0; i < node->n && told < ADVICE_MAX; i++) {
		struct held *held = &node->held[i];
		struct larder_msg_ADVISE advise = {
			.id = held->id,
			.digest = held->version->digest,
			.copies = choose_advice(held, config->many_copies, now_ms,
						config->advice_ttl),
			.ttl_ms = config->advice_ttl};

		if (!advise.copies)
			continue;
		put(node, LARDER_MSG_ADVISE, &advise);
		held->advised = advise.copies;
		held->advised_ms = now_ms;
		told++;
	}
}

/* What was lost on the way is said again; to whom depends on who answers now. */
static void say_again(struct control *c)
{
	for (struct node *node = c->sched->model.nodes; node; node = node->hh.next) {
		if (!node->lost_orders || !node->here || node->problem)
			continue;
		node->lost_orders = false;
		ahead_again(c->ahead, node->name);
		for (unsigned int i = 0; i < node->n; i++)
			node->held[i].advised = 0;
	}
}

/* Not before all nodes had their turn: copies that were not counted yet are none. */
static void advise(struct control *c, int64_t now_ms)
{
	struct sched *sched = c->sched;

	if (!sched->config.advise || sched->rounds < 2 || now_ms < c->advise_ms)
		return;
	c->advise_ms = now_ms + ADVICE_EVERY_MS;
	for (struct node *node = sched->model.nodes; node; node = node->hh.next)
		if (node->here && !node->problem)
			advise_node(&sched->config, node, now_ms);
}

static bool urgent(const struct sched *sched)
{
	for (const struct node *node = sched->model.nodes; node; node = node->hh.next)
		if (node->orders.len)
			return true;
	return false;
}

void orders_give(struct control *c, int64_t now_ms)
{
	bool some;

	sched_lock(c->sched);
	say_again(c);
	advise(c, now_ms);
	sched_unlock(c->sched);
	ahead_due(c->ahead, now_ms, orders_ahead, c);
	sched_lock(c->sched);
	some = urgent(c->sched);
	sched_unlock(c->sched);
	if (some)
		poller_poke(c->sched->poller);
}
