/*
 * Where a UTF-8 sequence ends: strict (no overlong forms, no surrogates, nothing above U+10FFFF).
 * Must not know locales. Used by text.c, path.c and spec.c only.
 */
#ifndef LIB_UTF8_H
#define LIB_UTF8_H

#include <stddef.h>

/* Bytes of the sequence that starts at p: 1 to 4, or 0 when none does. A NUL ends every text, so
 * nothing behind it is read. */
static inline size_t utf8_length(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	unsigned int lo = 0x80, hi = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		lo = 0xa0;
	else if (p[0] == 0xed)
		hi = 0x9f;
	else if (p[0] == 0xf0)
		lo = 0x90;
	else if (p[0] == 0xf4)
		hi = 0x8f;
	if (p[1] < lo || p[1] > hi)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* Bytes of the printable character that starts at p; 0 for controls (C0, DEL, C1) and bad bytes. */
static inline size_t utf8_printable(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	if (p[0] < 0x20 || p[0] == 0x7f)
		return 0;
	if (p[0] == 0xc2 && p[1] < 0xa0)
		return 0;
	return utf8_length(text);
}

#endif
