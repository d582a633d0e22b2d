/*
 * Owns the tables of larder.conf: keys, their defaults, and what numbers may be.
 * Must not know the file's syntax (conf/ does), look at the machine, or compare keys with one
 * another. Called by config.c.
 */
#include "server/config_value.h"

static const struct config_key keys[] = {
#define LARDER_KEY(TYPE, field, def, help)                                                         \
	{#field, CONFIG_TYPE_##TYPE, offsetof(struct config, field), def, help},
#include "server/config.def"
#undef LARDER_KEY
};

static const struct config_key tier_keys[] = {
#define LARDER_TIER_KEY(TYPE, field, def, help)                                                    \
	{#field, CONFIG_TYPE_##TYPE, offsetof(struct config_tier, field), def, help},
#include "server/config.def"
#undef LARDER_TIER_KEY
};

static const struct config_key origin_keys[] = {
#define LARDER_ORIGIN_KEY(TYPE, field, def, help)                                                  \
	{#field, CONFIG_TYPE_##TYPE, offsetof(struct config_origin, field), def, help},
#include "server/config.def"
#undef LARDER_ORIGIN_KEY
};

/* What a number may be besides what its type allows: UINT as such, TIME in ms, SIZE in bytes. */
static const struct config_bound bounds[] = {
	{"transfer_threads", "1 to 1024", 1, 1024},
	{"transfer_nice", "0 to 19", 0, 19},
	{"transfer_memory", "at least 1M", UINT64_C(1) << 20, UINT64_MAX},
	{"http_connections", "1 to 256", 1, 256},
	{"http_ranges", "1 to 16", 1, 16},
	{"http_total_timeout", "at most 30d", 0, INT64_C(30) * 86400000},
	{"http_connect_timeout", "100ms to 10m", 100, 600000},
	{"http_stall_timeout", "1s to 1h", 1000, 3600000},
	{"http_retries", "0 to 100", 0, 100},
	{"http_retry_budget", "0 to 1000000", 0, 1000000},
	{"max_transfers", "1 to 65536", 1, 65536},
	{"fleet_connections", "1 to 65536", 1, 65536},
	{"fleet_connections_of_one", "1 to 65536", 1, 65536},
	{"max_sessions", "1 to 1000000", 1, 1000000},
	{"max_sessions_per_user", "1 to 1000000", 1, 1000000},
	{"check_timeout", "100ms to 1h", 100, 3600000},
	{"slurm_timeout", "100ms to 1h", 100, 3600000},
	{"reconcile_every", "100ms to 1d", 100, 86400000},
	{"session_timeout", "100ms to 1d", 100, 86400000},
	{"use_half_life", "at least 1s", 1000, INT64_MAX},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const struct config_table config_keys = {keys, COUNT(keys), bounds, COUNT(bounds)};
const struct config_table config_tier_keys = {tier_keys, COUNT(tier_keys), NULL, 0};
const struct config_table config_origin_keys = {origin_keys, COUNT(origin_keys), NULL, 0};
