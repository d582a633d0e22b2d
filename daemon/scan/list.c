/*
 * Owns: lists of a line a file: plain ones, and those of sha256sum, md5sum, xxhsum and their like,
 * with and without tags.
 * Must not: read files, or believe what a line says beyond its syntax.
 * Called by: list_read.c, and tests.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "scan/list.h"

struct parsing {
	const struct scan_list *list;
	struct scan_paths *paths;
	struct larder_error *err;
	const char *prefix; /* "" or "dir/" */
	uint32_t line;
};

/* One line of a tool that makes sums. */
struct sum_line {
	enum sum_kind kind;
	const char *hex;
	size_t hex_len;
	bool reversed;
	char *path;
};

static size_t hex_digits(const char *text)
{
	return strspn(text, "0123456789abcdefABCDEF");
}

/* "\n" and "\\" in the names of a line that begins with a backslash; the tools' only escapes. */
static bool unescape(char *path)
{
	char *to = path;

	for (; *path; path++) {
		if (*path != '\\') {
			*to++ = *path;
			continue;
		}
		path++;
		if (*path != '\\' && *path != 'n' && *path != 'r')
			return false;
		*to++ = *path == 'n' ? '\n' : *path == 'r' ? '\r' : '\\';
	}
	*to = '\0';
	return true;
}

/* "SHA256 (PATH) = HEX" */
static bool take_tagged(char *line, struct sum_line *sum)
{
	char *open = strstr(line, " ("), *close = NULL;
	size_t tag;

	for (char *at = open; at && (at = strstr(at, ") = ")); at++)
		close = at; /* the last one: a path may have such in it */
	if (!open || !close || close < open + 2)
		return false;
	tag = (size_t)(open - line);
	sum->reversed = tag > 3 && strncmp(open - 3, "_LE", 3) == 0;
	sum->kind = sum_by_name(line, tag - (sum->reversed ? 3 : 0));
	sum->hex = close + 4;
	sum->hex_len = hex_digits(sum->hex);
	if (sum->kind == SUM_NONE || sum->hex[sum->hex_len])
		return false;
	*close = '\0';
	sum->path = open + 2;
	return true;
}

/* "HEX  PATH" or "HEX *PATH"; xxhsum -H3 since 0.8.2: "XXH3_HEX  PATH". */
static bool take_plain_sum(char *line, struct sum_line *sum)
{
	if (strncmp(line, "XXH3_", 5) == 0) {
		sum->kind = SUM_XXH3;
		line += 5;
	}
	sum->hex = line;
	sum->hex_len = hex_digits(line);
	line += sum->hex_len;
	if (sum->hex_len < 8 || line[0] != ' ' || (line[1] != ' ' && line[1] != '*'))
		return false;
	sum->path = line + 2;
	return true;
}

static bool take_sum_line(char *line, struct sum_line *sum)
{
	bool escaped = *line == '\\';

	*sum = (struct sum_line){0};
	line += escaped;
	if (!take_tagged(line, sum) && !take_plain_sum(line, sum))
		return false;
	return *sum->path && (!escaped || unescape(sum->path));
}

/* Is it a list of sums? By its first line that has something in it. */
static bool has_sums(const char *text)
{
	struct sum_line sum;

	while (*text == '\n' || *text == '\r' || *text == '#')
		text += *text == '#' ? strcspn(text, "\n") : 1;
	auto_free char *line = strndup(text, strcspn(text, "\r\n"));

	return line && take_sum_line(line, &sum);
}

/* What a sum is that has no tag: as told, as the list's name tells, or by its digits. */
static enum sum_kind kind_of(const struct parsing *p, const struct sum_line *sum)
{
	const char *slash = strrchr(p->list->where, '/');
	enum sum_kind kind = sum->kind;

	if (kind == SUM_NONE)
		kind = p->list->sums;
	if (kind == SUM_NONE) {
		kind = sum_by_file(slash ? slash + 1 : p->list->where);
		if (2 * sum_bytes(kind) != sum->hex_len)
			kind = sum_by_digits(sum->hex_len);
	}
	return kind;
}

static int unknown_sum(const struct parsing *p, const struct sum_line *sum)
{
	if (sum->hex_len == 32)
		return larder_error_set(p->err, EINVAL,
					"md5sum and xxh128sum write the same form: say which one "
					"this is, with --sums md5 or --sums xxh128");
	return larder_error_set(p->err, EINVAL,
				"a sum of %zu digits; say what it is with --sums, if it is one",
				sum->hex_len);
}

/* prefix and path in one, without the "./" that find puts first. */
static int add(const struct parsing *p, const char *path, enum sum_kind kind,
	       const unsigned char *sum)
{
	char whole[LARDER_PATH_BYTES + 1];
	int n;

	while (strncmp(path, "./", 2) == 0)
		path += 2;
	n = snprintf(whole, sizeof(whole), "%s%s", p->prefix, path);
	if (n < 0 || (size_t)n >= sizeof(whole))
		return larder_error_set(p->err, ENAMETOOLONG, "a path over %d bytes",
					LARDER_PATH_BYTES);
	return scan_paths_add(p->paths, whole, p->line, SCAN_SIZE_UNKNOWN, kind, sum, p->err);
}

