/*
 * Owns: making a list of paths from a text or a brace form.
 * Must not: look at what is at those paths.
 * Called by: `larder publish`.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "origin/origins.h"
#include "scan/paths.h"

#define DIGITS_MAX 9

void scan_paths_fini(struct scan_paths *paths)
{
	for (size_t i = 0; i < paths->count; i++)
		free(paths->items[i]);
	free(paths->items);
	*paths = (struct scan_paths){0};
}

static int add(struct scan_paths *paths, const char *path, struct larder_error *err)
{
	int rc = larder_path_check(path, err);

	if (rc)
		return rc;
	if (paths->count == SCAN_PATHS_MAX)
		return larder_error_set(err, E2BIG, "more than %u paths", SCAN_PATHS_MAX);
	if (paths->count == paths->room) {
		size_t room = paths->room ? paths->room * 2 : 256;
		char **grown = reallocarray(paths->items, room, sizeof(*grown));

		if (!grown)
			return larder_error_set(err, ENOMEM, "no memory for the list of paths");
		paths->items = grown;
		paths->room = room;
	}
	paths->items[paths->count] = strdup(path);
	if (!paths->items[paths->count])
		return larder_error_set(err, ENOMEM, "no memory for the list of paths");
	paths->count++;
	return 0;
}

int scan_paths_parse(char *text, struct scan_paths *paths, struct larder_error *err)
{
	unsigned long number = 0;
	char *next;
	int rc = 0;

	for (char *line = text; !rc && line && *line; line = next) {
		size_t len = strcspn(line, "\n");

		number++;
		next = line[len] ? line + len + 1 : NULL;
		if (len && line[len - 1] == '\r')
			line[len - 1] = '\0';
		line[len] = '\0';
		if (*line)
			rc = add(paths, line, err);
		if (rc)
			larder_error_prefix(err, "line %lu of the list of paths", number);
	}
	return rc;
}

/* --- from a file or a URL */

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

	if (!slash || slash - root <= (long)strlen("https:/") ||
	    larder_percent_decode(slash + 1, strlen(slash + 1), path, sizeof(path), NULL) <= 0)
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
		return larder_error_set(err, errno, "open the list of paths %s: %s", where,
					strerror(errno));
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

int scan_paths_read(const char *where, const struct source_options *options,
		    struct scan_paths *paths, struct larder_error *err)
{
	const struct source_ops *kind = origin_kind(where);
	struct text text = {0};
	int rc = kind && kind->look ? slurp_url(kind, where, options, &text, err)
				    : slurp_file(where, &text, err);

	if (!rc && text.data) {
		text.data[text.len] = '\0'; /* both ways leave room for it */
		rc = strlen(text.data) != text.len
			     ? larder_error_set(err, EINVAL, "%s has a NUL in it", where)
			     : scan_paths_parse(text.data, paths, err);
	}
	free(text.data);
	if (!rc && !paths->count)
		rc = larder_error_set(err, EINVAL, "%s names no path", where);
	return rc;
}

/* --- the brace form */

struct brace {
	const char *before, *after; /* of the path */
	int width;		    /* 0: no leading zeros */
	unsigned long first, last;
};

/* "000..146" with as many digits on both sides, or without leading zeros. */
static int parse_numbers(const char *inside, struct brace *brace)
{
	size_t n1 = strspn(inside, "0123456789"), n2;
	const char *second = inside + n1 + 2;

	if (!n1 || n1 > DIGITS_MAX || strncmp(inside + n1, "..", 2) != 0)
		return -EINVAL;
	n2 = strspn(second, "0123456789");
	if (!n2 || n2 > DIGITS_MAX || second[n2])
		return -EINVAL;
	brace->first = strtoul(inside, NULL, 10);
	brace->last = strtoul(second, NULL, 10);
	if ((*inside == '0' && n1 > 1) || (*second == '0' && n2 > 1)) {
		if (n1 != n2)
			return -EINVAL;
		brace->width = (int)n1;
	}
	return brace->first <= brace->last ? 0 : -EINVAL;
}

static int expand(const struct brace *brace, struct scan_paths *paths, struct larder_error *err)
{
	int rc = 0;

	if (brace->last - brace->first >= SCAN_PATHS_MAX)
		return larder_error_set(err, E2BIG, "more than %u paths", SCAN_PATHS_MAX);
	for (unsigned long i = brace->first; !rc && i <= brace->last; i++) {
		auto_free char *path = NULL;

		if (asprintf(&path, "%s%0*lu%s", brace->before, brace->width, i, brace->after) <
		    0) {
			path = NULL;
			return larder_error_set(err, ENOMEM, "no memory for the list of paths");
		}
		rc = add(paths, path, err);
	}
	return rc;
}

int scan_paths_brace(char *origin, struct scan_paths *paths, struct larder_error *err)
{
	char *open = strchr(origin, '{'), *close, *slash;
	struct brace brace = {0};
	int rc;

	if (!open)
		return 0;
	*open = '\0';
	slash = strrchr(origin, '/');
	close = strchr(open + 1, '}');
	if (close)
		*close = '\0';
	if (!close || !slash || slash - origin <= (long)strlen("https:/") ||
	    strpbrk(close + 1, "{}") || parse_numbers(open + 1, &brace))
		return larder_error_set(err, EINVAL,
					"braces stand for numbers in the files' names, once, as in "
					"https://host/dir/name-{000..146}.tar");
	brace.before = slash + 1;
	brace.after = close + 1;
	rc = expand(&brace, paths, err);
	*slash = '\0';
	return rc ? rc : 1;
}
