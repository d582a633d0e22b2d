/*
 * Owns the rounds in which nodes are asked what they hold and told what is wanted of them.
 * Must not decide what is wanted. Its thread begins rounds; in each, a few threads ask their share
 * of the nodes, every node within its deadline. Called by main.c and control.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fleet/call.h"
#include "larder/cleanup.h"
#include "larder/clock.h"
#include "larder/cond.h"
#include "log/log.h"
#include "fleet/frames.h"
#include "sched/sched.h"

#define BACKOFF_FACTOR_MAX 6	 /* a node that is down is still asked every so many rounds */
#define CONNECTIONS_MAX	   16384 /* that are kept, of all threads together */
#define FIRST_ROUND_MS	   500	 /* at most: daemons that start together do not ask together */

struct poller {
	struct sched *sched;
	pthread_t thread;
	pthread_mutex_t lock; /* of what stands below, but for the callers */
	pthread_cond_t cond;
	bool poked;
	_Atomic int stop;
	struct fleet_caller **callers; /* one for each thread of a round */
	unsigned int n_callers;
};

/* A question to one node. */
struct ask {
	struct fleet_call call;
	struct poller *poller;
	struct node *node;
	char *address;
	struct frames request;
	bool orders, answered;
};

/* What one thread asks in a round. */
struct share {
	struct poller *poller;
	struct fleet_caller *caller;
	struct fleet_call *calls;
	size_t n;
};

/* What became of a round, for the log. */
struct round {
	struct ask *asks;
	size_t n, answered;
	bool all; /* every node had its turn */
	int64_t began_ms;
};

int64_t poller_backoff_ms(int64_t poll_every_ms, unsigned int failures)
{
	int64_t factor = failures > 2 ? BACKOFF_FACTOR_MAX : failures > 1 ? 3 : 1;

	return poll_every_ms * factor - poll_every_ms / 4; /* before its round, not behind it */
}

/* --- answers, each on the thread that asked */

static void log_refusal(const struct node *node, const struct larder_msg_ERROR *error)
{
	log_event(LOG_LEVEL_WARNING, "order.refused", "node=%s error=\"%s\"", node->name,
		  error->text);
}

/* What follows the inventory answers the orders. Their outcome is the node's business; a refusal
 * is worth a line. */
static void take_rest(const struct node *node, uint8_t *frames, size_t len)
{
	struct larder_error err = {0};
	union frames_row row;
	struct larder_head head;

	while (frames_next(&frames, &len, &head, &row, &err) > 0)
		if (head.type == LARDER_MSG_ERROR)
			log_refusal(node, &row.ERROR);
}

static void node_answered(struct node *node)
{
	bool back = !node->here || node->problem;

	if (back)
		log_event(LOG_LEVEL_INFO, "node.answers", "node=%s trees=%u", node->name, node->n);
	free(node->problem);
	node->problem = NULL;
	node->failures = 0;
	node->next_ms = 0;
	node->seen_s = clock_s();
	node->seen_mono_ms = clock_mono_ms();
	if (!node->known)
		node->changed = true;
	node->known = true;
	model_node_here(node, true);
}

static void node_failed(struct sched *sched, struct ask *ask, const struct larder_error *err)
{
	struct node *node = ask->node;

	if (!node->problem)
		log_event(LOG_LEVEL_WARNING, "node.silent", "node=%s error=\"%s\"", node->name,
			  err->text);
	model_set_text(&node->problem, err->text);
	node->failures++;
	node->next_ms =
		clock_mono_ms() + poller_backoff_ms(sched->config.poll_every, node->failures);
	node->lost_orders |= ask->orders;
}

static void on_answer(struct fleet_call *call)
{
	struct ask *ask = call->arg;
	struct sched *sched = ask->poller->sched;
	struct larder_error err = call->err;
	size_t took = 0;
	int rc = call->rc;

	sched_lock(sched);
	if (!rc) {
		rc = model_take_inventory(&sched->model, ask->node, call->answer, call->answer_len,
					  &took, &err);
		if (rc)
			ask->node->incarnation =
				0; /* what was taken may be half: all of it again */
	}
	if (rc && rc != -ECANCELED)
		node_failed(sched, ask, &err);
	else if (!rc)
		node_answered(ask->node);
	sched_unlock(sched);
	if (!rc)
		take_rest(ask->node, call->answer + took, call->answer_len - took);
	ask->answered = !rc;
	free(call->answer);
	call->answer = NULL;
}

