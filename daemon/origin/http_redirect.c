/*
 * Owns: which redirects are followed: their schemes and hosts.
 * Must not: make requests.
 * Called by: http_request.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "larder/text.h"
#include "origin/http.h"

static int redirect_refused(struct http_fetch *fetch, const char *to, const char *why)
{
	char shown[256];

	return larder_error_set(&fetch->why, EPROTO, "the server redirects to %s: %s",
				larder_text_quote(to, SIZE_MAX, shown, sizeof(shown)), why);
}

static int judge_redirect(struct http_fetch *fetch, const char *from, const char *to)
{
	const struct source_options *options = &fetch->source->options;
	char *scheme = NULL, *host = NULL, *user = NULL;
	CURLU *url = curl_url();
	int rc = 0;

	if (!url || curl_url_set(url, CURLUPART_URL, to, CURLU_NON_SUPPORT_SCHEME) ||
	    curl_url_get(url, CURLUPART_SCHEME, &scheme, 0))
		rc = redirect_refused(fetch, to, "that is no URL");
	else if (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)
		rc = redirect_refused(fetch, to, "only http and https are followed");
	else if (strncmp(from, "https:", 6) == 0 && strcmp(scheme, "https") != 0)
		rc = redirect_refused(fetch, to, "from https only https is followed");
	else if (!curl_url_get(url, CURLUPART_USER, &user, 0))
		rc = redirect_refused(fetch, "(a URL with a user in it)", "that is not followed");
	else if (curl_url_get(url, CURLUPART_HOST, &host, 0) ||
		 !http_host_allowed(host, fetch->source->host, options->redirect_hosts,
				    options->n_redirect_hosts))
		rc = redirect_refused(fetch, to,
				      "another host, which http_redirect_hosts does not name");
	curl_free(scheme);
	curl_free(host);
	curl_free(user);
	curl_url_cleanup(url);
	return rc;
}

static bool is_redirect(long status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

int http_follow(struct http_fetch *fetch, char **url)
{
	char *to = NULL, *copy;
	long status = 0;
	int rc;

	curl_easy_getinfo(fetch->handle->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(fetch->handle->curl, CURLINFO_REDIRECT_URL, &to);
	if (!is_redirect(status) || !to)
		return 0;
	rc = judge_redirect(fetch, *url, to);
	if (rc)
		return rc;
	copy = strdup(to);
	if (!copy)
		return larder_error_set(&fetch->why, ENOMEM, "no memory for a redirect");
	free(*url);
	*url = copy;
	return 1;
}
