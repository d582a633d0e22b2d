/*
 * Owns: what publishing from a web server needs besides the URL: the files, and who may use them.
 * Must not: open the catalog, or look at the files.
 * Called by: publish.c.
 */
#include <errno.h>
#include <string.h>

#include "ctl/publish_url.h"

static bool is_url(const char *origin)
{
	return strncmp(origin, "http://", 7) == 0 || strncmp(origin, "https://", 8) == 0;
}

static bool same_paths(const struct scan_paths *a, const struct scan_paths *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

/* The paths in the braces of the first origin; a mirror may be written in the same way. */
static int expand_braces(const struct ctl_options *options, struct larder_manifest_head *head,
			 struct scan_paths *paths, struct larder_error *err)
{
	int rc = 0;

	for (unsigned int i = 0; rc >= 0 && i < head->n_origins; i++) {
		struct scan_paths again = {0};
		char *origin = head->origins[i];

		if (!is_url(origin))
			continue;
		rc = scan_paths_brace(origin, i ? &again : paths, err);
		if (rc == 1 && i && !same_paths(&again, paths))
			rc = larder_error_set(
				err, EINVAL,
				"the braces of %s stand for other files than the first "
				"origin's",
				options->from.items[i]);
		scan_paths_fini(&again);
	}
	return rc < 0 ? rc : 0;
}

/* Web servers tell neither what they have nor who may read it: both must be said. */
int publish_url_fill(const struct ctl_options *options, struct larder_manifest_head *head,
		     struct publish_url *url, struct larder_error *err)
{
	int rc = 0;

	url->options = SOURCE_OPTIONS_DEFAULT;
	url->options.ca_file = options->ca_file;
	if (options->threads > 0 && options->threads <= 1024)
		url->options.connections = (unsigned int)options->threads;
	if (!is_url(head->origins[0]))
		return !options->paths ? 0
				       : larder_error_set(err, EINVAL,
							  "--paths is for URLs; all files below a "
							  "directory are published");
	if (head->access.kind == LARDER_ACCESS_ORIGIN)
		return larder_error_set(
			err, EINVAL,
			"who may read %s cannot be tried there: say who may use the "
			"dataset, with --access public, users=A,B or groups=G,H",
			head->origins[0]);
	rc = expand_braces(options, head, &url->paths, err);
	if (!rc && options->paths && url->paths.count)
		rc = larder_error_set(err, EINVAL,
				      "either --paths or braces name the files, not both");
	if (!rc && !options->paths && !url->paths.count)
		rc = larder_error_set(err, EINVAL,
				      "a web server cannot be listed: name the files with --paths "
				      "FILE|URL, or as in https://host/dir/name-{000..146}.tar");
	return rc;
}

int publish_url_read(const struct ctl_options *options, struct publish_url *url,
		     struct larder_error *err)
{
	return options->paths ? scan_paths_read(options->paths, &url->options, &url->paths, err)
			      : 0;
}
