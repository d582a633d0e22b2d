/*
 * One value of a table as text: for people ("138 GiB", "3 min ago") or exact (bytes, Unix seconds,
 * milliseconds), by its kind. Pure: the clock is handed in.
 */
#ifndef CTL_CELL_H
#define CTL_CELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cell_kind {
	CELL_TEXT,
	CELL_COUNT, /* a number */
	CELL_SIZE,  /* bytes */
	CELL_RATE,  /* bytes a second */
	CELL_SHARE, /* 0 to 1000 permille; exact: percent with one decimal */
	CELL_AGE,   /* Unix seconds, shown as "3 min ago" or "in 2 h"; 0: never */
	CELL_STAMP, /* Unix seconds, shown as local date and time; 0: never */
	CELL_SPAN,  /* milliseconds; below 0: not known */
};

struct cell {
	enum cell_kind kind;
	const char *text; /* CELL_TEXT; borrowed */
	int64_t number;	  /* all others; beyond INT64_MAX it is cut */
};

/* Makers of a cell, one a kind, for the columns of row.def. */
struct cell cell_of_TEXT(const char *text);
struct cell cell_of_COUNT(uint64_t number);
struct cell cell_of_SIZE(uint64_t bytes);
struct cell cell_of_RATE(uint64_t bytes_per_s);
struct cell cell_of_SHARE(uint64_t permille);
struct cell cell_of_AGE(int64_t unix_s);
struct cell cell_of_STAMP(int64_t unix_s);
struct cell cell_of_SPAN(int64_t ms);

/* part of whole in permille, rounded down so that 1000 means all; 1000 when whole is 0. */
uint64_t cell_permille(uint64_t part, uint64_t whole);

#define CELL_ROOM 64 /* bytes that any number needs as text */

/*
 * The cell as text: its own, which may have bytes that nobody should see (larder_text_printable),
 * or a number's, in buf. NULL when there is nothing to show: an empty text, never, not known.
 */
const char *cell_text(const struct cell *cell, bool exact, int64_t now_s, char buf[CELL_ROOM]);

#endif
