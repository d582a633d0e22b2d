/*
 * Owns what the text of an origin says about how its files are found: listed, or named by a list,
 * by braces, or by itself.
 * Must not touch the network; pure: the plugin asks at submission, the daemon again.
 * Called by spank/, the CLI's publish, the daemon's check.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "larder/manifest.h"

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len > n && strcasecmp(text + len - n, end) == 0;
}

/* SHA256SUMS, md5sums.txt, all.sha256, index.json, shards.list … */
static bool is_list(const char *name)
{
	static const char *const ends[] = {
		".list",   ".lst",     ".md5",	 ".sha1",  ".sha224", ".sha256", ".sha384",
		".sha512", ".blake2b", ".xxh32", ".xxh64", ".xxh3",   ".xxh128",
	};

	if (strcasecmp(name, "index.json") == 0)
		return true;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (ends_with(name, ends[i]))
			return true;
	if (ends_with(name, "sums") || ends_with(name, "sums.txt") || ends_with(name, "sum.txt"))
		return true;
	return strcasecmp(name, "list.txt") == 0;
}

/* Something behind a dot: what has none is taken for a directory. */
static bool is_file(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && dot > name && isalnum((unsigned char)dot[1]);
}

static int refuse(struct larder_error *err, const char *origin, const char *what)
{
	char shown[200];

	return larder_error_set(err, EINVAL, "origin %s: %s",
				larder_text_quote(origin, SIZE_MAX, shown, sizeof(shown)), what);
}

static int form_of_url(const char *origin, const char *path, bool listed,
		       enum larder_origin_form *form, size_t *root, struct larder_error *err)
{
	const char *brace = strchr(path, '{'), *end = brace ? brace : origin + strlen(origin);
	const char *slash = memrchr(path, '/', (size_t)(end - path));

	if (slash && brace)
		*form = LARDER_ORIGIN_BRACES;
	else if (slash && is_list(slash + 1))
		*form = LARDER_ORIGIN_LIST;
	else if (slash && !listed && is_file(slash + 1))
		*form = LARDER_ORIGIN_FILE;
	else if (listed)
		return 0;
	else
		return refuse(
			err, origin,
			"a web server cannot be listed: name a list of its files (SHA256SUMS, "
			"index.json, files.list), a file, or as in "
			"https://host/dir/name-{000..146}.tar");
	*root = (size_t)(slash - origin);
	return 0;
}

int larder_origin_form(const char *origin, enum larder_origin_form *form, size_t *root,
		       struct larder_error *err)
{
	const char *host = strstr(origin, "://"), *path;

	*form = LARDER_ORIGIN_TREE;
	*root = strlen(origin);
	if (*origin == '/' || !host)
		return 0;
	host += 3;
	path = host + strcspn(host, "/");
	if (strncmp(origin, "s3:", 3) != 0 && strpbrk(origin, "?#"))
		return refuse(err, origin, "leave out what begins with ? or #");
	if (memchr(host, '{', (size_t)(path - host)))
		return refuse(err, origin, "braces have no place in a host's or bucket's name");
	return form_of_url(origin, path, strncmp(origin, "s3:", 3) == 0, form, root, err);
}