/* --- a round */

static int ask_node(struct ask *ask, struct node *node, int64_t timeout_ms)
{
	struct larder_msg_INVENTORY inventory = {.incarnation = node->incarnation,
						 .since = node->seq};

	ask->node = node;
	ask->address = strdup(node->address);
	if (!ask->address || frames_add(&ask->request, LARDER_MSG_INVENTORY, 0, &inventory, NULL) ||
	    frames_append(&ask->request, &node->orders))
		return -ENOMEM;
	ask->orders = node->orders.len > 0;
	frames_fini(&node->orders);
	ask->call = (struct fleet_call){.address = ask->address,
					.node = node->name,
					.request = ask->request.bytes,
					.len = ask->request.len,
					.timeout_ms = timeout_ms,
					.arg = ask};
	return 0;
}

/* Healthy nodes first: those that may keep us waiting are at the end. */
static void collect(struct poller *poller, struct round *round, bool silent, int64_t now_ms)
{
	struct sched *sched = poller->sched;

	for (struct node *node = sched->model.nodes; node; node = node->hh.next) {
		struct ask *ask = &round->asks[round->n];

		if (!node->address || (node->failures > 0) != silent || now_ms < node->next_ms ||
		    (!round->all && !node->orders.len))
			continue;
		ask->poller = poller;
		if (!ask_node(ask, node, sched->config.node_timeout))
			round->n++;
	}
}

static void *share_run(void *arg)
{
	struct share *share = arg;

	fleet_call_all(share->caller, share->calls, share->n, on_answer, &share->poller->stop);
	return NULL;
}

/* Node i is always asked by the same caller, for that one has the connection to it. */
static size_t deal(const struct round *round, unsigned int who, unsigned int n_callers,
		   struct fleet_call *calls)
{
	size_t n = 0;

	for (size_t i = 0; i < round->n; i++)
		if (round->asks[i].node->number % n_callers == who)
			calls[n++] = round->asks[i].call;
	return n;
}

static void ask_all(struct poller *poller, const struct round *round)
{
	unsigned int n = poller->n_callers;
	auto_free struct fleet_call *calls = calloc(round->n + 1, sizeof(*calls));
	auto_free struct share *shares = calloc(n, sizeof(*shares));
	auto_free pthread_t *threads = calloc(n, sizeof(*threads));
	size_t used = 0;

	if (!calls || !shares || !threads)
		return;
	for (unsigned int i = 0; i < n; i++) {
		shares[i] = (struct share){
			.poller = poller, .caller = poller->callers[i], .calls = calls + used};
		used += shares[i].n = deal(round, i, n, calls + used);
	}
	for (unsigned int i = 1; i < n; i++)
		if (!shares[i].n || pthread_create(&threads[i], NULL, share_run, &shares[i]))
			threads[i] = 0;
	share_run(&shares[0]);
	for (unsigned int i = 1; i < n; i++) {
		if (threads[i])
			pthread_join(threads[i], NULL);
		else if (shares[i].n)
			share_run(&shares[i]); /* no thread to be had: one after the other */
	}
}

static void round_end(struct sched *sched, struct round *round)
{
	for (size_t i = 0; i < round->n; i++) {
		frames_fini(&round->asks[i].request);
		free(round->asks[i].address);
		round->answered += round->asks[i].answered;
	}
	free(round->asks);
	sched_lock(sched);
	sched->rounds += round->all;
	sched_unlock(sched);
	if (round->n)
		log_event(LOG_LEVEL_DEBUG, "poll.round", "asked=%zu answered=%zu all=%d ms=%lld",
			  round->n, round->answered, round->all,
			  (long long)(clock_mono_ms() - round->began_ms));
}

