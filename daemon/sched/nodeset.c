/*
 * Owns the folding of node names into ranges. Pure.
 * Must not resolve or check names. Called where people or slurmctld are told of many nodes.
 */
#include "sched/nodeset.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"

/* "rack2-n017" is the prefix "rack2-n" and the number 17 of three digits. */
struct name {
	const char *text;
	size_t prefix; /* bytes before the number; all of it when there is none */
	size_t digits; /* 0: no number */
	unsigned long number;
};

static struct name take_apart(const char *text)
{
	struct name name = {.text = text, .prefix = strlen(text)};

	while (name.prefix && isdigit((unsigned char)text[name.prefix - 1]))
		name.prefix--;
	name.digits = strlen(text) - name.prefix;
	if (name.digits > 9) { /* a serial number, no counting */
		name.digits = 0;
		name.prefix = strlen(text);
	}
	if (name.digits)
		name.number = strtoul(text + name.prefix, NULL, 10);
	return name;
}

static int compare(const void *left, const void *right)
{
	const struct name *a = left, *b = right;
	size_t shorter = a->prefix < b->prefix ? a->prefix : b->prefix;
	int order = memcmp(a->text, b->text, shorter);

	if (order)
		return order;
	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;
	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	return strcmp(a->text, b->text);
}

static bool padded(const struct name *name)
{
	return name->digits > 1 && name->text[name->prefix] == '0';
}

/* May the two stand in one pair of brackets? Padded numbers only with those of their width. */
static bool together(const struct name *a, const struct name *b)
{
	return a->digits && b->digits && a->prefix == b->prefix &&
	       memcmp(a->text, b->text, a->prefix) == 0 &&
	       (a->digits == b->digits || (!padded(a) && !padded(b)));
}

static size_t span(const struct name *names, size_t n)
{
	size_t len = 1;

	while (len < n && together(&names[len - 1], &names[len]))
		len++;
	return len;
}

/* "3", or "1-3"; how many names it took. */
static size_t write_range(FILE *out, const struct name *names, size_t n)
{
	size_t len = 1;

	while (len < n && names[len].number == names[len - 1].number + 1)
		len++;
	fputs(names[0].text + names[0].prefix, out);
	if (len > 1)
		fprintf(out, "-%s", names[len - 1].text + names[len - 1].prefix);
	return len;
}

static void write_span(FILE *out, const struct name *names, size_t n)
{
	if (n == 1) {
		fputs(names[0].text, out);
		return;
	}
	fprintf(out, "%.*s[", (int)names[0].prefix, names[0].text);
	for (size_t i = 0; i < n;) {
		if (i)
			fputc(',', out);
		i += write_range(out, names + i, n - i);
	}
	fputc(']', out);
}

char *nodeset_fold(const char **texts, size_t n)
{
	auto_free struct name *names = calloc(n + 1, sizeof(*names));
	char *folded = NULL;
	size_t room;
	FILE *out = names ? open_memstream(&folded, &room) : NULL;

	if (!out)
		return NULL;
	for (size_t i = 0; i < n; i++)
		names[i] = take_apart(texts[i]);
	qsort(names, n, sizeof(*names), compare);
	for (size_t i = 0; i < n; i++)
		texts[i] = names[i].text;
	for (size_t i = 0, len; i < n; i += len) {
		len = span(names + i, n - i);
		if (i)
			fputc(',', out);
		write_span(out, names + i, len);
	}
	if (fclose(out)) {
		free(folded);
		return NULL;
	}
	return folded;
}
