/*
 * Owns how a shard's path is spelt, ordered and checked.
 * Must not touch the file system: everything here is lexical.
 * Called by the manifest's reader and writer, scan, store and the CLI.
 */
#include "larder/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/utf8.h"

#define COMPONENT_MAX 255 /* NAME_MAX of every file system we run on */

/* A byte that stands as it is whatever is beside it. */
static bool is_plain(unsigned char c)
{
	return c > 0x20 && c < 0x7f && c != '%';
}

size_t larder_path_encode_into(const char *path, char *out)
{
	static const char hex[] = "0123456789ABCDEF";
	char *to = out;

	while (*path) {
		unsigned char c = (unsigned char)*path;
		size_t n = is_plain(c) ? 1 : c >= 0x80 ? utf8_length(path) : 0;

		if (n) {
			memcpy(to, path, n);
			to += n;
			path += n;
			continue;
		}
		*to++ = '%';
		*to++ = hex[c >> 4];
		*to++ = hex[c & 15];
		path++;
	}
	*to = '\0';
	return (size_t)(to - out);
}

char *larder_path_encode(const char *path)
{
	size_t len = strlen(path);
	char *out = len > (SIZE_MAX - 1) / 3 ? NULL : malloc(len * 3 + 1);

	if (out)
		larder_path_encode_into(path, out);
	return out;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The reason why `path` is no path of a shard; NULL when it is one. */
static const char *path_fault(const char *path)
{
	const char *start = path;

	if (!*path)
		return "it is empty";
	if (*path == '/')
		return "it is absolute";
	for (;;) {
		const char *end = strchrnul(start, '/');
		size_t len = (size_t)(end - start);

		if (len == 0)
			return *end ? "it has a //" : "it ends in /";
		if (len > COMPONENT_MAX)
			return "a component is over 255 bytes";
		if (start[0] == '.' && (len == 1 || (len == 2 && start[1] == '.')))
			return len == 1 ? "it has a component ." : "it has a component ..";
		if (!*end)
			break;
		start = end + 1;
	}
	return start - path + (ptrdiff_t)strlen(start) > LARDER_PATH_BYTES ? "it is over 4095 bytes"
									   : NULL;
}

static int refuse(struct larder_error *err, const char *text, size_t len, const char *fault)
{
	char bad[200];

	return larder_error_set(err, EINVAL, "bad path \"%s\": %s",
				larder_text_quote(text, len, bad, sizeof(bad)), fault);
}

int larder_path_check(const char *path, struct larder_error *err)
{
	const char *fault = path_fault(path);

	return fault ? refuse(err, path, SIZE_MAX, fault) : 0;
}

/* Resolves escapes into `out`; *got is the length. Answers the fault, NULL when there is none. */
static const char *decode_bytes(const char *text, size_t len, char *out, size_t outlen, size_t *got)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '%') {
			int hi = i + 2 < len ? hex_digit(text[i + 1]) : -1;
			int lo = hi < 0 ? -1 : hex_digit(text[i + 2]);

			if (lo < 0)
				return "behind % stand two of 0-9 and A-F";
			c = (char)(hi << 4 | lo);
			if (c == '/')
				return "a / is never encoded";
			i += 2;
		}
		if (!c)
			return "it has a NUL byte";
		if (n + 1 >= outlen)
			return "it is too long";
		out[n++] = c;
	}
	out[n] = '\0';
	*got = n;
	return NULL;
}

/* Is `text` how larder_path_encode would spell `path`? Walks both, needs no memory. */
static bool is_canonical(const char *path, const char *text, size_t len)
{
	const char *end = text + len;

	while (*path) {
		unsigned char c = (unsigned char)*path;
		size_t n = is_plain(c) ? 1 : c >= 0x80 ? utf8_length(path) : 0;

		if (n) {
			if ((size_t)(end - text) < n || memcmp(path, text, n) != 0)
				return false;
			text += n;
			path += n;
			continue;
		}
		/* decode_bytes saw to it that what follows a % are two right digits */
		if (end - text < 3 || *text != '%')
			return false;
		text += 3;
		path++;
	}
	return text == end;
}

#define EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

/* The top bit of each byte that is zero (and perhaps of ones above it: only zero or not counts). */
static uint64_t zero_bytes(uint64_t word)
{
	return (word - EACH_BYTE(1)) & ~word & EACH_BYTE(0x80);
}

/* is_plain for all bytes, eight at a time: a manifest's reader asks this of every path. */
static bool all_plain(const char *text, size_t len)
{
	for (; len >= 8; text += 8, len -= 8) {
		uint64_t word, low;

		memcpy(&word, text, sizeof(word));
		low = (word - EACH_BYTE(0x21)) & ~word; /* top bit: below 0x21 */
		if ((word | low | zero_bytes(word ^ EACH_BYTE(0x7f)) |
		     zero_bytes(word ^ EACH_BYTE('%'))) &
		    EACH_BYTE(0x80))
			return false;
	}
	for (; len; text++, len--)
		if (!is_plain((unsigned char)*text))
			return false;
	return true;
}

long larder_percent_decode(const char *text, size_t len, char *out, size_t outlen,
			   struct larder_error *err)
{
	const char *fault;
	size_t n = 0;

	if (len < outlen && all_plain(text, len)) {
		memcpy(out, text, len);
		out[len] = '\0';
		return (long)len;
	}
	fault = decode_bytes(text, len, out, outlen, &n);
	if (!fault && !is_canonical(out, text, len))
		fault = "it is not encoded in the one canonical way";
	return fault ? refuse(err, text, len, fault) : (long)n;
}

long larder_path_decode(const char *text, size_t len, char *out, size_t outlen,
			struct larder_error *err)
{
	long n = larder_percent_decode(text, len, out, outlen, err);
	const char *fault;

	if (n < 0)
		return n;
	fault = path_fault(out);
	return fault ? refuse(err, text, len, fault) : n;
}

/* '/' right behind the end of text, everything else after it. */
static int rank(char c)
{
	if (!c)
		return 0;
	return c == '/' ? 1 : (unsigned char)c + 1;
}

int larder_path_compare(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return rank(*a) - rank(*b);
}

/*
 * Sound even though it is lexical: ".." may only lead. Those walk up real directories, for a
 * manifest's path has no symlink above it; what follows them only goes down, and where it passes
 * through another symlink that one was held to the same rule. With ".." behind a name this would
 * not hold: the name may be a symlink to somewhere higher.
 */
bool larder_symlink_stays(const char *path, const char *target)
{
	size_t depth = 0;
	bool down = false;

	if (!*target || *target == '/')
		return false;
	for (const char *p = path; *p; p++)
		depth += *p == '/';
	for (const char *p = target; *p;) {
		size_t len = (size_t)(strchrnul(p, '/') - p);

		if (len == 2 && p[0] == '.' && p[1] == '.') {
			if (down || depth == 0)
				return false;
			depth--;
		} else if (len > 1 || (len == 1 && p[0] != '.')) {
			down = true;
		}
		p += len;
		p += *p == '/';
	}
	return true;
}
