/*
 * Owns the form of our node features and the merging of lists. Pure.
 * Must never lose one of the admin's. Called by the publisher, and where features are chosen.
 */
#include "sched/feature.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/text.h"

#define PREFIX "ds:"

static bool is_hash(const char *text, size_t len)
{
	return len == 2 + FEATURE_HASH_HEX && strncmp(text, "h:", 2) == 0 &&
	       strspn(text + 2, "0123456789abcdef") >= FEATURE_HASH_HEX;
}

bool feature_claims_ours(const char *text, size_t len)
{
	return len >= strlen(PREFIX) && memcmp(text, PREFIX, strlen(PREFIX)) == 0;
}

bool feature_is_ours(const char *text, size_t len)
{
	char copy[FEATURE_MAX + 1];
	char *colon;

	if (len > FEATURE_MAX || !feature_claims_ours(text, len))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (strlen(copy) != len)
		return false;
	if (is_hash(copy + strlen(PREFIX), len - strlen(PREFIX)))
		return true;
	colon = strchr(copy + strlen(PREFIX), ':');
	if (!colon)
		return false;
	*colon = '\0';
	return larder_name_check(copy + strlen(PREFIX), NULL) == 0 &&
	       larder_version_check(colon + 1, NULL) == 0;
}

/* The next name of a list; NULL at its end. */
static const char *next(const char **at, size_t *len)
{
	const char *name;

	*at += strspn(*at, ",");
	name = *at;
	*len = strcspn(name, ",");
	*at += *len;
	return *len ? name : NULL;
}

/* Puts those of `list` that are ours, or those that are not, behind what out holds. */
static void append(char *out, const char *list, bool ours)
{
	size_t len, used = strlen(out);
	const char *name;

	while ((name = next(&list, &len))) {
		if (feature_claims_ours(name, len) != ours)
			continue;
		if (used)
			out[used++] = ',';
		memcpy(out + used, name, len);
		used += len;
		out[used] = '\0';
	}
}

char *features_ours(const char *features)
{
	char *out = calloc(1, strlen(features ? features : "") + 2);

	if (!out)
		return NULL;
	append(out, features ? features : "", true);
	if (features_sort(out)) {
		free(out);
		return NULL;
	}
	return out;
}

char *features_merge(const char *features, const char *ours)
{
	char *out = calloc(1, strlen(features ? features : "") + strlen(ours) + 3);

	if (!out)
		return NULL;
	append(out, features ? features : "", false);
	append(out, ours, true);
	return out;
}

static bool listed(const char *list, const char *name, size_t name_len)
{
	size_t len;

	for (const char *one; (one = next(&list, &len));)
		if (len == name_len && memcmp(one, name, len) == 0)
			return true;
	return false;
}

bool features_have(const char *features, const char *wanted)
{
	size_t len;

	for (const char *one; (one = next(&wanted, &len));)
		if (!listed(features, one, len))
			return false;
	return true;
}

int constraint_split(const char *constraint, char **ours, char **theirs)
{
	auto_free char *copy = strdup(constraint), *mine = calloc(1, strlen(constraint) + 2),
		       *other = calloc(1, strlen(constraint) + 2);
	char *rest = copy;

	if (!copy || !mine || !other)
		return -ENOMEM;
	if (strpbrk(constraint, "|,*()[] \t\n"))
		return -ENOENT;
	for (char *name; (name = strsep(&rest, "&"));) {
		bool is_ours = feature_is_ours(name, strlen(name));
		char *to = is_ours ? mine : other;

		if (*name && *to)
			strcat(to, is_ours ? "," : "&");
		strcat(to, name);
	}
	if (!*mine)
		return -ENOENT;
	if (features_sort(mine))
		return -ENOMEM;
	*ours = take_ptr(&mine);
	*theirs = take_ptr(&other);
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int features_sort(char *list)
{
	auto_free char *copy = strdup(list);
	auto_free char **names = calloc(strlen(list) / 2 + 1, sizeof(*names));
	size_t n = 0, used = 0;
	char *rest = copy;

	if (!copy || !names)
		return -ENOMEM;
	for (char *name; (name = strsep(&rest, ","));)
		if (*name)
			names[n++] = name;
	qsort(names, n, sizeof(*names), by_text);
	list[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		if (i && strcmp(names[i], names[i - 1]) == 0)
			continue;
		if (used)
			list[used++] = ',';
		memcpy(list + used, names[i], strlen(names[i]) + 1);
		used += strlen(names[i]);
	}
	return 0;
}
