/*
 * Owns the order of start and stop: state first, then tiers, threads, what was, clients last.
 * Nothing here looks at every tree: a restart with a million shards serves at once. Called by main.
 */
#include "server/start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "log/log.h"
#include "server/access.h"
#include "server/advice.h"
#include "server/ahead.h"
#include "server/evictor.h"
#include "server/gateway.h"
#include "server/names.h"
#include "server/order.h"
#include "server/origin_options.h"
#include "server/reconcile.h"
#include "server/reload.h"
#include "server/request.h"
#include "server/scrub.h"
#include "server/session.h"
#include "server/stage.h"
#include "server/stand.h"
#include "server/survey.h"
#include "server/timers.h"

/* --- who and when we are */

static int read_boot_id(struct larderd *d, struct larder_error *err)
{
	auto_fd int fd = open(d->config.boot_id_file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, d->boot_id, sizeof(d->boot_id) - 1);

	if (n <= 0)
		return larder_error_set(err, n < 0 ? errno : ENODATA, "boot_id_file %s: %s",
					d->config.boot_id_file, n < 0 ? strerror(errno) : "empty");
	d->boot_id[n] = '\0';
	d->boot_id[strcspn(d->boot_id, "\n")] = '\0';
	return 0;
}

static int identify(struct larderd *d, struct larder_error *err)
{
	if (d->config.node_name[0])
		snprintf(d->node, sizeof(d->node), "%s", d->config.node_name);
	else if (gethostname(d->node, sizeof(d->node) - 1))
		return larder_error_set(err, errno, "gethostname: %s", strerror(errno));
	else
		d->node[strcspn(d->node, ".")] = '\0';
	d->started_s = clock_s();
	d->prolog_timeout_s = -1;
	d->stop_ticks = 500;
	return read_boot_id(d, err);
}

/* Two batches of a thousand unnamed files and thousands of clients at once. */
static void raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* --- state */

static int on_barriers(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct larderd *d = arg;

	(void)source;
	(void)fd;
	(void)revents;
	inventory_dispatch(d->inv);
	return 0;
}

static int open_inventory(struct larderd *d, bool *fresh, struct larder_error *err)
{
	struct larder_error ignored;
	char value[64];
	int rc;

	if (mkdir(d->config.state_dir, 0700) && errno != EEXIST)
		return larder_error_set(err, errno, "state_dir %s: %s", d->config.state_dir,
					strerror(errno));
	rc = inventory_open(d->config.state_dir, d->config.allow_tmpfs_state, &d->inv, err);
	if (rc == -EUCLEAN)
		log_event(LOG_LEVEL_ERR, "inventory.damaged", "error=\"%s\"", err->text);
	else if (rc)
		return rc;
	*fresh = inventory_needs_recovery(d->inv);
	if (!inventory_meta_get(d->inv, "inflation", value, sizeof(value), &ignored))
		d->inflation = strtod(value, NULL);
	inventory_meta_get(d->inv, "drained", d->drained, sizeof(d->drained), &ignored);
	rc = sd_event_add_io(d->event, &d->inv_source, inventory_fd(d->inv), EPOLLIN, on_barriers,
			     d);
	return rc < 0 ? larder_error_set(err, rc, "event loop: %s", strerror(-rc)) : 0;
}

/* Jobs find their trees below it; on the host it stays empty. */
static int make_view_root(const struct config *config, struct larder_error *err)
{
	if (mkdir(config->view_root, 0755) && errno != EEXIST)
		return larder_error_set(err, errno, "view_root %s: %s", config->view_root,
					strerror(errno));
	return 0;
}

/* --- tiers. One that cannot be used is named in `larder df`; the node serves without it. */

static int tier_begin(struct larderd *d, struct node_tier *tier, struct larder_error *err)
{
	const char *name = tier->config->name;
	char id[33];
	int rc = tier_open(tier->config->path, &tier->tier, id, err);

	if (rc)
		return rc;
	rc = inventory_tier_check(d->inv, name, id, err);
	if (rc == -ENOENT)
		return inventory_tier_replace(d->inv, name, id, err);
	if (rc != -ESTALE)
		return rc;
	/* another disk than the one the rows speak of: those rows are not its trees */
	log_event(LOG_LEVEL_ERR, "tier.swapped", "tier=%s error=\"%s\"", name, err->text);
	return forget_tier(d, tier, id, err);
}

