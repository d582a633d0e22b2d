/*
 * Owns: the options that users' own URLs are read with, as text and as a struct.
 * Must not: take anything from the site's own origins that is a right: no certificate, no
 * credentials, no proxy.
 * Called by: access.c, check.c, the check's child, stage.c.
 */
#include "server/own_remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/text.h"

/* A line that would be two is left out; no configured value has a newline for a reason. */
static void put(FILE *out, const char *word, const char *value)
{
	if (value && *value && !strpbrk(value, "\n\r"))
		fprintf(out, "%s %s\n", word, value);
}

static void put_list(FILE *out, const char *word, const struct config_list *list)
{
	for (unsigned int i = 0; i < list->count; i++)
		put(out, word, list->items[i]);
}

char *own_remote_settings(const struct config *config)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	fprintf(out, "connections %u\nconnect_timeout %lld\nstall_timeout %lld\n",
		config->http_connections, (long long)config->http_connect_timeout,
		(long long)config->http_stall_timeout);
	fprintf(out, "retries %u\nretry_budget %u\n", config->http_retries,
		config->http_retry_budget);
	put(out, "ca_file", config->http_ca_file);
	put_list(out, "redirect", &config->http_redirect_hosts);
	put_list(out, "deny", &config->own_hosts_deny);
	put_list(out, "allow", &config->own_hosts_allow);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

static void take_number(struct source_options *options, const char *word, const char *value)
{
	uint64_t number;

	if (larder_u64_parse(value, &number, NULL) || number > INT32_MAX)
		return;
	if (strcmp(word, "connections") == 0)
		options->connections = (unsigned int)number;
	else if (strcmp(word, "connect_timeout") == 0)
		options->connect_timeout_ms = (int64_t)number;
	else if (strcmp(word, "stall_timeout") == 0)
		options->stall_timeout_ms = (int64_t)number;
	else if (strcmp(word, "retries") == 0)
		options->retries = (unsigned int)number;
	else if (strcmp(word, "retry_budget") == 0)
		options->retry_budget = (unsigned int)number;
}

/* Values of one word, one after the other in `lists` from `at`; they stand together in the text. */
static void take_value(struct own_remote *remote, const char *word, const char *value,
		       const char **slot)
{
	struct source_options *options = &remote->options;
	const char *const *first = slot;

	*slot = value;
	if (strcmp(word, "ca_file") == 0) {
		options->ca_file = value;
	} else if (strcmp(word, "redirect") == 0) {
		if (!options->n_redirect_hosts++)
			options->redirect_hosts = first;
	} else if (strcmp(word, "deny") == 0) {
		if (!remote->filter.n_deny++)
			remote->filter.deny = first;
	} else if (strcmp(word, "allow") == 0) {
		if (!remote->filter.n_allow++)
			remote->filter.allow = first;
	} else {
		take_number(options, word, value);
	}
}

static int take_settings(struct own_remote *remote, const char *settings)
{
	size_t lines = 1, n = 0;
	char *rest, *line;

	for (const char *at = settings; (at = strchr(at, '\n')); at++)
		lines++;
	remote->settings = rest = strdup(settings);
	remote->lists = calloc(lines + 1, sizeof(*remote->lists));
	if (!rest || !remote->lists)
		return -ENOMEM;
	while ((line = strsep(&rest, "\n"))) {
		char *value = strchr(line, ' ');

		if (!value)
			continue;
		*value++ = '\0';
		take_value(remote, line, value, &remote->lists[n++]);
	}
	return 0;
}

static int copy_text(const char *text, char **copy)
{
	if (!text || !*text)
		return 0;
	*copy = strdup(text);
	return *copy ? 0 : -ENOMEM;
}

struct own_remote *own_remote_create(const char *settings, const char *logins, const char *profiles)
{
	struct own_remote *remote = calloc(1, sizeof(*remote));

	if (!remote)
		return NULL;
	remote->refs = 1;
	remote->options = SOURCE_OPTIONS_DEFAULT;
	if (take_settings(remote, settings) || copy_text(logins, &remote->logins) ||
	    copy_text(profiles, &remote->profiles)) {
		own_remote_unref(remote);
		return NULL;
	}
	remote->options.filter = &remote->filter;
	remote->options.login_text = remote->logins;
	/* the user's files alone: no environment, nothing of the site's */
	remote->options.s3.credentials_text = remote->profiles;
	return remote;
}

struct own_remote *own_remote_ref(struct own_remote *remote)
{
	if (remote)
		remote->refs++;
	return remote;
}

void own_credentials_free(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

void own_remote_unref(struct own_remote *remote)
{
	if (!remote || --remote->refs)
		return;
	own_credentials_free(remote->logins);
	own_credentials_free(remote->profiles);
	free(remote->lists);
	free(remote->settings);
	free(remote);
}
