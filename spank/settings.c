/*
 * Owns the plugin's arguments: their names, defaults and limits.
 * Must not ask the daemon or touch files.
 * Called by every hook through plugin.c, for SPANK gives the arguments to each of them anew.
 */
#include "settings.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "larder/text.h"
#include "larder/wire.h"

#define DEFAULT_SOCKET	"/run/larder/larderd.sock"
#define DEFAULT_CATALOG "/etc/larder/catalog"
#define TIMEOUT_MS	3000
#define TIMEOUT_LEAST	100
#define TIMEOUT_MOST	30000 /* a hook in slurmstepd cannot be cancelled */
#define WAIT_MAX_MS	(10 * 60 * INT64_C(1000))
#define WAIT_MOST	(24 * 3600 * INT64_C(1000))

static int take_path(const char *value, char out[PATH_MAX], struct larder_error *err)
{
	if (value[0] != '/')
		return larder_error_set(err, EINVAL, "\"%s\" is no absolute path", value);
	if (strlen(value) >= PATH_MAX)
		return larder_error_set(err, ENAMETOOLONG, "the path is too long");
	strcpy(out, value);
	return 0;
}

static int take_socket(struct settings *s, const char *value, struct larder_error *err)
{
	return take_path(value, s->socket, err);
}

static int take_catalog(struct settings *s, const char *value, struct larder_error *err)
{
	return take_path(value, s->catalog, err);
}

static int take_run_dir(struct settings *s, const char *value, struct larder_error *err)
{
	return take_path(value, s->run_dir, err);
}

static int take_timeout(struct settings *s, const char *value, struct larder_error *err)
{
	int64_t ms;
	int rc = larder_duration_parse(value, &ms, err);

	if (rc)
		return rc;
	if (ms < TIMEOUT_LEAST || ms > TIMEOUT_MOST)
		return larder_error_set(err, ERANGE, "\"%s\" is not between 100ms and 30s", value);
	s->timeout_ms = (int)ms;
	return 0;
}

static int take_wait_max(struct settings *s, const char *value, struct larder_error *err)
{
	int64_t ms;
	int rc = larder_duration_parse(value, &ms, err);

	if (rc)
		return rc;
	if (ms > WAIT_MOST)
		return larder_error_set(err, ERANGE, "\"%s\" is more than 24h", value);
	s->wait_max_ms = ms;
	return 0;
}

static int take_on_fail(struct settings *s, const char *value, struct larder_error *err)
{
	if (!strcmp(value, "fail"))
		s->on_fail = LARDER_ON_FAIL_FAIL;
	else if (!strcmp(value, "bypass"))
		s->on_fail = LARDER_ON_FAIL_BYPASS;
	else
		return larder_error_set(err, EINVAL, "\"%s\" is neither fail nor bypass", value);
	return 0;
}

static const struct setting {
	const char *key;
	int (*take)(struct settings *settings, const char *value, struct larder_error *err);
} table[] = {
	{"socket", take_socket},   {"catalog", take_catalog},	{"run_dir", take_run_dir},
	{"timeout", take_timeout}, {"wait_max", take_wait_max}, {"on_fail", take_on_fail},
};

static int take(struct settings *settings, const char *arg, struct larder_error *err)
{
	const char *equals = strchr(arg, '=');
	size_t len = equals ? (size_t)(equals - arg) : 0;

	for (size_t i = 0; equals && i < sizeof(table) / sizeof(table[0]); i++)
		if (strlen(table[i].key) == len && !strncmp(arg, table[i].key, len))
			return table[i].take(settings, equals + 1, err);
	return larder_error_set(err, ENOENT,
				"there is socket=, catalog=, run_dir=, timeout=, wait_max= and "
				"on_fail=");
}

void settings_parse(struct settings *settings, int argc, char **argv,
		    void (*tell)(const char *sentence))
{
	memset(settings, 0, sizeof(*settings));
	strcpy(settings->socket, DEFAULT_SOCKET);
	strcpy(settings->catalog, DEFAULT_CATALOG);
	settings->timeout_ms = TIMEOUT_MS;
	settings->wait_max_ms = WAIT_MAX_MS;
	settings->on_fail = LARDER_ON_FAIL_FAIL;
	for (int i = 0; i < argc && argv; i++) {
		struct larder_error err = {0};
		char sentence[LARDER_ERROR_MAX + 256];

		if (!argv[i] || !take(settings, argv[i], &err) || !tell)
			continue;
		snprintf(sentence, sizeof(sentence),
			 "plugstack.conf: argument \"%.128s\" is ignored: %s", argv[i], err.text);
		tell(sentence);
	}
}

/* It becomes part of a path that root opens. */
static bool is_node_name(const char *name)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

	return name && *name && *name != '.' && strlen(name) < SETTINGS_NODE_MAX &&
	       name[strspn(name, allowed)] == '\0';
}

/*
 * slurmd (prolog, epilog) and slurmstepd put SLURMD_NODENAME into their own environment. The
 * job's environment would not do: before the task starts it still has what the user's shell had.
 */
void settings_node(char buf[SETTINGS_NODE_MAX])
{
	const char *name = getenv("SLURMD_NODENAME");
	char host[SETTINGS_NODE_MAX] = "";

	if (!is_node_name(name) && !gethostname(host, sizeof(host) - 1)) {
		host[strcspn(host, ".")] = '\0';
		name = host;
	}
	strcpy(buf, is_node_name(name) ? name : "localhost");
}

int settings_expand(const char *pattern, const char *node, char *out, size_t len,
		    struct larder_error *err)
{
	size_t used = 0;

	for (const char *p = pattern; *p; p++) {
		bool is_node = p[0] == '%' && p[1] == 'n';
		size_t piece = is_node ? strlen(node) : 1;

		if (piece >= len - used)
			return larder_error_set(err, ENAMETOOLONG, "%s is too long with %%n = %s",
						pattern, node);
		memcpy(out + used, is_node ? node : p, piece);
		used += piece;
		p += is_node;
	}
	out[used] = '\0';
	return 0;
}

int settings_jobs_dir(const struct settings *settings, const char *node, char *out, size_t len,
		      struct larder_error *err)
{
	char base[PATH_MAX];
	int rc = settings_expand(settings->run_dir[0] ? settings->run_dir : settings->socket, node,
				 base, sizeof(base), err);

	if (rc)
		return rc;
	if (!settings->run_dir[0])
		*strrchr(base, '/') = '\0'; /* absolute: there is one */
	if ((size_t)snprintf(out, len, "%s/jobs", base) >= len)
		return larder_error_set(err, ENAMETOOLONG, "%s is too long", base);
	return 0;
}