static int open_tiers(struct larderd *d, struct larder_error *err)
{
	d->tiers = calloc(d->config.n_tiers, sizeof(*d->tiers));
	if (!d->tiers)
		return larder_error_set(err, ENOMEM, "out of memory");
	for (unsigned int i = 0; i < d->config.n_tiers; i++) {
		struct node_tier *tier = &d->tiers[i];
		struct larder_error why = {0};

		tier->config = &d->config.tiers[i];
		tier->trash_rate = d->config.trash_files_per_s;
		if (!tier_begin(d, tier, &why))
			continue;
		larder_error_prefix(&why, "tier %s at %s", tier->config->name, tier->config->path);
		snprintf(tier->problem, sizeof(tier->problem), "%s", why.text);
		log_event(LOG_LEVEL_ERR, "tier.unusable", "error=\"%s\"", tier->problem);
		tier_close(tier->tier);
		tier->tier = NULL;
	}
	return 0;
}

/* --- threads and helpers */

static enum xfer_ioprio ioprio_of(const char *word)
{
	if (strcmp(word, "none") == 0)
		return XFER_IOPRIO_NONE;
	return strcmp(word, "low") == 0 ? XFER_IOPRIO_LOW : XFER_IOPRIO_IDLE;
}

static int start_threads(struct larderd *d, struct larder_error *err)
{
	struct xfer_pool_params params = {
		.threads = d->config.transfer_threads,
		.memory_bytes = d->config.transfer_memory,
		.no_uring = !d->config.io_uring,
		.manners = {.nice = (int)d->config.transfer_nice,
			    .ioprio = ioprio_of(d->config.transfer_ioprio),
			    .cgroup = d->config.transfer_cgroup},
		.bytes_per_s = d->config.transfer_bandwidth,
		.options = &d->origin_options,
	};
	char helper[4096];

	if (origin_options_set(d, err) || mailbox_create(d->event, &d->mailbox, err) ||
	    worker_pool_create(d->mailbox, 4, &d->workers, err) ||
	    worker_pool_create(d->mailbox, 3, &d->slow, err) ||
	    xfer_pool_create(&params, &d->pool, err))
		return -err->code;
	if (*xfer_pool_problem(d->pool))
		log_event(LOG_LEVEL_WARNING, "transfer.cgroup", "error=\"%s\"",
			  xfer_pool_problem(d->pool));
	snprintf(helper, sizeof(helper), "%s/larder-slurm-helper", d->config.helper_dir);
	return slurmq_create(d->event, helper, d->config.slurm_conf, d->node,
			     d->config.slurm_timeout, &d->slurm, err);
}

/* --- what was, and what follows from it */

/* Stages that a stop cut short: what they had verified stays, and nobody waits for them. */
static int demote(struct larderd *d, struct larder_error *err);

struct id_list {
	uint64_t *ids;
	size_t n, room;
	enum larder_tree_state state;
	const char *tier;
};

