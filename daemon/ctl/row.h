/* The kinds of rows that the CLI shows, grown from row.def. */
#ifndef CTL_ROW_H
#define CTL_ROW_H

#include <stddef.h>

#include "ctl/cell.h"
#include "ctl/row.def"

#define ROW_COLUMNS_MAX 32 /* checked at compile time */

enum row_shown { ROW_SHORT, ROW_LONG, ROW_ASKED };

struct row_column {
	const char *name; /* "LAST-USED" */
	enum cell_kind kind;
	enum row_shown shown;
	const char *help;
};

struct row_kind {
	unsigned int type; /* LARDER_MSG_… */
	const char *json_name, *title;
	const struct row_column *columns;
	size_t n_columns; /* at most ROW_COLUMNS_MAX */
	void (*fill)(const void *msg, struct cell *cells);
};

enum {
#define LARDER_X(TYPE, json, title) ROW_KIND_##TYPE,
	LARDER_SHEETS(LARDER_X)
#undef LARDER_X
		ROW_KINDS
};
extern const struct row_kind row_kinds[ROW_KINDS];

#endif
