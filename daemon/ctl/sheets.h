/*
 * The rows of an answer, sorted into one table a kind (row.def), and printed: a verb only says what
 * it expects.
 */
#ifndef CTL_SHEETS_H
#define CTL_SHEETS_H

#include <stdio.h>

#include "ctl/ctl.h"
#include "larder/client.h"

struct sheets;

/*
 * types: LARDER_MSG_… rows that the verb is about, in the order in which they are printed, ended by
 * 0; the first is the main one. Other rows that arrive are printed behind them. Checks -o: -EINVAL
 * with the columns there are. upright: a type whose rows people see as lines "NAME  value"; 0:
 * none.
 */
int sheets_create(const struct ctl *ctl, const unsigned int *types, unsigned int upright,
		  struct sheets **sheets, struct larder_error *err);
void sheets_destroy(struct sheets *sheets);
/* One row; node: for the NODE column. Rows that row.def does not know are ignored. */
int sheets_add(struct sheets *sheets, const char *node, unsigned int type, const void *msg,
	       struct larder_error *err);
/* A sentence, as a LINE row. Empty ones are dropped. */
int sheets_note(struct sheets *sheets, const char *node, const char *text,
		struct larder_error *err);
/* How many rows of this type there are. */
size_t sheets_count(const struct sheets *sheets, unsigned int type);
/* Prints all and flushes. -errno of the stream. */
int sheets_print(struct sheets *sheets, FILE *out, struct larder_error *err);

#endif
