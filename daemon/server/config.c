/*
 * Owns larder.conf as a whole: its tiers and origins, which keys' lines the rules want, one file at
 * a time. Must not look at the machine or decide what a value means. Called by main.c (start,
 * --check-config) and by the reload.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "origin/limits.h"
#include "server/config_value.h"

/* The tiers of the file that is being read. */
struct tiers {
	const char *path;
	struct config *config;
	struct config_tier tier; /* the section being read */
	struct config_where where;
};

static void tier_fini(struct config_tier *tier)
{
	config_table_clear(&config_tier_keys, tier);
	free(tier->name);
	*tier = (struct config_tier){0};
}

static int tier_keep(struct tiers *t, int line, struct larder_error *err)
{
	unsigned int n = t->config->n_tiers;
	struct config_tier *tiers = reallocarray(t->config->tiers, n + 1, sizeof(*tiers));
	int *lines;

	if (!tiers)
		return larder_error_set(err, ENOMEM, "out of memory");
	t->config->tiers = tiers;
	lines = reallocarray(t->where.tier_lines, n + 1, sizeof(*lines));
	if (!lines)
		return larder_error_set(err, ENOMEM, "out of memory");
	t->where.tier_lines = lines;
	lines[n] = line;
	tiers[n] = t->tier;
	t->config->n_tiers = n + 1;
	t->tier = (struct config_tier){0};
	return 0;
}

static int tier_path_line(const int *lines)
{
	for (unsigned int i = 0; i < config_tier_keys.n; i++)
		if (strcmp(config_tier_keys.keys[i].name, "path") == 0)
			return lines[i];
	return 0;
}

static int on_tier(const char *title, const int *lines, int line, void *arg,
		   struct larder_error *err)
{
	struct tiers *t = arg;
	int rc;

	free(t->tier.name);
	t->tier.name = strdup(title);
	if (!t->tier.name)
		return larder_error_set(err, ENOMEM, "out of memory");
	rc = config_tier_rules(&t->tier, t->path, line, err);
	return rc ? rc : tier_keep(t, tier_path_line(lines), err);
}

/* The limits of origins in the file that is being read. */
struct origins {
	const char *path;
	struct config *config;
	struct config_origin origin; /* the section being read */
};

static int on_origin(const char *title, const int *lines, int line, void *arg,
		     struct larder_error *err)
{
	struct origins *o = arg;
	unsigned int n = o->config->n_origins;
	struct config_origin *more;

	(void)lines;
	if (origin_rule_check(title, err))
		return larder_error_prefix(err, "%s:%d", o->path, line);
	more = reallocarray(o->config->origins, n + 1, sizeof(*more));
	if (!more)
		return larder_error_set(err, ENOMEM, "out of memory");
	o->config->origins = more;
	more[n] = o->origin;
	more[n].match = strdup(title);
	if (!more[n].match)
		return larder_error_set(err, ENOMEM, "out of memory");
	o->config->n_origins = n + 1;
	return 0;
}

static int load(const char *path, struct config *config, struct larder_error *err)
{
	struct tiers t = {.path = path, .config = config, .where.file = path};
	struct origins o = {.path = path, .config = config};
	struct config_section origin = {.name = "origin",
					.table = &config_origin_keys,
					.base = &o.origin,
					.end = on_origin,
					.arg = &o};
	struct config_section section = {.name = "tier",
					 .next = &origin,
					 .table = &config_tier_keys,
					 .base = &t.tier,
					 .end = on_tier,
					 .arg = &t};
	struct config_file file = {.path = path,
				   .manual = "larder.conf(5)",
				   .table = &config_keys,
				   .base = config,
				   .section = &section};
	int rc = config_file_read(&file, err);

	t.where.end_line = file.end_line;
	t.where.state_dir_line = config_file_line(&file, "state_dir");
	t.where.socket_line = config_file_line(&file, "socket");
	if (!rc)
		rc = config_rules(config, &t.where, err);
	tier_fini(&t.tier);
	free(t.where.tier_lines);
	return rc;
}

int config_load(const char *path, struct config *config, struct larder_error *err)
{
	/* libconfuse's scanner is one for the process, and reloads are read on worker threads. */
	static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
	int rc;

	*config = (struct config){0};
	config->path = strdup(path);
	if (!config->path)
		return larder_error_set(err, ENOMEM, "out of memory");
	pthread_mutex_lock(&one_at_a_time);
	rc = load(path, config, err);
	pthread_mutex_unlock(&one_at_a_time);
	if (rc)
		config_fini(config);
	return rc;
}

void config_fini(struct config *config)
{
	config_table_clear(&config_keys, config);
	for (unsigned int i = 0; i < config->n_tiers; i++)
		tier_fini(&config->tiers[i]);
	free(config->tiers);
	for (unsigned int i = 0; i < config->n_origins; i++)
		free(config->origins[i].match);
	free(config->origins);
	free(config->path);
	*config = (struct config){0};
}
