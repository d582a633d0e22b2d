/*
 * Rows become tables, one a kind, by row.def; and tables become what the person asked for.
 * It must not ask anybody: rows are given to it.
 * Called by fleet.c and by verbs that have rows of their own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "ctl/row.h"
#include "ctl/sheets.h"
#include "ctl/table.h"
#include "larder/cleanup.h"
#include "larder/wire.h"

struct sheet {
	const struct row_kind *kind;
	struct table *table;		/* NULL: none of its columns is wanted */
	size_t chosen[ROW_COLUMNS_MAX]; /* indices of columns */
	size_t n_chosen;
	bool node; /* a NODE column stands first */
	bool upright;
	bool expected;
	size_t rows; /* given to it */
};

struct sheets {
	const struct ctl *ctl;
	struct table_style style;
	struct sheet *order; /* as they are printed: kinds expected first */
};

/* --- which columns */

static bool word_is(const char *word, size_t len, const char *name)
{
	return strlen(name) == len && strncasecmp(word, name, len) == 0;
}

static void choose(struct sheet *sheet, size_t column)
{
	for (size_t i = 0; i < sheet->n_chosen; i++)
		if (sheet->chosen[i] == column)
			return;
	if (sheet->n_chosen < ROW_COLUMNS_MAX)
		sheet->chosen[sheet->n_chosen++] = column;
}

static void choose_shown(struct sheet *sheet, const struct ctl_options *options)
{
	enum row_shown most = options->verbose ? ROW_ASKED : options->longer ? ROW_LONG : ROW_SHORT;

	for (size_t i = 0; i < sheet->kind->n_columns; i++)
		if (sheet->kind->columns[i].shown <= most)
			choose(sheet, i);
}

static bool choose_named(struct sheet *sheet, const char *word, size_t len)
{
	for (size_t i = 0; i < sheet->kind->n_columns; i++) {
		if (!word_is(word, len, sheet->kind->columns[i].name))
			continue;
		choose(sheet, i);
		return true;
	}
	return false;
}

static int no_such_column(const struct sheets *sheets, const char *word, size_t len,
			  struct larder_error *err)
{
	char names[LARDER_ERROR_MAX / 2] = "";
	size_t used = 0;

	for (size_t k = 0; k < ROW_KINDS && sheets->order[k].expected; k++) {
		const struct row_kind *kind = sheets->order[k].kind;

		for (size_t i = 0; i < kind->n_columns && used < sizeof(names); i++)
			used += (size_t)snprintf(names + used, sizeof(names) - used, " %s",
						 kind->columns[i].name);
	}
	return larder_error_set(err, EINVAL, "there is no column '%.*s' here; there are:%s.",
				(int)len, word, names);
}

/* -o NAME,NAME or -o +NAME,NAME: looked for in every table of the verb. */
static int choose_words(struct sheets *sheets, const char *words, struct larder_error *err)
{
	if (*words == '+')
		words++;
	for (;;) {
		size_t len = strcspn(words, ",");
		bool found = word_is(words, len, "NODE") && sheets->ctl->n_nodes > 1;

		for (size_t k = 0; k < ROW_KINDS && sheets->order[k].expected; k++)
			found |= choose_named(&sheets->order[k], words, len);
		if (!found)
			return no_such_column(sheets, words, len, err);
		if (!words[len])
			return 0;
		words += len + 1;
	}
}

