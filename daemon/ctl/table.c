/*
 * Tables by libsmartcols: the one file that includes its header.
 * It must not print, and must not know what the columns mean.
 * Called by sheets.c.
 */
#include <ctype.h>
#include <errno.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/table.h"
#include "larder/cleanup.h"

struct table {
	struct libscols_table *scols;
	struct table_style style;
	size_t n_columns;
	size_t rows;
	const char *name; /* borrowed */
};

/* LAST-USED becomes LAST_USED for JSON; libsmartcols makes it lower case. */
static void key_name(const char *name, char *key, size_t len)
{
	size_t i = 0;

	for (; name[i] && i + 1 < len; i++)
		key[i] = name[i] == '-' ? '_' : name[i];
	key[i] = '\0';
}

static int add_column(struct table *table, const struct table_column *column)
{
	bool number = column->kind != CELL_TEXT;
	bool json = table->style.shape == TABLE_JSON;
	struct libscols_column *scols;
	char key[64];

	key_name(column->name, key, sizeof(key));
	scols = scols_table_new_column(table->scols, json ? key : column->name, 0,
				       number ? SCOLS_FL_RIGHT : 0);
	if (!scols)
		return -ENOMEM;
	return scols_column_set_json_type(scols, number ? SCOLS_JSON_NUMBER : SCOLS_JSON_STRING);
}

static int table_setup(struct table *table, const struct table_column *columns)
{
	int rc = scols_table_set_name(table->scols, table->name);

	for (size_t i = 0; rc == 0 && i < table->n_columns; i++)
		rc = add_column(table, &columns[i]);
	if (rc == 0 && table->style.shape == TABLE_JSON)
		rc = scols_table_enable_json(table->scols, 1);
	if (rc == 0 && table->style.shape == TABLE_RAW)
		rc = scols_table_enable_raw(table->scols, 1);
	if (rc == 0 && table->style.no_header)
		rc = scols_table_enable_noheadings(table->scols, 1);
	return rc;
}

int table_create(const char *name, const struct table_column *columns, size_t n_columns,
		 const struct table_style *style, struct table **out, struct larder_error *err)
{
	struct table *table = calloc(1, sizeof(*table));

	if (table) {
		*table = (struct table){.style = *style, .n_columns = n_columns, .name = name};
		table->scols = scols_new_table();
	}
	if (!table || !table->scols || table_setup(table, columns) != 0) {
		table_destroy(table);
		return larder_error_set(err, ENOMEM, "cannot make the table '%s': out of memory",
					name);
	}
	*out = table;
	return 0;
}

void table_destroy(struct table *table)
{
	if (!table)
		return;
	scols_unref_table(table->scols);
	free(table);
}

/* Rows stay aligned for awk: what is empty is a dash there, and null in JSON. */
static int set_cell(struct table *table, struct libscols_line *line, size_t i,
		    const struct cell *cell)
{
	bool exact = table->style.exact || table->style.shape != TABLE_HUMAN;
	auto_free char *text = NULL;
	bool empty;
	int rc;

	text = cell_format(cell, exact, table->style.now_s, &empty);
	if (!text)
		return -ENOMEM;
	if (empty)
		return table->style.shape == TABLE_JSON ? 0 : scols_line_set_data(line, i, "-");
	rc = scols_line_refer_data(line, i, text);
	if (!rc)
		text = NULL; /* the line's now */
	return rc;
}

int table_add(struct table *table, const struct cell *cells, struct larder_error *err)
{
	struct libscols_line *line = scols_table_new_line(table->scols, NULL);
	int rc = line ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < table->n_columns; i++)
		rc = set_cell(table, line, i, &cells[i]);
	if (rc != 0)
		return larder_error_set(err, ENOMEM, "cannot add a row to '%s': out of memory",
					table->name);
	table->rows++;
	return 0;
}

char *table_text(const struct table *table, struct larder_error *err)
{
	char *text = NULL;

	if (table->rows == 0 && table->style.shape != TABLE_JSON)
		text = strdup("");
	else if (scols_print_table_to_string(table->scols, &text) != 0)
		text = NULL;
	if (!text)
		larder_error_set(err, ENOMEM, "cannot print the table '%s': out of memory",
				 table->name);
	return text;
}