static int take_sum(const struct parsing *p, char *line)
{
	unsigned char bytes[SUM_BYTES_MAX];
	struct sum_line sum;
	enum sum_kind kind;

	if (*line == '#')
		return 0;
	if (!take_sum_line(line, &sum))
		return larder_error_set(p->err, EINVAL,
					"no \"SUM  PATH\" and no \"NAME (PATH) = SUM\"");
	kind = kind_of(p, &sum);
	if (kind == SUM_NONE)
		return unknown_sum(p, &sum);
	if (!sum_parse(kind, sum.hex, sum.hex_len, sum.reversed, bytes))
		return larder_error_set(p->err, EINVAL, "a sum of %zu digits is no %s", sum.hex_len,
					sum_word(kind));
	return add(p, sum.path, kind, bytes);
}

/* A WebDataset list may have whole URLs in it: what stands below the origin is taken. */
static const char *below(const struct parsing *p, const char *line)
{
	size_t len = strlen(p->list->origin);

	if (strncmp(line, p->list->origin, len) == 0 && line[len] == '/')
		return line + len + 1;
	return NULL;
}

static int take_path(const struct parsing *p, const char *line)
{
	char decoded[LARDER_PATH_BYTES + 1];
	const char *rest;

	if (p->list->form == SCAN_LIST_PLAIN)
		return add(p, line, SUM_NONE, NULL);
	rest = below(p, line);
	if (!rest && (strstr(line, "://") || *line == '/'))
		return larder_error_set(p->err, EINVAL, "it is not below the origin %s",
					p->list->origin);
	if (!rest && !strpbrk(line, "{}"))
		return add(p, line, SUM_NONE, NULL);
	if (!rest && *p->prefix) {
		snprintf(decoded, sizeof(decoded), "%s%s", p->prefix, line);
		return scan_paths_expand(p->paths, decoded, p->line, p->err);
	}
	if (rest && *p->list->origin != '/') {
		int rc = scan_paths_decode(rest, decoded, p->err);

		if (rc)
			return rc;
		rest = decoded;
	}
	return scan_paths_expand(p->paths, rest ? rest : line, p->line, p->err);
}

static int parse_lines(struct parsing *p, char *text, bool sums)
{
	char *next;
	int rc = 0;

	for (char *line = text; !rc && line && *line; line = next) {
		size_t len = strcspn(line, "\n");

		p->line++;
		next = line[len] ? line + len + 1 : NULL;
		if (len && line[len - 1] == '\r')
			line[len - 1] = '\0';
		line[len] = '\0';
		if (*line)
			rc = sums ? take_sum(p, line) : take_path(p, line);
		if (rc)
			larder_error_prefix(p->err, "line %u of %s", p->line, p->list->where);
	}
	return rc;
}

/* An index.json, and not a line that begins with braces. */
static bool is_object(const char *text)
{
	text += strspn(text, " \t\r\n");
	if (*text != '{')
		return false;
	text++;
	text += strspn(text, " \t\r\n");
	return !*text || *text == '"' || *text == '}';
}

/* The list's own path below the origin; "" when it is elsewhere. */
static int find_self(const struct scan_list *list, char self[LARDER_PATH_BYTES + 1],
		     struct larder_error *err)
{
	size_t root = strlen(list->origin);

	*self = '\0';
	if (list->form == SCAN_LIST_PLAIN || strncmp(list->where, list->origin, root) != 0 ||
	    list->where[root] != '/')
		return 0;
	if (*list->origin == '/') {
		snprintf(self, LARDER_PATH_BYTES + 1, "%s", list->where + root + 1);
		return 0;
	}
	if (scan_paths_decode(list->where + root + 1, self, err))
		return larder_error_prefix(err, "%s", list->where);
	return 0;
}

int scan_list_parse(const struct scan_list *list, char *text, size_t len, struct scan_paths *paths,
		    struct larder_error *err)
{
	bool any = list->form == SCAN_LIST_ANY;
	char self[LARDER_PATH_BYTES + 1], prefix[LARDER_PATH_BYTES + 1];
	struct parsing p = {.list = list, .paths = paths, .err = err, .prefix = prefix};
	int rc = find_self(list, self, err);

	if (rc)
		return rc;
	strcpy(prefix, self);
	prefix[strrchr(prefix, '/') ? strrchr(prefix, '/') + 1 - prefix : 0] = '\0';
	if (strlen(text) != len)
		return larder_error_set(err, EINVAL, "%s has a NUL in it", list->where);
	if (any && is_object(text)) {
		rc = scan_list_mds(text, len, prefix, *self ? self : NULL, paths, err);
		if (rc)
			larder_error_prefix(err, "%s", list->where);
	} else {
		rc = parse_lines(&p, text, any && has_sums(text));
	}
	if (!rc && !paths->count)
		rc = larder_error_set(err, EINVAL, "%s names no path", list->where);
	if (!rc) {
		rc = scan_paths_settle(paths, err);
		if (rc)
			larder_error_prefix(err, "%s", list->where);
	}
	return rc;
}
