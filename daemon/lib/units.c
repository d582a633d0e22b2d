/*
 * Owns sizes, durations and plain numbers: from text and to text.
 * Must not print, allocate or depend on the locale (no strtod, no isdigit).
 * Called by the configuration, the CLI, the plugin and sentences everywhere.
 */
#include "larder/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FRACTION_DIGITS 9 /* of a size: "1.123456789T" */

static int refuse(struct larder_error *err, int code, const char *what, const char *text,
		  const char *allowed)
{
	char bad[80];

	return larder_error_set(err, code, "%s %s \"%s\": %s",
				code == ERANGE ? "too large a" : "bad", what,
				larder_text_quote(text, SIZE_MAX, bad, sizeof(bad)), allowed);
}

/* Digits at *text, which moves behind them. 0, -EINVAL when there is none, -ERANGE. */
static int take_digits(const char **text, uint64_t *value)
{
	const char *p = *text;
	uint64_t sum = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(sum, UINT64_C(10), &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)(*p - '0'), &sum))
			return -ERANGE;
	*text = p;
	*value = sum;
	return 0;
}

int larder_u64_parse(const char *text, uint64_t *value, struct larder_error *err)
{
	const char *p = text;
	int rc = take_digits(&p, value);

	if (rc == 0 && *p)
		rc = -EINVAL;
	if (rc)
		return refuse(err, -rc, "number", text, "digits only, below 2^64");
	return 0;
}

/* "", "B", "K", "KB", "KiB", … : the power of 1024. -1: none of them. */
static int unit_shift(const char *unit)
{
	static const char letters[] = "KMGTPE";
	const char *at;
	char c = *unit;

	if (!*unit || strcmp(unit, "B") == 0)
		return 0;
	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	at = strchr(letters, c);
	if (!at || (unit[1] && strcmp(unit + 1, "B") != 0 && strcmp(unit + 1, "iB") != 0))
		return -1;
	return (int)(at - letters + 1) * 10;
}

/* Digits behind the point as a share of 10^FRACTION_DIGITS. */
static int take_fraction(const char **text, uint64_t *billionths)
{
	const char *p = *text;
	uint64_t sum = 0;
	int n = 0;

	for (; *p >= '0' && *p <= '9'; p++, n++) {
		if (n == FRACTION_DIGITS)
			return -EINVAL;
		sum = sum * 10 + (uint64_t)(*p - '0');
	}
	if (!n)
		return -EINVAL;
	for (; n < FRACTION_DIGITS; n++)
		sum *= 10;
	*text = p;
	*billionths = sum;
	return 0;
}

int larder_size_parse(const char *text, uint64_t *bytes, struct larder_error *err)
{
	static const char allowed[] = "write 512, 64K, 1.5G or 2TiB (powers of 1024, up to E)";
	uint64_t whole = 0, billionths = 0, part, sum;
	const char *p = text;
	bool point = false;
	int shift, rc;

	rc = take_digits(&p, &whole);
	if (rc == 0 && *p == '.') {
		point = true;
		p++;
		rc = take_fraction(&p, &billionths);
	}
	if (rc)
		return refuse(err, -rc, "size", text, allowed);
	shift = unit_shift(p);
	if (shift < 0 || (point && shift == 0))
		return refuse(err, EINVAL, "size", text, allowed);
	if (__builtin_mul_overflow(whole, UINT64_C(1) << shift, &sum))
		return refuse(err, ERANGE, "size", text, allowed);
	part = (uint64_t)(((unsigned __int128)billionths << shift) / 1000000000u);
	if (__builtin_add_overflow(sum, part, &sum))
		return refuse(err, ERANGE, "size", text, allowed);
	*bytes = sum;
	return 0;
}

int larder_duration_parse(const char *text, int64_t *ms, struct larder_error *err)
{
	static const char allowed[] = "write 5 (seconds), 250ms, 5s, 10m, 2h, 7d or 1w";
	static const struct {
		const char *word;
		int64_t ms;
	} units[] = {{"", 1000},     {"ms", 1},	      {"s", 1000},     {"m", 60000},
		     {"h", 3600000}, {"d", 86400000}, {"w", 604800000}};
	const char *p = text;
	uint64_t count = 0;
	int rc = take_digits(&p, &count);

	if (rc)
		return refuse(err, -rc, "duration", text, allowed);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(p, units[i].word) != 0)
			continue;
		if (__builtin_mul_overflow(count, units[i].ms, ms))
			return refuse(err, ERANGE, "duration", text, allowed);
		return 0;
	}
	return refuse(err, EINVAL, "duration", text, allowed);
}

const char *larder_size_format(uint64_t bytes, char *buf, size_t len)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned int unit = 0;
	uint64_t tenths;

	/* up while it would read 1024 of the smaller unit, rounded */
	while (unit < 6 && bytes >= (unit ? UINT64_C(2047) << (unit * 10) >> 1 : 1024))
		unit++;
	if (unit == 0) {
		snprintf(buf, len, "%u B", (unsigned int)bytes);
		return buf;
	}
	tenths = (uint64_t)((((unsigned __int128)bytes * 10) + (UINT64_C(1) << (unit * 10 - 1))) >>
			    (unit * 10));
	if (tenths < 100 && tenths % 10)
		snprintf(buf, len, "%u.%u %s", (unsigned int)(tenths / 10),
			 (unsigned int)(tenths % 10), units[unit]);
	else
		snprintf(buf, len, "%u %s", (unsigned int)((tenths + 5) / 10), units[unit]);
	return buf;
}

/* "3 days 4 h": the second unit only where it says something. */
static void two_units(char *buf, size_t len, int64_t first, const char *one, int64_t second,
		      const char *two)
{
	if (second)
		snprintf(buf, len, "%lld %s %lld %s", (long long)first, one, (long long)second,
			 two);
	else
		snprintf(buf, len, "%lld %s", (long long)first, one);
}

const char *larder_duration_format(int64_t ms, char *buf, size_t len)
{
	int64_t s = ms / 1000;

	if (ms < 0)
		snprintf(buf, len, "unknown");
	else if (ms && ms < 1000)
		snprintf(buf, len, "%d ms", (int)ms);
	else if (s < 60)
		snprintf(buf, len, "%d s", (int)s);
	else if (s < 3600)
		two_units(buf, len, s / 60, "min", s % 60, "s");
	else if (s < 86400)
		two_units(buf, len, s / 3600, "h", s % 3600 / 60, "min");
	else
		two_units(buf, len, s / 86400, s < 172800 ? "day" : "days", s % 86400 / 3600, "h");
	return buf;
}
