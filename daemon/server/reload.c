/*
 * Owns the change of configuration at run time: read by a worker, put in place here, whole or not
 * at all. Changes nothing that is fixed at start; says what those are. Asked by SIGHUP and by
 * RELOAD.
 */
#include "server/reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/evict.h"
#include "larder/cleanup.h"
#include "log/log.h"
#include "origin/limits.h"

struct reload {
	struct work work;
	struct larderd *d;
	struct session *session;
	char *path; /* the worker's: another reload may end while it reads */
	struct config next;
	struct admins admins;
	int rc;
	struct larder_error err;
};

int reload_limits(struct larderd *d, struct larder_error *err)
{
	unsigned int n = d->config.n_origins;
	auto_free struct origin_rule *rules = calloc(n + 1, sizeof(*rules));

	if (!rules)
		return larder_error_set(err, ENOMEM, "out of memory");
	for (unsigned int i = 0; i < n; i++) {
		const struct config_origin *origin = &d->config.origins[i];

		rules[i] = (struct origin_rule){.match = origin->match,
						.connections = origin->connections,
						.bytes_per_s = origin->bandwidth,
						.requests_per_s = origin->requests_per_s};
	}
	return origin_limits_set(d->limits, rules, n, err);
}

int reload_apply(struct larderd *d, struct larder_error *err)
{
	int policy = evict_policy_parse(d->config.policy);

	if (policy < 0)
		return larder_error_set(err, EINVAL, "policy %s: gdsf, s3fifo or lru",
					d->config.policy);
	d->evict_policy = policy;
	if (d->pool) /* not yet at the start, which gives it the same */
		xfer_pool_limit(d->pool, d->config.transfer_bandwidth);
	for (unsigned int i = 0; i < d->config.n_tiers; i++)
		if (!d->tiers[i].trash)
			d->tiers[i].trash_rate = d->config.trash_files_per_s;
	return d->limits ? reload_limits(d, err) : 0; /* at start they are not there yet */
}

static void reload_run(struct work *work)
{
	struct reload *reload = (struct reload *)work;

	reload->rc = config_load(reload->path, &reload->next, &reload->err);
	if (!reload->rc)
		admins_look_up(&reload->next, &reload->admins);
}

static void same_tiers(struct larderd *d, struct config *next)
{
	/* tiers are fixed at start, but their marks are not: shares are taken over by name */
	for (unsigned int i = 0; i < d->config.n_tiers; i++)
		for (unsigned int k = 0; k < next->n_tiers; k++) {
			struct config_tier *now = &d->config.tiers[i], *then = &next->tiers[k];

			if (strcmp(now->name, then->name) != 0)
				continue;
			now->capacity = then->capacity;
			now->free_floor = then->free_floor;
			now->evict_above = then->evict_above;
			now->evict_down_to = then->evict_down_to;
		}
}

#define KEEP(field)                                                                                \
	do {                                                                                       \
		__typeof__(d->config.field) kept = d->config.field;                                \
		d->config.field = next->field;                                                     \
		next->field = kept;                                                                \
	} while (0)

/* Everything is taken over, then what start has fixed is put back. */
static void take_over(struct larderd *d, struct config *next)
{
	struct config was;

	same_tiers(d, next);
	was = d->config;
	d->config = *next;
	*next = was;
	KEEP(node_name);
	KEEP(socket);
	KEEP(state_dir);
	KEEP(view_root);
	KEEP(helper_dir);
	KEEP(slurm_conf);
	KEEP(boot_id_file);
	KEEP(slurm_timeout);
	KEEP(allow_tmpfs_state);
	KEEP(munge_socket);
	KEEP(fleet_connections_of_one);
	KEEP(fleet_connections);
	KEEP(fleet_listen);
	KEEP(transfer_threads);
	KEEP(transfer_memory);
	KEEP(transfer_nice);
	KEEP(transfer_ioprio);
	KEEP(transfer_cgroup);
	KEEP(io_uring);
	KEEP(http_connections);
	KEEP(http_ranges);
	KEEP(http_connect_timeout);
	KEEP(http_total_timeout);
	KEEP(http_stall_timeout);
	KEEP(http_retries);
	KEEP(http_retry_budget);
	KEEP(http_ca_file);
	KEEP(http_client_cert);
	KEEP(http_client_key);
	KEEP(http_proxy);
	KEEP(http_no_proxy);
	KEEP(http_redirect_hosts);
	KEEP(s3_credentials);
	KEEP(tiers);
	KEEP(n_tiers);
	KEEP(path);
}

static void reload_done(struct work *work)
{
	struct reload *reload = (struct reload *)work;
	struct larderd *d = reload->d;
	char fixed[1024] = "", note[1200] = "";

	if (!reload->rc) {
		if (config_fixed_changes(&d->config, &reload->next, fixed, sizeof(fixed)) > 0)
			snprintf(note, sizeof(note), "these change with the next start: %s", fixed);
		take_over(d, &reload->next);
		d->admins = reload->admins;
		reload->rc = reload_apply(d, &reload->err);
		config_fini(&reload->next);
	}
	log_event(reload->rc ? LOG_LEVEL_ERR : LOG_LEVEL_INFO, "reload",
		  "path=%s rc=%d text=\"%s\"", d->config.path, reload->rc,
		  reload->rc ? reload->err.text : note);
	if (reload->session && reload->rc)
		session_fail(reload->session, &reload->err);
	else if (reload->session)
		session_done(reload->session, note);
	free(reload->path);
	free(reload);
}

static void reload_left(void *arg)
{
	struct reload *reload = arg;

	reload->session = NULL;
}

int reload_start(struct larderd *d, struct session *session, struct larder_error *err)
{
	struct reload *reload = calloc(1, sizeof(*reload));
	char *path = strdup(d->config.path);

	if (!reload || !path) {
		free(reload);
		free(path);
		return larder_error_set(err, ENOMEM, "out of memory");
	}
	*reload = (struct reload){.d = d,
				  .session = session,
				  .path = path,
				  .work = {.run = reload_run, .done = reload_done}};
	if (session)
		session_park(session, reload_left, reload);
	worker_run(d->workers, &reload->work);
	return 0;
}
