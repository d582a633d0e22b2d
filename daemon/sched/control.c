/*
 * Owns the control thread's loop: when slurmctld is asked, when is decided, published and written.
 * Must not hold the lock while it waits. Called by main.c.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "larder/clock.h"
#include "log/log.h"
#include "sched/control.h"

#define TICK_MS		250 /* how soon a changed inventory is looked at */
#define CTLD_FACTOR_MAX 4   /* slurmctld that does not answer is asked this much less often */

static int64_t slurm_pause_ms(const struct control *c)
{
	int64_t every_ms = c->sched->config.slurm_every;
	unsigned int factor =
		c->ctld_failures < CTLD_FACTOR_MAX ? c->ctld_failures : CTLD_FACTOR_MAX;

	return every_ms * (factor ? factor : 1) + random() % (every_ms / 10 + 1);
}

static void tick(struct control *c)
{
	const struct sched_config *config = &c->sched->config;

	if (config->ask_slurm && clock_mono_ms() >= c->slurm_ms) {
		nodes_ask_slurm(c);
		c->slurm_ms = clock_mono_ms() + slurm_pause_ms(c);
	}
	publishing_choose(c, clock_mono_ms());
	if (config->ask_slurm && config->features && clock_mono_ms() >= c->publish_ms)
		publishing_publish(c);
	if (config->ask_slurm && config->features)
		publishing_file(c);
	orders_give(c, clock_mono_ms());
}

static void loop(struct control *c)
{
	struct pollfd fd = {.fd = c->wake_fd, .events = POLLIN};

	sd_notify(0, "READY=1");
	for (;;) {
		int n = poll(&fd, 1, TICK_MS);

		if (n > 0 || (n < 0 && errno != EINTR))
			break;
		tick(c);
		sd_notify(0, "WATCHDOG=1");
	}
	sd_notify(0, "STOPPING=1");
}

/* What it asked nodes to keep ready ends with its TTL: a restart finds it there. */
static void stop(struct control *c)
{
	if (!c->sched->config.ask_slurm || !c->sched->config.remove_on_stop)
		return;
	close(c->wake_fd); /* has ended the waiting for good */
	c->wake_fd = -1;
	nodes_ask_slurm(c); /* who waits for what is taken away */
	publishing_remove(c);
}

static int begin(struct control *c, struct larder_error *err)
{
	const struct sched_config *config = &c->sched->config;
	const struct ahead_params params = {.max = config->ahead_max,
					    .horizon_s = config->ahead_horizon / 1000,
					    .ttl_ms = config->ahead_ttl};
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	c->wake_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (c->wake_fd < 0)
		return larder_error_set(err, errno, "signalfd: %s", strerror(errno));
	c->ahead = ahead_create(&params);
	c->bound = bound_create();
	c->file = features_file_create();
	if (!c->ahead || !c->bound || !c->file)
		return larder_error_set(err, ENOMEM, "out of memory");
	return ctld_create(config->slurm_conf, config->slurm_timeout, &c->ctld, err);
}

int control_run(struct sched *sched)
{
	struct control c = {.sched = sched, .wake_fd = -1};
	struct larder_error err = {0};
	int rc = begin(&c, &err);

	if (rc) {
		log_event(LOG_LEVEL_ERR, "start.failed", "error=\"%s\"", err.text);
	} else {
		loop(&c);
		stop(&c);
	}
	ctld_destroy(c.ctld);
	ahead_destroy(c.ahead);
	bound_destroy(c.bound);
	features_file_destroy(c.file);
	if (c.wake_fd >= 0)
		close(c.wake_fd);
	return rc ? 1 : 0;
}