static int sheet_open(struct sheets *sheets, struct sheet *sheet, struct larder_error *err)
{
	static const struct table_column upright[] = {{"KEY", CELL_TEXT}, {"VALUE", CELL_TEXT}};
	struct table_column columns[ROW_COLUMNS_MAX + 1];
	struct table_style style = sheets->style;
	size_t n = 0;

	if (sheet->n_chosen == 0)
		return 0;
	if (sheet->upright) {
		style.no_header = true;
		return table_create(sheet->kind->json_name, upright, 2, &style, &sheet->table, err);
	}
	sheet->node = sheets->ctl->n_nodes > 1 && sheet->kind->type != LARDER_MSG_NODE;
	if (sheet->node)
		columns[n++] = (struct table_column){"NODE", CELL_TEXT};
	for (size_t i = 0; i < sheet->n_chosen; i++) {
		const struct row_column *column = &sheet->kind->columns[sheet->chosen[i]];

		columns[n++] = (struct table_column){column->name, column->kind};
	}
	/* Sentences need no head. */
	style.no_header |= sheet->kind->type == LARDER_MSG_LINE;
	return table_create(sheet->kind->json_name, columns, n, &style, &sheet->table, err);
}

static int sheets_open(struct sheets *sheets, struct larder_error *err)
{
	const struct ctl_options *options = &sheets->ctl->options;
	int rc = 0;

	for (size_t k = 0; k < ROW_KINDS; k++)
		if (!options->columns || options->columns[0] == '+' || !sheets->order[k].expected)
			choose_shown(&sheets->order[k], options);
	if (options->columns)
		rc = choose_words(sheets, options->columns, err);
	for (size_t k = 0; rc == 0 && k < ROW_KINDS; k++)
		rc = sheet_open(sheets, &sheets->order[k], err);
	return rc;
}

/* --- life */

static void set_order(struct sheets *sheets, const unsigned int *types, unsigned int upright)
{
	size_t n = 0;

	for (; *types; types++)
		for (size_t k = 0; k < ROW_KINDS; k++)
			if (row_kinds[k].type == *types)
				sheets->order[n++] =
					(struct sheet){.kind = &row_kinds[k], .expected = true};
	for (size_t k = 0; k < ROW_KINDS; k++) {
		bool have = false;

		for (size_t i = 0; i < n; i++)
			have |= sheets->order[i].kind == &row_kinds[k];
		if (!have)
			sheets->order[n++] = (struct sheet){.kind = &row_kinds[k]};
	}
	for (size_t k = 0; k < ROW_KINDS; k++)
		sheets->order[k].upright = sheets->order[k].kind->type == upright &&
					   sheets->style.shape == TABLE_HUMAN;
}

int sheets_create(const struct ctl *ctl, const unsigned int *types, unsigned int upright,
		  struct sheets **out, struct larder_error *err)
{
	struct sheets *sheets = calloc(1, sizeof(*sheets));
	int rc;

	if (sheets)
		sheets->order = calloc(ROW_KINDS, sizeof(*sheets->order));
	if (!sheets || !sheets->order) {
		free(sheets);
		return larder_error_set(err, ENOMEM, "out of memory");
	}
	sheets->ctl = ctl;
	sheets->style = (struct table_style){
		.shape = ctl->options.json  ? TABLE_JSON
			 : ctl->options.raw ? TABLE_RAW
					    : TABLE_HUMAN,
		.no_header = ctl->options.no_header,
		.exact = ctl->options.exact,
		.now_s = time(NULL),
	};
	set_order(sheets, types, upright);
	rc = sheets_open(sheets, err);
	if (rc != 0) {
		sheets_destroy(sheets);
		return rc;
	}
	*out = sheets;
	return 0;
}

void sheets_destroy(struct sheets *sheets)
{
	if (!sheets)
		return;
	for (size_t k = 0; k < ROW_KINDS; k++)
		table_destroy(sheets->order[k].table);
	free(sheets->order);
	free(sheets);
}

static struct sheet *sheet_of(const struct sheets *sheets, unsigned int type)
{
	for (size_t k = 0; k < ROW_KINDS; k++)
		if (sheets->order[k].kind->type == type)
			return &sheets->order[k];
	return NULL;
}

static int add_pair(struct table *table, const char *name, const char *value,
		    struct larder_error *err)
{
	const struct cell cells[] = {cell_of_TEXT(name), cell_of_TEXT(value)};

