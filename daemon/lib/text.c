/*
 * Owns what names, versions and digests look like, the nearest name, and text made safe to show.
 * Must not print, allocate or depend on the locale.
 * Called by spec.c, the manifest's head, the catalog, the configuration and the CLI.
 */
#include "larder/text.h"

#include <errno.h>
#include <string.h>

#include "lib/utf8.h"

#define DISTANCE_MAX 128 /* bytes of the longer text that edit distance looks at */

char *larder_text_printable(char *text)
{
	for (char *p = text; *p;) {
		size_t n = utf8_printable(p);

		if (!n)
			*p = '?';
		p += n ? n : 1;
	}
	return text;
}

const char *larder_text_quote(const char *text, size_t len, char *buf, size_t buflen)
{
	size_t n = strnlen(text, len);

	if (buflen < 4) {
		if (buflen)
			buf[0] = '\0';
		return buf;
	}
	if (n < buflen) {
		memcpy(buf, text, n);
		buf[n] = '\0';
	} else {
		/* not in the middle of a character */
		for (n = buflen - 4; n && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
			;
		memcpy(buf, text, n);
		memcpy(buf + n, "...", 4);
	}
	return larder_text_printable(buf);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* [a-z0-9][a-z0-9._-]*, with A-Z too where `upper`; at most `max` bytes. */
static bool is_word(const char *text, size_t max, bool upper)
{
	size_t n = 0;

	for (; text[n]; n++) {
		char c = text[n];

		if (n == max)
			return false;
		if (is_digit(c) || is_lower(c) || (upper && is_upper(c)))
			continue;
		if (n == 0 || (c != '.' && c != '_' && c != '-'))
			return false;
	}
	return n > 0;
}

int larder_name_check(const char *name, struct larder_error *err)
{
	char bad[80];

	if (!is_word(name, LARDER_NAME_MAX, false))
		return larder_error_set(err, EINVAL,
					"bad dataset name \"%s\": allowed are a-z, 0-9, '.', '_' "
					"and '-', the first a letter or digit, at most %d",
					larder_text_quote(name, SIZE_MAX, bad, sizeof(bad)),
					LARDER_NAME_MAX);
	if (strcmp(name, "none") == 0)
		return larder_error_set(err, EINVAL,
					"\"none\" is no dataset's name; alone it asks for nothing");
	return 0;
}

int larder_version_check(const char *version, struct larder_error *err)
{
	char bad[80];

	if (is_word(version, LARDER_VERSION_MAX, true))
		return 0;
	return larder_error_set(err, EINVAL,
				"bad version \"%s\": allowed are A-Z, a-z, 0-9, '.', '_' and '-', "
				"the first a letter or digit, at most %d",
				larder_text_quote(version, SIZE_MAX, bad, sizeof(bad)),
				LARDER_VERSION_MAX);
}

int larder_digest_check(const char *digest, struct larder_error *err)
{
	char bad[80];
	size_t n = 0;

	while (is_digit(digest[n]) || (digest[n] >= 'a' && digest[n] <= 'f'))
		n++;
	if (!digest[n] && n >= 8 && n <= LARDER_DIGEST_HEX)
		return 0;
	return larder_error_set(err, EINVAL, "bad digest \"%s\": 8 to %d of the digits 0-9 and a-f",
				larder_text_quote(digest, SIZE_MAX, bad, sizeof(bad)),
				LARDER_DIGEST_HEX);
}

static unsigned int min3(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int least = a < b ? a : b;

	return least < c ? least : c;
}

/* Optimal string alignment: two neighbours swapped count as one edit, as typists see it. */
unsigned int larder_edit_distance(const char *a, const char *b, unsigned int bound)
{
	unsigned int rows[3][DISTANCE_MAX + 1];
	size_t la = strnlen(a, DISTANCE_MAX + 1), lb = strnlen(b, DISTANCE_MAX + 1);

	if (la > DISTANCE_MAX || lb > DISTANCE_MAX)
		return bound + 1;
	for (size_t j = 0; j <= lb; j++)
		rows[0][j] = (unsigned int)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned int *now = rows[i % 3];
		const unsigned int *last = rows[(i + 2) % 3];
		unsigned int least = (unsigned int)i;

		now[0] = (unsigned int)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned int cost = a[i - 1] != b[j - 1];

			now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + cost);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    rows[(i + 1) % 3][j - 2] + 1 < now[j])
				now[j] = rows[(i + 1) % 3][j - 2] + 1;
			least = now[j] < least ? now[j] : least;
		}
		if (least > bound)
			return bound + 1;
	}
	return rows[la % 3][lb] > bound ? bound + 1 : rows[la % 3][lb];
}
