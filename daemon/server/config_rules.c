/*
 * Owns the rules between keys of larder.conf: what is sound alone may be wrong together.
 * Must not look at the machine (config_inspect.c does): text against text only.
 * Called by config.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "larder/text.h"
#include "origin/http_filter.h"
#include "server/config_value.h"

bool config_path_within(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static const char *share_text(struct config_share share, char *buf, size_t len)
{
	if (!share.percent)
		return larder_size_format(share.bytes, buf, len);
	snprintf(buf, len, "%u%%", share.percent);
	return buf;
}

static int eviction_marks(const struct config_tier *tier, const char *file, int line,
			  struct larder_error *err)
{
	struct config_share above = tier->evict_above, down = tier->evict_down_to;
	char a[32], d[32], c[32];

	if (!above.percent != !down.percent)
		return larder_error_set(
			err, EINVAL,
			"%s:%d: tier \"%s\": evict_above = %s and evict_down_to = %s cannot be "
			"compared: give both as sizes or both in percent",
			file, line, tier->name, share_text(above, a, sizeof(a)),
			share_text(down, d, sizeof(d)));
	if (config_share_of(down, 100) >= config_share_of(above, 100))
		return larder_error_set(
			err, EINVAL,
			"%s:%d: tier \"%s\": evict_down_to = %s must be less than evict_above = %s",
			file, line, tier->name, share_text(down, d, sizeof(d)),
			share_text(above, a, sizeof(a)));
	if (!above.percent && !tier->capacity.percent && above.bytes > tier->capacity.bytes)
		return larder_error_set(
			err, EINVAL,
			"%s:%d: tier \"%s\": evict_above = %s must not be more than capacity = %s",
			file, line, tier->name, share_text(above, a, sizeof(a)),
			share_text(tier->capacity, c, sizeof(c)));
	return 0;
}

int config_tier_rules(const struct config_tier *tier, const char *file, int line,
		      struct larder_error *err)
{
	if (larder_name_check(tier->name, err))
		return larder_error_prefix(err, "%s:%d: a tier's name", file, line);
	if (!*tier->path)
		return larder_error_set(
			err, EINVAL,
			"%s:%d: tier \"%s\" has no path: add path = \"/…\", the directory it may fill",
			file, line, tier->name);
	if (!tier->capacity.percent && !tier->capacity.bytes)
		return larder_error_set(
			err, EINVAL,
			"%s:%d: tier \"%s\": capacity = 0 leaves no room for anything: 1%% to 100%%, or "
			"a size such as 500G is allowed",
			file, line, tier->name);
	return eviction_marks(tier, file, line, err);
}

static int tier_pair(const struct config *config, unsigned int i, unsigned int j,
		     const struct config_where *where, struct larder_error *err)
{
	const struct config_tier *a = &config->tiers[i], *b = &config->tiers[j];
	int line = where->tier_lines[i];

	if (strcmp(a->path, b->path) == 0)
		return larder_error_set(
			err, EINVAL,
			"%s:%d: path = \"%s\": tiers \"%s\" and \"%s\" have the same path; each needs "
			"a directory of its own",
			where->file, line, a->path, b->name, a->name);
	if (config_path_within(a->path, b->path) || config_path_within(b->path, a->path))
		return larder_error_set(
			err, EINVAL,
			"%s:%d: path = \"%s\": tiers \"%s\" (%s) and \"%s\" lie inside one another; "
			"put them side by side",
			where->file, line, a->path, b->name, b->path, a->name);
	return 0;
}

static int tier_places(const struct config *config, const struct config_where *where,
		       struct larder_error *err)
{
	int rc = 0;

	for (unsigned int i = 0; !rc && i < config->n_tiers; i++) {
		for (unsigned int j = 0; !rc && j < i; j++)
			rc = tier_pair(config, i, j, where, err);
		if (!rc && config_path_within(config->state_dir, config->tiers[i].path))
			rc = larder_error_set(
				err, EINVAL,
				"%s:%d: state_dir = \"%s\" lies in tier \"%s\" (%s); the inventory must "
				"survive the loss of a tier: put it elsewhere, for example in "
				"/var/lib/larder",
				where->file,
				where->state_dir_line ? where->state_dir_line
						      : where->tier_lines[i],
				config->state_dir, config->tiers[i].name, config->tiers[i].path);
	}
	return rc;
}

/* What could not be compared with an address would let it through. */
static int own_hosts(const struct config_list *list, const char *key,
		     const struct config_where *where, struct larder_error *err)
{
	int rc = 0;

	for (unsigned int i = 0; !rc && i < list->count; i++)
		rc = http_filter_item_check(list->items[i], err);
	return rc ? larder_error_prefix(err, "%s: %s", where->file, key) : 0;
}

/* Errors are shown by --check-config and by reload, not by the first transfer. */
static int http_keys(const struct config *config, const char *file, struct larder_error *err)
{
	const char *proxy = config->http_proxy;

	if (*config->http_client_key && !*config->http_client_cert)
		return larder_error_set(
			err, EINVAL,
			"%s: http_client_key is of no use without http_client_cert: name the "
			"certificate, too",
			file);
	if (!*proxy || strcmp(proxy, "none") == 0)
		return 0;
	if (strchr(proxy, '@'))
		return larder_error_set(
			err, EINVAL,
			"%s: http_proxy: a password has no place in this file; let the proxy know "
			"this node by its address",
			file);
	if (strncmp(proxy, "http://", 7) == 0 || strncmp(proxy, "https://", 8) == 0 ||
	    strncmp(proxy, "socks5h://", 10) == 0)
		return 0;
	return larder_error_set(err, EINVAL,
				"%s: http_proxy = \"%s\": http://HOST:PORT, https://HOST:PORT, "
				"socks5h://HOST:PORT or none is allowed",
				file, proxy);
}

int config_rules(const struct config *config, const struct config_where *where,
		 struct larder_error *err)
{
	const size_t longest = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (!config->n_tiers)
		return larder_error_set(
			err, EINVAL,
			"%s:%d: no tier is configured: add tier \"local\" { path = \"/…\" }, the "
			"directory that datasets are kept in",
			where->file, where->end_line);
	if (strlen(config->socket) > longest)
		return larder_error_set(
			err, EINVAL,
			"%s:%d: socket = \"%s\" is too long: a socket's path has at most %zu bytes",
			where->file, where->socket_line, config->socket, longest);
	if (own_hosts(&config->own_hosts_deny, "own_hosts_deny", where, err) ||
	    own_hosts(&config->own_hosts_allow, "own_hosts_allow", where, err) ||
	    http_keys(config, where->file, err))
		return -EINVAL;
	return tier_places(config, where, err);
}
