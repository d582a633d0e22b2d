/*
 * Tables: keeps cells as text, knows how wide columns are, and lays them out for people, scripts
 * and JSON. It must not know what the columns mean.
 * Called by sheets.c.
 */
#include "ctl/table.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "ctl/block.h"
#include "larder/text.h"

#define EMPTY "-" /* so that rows stay aligned for awk */

struct column {
	const char *name; /* borrowed */
	bool number;	  /* to the right; in JSON without quotation marks */
	size_t width;
};

struct table {
	struct table_style style;
	const char *name; /* borrowed */
	size_t n_columns, rows;
	bool plain;  /* every cell so far shows its bytes as they are, a column each */
	char *cells; /* texts behind one another, each with its NUL; "": nothing to show */
	size_t len, room;
	struct column columns[];
};

/* --- what people see of a text: the bytes of no printable character as \xHH */

static void put_escaped(struct block *block, const char *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		const unsigned char byte = (unsigned char)bytes[i];
		const char shown[] = {'\\', 'x', digits[byte >> 4], digits[byte & 15]};

		block_put(block, shown, sizeof(shown));
	}
}

/* Bytes of the character at text, and the terminal's columns that it takes: -1 when it is not to be
 * shown as it is. A "\x" of the text's own is none of ours. */
static size_t character(const char *text, mbstate_t *state, int *columns)
{
	wchar_t wide = 0;
	size_t n = mbrtowc(&wide, text, MB_CUR_MAX, state);

	if (n == 0 || n > MB_CUR_MAX) {
		*state = (mbstate_t){0};
		*columns = isprint((unsigned char)*text) ? 1 : -1;
		return 1;
	}
	*columns = iswprint((wint_t)wide) && strncmp(text, "\\x", 2) != 0 ? wcwidth(wide) : -1;
	return n;
}

/* Returns the columns that it takes. block NULL: only counts them. */
static size_t put_shown(struct block *block, const char *text)
{
	mbstate_t state = {0};
	size_t width = 0;

	while (*text) {
		int columns;
		size_t n = character(text, &state, &columns);

		width += columns < 0 ? 4 * n : (size_t)columns;
		if (block && columns < 0)
			put_escaped(block, text, n);
		else if (block)
			block_put(block, text, n);
		text += n;
	}
	return width;
}

/* --- rows */

int table_create(const char *name, const struct table_column *columns, size_t n_columns,
		 const struct table_style *style, struct table **out, struct larder_error *err)
{
	struct table *table = calloc(1, sizeof(*table) + n_columns * sizeof(table->columns[0]));

	if (!table)
		return larder_error_set(err, ENOMEM, "cannot make the table '%s': out of memory",
					name);
	*table = (struct table){
		.style = *style, .name = name, .n_columns = n_columns, .plain = true};
	for (size_t i = 0; i < n_columns; i++)
		table->columns[i] = (struct column){
			.name = columns[i].name,
			.number = columns[i].kind != CELL_TEXT,
			.width = strlen(columns[i].name), /* also without a header */
		};
	*out = table;
	return 0;
}

void table_destroy(struct table *table)
{
	if (!table)
		return;
	free(table->cells);
	free(table);
}

static int make_room(struct table *table, size_t more)
{
	size_t room = table->room ? table->room : 4096;
	char *cells;

	if (table->room - table->len >= more)
		return 0;
	while (room - table->len < more)
		room *= 2;
	cells = realloc(table->cells, room);
	if (!cells)
		return -ENOMEM;
	table->cells = cells;
	table->room = room;
	return 0;
}

/* A byte that every shape shows as it is. */
static bool is_plain(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] < ' ' || text[i] > '~' || text[i] == '\\')
			return false;
	return true;
}

static int add_cell(struct table *table, struct column *column, const struct cell *cell)
{
	bool exact = table->style.exact || table->style.shape != TABLE_HUMAN;
	char buf[CELL_ROOM], *copy;
	const char *text = cell_text(cell, exact, table->style.now_s, buf);
	size_t len = text ? strlen(text) : 0, width = len;

	if (make_room(table, len + 1) != 0)
		return -ENOMEM;
	copy = table->cells + table->len;
	memcpy(copy, text ? text : "", len + 1);
	table->len += len + 1;
	if (!is_plain(copy, len)) {
		table->plain = false;
		width = put_shown(NULL, larder_text_printable(copy));
	}
	if (width > column->width)
		column->width = width;
	return 0;
}

