/*
 * Owns the question whether job_container/tmpfs hides a tier from the jobs.
 * Must not judge Slurm's configuration otherwise: what it does not understand it passes over.
 * Called by config_inspect.c.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "larder/cleanup.h"
#include "server/config_inspect.h"
#include "server/config_value.h"

#define DEFAULT_SLURM_CONF "/etc/slurm/slurm.conf"

/* job_container.conf stands beside slurm.conf. */
static FILE *open_beside(const char *slurm_conf)
{
	char path[PATH_MAX];
	const char *slash;

	if (!*slurm_conf)
		slurm_conf = secure_getenv("SLURM_CONF");
	if (!slurm_conf || !*slurm_conf)
		slurm_conf = DEFAULT_SLURM_CONF;
	slash = strrchr(slurm_conf, '/');
	if (!slash)
		return NULL;
	snprintf(path, sizeof(path), "%.*s/job_container.conf", (int)(slash - slurm_conf),
		 slurm_conf);
	return fopen(path, "re");
}

/* BasePath may hold %n, the node's name; what holds another % is not understood, and passed over.
 */
static bool expand(const struct config *config, const char *dir, char *out)
{
	char host[256] = "";
	const char *percent = strstr(dir, "%n"), *node = config->node_name;

	gethostname(host, sizeof(host) - 1);
	host[strcspn(host, ".")] = '\0';
	if (!*node)
		node = host;
	if (percent)
		snprintf(out, PATH_MAX, "%.*s%s%s", (int)(percent - dir), dir, node, percent + 2);
	else
		snprintf(out, PATH_MAX, "%s", dir);
	for (size_t len = strlen(out); len > 1 && out[len - 1] == '/'; len--)
		out[len - 1] = '\0';
	return *out == '/' && out[1] && !strchr(out, '%');
}

static void check_dir(struct config_look *look, const struct config *config, const char *key,
		      const char *text)
{
	char dir[PATH_MAX];

	if (!expand(config, text, dir))
		return;
	for (unsigned int i = 0; i < config->n_tiers; i++)
		if (config_path_within(config->tiers[i].path, dir))
			config_finding(
				look, false,
				"tier \"%s\" (%s) lies under %s, which job_container.conf's %s "
				"hides from jobs: views of it work from kernel 5.12 on only",
				config->tiers[i].name, config->tiers[i].path, dir, key);
}

static void check_word(struct config_look *look, const struct config *config, char *word)
{
	char *save = NULL, *equals = strchr(word, '=');

	if (!equals)
		return;
	*equals = '\0';
	if (strcasecmp(word, "BasePath") == 0)
		check_dir(look, config, "BasePath", equals + 1);
	if (strcasecmp(word, "Dirs") == 0)
		for (char *dir = strtok_r(equals + 1, ",", &save); dir;
		     dir = strtok_r(NULL, ",", &save))
			check_dir(look, config, "Dirs", dir);
}

void config_inspect_container(struct config_look *look, const struct config *config)
{
	auto_file FILE *f = open_beside(config->slurm_conf);
	auto_free char *line = NULL;
	size_t room = 0;

	while (f && getline(&line, &room, f) > 0) {
		char *save = NULL;

		line[strcspn(line, "#\n")] = '\0';
		for (char *word = strtok_r(line, " \t\r", &save); word;
		     word = strtok_r(NULL, " \t\r", &save))
			check_word(look, config, word);
	}
}
