/*
 * Owns: the configuration's keys about remote origins, as origin/ takes them.
 * Must not: make requests.
 * Called by: start.c.
 */
#include "server/origin_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "origin/limits.h"
#include "server/reload.h"

/* "a,b": as libcurl wants it. To free; NULL: no memory. */
static char *join_list(const struct config_list *list)
{
	size_t len = 1;
	char *text, *at;

	for (unsigned int i = 0; i < list->count; i++)
		len += strlen(list->items[i]) + 1;
	text = at = malloc(len);
	for (unsigned int i = 0; text && i < list->count; i++)
		at += sprintf(at, "%s%s", i ? "," : "", list->items[i]);
	if (text)
		*at = '\0';
	return text;
}

/* Fixed at start, as a reload keeps these keys: the pool borrows them for its life. */
int origin_options_set(struct larderd *d, struct larder_error *err)
{
	const struct config *config = &d->config;

	d->no_proxy = join_list(&config->http_no_proxy);
	d->limits = origin_limits_create();
	if (!d->no_proxy || !d->limits)
		return larder_error_set(err, ENOMEM, "out of memory");
	d->http_spare = SOURCE_SPARE_BYTES;
	d->origin_options = (struct source_options){
		.connections = config->http_connections,
		.ranges = config->http_ranges,
		.connect_timeout_ms = config->http_connect_timeout,
		.stall_timeout_ms = config->http_stall_timeout,
		.total_timeout_ms = config->http_total_timeout,
		.retries = config->http_retries,
		.retry_budget = config->http_retry_budget,
		.ca_file = config->http_ca_file,
		.client_cert = config->http_client_cert,
		.client_key = config->http_client_key,
		.proxy = config->http_proxy,
		.no_proxy = d->no_proxy,
		.redirect_hosts = (const char *const *)config->http_redirect_hosts.items,
		.n_redirect_hosts = config->http_redirect_hosts.count,
		.s3 = {.credentials_file = config->s3_credentials, .environment = true},
		.limits = d->limits,
		.spare = &d->http_spare,
	};
	return reload_limits(d, err);
}

void origin_options_fini(struct larderd *d)
{
	free(d->no_proxy);
	origin_limits_destroy(d->limits);
}
