/*
 * Owns the table of larder-sched.conf and the rules between its keys.
 * Must not look at the machine. Called by main.c.
 */
#include "sched/config.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>

#include "fleet/address.h"

static const struct config_key keys[] = {
#define LARDER_SCHED_KEY(TYPE, field, def, help)                                                   \
	{#field, CONFIG_TYPE_##TYPE, offsetof(struct sched_config, field), def, help},
#include "sched/sched.def"
#undef LARDER_SCHED_KEY
};

static const struct config_bound bounds[] = {
	{"access_ttl", "0 to 1d", 0, 86400000},
	{"max_connections", "1 to 10000", 1, 10000},
	{"slurm_every", "100ms to 1h", 100, 3600000},
	{"slurm_timeout", "100ms to 10m", 100, 600000},
	{"node_port", "1 to 65535", 1, 65535},
	{"poll_every", "100ms to 1h", 100, 3600000},
	{"node_timeout", "100ms to 10m", 100, 600000},
	{"poll_threads", "1 to 64", 1, 64},
	{"poll_at_once", "1 to 1024", 1, 1024},
	{"silent_after", "1s to 1d", 1000, 86400000},
	{"features_per_node", "1 to 512", 1, 512},
	{"publish_every", "0 to 1h", 0, 3600000},
	{"publish_requests", "1 to 1000", 1, 1000},
	{"ahead_horizon", "1s to 7d", 1000, 604800000},
	{"ahead_max", "1 to 10000", 1, 10000},
	{"ahead_ttl", "10s to 1d", 10000, 86400000},
	{"many_copies", "3 to 1000000", 3, 1000000},
	{"advice_ttl", "1m to 7d", 60000, 604800000},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct config_table table = {keys, COUNT(keys), bounds, COUNT(bounds)};

static int refuse(const struct config_file *file, const char *key, struct larder_error *err)
{
	return larder_error_prefix(err, "%s:%d: %s", file->path, config_file_line(file, key), key);
}

static int rules(const struct sched_config *config, const struct config_file *file,
		 struct larder_error *err)
{
	const size_t longest = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	struct sockaddr_storage address;
	socklen_t len;

	if (*config->listen && fleet_address_parse(config->listen, &address, &len, err))
		return refuse(file, "listen", err);
	if (strlen(config->publisher) > longest) {
		larder_error_set(err, EINVAL,
				 "\"%s\" is too long: a socket's path has at most %zu bytes",
				 config->publisher, longest);
		return refuse(file, "publisher", err);
	}
	if (!config->ask_slurm && !*config->nodes_file)
		return larder_error_set(
			err, EINVAL,
			"%s:%d: ask_slurm = false needs a nodes_file: else there are no "
			"nodes",
			file->path, config_file_line(file, "ask_slurm"));
	return 0;
}

int sched_config_load(const char *path, struct sched_config *config, struct larder_error *err)
{
	struct config_file file = {
		.path = path, .manual = "larder-sched(8)", .table = &table, .base = config};
	int rc;

	memset(config, 0, sizeof(*config));
	rc = config_file_read(&file, err);
	if (!rc)
		rc = rules(config, &file, err);
	if (rc)
		sched_config_fini(config);
	return rc;
}

void sched_config_fini(struct sched_config *config)
{
	config_table_clear(&table, config);
}