	return table_add(table, cells, err);
}

/* A line a value; what is empty is left out. */
static int add_upright(const struct sheets *sheets, struct sheet *sheet, const char *node,
		       const struct cell *all, struct larder_error *err)
{
	int rc = 0;

	if (sheets->ctl->n_nodes > 1 && sheet->kind->type != LARDER_MSG_NODE)
		rc = add_pair(sheet->table, "NODE", node, err);
	for (size_t i = 0; rc == 0 && i < sheet->n_chosen; i++) {
		const struct cell *cell = &all[sheet->chosen[i]];
		char buf[CELL_ROOM];
		const char *value = cell_text(cell, sheets->style.exact, sheets->style.now_s, buf);

		if (value)
			rc = add_pair(sheet->table, sheet->kind->columns[sheet->chosen[i]].name,
				      value, err);
	}
	return rc;
}

int sheets_add(struct sheets *sheets, const char *node, unsigned int type, const void *msg,
	       struct larder_error *err)
{
	struct sheet *sheet = sheet_of(sheets, type);
	struct cell all[ROW_COLUMNS_MAX], cells[ROW_COLUMNS_MAX + 1];
	size_t n = 0;

	/* Counters are many: shown only where the verb is about them. */
	if (!sheet || !sheet->table || (type == LARDER_MSG_COUNTER && !sheet->expected))
		return 0;
	sheet->kind->fill(msg, all);
	sheet->rows++;
	if (sheet->upright)
		return add_upright(sheets, sheet, node, all, err);
	if (sheet->node)
		cells[n++] = cell_of_TEXT(node);
	for (size_t i = 0; i < sheet->n_chosen; i++)
		cells[n++] = all[sheet->chosen[i]];
	return table_add(sheet->table, cells, err);
}

int sheets_note(struct sheets *sheets, const char *node, const char *text, struct larder_error *err)
{
	const struct larder_msg_LINE line = {.text = text};

	return *text ? sheets_add(sheets, node, LARDER_MSG_LINE, &line, err) : 0;
}

size_t sheets_count(const struct sheets *sheets, unsigned int type)
{
	const struct sheet *sheet = sheet_of(sheets, type);

	return sheet ? sheet->rows : 0;
}

/* --- printing */

static void print_sheet(const struct sheets *sheets, const struct sheet *sheet, bool first,
			bool titles, FILE *out)
{
	if (sheets->style.shape == TABLE_JSON)
		fputs(first ? "{" : ",", out);
	else if (!first)
		fputc('\n', out);
	if (titles && sheets->style.shape == TABLE_HUMAN && sheet->kind->type != LARDER_MSG_LINE)
		fprintf(out, "%s:\n", sheet->kind->title);
	table_write(sheet->table, out);
}

/* People get tables that have rows; a program gets every array that it may expect. */
static bool wanted(const struct sheets *sheets, const struct sheet *sheet)
{
	if (!sheet->table)
		return false;
	return sheet->rows > 0 || (sheets->style.shape == TABLE_JSON && sheet->expected);
}

int sheets_print(struct sheets *sheets, FILE *out, struct larder_error *err)
{
	size_t n_tables = 0;
	bool first = true;

	for (size_t k = 0; k < ROW_KINDS; k++)
		n_tables += wanted(sheets, &sheets->order[k]) &&
			    sheets->order[k].kind->type != LARDER_MSG_LINE;
	for (size_t k = 0; k < ROW_KINDS; k++) {
		if (!wanted(sheets, &sheets->order[k]))
			continue;
		print_sheet(sheets, &sheets->order[k], first, n_tables > 1, out);
		first = false;
	}
	if (sheets->style.shape == TABLE_JSON)
		fputs(first ? "{}\n" : "\n}\n", out);
	if (fflush(out) != 0)
		return larder_error_set(err, errno, "cannot write the output: %s", strerror(errno));
	return 0;
}
