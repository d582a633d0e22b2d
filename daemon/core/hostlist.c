/*
 * Expands node lists with ranges in brackets. Pure: strings in, strings out.
 * It must not ask the network or Slurm.
 * Called by the CLI and by larder-sched.
 */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hostlist.h"
#include "larder/cleanup.h"

struct hostlist {
	char **names;
	size_t count, room;
	const char *text; /* the whole list, for sentences */
};

void hostlist_free(char **nodes)
{
	for (size_t i = 0; nodes && nodes[i]; i++)
		free(nodes[i]);
	free(nodes);
}

static bool name_byte(char c)
{
	return isalnum((unsigned char)c) || c == '.' || c == '_' || c == '-';
}

static int list_room(struct hostlist *list, struct larder_error *err)
{
	size_t room = list->room ? list->room * 2 : 16;
	char **names;

	if (list->count + 1 < list->room)
		return 0;
	names = realloc(list->names, room * sizeof(*names));
	if (!names)
		return larder_error_set(err, ENOMEM, "out of memory");
	list->names = names;
	list->room = room;
	return 0;
}

static int list_add(struct hostlist *list, const char *name, struct larder_error *err)
{
	int rc;

	if (!*name)
		return larder_error_set(err, EINVAL, "node list '%s': an empty name", list->text);
	if (*name == '.' || *name == '-')
		return larder_error_set(err, EINVAL, "node list '%s': '%s' is no name of a node",
					list->text, name);
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->names[i], name) == 0)
			return 0;
	if (list->count == HOSTLIST_MAX)
		return larder_error_set(err, E2BIG, "node list '%.40s…': more than %d nodes",
					list->text, HOSTLIST_MAX);
	rc = list_room(list, err);
	if (rc != 0)
		return rc;
	list->names[list->count] = strdup(name);
	if (!list->names[list->count])
		return larder_error_set(err, ENOMEM, "out of memory");
	list->names[++list->count] = NULL;
	return 0;
}

struct range {
	unsigned long first, last;
	int width; /* of leading zeros: n[01-10] */
};

/* "3", "3-5", "01-10" up to ',' or ']'. Moves *at behind it. */
static int range_parse(const char **at, struct range *range)
{
	const char *start = *at;
	char *end;

	if (!isdigit((unsigned char)*start))
		return -EINVAL;
	errno = 0;
	range->first = range->last = strtoul(start, &end, 10);
	range->width = (int)(end - start);
	if (*end == '-') {
		if (!isdigit((unsigned char)end[1]))
			return -EINVAL;
		range->last = strtoul(end + 1, &end, 10);
	}
	*at = end;
	if (errno || range->width > 18 || range->last < range->first ||
	    range->last - range->first >= HOSTLIST_MAX)
		return -EINVAL;
	return 0;
}

static int expand_from(struct hostlist *list, char *name, size_t used, const char *rest, size_t len,
		       struct larder_error *err);

/* rest stands behind '['. Every number of the brackets, each followed by what is behind ']'. */
static int expand_brackets(struct hostlist *list, char *name, size_t used, const char *rest,
			   size_t len, struct larder_error *err)
{
	const char *close = memchr(rest, ']', len);
	const char *at = rest;
	struct range range;
	int rc;

	while (close && at < close) {
		if (range_parse(&at, &range) != 0 || (*at != ',' && at != close))
			break;
		for (unsigned long i = range.first; i <= range.last; i++) {
			int n = snprintf(name + used, HOSTLIST_NAME_MAX + 1 - used, "%0*lu",
					 range.width, i);
			if (n < 0 || used + (size_t)n > HOSTLIST_NAME_MAX)
				return larder_error_set(err, EINVAL,
							"node list '%.40s…': a name is too long",
							list->text);
			rc = expand_from(list, name, used + (size_t)n, close + 1,
					 len - (size_t)(close + 1 - rest), err);
			if (rc != 0)
				return rc;
		}
		if (at == close)
			return 0;
		at++;
	}
	return larder_error_set(err, EINVAL,
				"node list '%s': brackets hold numbers and ranges, as in n[1-3,7]",
				list->text);
}

/* name holds `used` bytes already; `rest`, len bytes, is what is left of this element. */
static int expand_from(struct hostlist *list, char *name, size_t used, const char *rest, size_t len,
		       struct larder_error *err)
{
	for (; len > 0; rest++, len--) {
		if (*rest == '[')
			return expand_brackets(list, name, used, rest + 1, len - 1, err);
		if (!name_byte(*rest))
			return larder_error_set(
				err, EINVAL, "node list '%s': '%c' cannot be in the name of a node",
				list->text, isprint((unsigned char)*rest) ? *rest : '?');
		if (used == HOSTLIST_NAME_MAX)
			return larder_error_set(
				err, EINVAL, "node list '%.40s…': a name is too long", list->text);
		name[used++] = *rest;
	}
	name[used] = '\0';
	return list_add(list, name, err);
}

/* Bytes up to a comma that stands outside brackets, or to the end. */
static size_t element_length(const char *text)
{
	bool inside = false;
	size_t n = 0;

	for (; text[n] && (inside || text[n] != ','); n++) {
		if (text[n] == '[')
			inside = true;
		else if (text[n] == ']')
			inside = false;
	}
	return n;
}

int hostlist_expand(const char *text, char ***nodes, size_t *count, struct larder_error *err)
{
	struct hostlist list = {.text = text};
	char name[HOSTLIST_NAME_MAX + 1];
	const char *at = text;
	int rc;

	for (;;) {
		size_t len = element_length(at);

		rc = expand_from(&list, name, 0, at, len, err);
		if (rc != 0 || !at[len])
			break;
		at += len + 1;
	}
	if (rc != 0) {
		hostlist_free(list.names);
		return rc;
	}
	*nodes = list.names;
	*count = list.count;
	return 0;
}
