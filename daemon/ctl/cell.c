/*
 * One value as text, for people or exact. Pure; the clock is handed in.
 * It must not know tables, rows or the daemon.
 * Called by table.c and sheets.c (the makers, through row.def).
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "ctl/cell.h"
#include "larder/text.h"

static int64_t clamp(uint64_t number)
{
	return number > INT64_MAX ? INT64_MAX : (int64_t)number;
}

struct cell cell_of_TEXT(const char *text)
{
	return (struct cell){.kind = CELL_TEXT, .text = text};
}

struct cell cell_of_COUNT(uint64_t number)
{
	return (struct cell){.kind = CELL_COUNT, .number = clamp(number)};
}

struct cell cell_of_SIZE(uint64_t bytes)
{
	return (struct cell){.kind = CELL_SIZE, .number = clamp(bytes)};
}

struct cell cell_of_RATE(uint64_t bytes_per_s)
{
	return (struct cell){.kind = CELL_RATE, .number = clamp(bytes_per_s)};
}

struct cell cell_of_SHARE(uint64_t permille)
{
	return (struct cell){.kind = CELL_SHARE, .number = clamp(permille)};
}

struct cell cell_of_AGE(int64_t unix_s)
{
	return (struct cell){.kind = CELL_AGE, .number = unix_s};
}

struct cell cell_of_STAMP(int64_t unix_s)
{
	return (struct cell){.kind = CELL_STAMP, .number = unix_s};
}

struct cell cell_of_SPAN(int64_t ms)
{
	return (struct cell){.kind = CELL_SPAN, .number = ms};
}

uint64_t cell_permille(uint64_t part, uint64_t whole)
{
	if (part >= whole)
		return 1000;
	/* Both shrink by the same factor, so that the product fits. */
	while (whole > UINT64_MAX / 1000) {
		whole >>= 1;
		part >>= 1;
	}
	return part < whole ? part * 1000 / whole : 999;
}

static bool nothing(const struct cell *cell)
{
	switch (cell->kind) {
	case CELL_TEXT: return !cell->text || !*cell->text;
	case CELL_AGE:
	case CELL_STAMP: return cell->number <= 0;
	case CELL_SPAN: return cell->number < 0;
	case CELL_COUNT:
	case CELL_SIZE:
	case CELL_RATE:
	case CELL_SHARE: return false;
	}
	return true;
}

static void format_exact(const struct cell *cell, char *buf, size_t len)
{
	if (cell->kind == CELL_SHARE)
		snprintf(buf, len, "%" PRId64 ".%" PRId64, cell->number / 10, cell->number % 10);
	else
		snprintf(buf, len, "%" PRId64, cell->number);
}

static void format_age(int64_t then_s, int64_t now_s, char *buf, size_t len)
{
	char span[CELL_ROOM];
	int64_t ago_s = now_s - then_s;

	if (ago_s > INT64_MAX / 1000 || ago_s < -INT64_MAX / 1000)
		snprintf(buf, len, "?");
	else if (ago_s == 0)
		snprintf(buf, len, "now");
	else if (ago_s > 0)
		snprintf(buf, len, "%s ago",
			 larder_duration_format(ago_s * 1000, span, sizeof(span)));
	else
		snprintf(buf, len, "in %s",
			 larder_duration_format(-ago_s * 1000, span, sizeof(span)));
}

static void format_stamp(int64_t unix_s, char *buf, size_t len)
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	if (!localtime_r(&t, &tm) || strftime(buf, len, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(buf, len, "%" PRId64, unix_s);
}

static void format_human(const struct cell *cell, int64_t now_s, char *buf, size_t len)
{
	char size[CELL_ROOM / 2];

	switch (cell->kind) {
	case CELL_SIZE: larder_size_format((uint64_t)cell->number, buf, len); break;
	case CELL_RATE:
		larder_size_format((uint64_t)cell->number, size, sizeof(size));
		snprintf(buf, len, "%s/s", size);
		break;
	case CELL_SHARE:
		if (cell->number % 10 == 0)
			snprintf(buf, len, "%" PRId64 " %%", cell->number / 10);
		else
			snprintf(buf, len, "%" PRId64 ".%" PRId64 " %%", cell->number / 10,
				 cell->number % 10);
		break;
	case CELL_AGE: format_age(cell->number, now_s, buf, len); break;
	case CELL_STAMP: format_stamp(cell->number, buf, len); break;
	case CELL_SPAN: larder_duration_format(cell->number, buf, len); break;
	case CELL_TEXT:
	case CELL_COUNT: format_exact(cell, buf, len); break;
	}
}

const char *cell_text(const struct cell *cell, bool exact, int64_t now_s, char buf[CELL_ROOM])
{
	if (nothing(cell))
		return NULL;
	if (cell->kind == CELL_TEXT)
		return cell->text;
	if (exact)
		format_exact(cell, buf, CELL_ROOM);
	else
		format_human(cell, now_s, buf, CELL_ROOM);
	return buf;
}