static int note_id(const struct inv_tree *tree, void *arg)
{
	struct id_list *list = arg;

	if ((list->tier && strcmp(list->tier, tree->tier) != 0) ||
	    (!list->tier && tree->state != list->state))
		return 0;
	if (list->n == list->room) {
		size_t room = list->room ? list->room * 2 : 64;
		uint64_t *more = reallocarray(list->ids, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		list->ids = more;
		list->room = room;
	}
	list->ids[list->n++] = tree->id;
	return 0;
}

static int demote(struct larderd *d, struct larder_error *err)
{
	struct id_list list = {.state = LARDER_TREE_STAGING};
	int rc = inventory_tree_each(d->inv, NULL, note_id, &list, err);

	for (size_t i = 0; i < list.n && !rc; i++)
		rc = inventory_tree_state(d->inv, list.ids[i], LARDER_TREE_PARTIAL, NULL, err);
	free(list.ids);
	return rc;
}

int forget_tier(struct larderd *d, struct node_tier *tier, const char *id, struct larder_error *err)
{
	struct id_list list = {.tier = tier->config->name};
	int rc = inventory_tree_each(d->inv, NULL, note_id, &list, err);

	for (size_t i = 0; i < list.n && !rc; i++) {
		rc = inventory_tree_delete(d->inv, list.ids[i], err);
		if (rc) /* leased: ACQUIRE finds that it is gone */
			rc = 0;
	}
	free(list.ids);
	return rc ? rc : inventory_tier_replace(d->inv, tier->config->name, id, err);
}

static int resume(struct larderd *d, bool fresh, struct larder_error *err)
{
	if (reload_apply(d, err) || reconcile_boot(d, err) || demote(d, err) ||
	    evictor_resume(d, err) || requests_restore(d, err))
		return -err->code;
	for (unsigned int i = 0; i < d->config.n_tiers; i++)
		if (d->tiers[i].tier)
			evictor_empty_trash(d, &d->tiers[i], false);
	return fresh ? survey_start(d, SURVEY_ADOPT, NULL, err) : 0;
}

/* Transfers are cancelled; the last one to end lets the loop end. */
static int on_stopping(sd_event_source *source, uint64_t usec, void *arg)
{
	struct larderd *d = arg;

	(void)usec;
	if (!d->stages || --d->stop_ticks == 0)
		return sd_event_exit(d->event, 0);
	sd_event_source_set_time_relative(source, 20000);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	struct larderd *d = arg;

	(void)source;
	log_event(LOG_LEVEL_INFO, "stop", "signal=%u", info->ssi_signo);
	if (d->stop_timer)
		return sd_event_exit(d->event, 0); /* asked twice: at once */
	sd_notify(0, "STOPPING=1");
	sessions_close(d);
	requests_close(d);
	orders_close(d);
	ahead_close(d);
	return sd_event_add_time_relative(d->event, &d->stop_timer, CLOCK_MONOTONIC, 0, 0,
					  on_stopping, d);
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	struct larder_error err = {0};

	(void)source;
	(void)info;
	if (reload_start(arg, NULL, &err))
		log_event(LOG_LEVEL_ERR, "reload", "error=\"%s\"", err.text);
	return 0;
}

static int watch_signals(struct larderd *d, struct larder_error *err)
{
	sigset_t set;
	int rc;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL); /* before any thread: all inherit it */
	signal(SIGPIPE, SIG_IGN);
	rc = sd_event_add_signal(d->event, NULL, SIGTERM, on_stop, d);
	if (rc >= 0)
		rc = sd_event_add_signal(d->event, NULL, SIGINT, on_stop, d);
	if (rc >= 0)
		rc = sd_event_add_signal(d->event, NULL, SIGHUP, on_hangup, d);
	return rc < 0 ? larder_error_set(err, rc, "signals: %s", strerror(-rc)) : 0;
}

int larderd_start(struct larderd *d, struct larder_error *err)
{
	bool fresh = false;
	int rc = sd_event_default(&d->event);

	if (rc < 0)
		return larder_error_set(err, rc, "event loop: %s", strerror(-rc));
	raise_limits();
	admins_look_up(&d->config, &d->admins);
	if (watch_signals(d, err) || identify(d, err) || open_inventory(d, &fresh, err) ||
	    make_view_root(&d->config, err) || open_tiers(d, err) || start_threads(d, err) ||
	    resume(d, fresh, err) || timers_start(d, err) || sessions_open(d, err) ||
	    gateway_start(d, err))
		return err->code ? -err->code : -EIO;
	log_event(LOG_LEVEL_INFO, "start", "node=%s version=%s engine=\"%s\" socket=%s", d->node,
		  LARDER_VERSION, xfer_pool_engine(d->pool), d->config.socket);
	sd_notify(0, "READY=1");
	sd_event_set_watchdog(d->event, true);
	return 0;
}

int larderd_run(struct larderd *d)
{
	int rc = sd_event_loop(d->event);

	return rc < 0 ? 1 : rc;
}

/* In reverse. Leases and trees stay as they are: data outlives the daemon. */
void larderd_stop(struct larderd *d)
{
	gateway_stop(d);
	sessions_close(d);
	ahead_close(d);
	timers_stop(d);
	slurmq_destroy(d->slurm);
	evictor_close(d);
	verifies_stop(d);
	xfer_pool_destroy(d->pool); /* cancels and joins: its last letters are in the mailbox */
	origin_options_fini(d);
	d->pool = NULL;
	worker_pool_destroy(d->slow);
	worker_pool_destroy(d->workers);
	d->slow = d->workers = NULL;
	mailbox_destroy(d->mailbox); /* the last letters; work that they give out is done at once */
	verifies_close(d);
	access_fini(d);
	advice_expire(d, true);
	stand_forget(d);
	names_forget(d);
	for (unsigned int i = 0; d->tiers && i < d->config.n_tiers; i++)
		tier_close(d->tiers[i].tier);
	free(d->tiers);
	sd_event_source_unref(d->stop_timer);
	sd_event_source_unref(d->inv_source);
	inventory_close(d->inv);
	sd_event_unref(d->event);
}