static void run_round(struct poller *poller, bool all)
{
	struct sched *sched = poller->sched;
	struct round round = {.all = all, .began_ms = clock_mono_ms()};

	sched_lock(sched);
	round.asks = calloc(HASH_COUNT(sched->model.nodes) + 1, sizeof(*round.asks));
	if (round.asks) {
		collect(poller, &round, false, round.began_ms);
		collect(poller, &round, true, round.began_ms);
	}
	sched_unlock(sched);
	if (round.n)
		ask_all(poller, &round);
	round_end(sched, &round);
}

/* --- the thread */

/* Until the time, a poke (true) or the end. */
static bool rest(struct poller *poller, int64_t until_ms)
{
	bool poked;

	pthread_mutex_lock(&poller->lock);
	while (!poller->stop && !poller->poked &&
	       cond_wait_until(&poller->cond, &poller->lock, until_ms) != ETIMEDOUT)
		;
	poked = poller->poked;
	poller->poked = false;
	pthread_mutex_unlock(&poller->lock);
	return poked;
}

/* A twentieth to either side, so that programs that were started together part. */
static int64_t jitter(int64_t ms)
{
	return ms - ms / 20 + (ms / 10 ? random() % (ms / 10) : 0);
}

static void *poller_run(void *arg)
{
	struct poller *poller = arg;
	int64_t every_ms = poller->sched->config.poll_every;
	int64_t next_ms = clock_mono_ms() +
			  random() % (every_ms < FIRST_ROUND_MS ? every_ms : FIRST_ROUND_MS);

	while (!poller->stop) {
		if (rest(poller, next_ms) && clock_mono_ms() < next_ms) {
			run_round(poller, false);
			continue;
		}
		if (poller->stop)
			break;
		next_ms = clock_mono_ms() + jitter(every_ms);
		run_round(poller, true);
	}
	return NULL;
}

static void poller_free(struct poller *poller)
{
	for (unsigned int i = 0; i < poller->n_callers; i++)
		fleet_caller_destroy(poller->callers[i]);
	free(poller->callers);
	pthread_cond_destroy(&poller->cond);
	pthread_mutex_destroy(&poller->lock);
	free(poller);
}

static int make_callers(struct poller *poller, struct larder_error *err)
{
	const struct sched_config *config = &poller->sched->config;

	poller->callers = calloc(config->poll_threads, sizeof(struct fleet_caller *));
	if (!poller->callers)
		return larder_error_set(err, ENOMEM, "out of memory");
	for (unsigned int i = 0; i < config->poll_threads; i++) {
		if (fleet_caller_create(config->munge_socket, config->poll_at_once,
					CONNECTIONS_MAX / config->poll_threads, &poller->callers[i],
					err))
			return -err->code;
		poller->n_callers++;
	}
	return 0;
}

int poller_start(struct sched *sched, struct poller **out, struct larder_error *err)
{
	struct poller *poller = calloc(1, sizeof(*poller));
	int rc;

	*out = NULL;
	if (!poller)
		return larder_error_set(err, ENOMEM, "out of memory");
	poller->sched = sched;
	pthread_mutex_init(&poller->lock, NULL);
	cond_init(&poller->cond);
	rc = make_callers(poller, err);
	if (!rc) {
		rc = -pthread_create(&poller->thread, NULL, poller_run, poller);
		if (rc)
			larder_error_set(err, rc, "a thread: %s", strerror(-rc));
	}
	if (rc)
		poller_free(poller);
	else
		*out = poller;
	return rc;
}

void poller_poke(struct poller *poller)
{
	pthread_mutex_lock(&poller->lock);
	poller->poked = true;
	pthread_cond_signal(&poller->cond);
	pthread_mutex_unlock(&poller->lock);
}

void poller_stop(struct poller *poller)
{
	if (!poller)
		return;
	pthread_mutex_lock(&poller->lock);
	poller->stop = 1;
	pthread_cond_signal(&poller->cond);
	pthread_mutex_unlock(&poller->lock);
	pthread_join(poller->thread, NULL);
	poller_free(poller);
}
