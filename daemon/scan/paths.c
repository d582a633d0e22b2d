/*
 * Owns: the collection of listed paths: what may be in it, and that nothing is in it twice.
 * Must not: read lists, or look at what is at those paths.
 * Called by: list.c, list_mds.c, braces.c, scan.c, `larder publish`, the daemon's check helper.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "larder/text.h"
#include "scan/paths.h"

void scan_paths_fini(struct scan_paths *paths)
{
	for (size_t i = 0; i < paths->count; i++)
		free(paths->items[i]);
	free(paths->items);
	*paths = (struct scan_paths){0};
}

static int no_memory(struct larder_error *err)
{
	return larder_error_set(err, ENOMEM, "no memory for the list of paths");
}

static int make_room(struct scan_paths *paths, struct larder_error *err)
{
	size_t room = paths->room ? paths->room * 2 : 256;
	struct scan_path **grown;

	if (paths->count == SCAN_PATHS_MAX)
		return larder_error_set(err, E2BIG, "more than %u paths", SCAN_PATHS_MAX);
	if (paths->count < paths->room)
		return 0;
	grown = reallocarray(paths->items, room, sizeof(struct scan_path *));
	if (!grown)
		return no_memory(err);
	paths->items = grown;
	paths->room = room;
	return 0;
}

int scan_paths_add(struct scan_paths *paths, const char *path, uint32_t line, uint64_t size,
		   enum sum_kind kind, const unsigned char *sum, struct larder_error *err)
{
	size_t len = strlen(path), bytes = sum_bytes(kind);
	int rc = larder_path_check(path, err);
	struct scan_path *item;

	if (!rc)
		rc = make_room(paths, err);
	if (rc)
		return rc;
	item = malloc(sizeof(*item) + len + 1 + bytes);
	if (!item)
		return no_memory(err);
	item->size = size;
	item->line = line;
	item->path_len = (uint16_t)len; /* LARDER_PATH_BYTES at most */
	item->sum = (uint8_t)kind;
	memcpy(item->path, path, len + 1);
	if (bytes)
		memcpy(item->path + len + 1, sum, bytes);
	paths->items[paths->count++] = item;
	return 0;
}

int scan_paths_decode(const char *part, char out[LARDER_PATH_BYTES + 1], struct larder_error *err)
{
	char *to = out;
	char shown[200];

	for (const char *at = part; *at; at++) {
		unsigned int byte = (unsigned char)*at;

		if (*at == '%') {
			if (!sum_parse_byte(at + 1, &byte) || !byte || byte == '/')
				return larder_error_set(
					err, EINVAL,
					"\"%s\" has a percent sign that encodes nothing",
					larder_text_quote(part, SIZE_MAX, shown, sizeof(shown)));
			at += 2;
		}
		if (to - out == LARDER_PATH_BYTES)
			return larder_error_set(err, ENAMETOOLONG, "a path over %d bytes",
						LARDER_PATH_BYTES);
		*to++ = (char)byte;
	}
	*to = '\0';
	return 0;
}

static int by_path(const void *a, const void *b)
{
	const struct scan_path *const *x = a, *const *y = b;
	int order = larder_path_compare((*x)->path, (*y)->path);

	return order ? order : ((*x)->line > (*y)->line) - ((*x)->line < (*y)->line);
}

/* Neighbours in order: the same path, or a file that would be a directory, too. */
static int check_pair(const struct scan_paths *paths, const struct scan_path *a,
		      const struct scan_path *b, struct larder_error *err)
{
	const char *unit = paths->unit ? paths->unit : "line";
	bool same = strcmp(a->path, b->path) == 0;
	char shown[200], other[200];

	if (!same && (strncmp(a->path, b->path, a->path_len) != 0 || b->path[a->path_len] != '/'))
		return 0;
	larder_text_quote(a->path, SIZE_MAX, shown, sizeof(shown));
	larder_text_quote(b->path, SIZE_MAX, other, sizeof(other));
	if (!a->line && !b->line)
		return larder_error_set(err, EINVAL, "the braces stand for \"%s\" and for \"%s\"",
					shown, other);
	if (same)
		return larder_error_set(err, EINVAL,
					"\"%s\" is listed twice (%ss %u and %u); leave one out",
					shown, unit, a->line, b->line);
	return larder_error_set(err, EINVAL,
				"\"%s\" (%s %u) is a file, and \"%s\" (%s %u) would lie below it",
				shown, unit, a->line, other, unit, b->line);
}

int scan_paths_settle(struct scan_paths *paths, struct larder_error *err)
{
	int rc = 0;

	if (paths->count)
		qsort(paths->items, paths->count, sizeof(struct scan_path *), by_path);
	for (size_t i = 1; !rc && i < paths->count; i++)
		rc = check_pair(paths, paths->items[i - 1], paths->items[i], err);
	return rc;
}
