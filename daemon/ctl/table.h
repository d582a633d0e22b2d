/*
 * A table for people, for --raw and for --json from the same rows. It keeps the cells as text,
 * packed, and lays them out when it is written: ten thousand rows cost milliseconds.
 */
#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

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
 * All of it: lines; in JSON a member of an object, "name": [...], on lines of its own without the
 * last line's end. Faults are out's.
 */
void table_write(const struct table *table, FILE *out);

#endif
