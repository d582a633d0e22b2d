/*
 * Where larder-sched, nodes and munged are: a few keys of larder.conf, and variables over them.
 * It must not refuse anything: larderd reads that file in earnest.
 * Called by fleet_lines.c and fleet_sched.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/network.h"
#include "larder/text.h"

static void set_text(char *to, size_t room, const char *value)
{
	if (value && strlen(value) < room)
		snprintf(to, room, "%s", value);
}

static void set_port(struct network_settings *settings, const char *value)
{
	uint64_t port;

	if (value && !larder_u64_parse(value, &port, NULL) && port > 0 && port < 65536)
		settings->port = (unsigned int)port;
}

static void set_key(struct network_settings *s, const char *key, const char *value)
{
	if (strcmp(key, "sched") == 0)
		set_text(s->sched, sizeof(s->sched), value);
	else if (strcmp(key, "sched_user") == 0)
		set_text(s->sched_user, sizeof(s->sched_user), value);
	else if (strcmp(key, "munge_socket") == 0)
		set_text(s->munge, sizeof(s->munge), value);
	else if (strcmp(key, "fleet_port") == 0)
		set_port(s, value);
}

/* `key = value`, `key = "value"`; a word of a section or a list is none of ours. */
static void read_line(struct network_settings *settings, char *line)
{
	char *key = line + strspn(line, " \t"), *value = strchr(key, '=');

	if (!value)
		return;
	*value++ = '\0';
	key[strcspn(key, " \t")] = '\0';
	value += strspn(value, " \t");
	if (*value == '"' || *value == '\'') {
		const char quote[] = {*value, '\0'};

		value++;
		value[strcspn(value, quote)] = '\0';
	} else {
		value[strcspn(value, " \t\r\n#")] = '\0';
	}
	set_key(settings, key, value);
}

void network_settings_read(struct network_settings *settings)
{
	const char *path = getenv("LARDER_CONF");
	FILE *file = fopen(path && *path ? path : "/etc/larder/larder.conf", "re");
	char line[1024];

	*settings = (struct network_settings){.sched_user = "larder", .port = 6830};
	while (file && fgets(line, sizeof(line), file))
		read_line(settings, line);
	if (file)
		fclose(file);
	set_text(settings->sched, sizeof(settings->sched), getenv("LARDER_SCHED"));
	set_text(settings->sched_user, sizeof(settings->sched_user), getenv("LARDER_SCHED_USER"));
	set_text(settings->munge, sizeof(settings->munge), getenv("LARDER_MUNGE_SOCKET"));
	set_port(settings, getenv("LARDER_FLEET_PORT"));
}
