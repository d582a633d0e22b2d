/*
 * Owns the timers of the daemon. Does nothing itself; calls who does.
 * Started last before the socket opens, stopped first.
 */
#include "server/timers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "larder/clock.h"
#include "log/log.h"
#include "server/advice.h"
#include "server/ahead.h"
#include "server/metrics.h"
#include "server/reconcile.h"
#include "server/scrub.h"
#include "server/space.h"

#define SPACE_MS   10000
#define METRICS_MS 15000
#define CONF_MS	   300000
#define ROWS_US	   1000 /* after an answer: who got it is running by then */

/* A tenth of jitter, so that a fleet that was started at once does not ask at once. */
static int again(sd_event_source *source, int64_t ms)
{
	uint64_t usec = (uint64_t)ms * 1000;

	sd_event_source_set_time_relative(source,
					  usec - usec / 20 + (uint64_t)random() % (usec / 10 + 1));
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_reconcile(sd_event_source *source, uint64_t usec, void *arg)
{
	struct larderd *d = arg;
	struct larder_error err = {0};
	uint32_t expired = 0;

	(void)usec;
	reconcile_now(d);
	if (inventory_pin_expire(d->inv, clock_s(), &expired, &err))
		log_event(LOG_LEVEL_ERR, "pin.expire", "error=\"%s\"", err.text);
	return again(source, d->config.reconcile_every);
}

static int on_space(sd_event_source *source, uint64_t usec, void *arg)
{
	struct larderd *d = arg;

	(void)usec;
	ahead_expire(d);
	advice_expire(d, false);
	space_watch(d);
	for (unsigned int i = 0; i < d->config.n_tiers; i++)
		if (d->tiers[i].tier)
			space_changed(d, &d->tiers[i]);
	return again(source, SPACE_MS);
}

static int on_metrics(sd_event_source *source, uint64_t usec, void *arg)
{
	struct larderd *d = arg;
	struct larder_error err = {0};

	(void)usec;
	metrics_write(d);
	if (inventory_stuck(d->inv)) /* told again and again until somebody acts: nothing shrinks
					meanwhile */
		log_event(LOG_LEVEL_ERR, "inventory.stuck", "error=\"%s\"",
			  strerror(-inventory_stuck(d->inv)));
	if (inventory_event_trim(d->inv, d->config.log_keep, &err) ||
	    inventory_history_trim(d->inv, clock_s() - d->config.history_keep / 1000, NULL, &err))
		log_event(LOG_LEVEL_ERR, "log.trim", "error=\"%s\"", err.text);
	return again(source, METRICS_MS);
}

static void on_conf(int64_t prolog_timeout_s, void *arg)
{
	struct larderd *d = arg;

	if (prolog_timeout_s >= 0)
		d->prolog_timeout_s = prolog_timeout_s;
}

static int on_conf_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct larderd *d = arg;

	(void)usec;
	if (!d->config.prolog_timeout)
		slurmq_conf(d->slurm, on_conf, d);
	return again(source, d->prolog_timeout_s < 0 ? CONF_MS / 10 : CONF_MS);
}

/* The whole inventory within scrub_every: a tree at a time. */
static int on_scrub(sd_event_source *source, uint64_t usec, void *arg)
{
	struct larderd *d = arg;
	struct larder_error ignored;
	uint64_t trees = 1;

	(void)usec;
	if (d->config.scrub_every > 0)
		scrub_one(d);
	inventory_tree_count(d->inv, &trees, &ignored);
	return again(source, d->config.scrub_every > 0
				     ? d->config.scrub_every / (int64_t)(trees + 1) + 1000
				     : CONF_MS);
}

static int add(struct larderd *d, sd_event_source **source, int64_t first_ms,
	       sd_event_time_handler_t fn, struct larder_error *err)
{
	int rc = sd_event_add_time_relative(d->event, source, CLOCK_MONOTONIC,
					    (uint64_t)first_ms * 1000, 0, fn, d);

	return rc < 0 ? larder_error_set(err, rc, "timer: %s", strerror(-rc)) : 0;
}

static int on_rows(sd_event_source *source, uint64_t usec, void *arg)
{
	struct larderd *d = arg;
	struct larder_error err = {0};

	(void)source;
	(void)usec;
	if (inventory_settle(d->inv, &err)) /* and again before anything may be evicted */
		log_event(LOG_LEVEL_ERR, "grant.owed", "error=\"%s\"", err.text);
	return 0;
}

/*
 * Not at once: who was answered may wait for the processor that this thread has. Not late either: a
 * transaction that comes first makes the rows itself, and takes as much longer.
 */
void timers_rows_soon(struct larderd *d)
{
	int rc;

	if (!inventory_owes(d->inv))
		return;
	if (!d->rows_timer)
		rc = sd_event_add_time_relative(d->event, &d->rows_timer, CLOCK_MONOTONIC, ROWS_US,
						ROWS_US, on_rows, d);
	else if ((rc = sd_event_source_set_time_relative(d->rows_timer, ROWS_US)) >= 0)
		rc = sd_event_source_set_enabled(d->rows_timer, SD_EVENT_ONESHOT);
	if (rc < 0)
		on_rows(NULL, 0, d);
}

int timers_start(struct larderd *d, struct larder_error *err)
{
	srandom((unsigned int)(clock_mono_ms() ^ (int64_t)strlen(d->node)));
	if (add(d, &d->conf_timer, 0, on_conf_timer, err) ||
	    add(d, &d->reconcile_timer, d->config.reconcile_every / 4, on_reconcile, err) ||
	    add(d, &d->space_timer, SPACE_MS, on_space, err) ||
	    add(d, &d->metrics_timer, 1000, on_metrics, err) ||
	    add(d, &d->scrub_timer, CONF_MS, on_scrub, err))
		return -err->code;
	return 0;
}

void timers_stop(struct larderd *d)
{
	sd_event_source_disable_unref(d->conf_timer);
	sd_event_source_disable_unref(d->reconcile_timer);
	sd_event_source_disable_unref(d->space_timer);
	sd_event_source_disable_unref(d->metrics_timer);
	sd_event_source_disable_unref(d->scrub_timer);
	d->rows_timer = sd_event_source_disable_unref(d->rows_timer);
}