int table_add(struct table *table, const struct cell *cells, struct larder_error *err)
{
	for (size_t i = 0; i < table->n_columns; i++)
		if (add_cell(table, &table->columns[i], &cells[i]) != 0)
			return larder_error_set(err, ENOMEM,
						"cannot add a row to '%s': out of memory",
						table->name);
	table->rows++;
	return 0;
}

/* --- for people: columns stand below one another; the last one ends where its text ends */

static void put_human(const struct table *table, struct block *block, size_t column,
		      const char *text, size_t len)
{
	const struct column *c = &table->columns[column];
	bool last = column + 1 == table->n_columns;
	size_t width = table->plain ? len : put_shown(NULL, text);
	size_t pad = c->width > width ? c->width - width : 0;

	if (c->number)
		block_fill(block, ' ', pad);
	if (table->plain)
		block_put(block, text, len);
	else
		put_shown(block, text);
	if (!last)
		block_fill(block, ' ', c->number ? 1 : pad + 1);
}

/* --- for scripts: one blank between columns, none in them */

static void put_raw(const struct table *table, struct block *block, size_t column, const char *text)
{
	for (; *text; text++) {
		if (*text == '\\' || !isgraph((unsigned char)*text))
			put_escaped(block, text, 1);
		else
			block_put(block, text, 1);
	}
	if (column + 1 < table->n_columns)
		block_put(block, " ", 1);
}

/* --- JSON */

static void put_quoted(struct block *block, const char *text)
{
	block_put(block, "\"", 1);
	while (*text) {
		size_t n = strcspn(text, "\"\\");

		block_put(block, text, n);
		text += n;
		if (!*text)
			break;
		block_put(block, "\\", 1);
		block_put(block, text++, 1);
	}
	block_put(block, "\"", 1);
}

/* LAST-USED is last_used. */
static void put_key(struct block *block, const char *name)
{
	block_text(block, "         \"");
	for (; *name; name++) {
		char c = *name == '-' ? '_' : (char)tolower((unsigned char)*name);

		block_put(block, &c, 1);
	}
	block_text(block, "\": ");
}

static void put_json(const struct table *table, struct block *block, size_t column,
		     const char *text, size_t len)
{
	put_key(block, table->columns[column].name);
	if (!len)
		block_text(block, "null");
	else if (table->columns[column].number)
		block_put(block, text, len);
	else
		put_quoted(block, text);
	block_text(block, column + 1 < table->n_columns ? ",\n" : "\n");
}

static void write_json(const struct table *table, struct block *block)
{
	const char *text = table->cells;

	block_text(block, "\n   \"");
	block_text(block, table->name);
	block_text(block, "\": [\n");
	for (size_t row = 0; row < table->rows; row++) {
		block_text(block, row ? ",{\n" : "      {\n");
		for (size_t i = 0; i < table->n_columns; i++) {
			size_t len = strlen(text);

			put_json(table, block, i, text, len);
			text += len + 1;
		}
		block_text(block, "      }");
	}
	block_text(block, "\n   ]");
}

/* --- lines */

static void put_cell(const struct table *table, struct block *block, size_t column,
		     const char *text, size_t len)
{
	if (table->style.shape == TABLE_RAW)
		put_raw(table, block, column, text);
	else
		put_human(table, block, column, text, len);
}

static void write_lines(const struct table *table, struct block *block)
{
	const char *text = table->cells;

	for (size_t i = 0; !table->style.no_header && i < table->n_columns; i++)
		put_cell(table, block, i, table->columns[i].name, strlen(table->columns[i].name));
	if (!table->style.no_header)
		block_put(block, "\n", 1);
	for (size_t row = 0; row < table->rows; row++) {
		for (size_t i = 0; i < table->n_columns; i++) {
			size_t len = strlen(text);

			if (len)
				put_cell(table, block, i, text, len);
			else
				put_cell(table, block, i, EMPTY, strlen(EMPTY));
			text += len + 1;
		}
		block_put(block, "\n", 1);
	}
}

void table_write(const struct table *table, FILE *out)
{
	struct block block = {.out = out};

	if (table->style.shape == TABLE_JSON)
		write_json(table, &block);
	else if (table->rows > 0)
		write_lines(table, &block);
	block_flush(&block);
}
