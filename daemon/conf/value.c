/*
 * Owns the typed values of single keys: text in, checked value out; what each may be.
 * Must not know the file's syntax, look at the machine, or compare keys with one another.
 * Called by conf/file.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/conf.h"
#include "larder/cleanup.h"
#include "larder/text.h"

static int check_bound(const struct config_table *table, const struct config_key *key,
		       const char *text, uint64_t value, struct larder_error *err)
{
	for (unsigned int i = 0; i < table->n_bounds; i++) {
		const struct config_bound *b = &table->bounds[i];

		if (strcmp(b->name, key->name) != 0 || (value >= b->min && value <= b->max))
			continue;
		return larder_error_set(err, EINVAL, "\"%s\" is out of range: %s is allowed", text,
					b->allowed);
	}
	return 0;
}

/* Text from a person into a person's sentence: on one line. */
static int refuse_text(struct larder_error *err, const char *text, const char *allowed)
{
	char shown[200];

	snprintf(shown, sizeof(shown), "%s", text);
	return larder_error_set(err, EINVAL, "bad text \"%s\": %s", larder_text_printable(shown),
				allowed);
}

static int check_plain(const char *text, struct larder_error *err)
{
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return refuse_text(err, text,
					   "control bytes and line breaks are not allowed");
	return 0;
}

static int replace(char **slot, const char *text, struct larder_error *err)
{
	char *copy = strdup(text);

	if (!copy)
		return larder_error_set(err, ENOMEM, "out of memory");
	free(*slot);
	*slot = copy;
	return 0;
}

/* Puts one component behind what is there; what it points at is at least as long as the text. */
static void append_component(char *out, const char *part, size_t len)
{
	size_t at = strlen(out);

	out[at] = '/';
	memcpy(out + at + 1, part, len);
	out[at + 1 + len] = '\0';
}

static int set_path(char **slot, const char *text, struct larder_error *err)
{
	auto_free char *clean = calloc(1, strlen(text) + 2);
	const char *p = text;
	int rc = check_plain(text, err);

	if (rc)
		return rc;
	if (!clean)
		return larder_error_set(err, ENOMEM, "out of memory");
	if (*text != '/')
		return refuse_text(err, text, "an absolute path is needed, one that starts with /");
	while (*p) {
		size_t len = strcspn(p, "/");

		if ((len == 1 && *p == '.') || (len == 2 && p[0] == '.' && p[1] == '.'))
			return refuse_text(err, text, "a path without . and .. is needed");
		if (len)
			append_component(clean, p, len);
		p += len;
		p += *p == '/';
	}
	if (!*clean)
		return refuse_text(err, text,
				   "the root directory cannot serve here; name another one");
	if (strlen(clean) >= 4096)
		return refuse_text(err, text, "a path has at most 4095 bytes");
	return replace(slot, clean, err);
}

/* The allowed words stand before the colon of the key's help: "fail | bypass: what …". */
static int set_word(const struct config_key *key, char **slot, const char *text,
		    struct larder_error *err)
{
	size_t words = strcspn(key->help, ":");

	for (const char *p = key->help, *end = key->help + words; p < end;) {
		size_t len = strcspn(p, " |:");

		if (len && len == strlen(text) && strncmp(p, text, len) == 0)
			return replace(slot, text, err);
		p += len;
		p += strspn(p, " |");
	}
	char shown[200];

	snprintf(shown, sizeof(shown), "%s", text);
	return larder_error_set(err, EINVAL, "bad word \"%s\": %.*s is allowed",
				larder_text_printable(shown), (int)words, key->help);
}

static int set_bool(bool *slot, const char *text, struct larder_error *err)
{
	static const char *const yes[] = {"true", "yes", "on", "1"};
	static const char *const no[] = {"false", "no", "off", "0"};

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
			*slot = strcasecmp(text, yes[i]) == 0;
			return 0;
		}
	}
	return refuse_text(err, text, "true or false is allowed");
}

static int set_size(const struct config_table *table, const struct config_key *key, uint64_t *slot,
		    const char *text, struct larder_error *err)
{
	uint64_t bytes;
	int rc = larder_size_parse(text, &bytes, err);

	if (!rc)
		rc = check_bound(table, key, text, bytes, err);
	if (!rc)
		*slot = bytes;
	return rc;
}

static int set_time(const struct config_table *table, const struct config_key *key, int64_t *slot,
		    const char *text, struct larder_error *err)
{
	int64_t ms;
	int rc = larder_duration_parse(text, &ms, err);

	if (!rc)
		rc = check_bound(table, key, text, (uint64_t)ms, err);
	if (!rc)
		*slot = ms;
	return rc;
}

