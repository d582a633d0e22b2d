/*
 * Owns the whole option: the list of specs, and specs as text again.
 * Must not touch the file system.
 * Called by the plugin, the daemon and the CLI.
 */
#include "larder/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"

void larder_spec_env_name(const char *name, char *out)
{
	size_t i = 0;

	for (; i < LARDER_NAME_MAX && name[i]; i++) {
		char c = name[i];

		if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		else if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')))
			c = '_';
		out[i] = c;
	}
	out[i] = '\0';
}

/* Is the last of the list unlike all before it? */
static int check_last(const struct larder_spec_list *list, struct larder_error *err)
{
	const struct larder_spec *last = &list->items[list->count - 1];
	char mine[LARDER_NAME_MAX + 1], other[LARDER_NAME_MAX + 1];

	larder_spec_env_name(last->name, mine);
	for (size_t i = 0; i + 1 < list->count; i++) {
		const char *name = list->items[i].name;

		if (strcmp(name, last->name) == 0)
			return larder_error_set(err, EINVAL,
						"dataset \"%s\" is named twice; a job has one "
						"version and one subset of a dataset",
						name);
		larder_spec_env_name(name, other);
		if (strcmp(mine, other) == 0)
			return larder_error_set(err, EINVAL,
						"datasets \"%s\" and \"%s\" would both be "
						"DATASET_%s_DIR; use one of them only",
						name, last->name, mine);
	}
	return 0;
}

static int add_spec(struct larder_spec_list *list, const char *text, struct larder_error *err)
{
	int rc;

	if (!*text)
		return larder_error_set(err, EINVAL,
					"an empty name between the commas of --dataset");
	if (list->count == LARDER_SPECS_MAX)
		return larder_error_set(err, EINVAL, "more than %d datasets; a job may name %d",
					LARDER_SPECS_MAX, LARDER_SPECS_MAX);
	rc = larder_spec_parse(text, &list->items[list->count], err);
	if (rc)
		return rc;
	list->count++;
	return check_last(list, err);
}

static int parse_items(char *text, struct larder_spec_list *list, struct larder_error *err)
{
	char *item;

	list->items = calloc(LARDER_SPECS_MAX, sizeof(*list->items));
	if (!list->items)
		return larder_error_set(err, ENOMEM, "out of memory");
	while ((item = strsep(&text, ","))) {
		int rc = add_spec(list, item, err);

		if (rc)
			return rc;
	}
	return 0;
}

int larder_spec_list_parse(const char *text, struct larder_spec_list *list,
			   struct larder_error *err)
{
	auto_free char *copy = NULL;
	int rc;

	memset(list, 0, sizeof(*list));
	if (!*text)
		return larder_error_set(err, EINVAL,
					"--dataset is empty; write NAME[:VERSION], or none");
	if (strnlen(text, LARDER_SPEC_TEXT_MAX + 1) > LARDER_SPEC_TEXT_MAX)
		return larder_error_set(err, EINVAL, "--dataset is longer than %d bytes",
					LARDER_SPEC_TEXT_MAX);
	if (strcmp(text, "none") == 0)
		return 0;
	copy = strdup(text);
	if (!copy)
		return larder_error_set(err, ENOMEM, "out of memory");
	rc = parse_items(copy, list, err);
	if (rc)
		larder_spec_list_fini(list);
	return rc;
}

void larder_spec_list_fini(struct larder_spec_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		larder_spec_fini(&list->items[i]);
	free(list->items);
	memset(list, 0, sizeof(*list));
}

static char *put(char *to, const char *text)
{
	return stpcpy(to, text);
}

static char *put_escaped(char *to, const char *text)
{
	for (; *text; text++) {
		if (*text == ',')
			to = put(to, "%2C");
		else if (*text == '%')
			to = put(to, "%25");
		else
			*to++ = *text;
	}
	*to = '\0';
	return to;
}

/* An upper bound of the text's length, NUL included. */
static size_t format_room(const struct larder_spec *spec)
{
	size_t origin = spec->origin ? strlen(spec->origin) : 0;
	size_t subset = spec->subset ? strlen(spec->subset) : 0;

	return sizeof(spec->name) + sizeof(spec->version) + sizeof(spec->digest) +
	       3 * (origin + subset) + 8;
}

static char *format_into(const struct larder_spec *spec, char *to)
{
	to = put(to, spec->name);
	if (spec->kind == LARDER_SPEC_OWN) {
		to = put_escaped(put(to, "="), spec->origin);
		return spec->subset ? put_escaped(put(to, "//"), spec->subset) : to;
	}
	if (spec->version[0])
		to = put(put(to, ":"), spec->version);
	if (spec->digest[0])
		to = put(put(to, "@"), spec->digest);
	return spec->subset ? put_escaped(put(to, "/"), spec->subset) : to;
}

char *larder_spec_format(const struct larder_spec *spec)
{
	char *text = malloc(format_room(spec));

	if (text)
		format_into(spec, text);
	return text;
}

char *larder_spec_list_format(const struct larder_spec_list *list)
{
	size_t room = sizeof("none");
	char *text, *to;

	if (!list->count)
		return strdup("none");
	for (size_t i = 0; i < list->count; i++)
		room += format_room(&list->items[i]);
	text = to = malloc(room);
	for (size_t i = 0; text && i < list->count; i++) {
		if (i)
			to = put(to, ",");
		to = format_into(&list->items[i], to);
	}
	return text;
}
