/*
 * A table for people, for --raw and for --json from the same rows. table.c is the one file that
 * includes libsmartcols.h. Prints nothing itself: it gives text.
 */
#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "ctl/cell.h"
#include "larder/error.h"

struct table;

enum table_shape { TABLE_HUMAN, TABLE_RAW, TABLE_JSON };

struct table_column {
	const char *name; /* "LAST-USED"; in JSON it is last_used. Borrowed while the table lives */
	enum cell_kind kind;
};

struct table_style {
	enum table_shape shape;
	bool no_header;
	bool exact;    /* TABLE_HUMAN: numbers as in raw */
	int64_t now_s; /* for ages */
};

/* name: of the array in JSON. 0, -ENOMEM. */
int table_create(const char *name, const struct table_column *columns, size_t n_columns,
		 const struct table_style *style, struct table **table, struct larder_error *err);
void table_destroy(struct table *table);
/* Adds a row of n_columns cells; they are copied. 0, -ENOMEM. */
int table_add(struct table *table, const struct cell *cells, struct larder_error *err);
/*
 * All of it as text to free; "" for no rows (JSON: an object with an empty array). NULL on ENOMEM.
 */
char *table_text(const struct table *table, struct larder_error *err);

#endif
