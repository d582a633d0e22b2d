/*
 * What is known of each kind of row: its columns and how to fill them, grown from row.def.
 * It must not print, and must not decide which columns are wanted.
 * Called by sheets.c and help.c.
 */
#include "ctl/row.def"
#include "ctl/row.h"
#include "ctl/catalog_row.h"
#include "larder/wire.h"

/* Of the bytes; of the shards where there are no bytes; all only when all shards are there too. */
static uint64_t tree_coverage(const struct larder_msg_TREE *r)
{
	uint64_t share;

	if (r->bytes == 0)
		return cell_permille(r->present_shards, r->shards);
	share = cell_permille(r->present_bytes, r->bytes);
	return share == 1000 && r->present_shards < r->shards ? 999 : share;
}

#define COLUMN(name, kind, shown, expression, help) {name, CELL_##kind, ROW_##shown, help},
#define CELL(name, kind, shown, expression, help)   *cells++ = cell_of_##kind(expression);
#define LARDER_X(TYPE, json, title)                                                                \
	static const struct row_column columns_##TYPE[] = {LARDER_COLUMNS_##TYPE(COLUMN)};         \
	static void fill_##TYPE(const void *msg, struct cell *cells)                               \
	{                                                                                          \
		const struct larder_msg_##TYPE *r = msg;                                           \
		LARDER_COLUMNS_##TYPE(CELL)                                                        \
	}
LARDER_SHEETS(LARDER_X)
#undef LARDER_X

const struct row_kind row_kinds[ROW_KINDS] = {
#define LARDER_X(TYPE, json, title)                                                                \
	{LARDER_MSG_##TYPE,                                                                        \
	 #json,                                                                                    \
	 title,                                                                                    \
	 columns_##TYPE,                                                                           \
	 sizeof(columns_##TYPE) / sizeof(columns_##TYPE[0]),                                       \
	 fill_##TYPE},
	LARDER_SHEETS(LARDER_X)
#undef LARDER_X
};

#define LARDER_X(TYPE, json, title)                                                                \
	_Static_assert(sizeof(columns_##TYPE) / sizeof(columns_##TYPE[0]) <= ROW_COLUMNS_MAX,      \
		       "raise ROW_COLUMNS_MAX");
LARDER_SHEETS(LARDER_X)
#undef LARDER_X
