/*
 * Owns the answer to "what of a changed larder.conf needs a restart".
 * Must not read files or apply anything.
 * Called by the reload (admin, SIGHUP).
 */
#include <stdio.h>
#include <string.h>

#include "server/config_value.h"

/* Settled once at start: descriptors, threads and children were made with them. */
static const char *const fixed[] = {
	"node_name",
	"socket",
	"state_dir",
	"view_root",
	"helper_dir",
	"slurm_conf",
	"boot_id_file",
	"slurm_timeout",
	"transfer_threads",
	"transfer_memory",
	"io_uring",
	"transfer_nice",
	"transfer_ioprio",
	"transfer_cgroup",
	"allow_tmpfs_state",
	"munge_socket",
	"fleet_connections_of_one",
	"fleet_connections",
	"fleet_listen",
	"http_connections",
	"http_ranges",
	"http_connect_timeout",
	"http_total_timeout",
	"http_stall_timeout",
	"http_retries",
	"http_retry_budget",
	"http_ca_file",
	"http_client_cert",
	"http_client_key",
	"http_proxy",
	"http_no_proxy",
	"http_redirect_hosts",
	"s3_credentials",
};

static bool is_fixed(const char *name)
{
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (strcmp(fixed[i], name) == 0)
			return true;
	return false;
}

static void add(char *buf, size_t len, const char *text)
{
	size_t at = strlen(buf);

	snprintf(buf + at, len - at, "%s%s", at ? ", " : "", text);
}

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_list(const struct config_list *a, const struct config_list *b)
{
	if (a->count != b->count)
		return false;
	for (unsigned int i = 0; i < a->count; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

static bool same_tiers(const struct config *now, const struct config *next)
{
	if (now->n_tiers != next->n_tiers)
		return false;
	for (unsigned int i = 0; i < now->n_tiers; i++)
		if (!same_text(now->tiers[i].name, next->tiers[i].name) ||
		    !same_text(now->tiers[i].path, next->tiers[i].path))
			return false;
	return true;
}

/* By the types that a fixed key can have: text, or a plain number. */
#define SAME_STR(field)	    same_text(now->field, next->field)
#define SAME_PATH(field)    same_text(now->field, next->field)
#define SAME_OPTPATH(field) same_text(now->field, next->field)
#define SAME_WORD(field)    same_text(now->field, next->field)
#define SAME_SIZE(field)    (now->field == next->field)
#define SAME_TIME(field)    (now->field == next->field)
#define SAME_UINT(field)    (now->field == next->field)
#define SAME_BOOL(field)    (now->field == next->field)
#define SAME_PERCENT(field) true
#define SAME_LIST(field)    same_list(&now->field, &next->field)

int config_fixed_changes(const struct config *now, const struct config *next, char *buf, size_t len)
{
	int count = 0;

	if (len)
		*buf = '\0';
#define LARDER_KEY(TYPE, field, def, help)                                                         \
	if (is_fixed(#field) && !SAME_##TYPE(field)) {                                             \
		count++;                                                                           \
		if (len)                                                                           \
			add(buf, len, #field);                                                     \
	}
#include "server/config.def"
#undef LARDER_KEY
	if (!same_tiers(now, next)) {
		count++;
		if (len)
			add(buf, len, "tier names or paths");
	}
	return count;
}
