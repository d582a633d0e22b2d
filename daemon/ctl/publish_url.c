/*
 * Owns: what is published of an origin: a list's files, those that braces stand for, or all.
 * Must not: open the catalog, or look at the files.
 * Called by: publish.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/publish_url.h"
#include "larder/cleanup.h"

static bool is_url(const char *origin)
{
	return *origin != '/';
}

void publish_url_fini(struct publish_url *url)
{
	scan_paths_fini(&url->paths);
	free(url->list);
}

static bool same_paths(const struct scan_paths *a, const struct scan_paths *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i]->path, b->items[i]->path) != 0)
			return false;
	return true;
}

/* A mirror is written in the same way as the first origin, or plainly. */
static int take_mirror(const char *origin, const char *rest, const struct scan_paths *first,
		       struct larder_error *err)
{
	struct scan_paths again = {0};
	int rc = scan_paths_named(&again, rest, err);

	if (!rc && !same_paths(&again, first))
		rc = larder_error_set(err, EINVAL,
				      "%s stands for other files than the first origin", origin);
	scan_paths_fini(&again);
	return rc;
}

/* Takes what names files off the origin; the first one's are what is published. */
static int take_form(const struct ctl_options *options, char *origin, bool first,
		     struct publish_url *url, struct larder_error *err)
{
	bool told = options->paths || options->list;
	enum larder_origin_form form;
	size_t root;
	int rc = larder_origin_form(origin, &form, &root, NULL);

	if (rc && first && !told)
		return larder_error_set(
			err, EINVAL,
			"%s: what is at a web server cannot be listed: name the files with --list "
			"or --paths FILE|URL, by the URL of a list or of one file, or as in "
			"https://host/dir/name-{000..146}.tar",
			origin);
	if (rc) /* a plain directory */
		return strchr(origin, '{') ? larder_origin_form(origin, &form, &root, err) : 0;
	if (form == LARDER_ORIGIN_BRACES && told)
		return larder_error_set(err, EINVAL,
					"either a list or braces name the files, not both");
	/* With a list, whatever looks like a file is the directory that was meant. */
	if (form == LARDER_ORIGIN_TREE || (first && told) ||
	    (form == LARDER_ORIGIN_FILE && !first && !url->paths.count))
		return 0;
	if (!first && form != LARDER_ORIGIN_LIST)
		rc = take_mirror(origin, origin + root + 1, &url->paths, err);
	else if (first && form == LARDER_ORIGIN_LIST)
		url->list = strdup(origin);
	else if (first)
		rc = scan_paths_named(&url->paths, origin + root + 1, err);
	origin[root] = '\0';
	return rc;
}

static int take_lists(const struct ctl_options *options, struct publish_url *url,
		      struct larder_error *err)
{
	const char *list = options->list ? options->list : options->paths;
	char words[256];

	if (options->list && options->paths)
		return larder_error_set(err, EINVAL, "either --list or --paths names the files");
	url->form = options->paths ? SCAN_LIST_PLAIN : SCAN_LIST_ANY;
	if (list)
		url->list = strdup(list);
	if (list && !url->list)
		return larder_error_set(err, ENOMEM, "out of memory");
	if (!options->sums)
		return 0;
	url->sums = sum_by_name(options->sums, strlen(options->sums));
	if (url->sums == SUM_NONE)
		return larder_error_set(err, EINVAL, "--sums %s: known are %s", options->sums,
					sum_words(words, sizeof(words)));
	return 0;
}

/* --- who asks an S3 server */

static const char *env(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static const char *either(const char *a, const char *b)
{
	return a ? a : b;
}

/* Where AWS's own tools look; NULL: there is no such file. */
static const char *aws_file(const char *variable, const char *below_home, char *path, size_t room)
{
	const char *home = env("HOME");

	if (env(variable))
		return env(variable);
	if (!home || snprintf(path, room, "%s/.aws/%s", home, below_home) >= (int)room)
		return NULL;
	return access(path, F_OK) == 0 ? path : NULL;
}

static void fill_s3(const struct ctl_options *options, struct publish_url *url)
{
	url->options.s3 = (struct source_s3){
		.credentials_file = aws_file("AWS_SHARED_CREDENTIALS_FILE", "credentials",
					     url->credentials, sizeof(url->credentials)),
		.config_file =
			aws_file("AWS_CONFIG_FILE", "config", url->config, sizeof(url->config)),
		.profile = either(options->profile, env("AWS_PROFILE")),
		.endpoint = either(options->endpoint,
				   either(env("AWS_ENDPOINT_URL_S3"), env("AWS_ENDPOINT_URL"))),
		.region = either(options->region,
				 either(env("AWS_REGION"), env("AWS_DEFAULT_REGION"))),
		.environment = true,
	};
}

/* Web servers tell neither what they have nor who may read it: both must be said. */
int publish_url_fill(const struct ctl_options *options, struct larder_manifest_head *head,
		     struct publish_url *url, struct larder_error *err)
{
	int rc = take_lists(options, url, err);

	url->options = SOURCE_OPTIONS_DEFAULT;
	url->options.ca_file = options->ca_file;
	fill_s3(options, url);
	url->options.client_cert = options->client_cert;
	url->options.client_key = options->client_key;
	if (options->threads > 0 && options->threads <= 1024)
		url->options.connections = (unsigned int)options->threads;
	if (!rc && is_url(head->origins[0]) && head->access.kind == LARDER_ACCESS_ORIGIN)
		return larder_error_set(
			err, EINVAL,
			"who may read %s cannot be tried there: say who may use the "
			"dataset, with --access public, users=A,B or groups=G,H",
			head->origins[0]);
	for (unsigned int i = 0; !rc && i < head->n_origins; i++)
		rc = take_form(options, head->origins[i], i == 0, url, err);
	if (!rc && options->sums && !url->list)
		rc = larder_error_set(err, EINVAL, "--sums tells about a list; there is none");
	return rc;
}

/* Sums that nobody would compare are better than none: they are not thrown away by an option. */
static int refuse_sums(const struct publish_url *url, struct larder_error *err)
{
	for (size_t i = 0; i < url->paths.count; i++) {
		enum sum_kind kind = (enum sum_kind)url->paths.items[i]->sum;

		if (kind != SUM_NONE && kind != SUM_XXH128)
			return larder_error_set(
				err, EINVAL,
				"%s has sums (%s), and with --trust-first-use nobody would compare them: "
				"leave that out",
				url->list, sum_word(kind));
	}
	return 0;
}

int publish_url_read(const struct ctl_options *options, struct publish_url *url,
		     const struct larder_manifest_head *head, struct larder_error *err)
{
	const struct scan_list list = {
		.where = url->list,
		.origin = head->origins[0],
		.form = url->form,
		.sums = url->sums,
	};

	int rc = url->list ? scan_list_read(&list, &url->options, &url->paths, err) : 0;

	return rc || !options->trust_first_use ? rc : refuse_sums(url, err);
}
