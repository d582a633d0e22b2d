/*
 * Owns: what braces in a path stand for.
 * Must not: hold more than one path beside the collection; it goes through them like a clock.
 * Called by: list.c, `larder publish`, the daemon's check helper.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "scan/paths.h"

#define DIGITS_MAX 9
#define BRACES_MAX 8

/* Text up to the brace, and what it goes through. */
struct brace {
	const char *before;
	size_t before_len;
	const char *inside; /* words: behind the brace */
	size_t inside_len;
	bool words;
	int width; /* numbers: 0: no leading zeros */
	unsigned long first, count;
	unsigned long at; /* 0 to count - 1 */
	const char *word; /* of the words, the one that stands now */
};

struct braces {
	struct brace items[BRACES_MAX];
	unsigned int n;
	const char *tail;
};

static int fault(struct larder_error *err)
{
	return larder_error_set(
		err, EINVAL,
		"braces stand for numbers or words in the files' paths, %d at most, "
		"as in https://host/dir/{train,val}-{000..146}.tar",
		BRACES_MAX);
}

/* "000..146" with as many digits on both sides, or without leading zeros. */
static bool take_numbers(struct brace *brace)
{
	const char *inside = brace->inside, *end = inside + brace->inside_len;
	size_t n1 = strspn(inside, "0123456789"), n2;
	const char *second = inside + n1 + 2;
	unsigned long last;

	if (!n1 || n1 > DIGITS_MAX || strncmp(inside + n1, "..", 2) != 0)
		return false;
	n2 = strspn(second, "0123456789");
	if (!n2 || n2 > DIGITS_MAX || second + n2 != end)
		return false;
	brace->first = strtoul(inside, NULL, 10);
	last = strtoul(second, NULL, 10);
	if ((*inside == '0' && n1 > 1) || (*second == '0' && n2 > 1)) {
		if (n1 != n2)
			return false;
		brace->width = (int)n1;
	}
	brace->count = last - brace->first + 1;
	return brace->first <= last;
}

/* "train,val": one comma at least, for a single word needs no braces. */
static bool take_words(struct brace *brace)
{
	brace->words = true;
	brace->word = brace->inside;
	brace->count = 1;
	for (size_t i = 0; i < brace->inside_len; i++)
		brace->count += brace->inside[i] == ',';
	return brace->count > 1;
}

static int take_brace(struct braces *braces, const char *text, const char **next,
		      struct larder_error *err)
{
	size_t before = strcspn(text, "{"), inside = strcspn(text + before + 1, "{}");
	struct brace *brace = &braces->items[braces->n];

	if (braces->n == BRACES_MAX || text[before + 1 + inside] != '}' ||
	    memchr(text, '}', before))
		return fault(err);
	*brace = (struct brace){.before = text,
				.before_len = before,
				.inside = text + before + 1,
				.inside_len = inside};
	if (!take_numbers(brace) && !take_words(brace))
		return fault(err);
	braces->n++;
	*next = text + before + inside + 2;
	return 0;
}

static int parse(struct braces *braces, const char *text, struct larder_error *err)
{
	unsigned long all = 1;
	int rc = 0;

	while (!rc && strchr(text, '{')) {
		rc = take_brace(braces, text, &text, err);
		if (!rc && (__builtin_mul_overflow(all, braces->items[braces->n - 1].count, &all) ||
			    all > SCAN_PATHS_MAX))
			rc = larder_error_set(err, E2BIG, "more than %u paths", SCAN_PATHS_MAX);
	}
	if (!rc && strchr(text, '}'))
		rc = fault(err);
	braces->tail = text;
	return rc;
}

static size_t word_len(const struct brace *brace)
{
	size_t left = brace->inside_len - (size_t)(brace->word - brace->inside);
	const char *comma = memchr(brace->word, ',', left);

	return comma ? (size_t)(comma - brace->word) : left;
}

/* The path as the braces stand now. */
static int spell(const struct braces *braces, char *out, size_t size, struct larder_error *err)
{
	size_t at = 0;
	int n;

	for (unsigned int i = 0; i < braces->n; i++) {
		const struct brace *brace = &braces->items[i];

		if (brace->words)
			n = snprintf(out + at, size - at, "%.*s%.*s", (int)brace->before_len,
				     brace->before, (int)word_len(brace), brace->word);
		else
			n = snprintf(out + at, size - at, "%.*s%0*lu", (int)brace->before_len,
				     brace->before, brace->width, brace->first + brace->at);
		if (n < 0 || (size_t)n >= size - at)
			return larder_error_set(err, ENAMETOOLONG, "a path over %d bytes",
						LARDER_PATH_BYTES);
		at += (size_t)n;
	}
	n = snprintf(out + at, size - at, "%s", braces->tail);
	if (n < 0 || (size_t)n >= size - at)
		return larder_error_set(err, ENAMETOOLONG, "a path over %d bytes",
					LARDER_PATH_BYTES);
	return 0;
}

/* The last brace runs fastest. false: all have been through. */
static bool advance(struct braces *braces)
{
	for (unsigned int i = braces->n; i-- > 0;) {
		struct brace *brace = &braces->items[i];

		if (++brace->at < brace->count) {
			if (brace->words)
				brace->word += word_len(brace) + 1;
			return true;
		}
		brace->at = 0;
		brace->word = brace->inside;
	}
	return false;
}

int scan_paths_expand(struct scan_paths *paths, const char *text, uint32_t line,
		      struct larder_error *err)
{
	char path[LARDER_PATH_BYTES + 1];
	struct braces braces = {0};
	int rc = parse(&braces, text, err);

	if (rc)
		return rc;
	do {
		rc = spell(&braces, path, sizeof(path), err);
		if (!rc)
			rc = scan_paths_add(paths, path, line, SCAN_SIZE_UNKNOWN, SUM_NONE, NULL,
					    err);
	} while (!rc && advance(&braces));
	return rc;
}

int scan_paths_named(struct scan_paths *paths, const char *rest, struct larder_error *err)
{
	char path[LARDER_PATH_BYTES + 1];
	int rc = scan_paths_decode(rest, path, err);

	if (!rc)
		rc = scan_paths_expand(paths, path, 0, err);
	return rc ? rc : scan_paths_settle(paths, err);
}
