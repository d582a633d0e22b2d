/*
 * Owns: getting a list's text, from a file or a URL.
 * Must not: hold more than the cap of it.
 * Called by: `larder publish`, the daemon's check helper.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "origin/origins.h"
#include "scan/list.h"

struct text {
	char *data;
	size_t len, room;
};

static int take(const void *data, size_t len, void *arg)
{
	struct text *text = arg;

	if (len > text->room - text->len)
		return -E2BIG;
	if (len)
		memcpy(text->data + text->len, data, len);
	text->len += len;
	return 0;
}

static int too_long(const char *where, struct larder_error *err)
{
	return larder_error_set(err, E2BIG, "%s is longer than %zu bytes", where,
				SCAN_LIST_BYTES_MAX);
}

static int read_url(struct source *source, const char *path, const char *where, struct text *text,
		    struct larder_error *err)
{
	struct source_entry entry;
	struct shard shard = {.type = SHARD_FILE, .path = path};
	int rc = source->ops->look(source, path, &entry, err);

	if (rc)
		return rc;
	if (entry.size > SCAN_LIST_BYTES_MAX)
		return too_long(where, err);
	shard.size = entry.size;
	text->room = (size_t)entry.size;
	text->data = malloc(text->room + 1);
	if (!text->data)
		return larder_error_set(err, ENOMEM, "no memory for the list of paths");
	rc = source->ops->fetch(source, &shard, 0, take, text, err);
	if (rc)
		larder_error_prefix(err, "%s", where);
	return rc;
}

/* The URL's last part as a path below the rest, which is the origin. */
static int slurp_url(const struct source_ops *kind, const char *where,
		     const struct source_options *options, struct text *text,
		     struct larder_error *err)
{
	const struct source_as self = {0};
	auto_free char *root = strdup(where);
	char path[LARDER_PATH_BYTES + 1];
	struct source *source;
	char *slash = root ? strrchr(root, '/') : NULL;
	int rc;

	if (!slash || slash - root <= (long)strlen("https:/") || !slash[1] ||
	    scan_paths_decode(slash + 1, path, NULL))
		return larder_error_set(err, EINVAL, "%s names no file", where);
	*slash = '\0';
	rc = kind->open(root, &self, options, &source, err);
	if (rc)
		return rc;
	rc = read_url(source, path, where, text, err);
	source->ops->close(source);
	return rc;
}

/* Never more than the cap and a byte of it in memory. */
static int slurp_file(const char *where, struct text *text, struct larder_error *err)
{
	auto_file FILE *file = fopen(where, "re");
	size_t room = 0, n;

	if (!file)
		return larder_error_set(err, errno, "open the list %s: %s", where, strerror(errno));
	do {
		char *more = realloc(text->data, (room = room ? 2 * room : 65536) + 1);

		if (!more)
			return larder_error_set(err, ENOMEM, "out of memory");
		text->data = more;
		n = fread(text->data + text->len, 1, room - text->len, file);
		text->len += n;
		if (ferror(file))
			return larder_error_set(err, errno, "read %s: %s", where, strerror(errno));
		if (text->len > SCAN_LIST_BYTES_MAX)
			return too_long(where, err);
	} while (text->len == room);
	return 0;
}

int scan_list_read(const struct scan_list *list, const struct source_options *options,
		   struct scan_paths *paths, struct larder_error *err)
{
	const struct source_ops *kind = origin_kind(list->where);
	struct text text = {0};
	int rc = kind && kind->fetch ? slurp_url(kind, list->where, options, &text, err)
				     : slurp_file(list->where, &text, err);

	if (!rc && text.data) {
		text.data[text.len] = '\0'; /* both ways leave room for it */
		rc = scan_list_parse(list, text.data, text.len, paths, err);
	}
	free(text.data);
	return rc;
}