static int set_uint(const struct config_table *table, const struct config_key *key, uint32_t *slot,
		    const char *text, struct larder_error *err)
{
	uint64_t value;
	int rc = larder_u64_parse(text, &value, err);

	if (!rc && value > UINT32_MAX)
		rc = larder_error_set(err, ERANGE, "\"%s\" is too large: 0 to %u is allowed", text,
				      UINT32_MAX);
	if (!rc)
		rc = check_bound(table, key, text, value, err);
	if (!rc)
		*slot = (uint32_t)value;
	return rc;
}

static int set_share(struct config_share *slot, const char *text, struct larder_error *err)
{
	struct config_share share = {0};
	size_t len = strlen(text);
	char digits[8];
	uint64_t percent;
	int rc = -EINVAL;

	if (!len || text[len - 1] != '%') {
		rc = larder_size_parse(text, &share.bytes, err);
		if (!rc)
			*slot = share;
		return rc;
	}
	if (len - 1 < sizeof(digits)) {
		memcpy(digits, text, len - 1);
		digits[len - 1] = '\0';
		rc = larder_u64_parse(digits, &percent, NULL);
	}
	if (rc || percent < 1 || percent > 100)
		return refuse_text(err, text,
				   "1% to 100%, whole numbers, or a size such as 500G is allowed");
	share.percent = (uint32_t)percent;
	*slot = share;
	return 0;
}

int config_item_check(const char *text, struct larder_error *err)
{
	if (!*text)
		return refuse_text(err, text, "an item of a list must not be empty");
	return check_plain(text, err);
}

int config_list_add(struct config_list *list, const char *text, struct larder_error *err)
{
	char **items = reallocarray(list->items, list->count + 1, sizeof(*items));

	if (!items)
		return larder_error_set(err, ENOMEM, "out of memory");
	list->items = items;
	items[list->count] = NULL;
	if (replace(&items[list->count], text, err))
		return -ENOMEM;
	list->count++;
	return 0;
}

int config_value_set(const struct config_table *table, const struct config_key *key,
		     const char *text, void *base, struct larder_error *err)
{
	void *slot = (char *)base + key->offset;
	int rc;

	switch (key->type) {
	case CONFIG_TYPE_STR:
		rc = check_plain(text, err);
		return rc ? rc : replace(slot, text, err);
	case CONFIG_TYPE_OPTPATH:
		return *text ? set_path(slot, text, err) : replace(slot, text, err);
	case CONFIG_TYPE_PATH: return set_path(slot, text, err);
	case CONFIG_TYPE_WORD: return set_word(key, slot, text, err);
	case CONFIG_TYPE_SIZE: return set_size(table, key, slot, text, err);
	case CONFIG_TYPE_TIME: return set_time(table, key, slot, text, err);
	case CONFIG_TYPE_UINT: return set_uint(table, key, slot, text, err);
	case CONFIG_TYPE_BOOL: return set_bool(slot, text, err);
	case CONFIG_TYPE_PERCENT: return set_share(slot, text, err);
	case CONFIG_TYPE_LIST:
		rc = config_item_check(text, err);
		return rc ? rc : config_list_add(slot, text, err);
	}
	return larder_error_set(err, EINVAL, "type %d of %s is not known", (int)key->type,
				key->name);
}

/* A path without a default starts empty: the rules find out that it was not given. */
int config_value_default(const struct config_table *table, const struct config_key *key, void *base,
			 struct larder_error *err)
{
	void *slot = (char *)base + key->offset;

	config_value_clear(key, base);
	if (key->type == CONFIG_TYPE_PATH && !*key->def)
		return replace(slot, "", err);
	if (key->type == CONFIG_TYPE_LIST && !*key->def)
		return 0;
	return config_value_set(table, key, key->def, base, err);
}

void config_value_clear(const struct config_key *key, void *base)
{
	void *slot = (char *)base + key->offset;
	struct config_list *list = slot;

	switch (key->type) {
	case CONFIG_TYPE_STR:
	case CONFIG_TYPE_PATH:
	case CONFIG_TYPE_OPTPATH:
	case CONFIG_TYPE_WORD:
		free(*(char **)slot);
		*(char **)slot = NULL;
		break;
	case CONFIG_TYPE_LIST:
		for (unsigned int i = 0; i < list->count; i++)
			free(list->items[i]);
		free(list->items);
		*list = (struct config_list){0};
		break;
	case CONFIG_TYPE_SIZE:
	case CONFIG_TYPE_TIME:
	case CONFIG_TYPE_UINT:
	case CONFIG_TYPE_BOOL:
	case CONFIG_TYPE_PERCENT: break;
	}
}
