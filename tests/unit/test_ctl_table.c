/*
 * Tests of daemon/ctl/table.c, compiled in here: the same rows for people, for --raw and for JSON.
 * It must not need a daemon or a terminal.
 * Called by make check.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>

#include "ctl/cell.c"
#include "ctl/table.c"

static const struct table_column columns[] = {
	{"NAME", CELL_TEXT}, {"SIZE", CELL_SIZE}, {"LAST-USED", CELL_TEXT}};

struct row {
	const char *name;
	uint64_t size;
	const char *last;
};

static char *written(const struct table_style *style, const struct row *rows, size_t n)
{
	struct table *table = NULL;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(table_create("trees", columns, 3, style, &table, NULL), 0);
	for (size_t i = 0; i < n; i++) {
		const struct cell cells[] = {cell_of_TEXT(rows[i].name), cell_of_SIZE(rows[i].size),
					     cell_of_TEXT(rows[i].last)};

		assert_int_equal(table_add(table, cells, NULL), 0);
	}
	table_write(table, out);
	table_destroy(table);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void expect(struct table_style style, const struct row *rows, size_t n, const char *text)
{
	char *got = written(&style, rows, n);

	assert_string_equal(got, text);
	free(got);
}

static const struct row plain[] = {{"imagenet", 138ULL << 30, "now"}, {"c4", 5, ""}};

static void test_columns_stand_below_one_another(void **state)
{
	(void)state;
	expect((struct table_style){0}, plain, 2,
	       "NAME        SIZE LAST-USED\n"
	       "imagenet 138 GiB now\n"
	       "c4           5 B -\n");
	/* A column is as wide as its name also where that is not shown. */
	expect((struct table_style){.no_header = true, .exact = true}, &plain[1], 1,
	       "c4      5 -\n");
	expect((struct table_style){0}, NULL, 0, "");
}

static void test_raw_has_one_blank_and_exact_numbers(void **state)
{
	const struct row odd[] = {{"a b\\\"", 7, "é\t"}};

	(void)state;
	expect((struct table_style){.shape = TABLE_RAW}, plain, 2,
	       "NAME SIZE LAST-USED\nimagenet 148176371712 now\nc4 5 -\n");
	expect((struct table_style){.shape = TABLE_RAW, .no_header = true}, odd, 1,
	       "a\\x20b\\x5c\" 7 \\xc3\\xa9?\n");
}

static void test_json(void **state)
{
	const struct row odd[] = {{"a \"b\"\\ é\n", 7, ""}, {"x", 0, "y"}};

	(void)state;
	expect((struct table_style){.shape = TABLE_JSON}, odd, 2,
	       "\n   \"trees\": [\n"
	       "      {\n"
	       "         \"name\": \"a \\\"b\\\"\\\\ é?\",\n"
	       "         \"size\": 7,\n"
	       "         \"last_used\": null\n"
	       "      },{\n"
	       "         \"name\": \"x\",\n"
	       "         \"size\": 0,\n"
	       "         \"last_used\": \"y\"\n"
	       "      }\n"
	       "   ]");
	expect((struct table_style){.shape = TABLE_JSON}, NULL, 0, "\n   \"trees\": [\n\n   ]");
}

/* What a name looks like decides how wide it is, not its bytes; nothing in it moves the cursor. */
static void test_widths_are_a_terminals(void **state)
{
	const struct row wide[] = {{"日本", 1, "x"}, {"Grüße", 2, "x"}, {"e\u0301", 3, "x"}};
	const struct row hostile[] = {{"a\033[2J", 1, "x"}, {"\xff\\x41", 2, "x"}};

	(void)state;
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		skip();
	expect((struct table_style){.no_header = true}, wide, 3,
	       "日本   1 B x\nGrüße  2 B x\ne\u0301      3 B x\n");
	expect((struct table_style){.no_header = true}, hostile, 2,
	       "a?[2J     1 B x\n?\\x5cx41  2 B x\n");
	setlocale(LC_CTYPE, "C");
	expect((struct table_style){.no_header = true}, wide + 1, 1,
	       "Gr\\xc3\\xbc\\xc3\\x9fe  2 B x\n");
}

static void test_more_than_a_block(void **state)
{
	enum { N = 3000 };
	static struct row many[N];
	char *got, *at;

	(void)state;
	for (size_t i = 0; i < N; i++)
		many[i] = (struct row){"dataset", i, "now"};
	got = written(&(struct table_style){.shape = TABLE_RAW, .no_header = true}, many, N);
	at = got;
	for (size_t i = 0; i < N; i++) {
		char line[64];
		size_t len = (size_t)snprintf(line, sizeof(line), "dataset %zu now\n", i);

		assert_memory_equal(at, line, len);
		at += len;
	}
	assert_int_equal(*at, 0);
	free(got);
}

static void test_a_cell_longer_than_a_block(void **state)
{
	enum { LONG = 40000 };
	char *name = malloc(LONG + 1), *got;

	(void)state;
	assert_non_null(name);
	memset(name, 'x', LONG);
	name[LONG] = '\0';
	got = written(&(struct table_style){.no_header = true}, &(struct row){name, 1, "y"}, 1);
	assert_int_equal(strlen(got), LONG + strlen("  1 B y\n"));
	assert_string_equal(got + LONG, "  1 B y\n");
	free(got);
	free(name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns_stand_below_one_another),
		cmocka_unit_test(test_raw_has_one_blank_and_exact_numbers),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_widths_are_a_terminals),
		cmocka_unit_test(test_more_than_a_block),
		cmocka_unit_test(test_a_cell_longer_than_a_block),
	};

	return cmocka_run_group_tests_name("ctl_table", tests, NULL, NULL);
}
