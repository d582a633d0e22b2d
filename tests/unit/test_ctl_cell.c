/*
 * Tests of daemon/ctl/{cell,progress,split}.c, compiled in here: the CLI's files are in no library.
 * It must not need a daemon, a terminal or the clock.
 * Called by make check.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ctl/cell.c"
#include "ctl/progress.c"
#include "ctl/split.c"

#define NOW 1700000000

static void expect_cell(struct cell cell, bool exact, const char *text)
{
	char buf[CELL_ROOM];
	const char *got = cell_text(&cell, exact, NOW, buf);

	if (*text)
		assert_string_equal(got, text);
	else
		assert_null(got);
}

static void test_sizes(void **state)
{
	(void)state;
	expect_cell(cell_of_SIZE(0), false, "0 B");
	expect_cell(cell_of_SIZE(138ULL << 30), false, "138 GiB");
	expect_cell(cell_of_SIZE(138ULL << 30), true, "148176371712");
	expect_cell(cell_of_SIZE(UINT64_MAX), true, "9223372036854775807");
	expect_cell(cell_of_RATE(2 << 20), true, "2097152");
	expect_cell(cell_of_RATE(2 << 20), false, "2 MiB/s");
}

static void test_share_is_full_only_when_all_is_there(void **state)
{
	(void)state;
	assert_int_equal(cell_permille(0, 0), 1000);
	assert_int_equal(cell_permille(0, 10), 0);
	assert_int_equal(cell_permille(999999, 1000000), 999);
	assert_int_equal(cell_permille(UINT64_MAX - 1, UINT64_MAX), 999);
	assert_int_equal(cell_permille(UINT64_MAX, UINT64_MAX), 1000);
	expect_cell(cell_of_SHARE(1000), false, "100 %");
	expect_cell(cell_of_SHARE(573), false, "57.3 %");
	expect_cell(cell_of_SHARE(573), true, "57.3");
	expect_cell(cell_of_SHARE(5), true, "0.5");
}

static void test_times(void **state)
{
	(void)state;
	expect_cell(cell_of_AGE(0), false, "");
	expect_cell(cell_of_AGE(NOW), false, "now");
	expect_cell(cell_of_AGE(NOW - 3), false, "3 s ago");
	expect_cell(cell_of_AGE(NOW + 3), false, "in 3 s");
	expect_cell(cell_of_AGE(NOW - 3), true, "1699999997");
	expect_cell(cell_of_AGE(INT64_MAX), false, "?");
	expect_cell(cell_of_SPAN(-1), true, "");
	expect_cell(cell_of_SPAN(2000), false, "2 s");
	expect_cell(cell_of_SPAN(2000), true, "2000");
	setenv("TZ", "UTC", 1);
	tzset();
	expect_cell(cell_of_STAMP(NOW), false, "2023-11-14 22:13:20");
}

static void expect_safe(const char *text, const char *safe)
{
	char got[64];

	snprintf(got, sizeof(got), "%s", text);
	assert_string_equal(larder_text_printable(got), safe);
}

static void test_text_from_outside_is_harmless(void **state)
{
	(void)state;
	expect_safe("imagenet:v3", "imagenet:v3");
	expect_safe("Grüße, 日本 🐟", "Grüße, 日本 🐟");
	expect_safe("a\033[2Jb\r\n\x7f", "a?[2Jb???");
	expect_safe("\xc2\x9b"
		    "31m",
		    "??31m"); /* CSI as a C1 control */
	expect_safe("\xff\xfe", "??");
	expect_safe("\xc0\xaf", "??");		 /* overlong */
	expect_safe("\xed\xa0\x80", "???");	 /* a surrogate */
	expect_safe("\xf4\x90\x80\x80", "????"); /* beyond U+10FFFF */
	expect_safe("\xe2\x82", "??");		 /* cut off */
	expect_cell(cell_of_TEXT(NULL), false, "");
}

static void test_progress_line(void **state)
{
	char line[128];
	struct progress_now now = {
		.what = "imagenet:v3",
		.phase = "copying",
		.done_bytes = 1 << 20,
		.need_bytes = 2 << 20,
		.bytes_per_s = 1 << 20,
		.eta_ms = 1000,
	};

	(void)state;
	progress_format(&now, false, 120, line, sizeof(line));
	assert_string_equal(line, "imagenet:v3  50 %  1 MiB of 2 MiB  1 MiB/s  1 s left  copying");
	progress_format(&now, true, 120, line, sizeof(line));
	assert_non_null(strstr(line, " [############            ]  50 %"));
	progress_format(&now, true, 10, line, sizeof(line));
	assert_string_equal(line, "imagenet:v");
}

static void test_progress_counts_shards_where_there_are_no_bytes(void **state)
{
	struct progress_now now = {.what = "empty", .phase = "", .need_shards = 4, .eta_ms = -1};
	char line[128];

	(void)state;
	assert_int_equal(progress_percent(&now), 0);
	now.done_shards = 3;
	progress_format(&now, false, 120, line, sizeof(line));
	assert_string_equal(line, "empty  75 %  3 of 4 shards");
	now.need_shards = 0;
	assert_int_equal(progress_percent(&now), 100);
}

static void test_split(void **state)
{
	char name[LARDER_NAME_MAX + 1], version[LARDER_VERSION_MAX + 1], longer[200];
	struct larder_error err = {0};

	(void)state;
	assert_int_equal(split_spec("imagenet:v3", SPLIT_VERSION_NEEDED, name, version, &err), 0);
	assert_string_equal(name, "imagenet");
	assert_string_equal(version, "v3");
	assert_int_equal(split_spec("imagenet", SPLIT_VERSION_OPTIONAL, name, version, &err), 0);
	assert_string_equal(version, "");
	assert_int_equal(split_spec("imagenet", SPLIT_VERSION_NEEDED, name, version, &err),
			 -EINVAL);
	assert_int_equal(split_spec("imagenet:", SPLIT_VERSION_NEEDED, name, version, &err),
			 -EINVAL);
	assert_int_equal(split_spec(":v3", SPLIT_VERSION_NEEDED, name, version, &err), -EINVAL);
	assert_int_equal(split_spec("../x:v3", SPLIT_VERSION_NEEDED, name, version, &err), -EINVAL);
	assert_int_equal(split_spec("x:../v3", SPLIT_VERSION_NEEDED, name, version, &err), -EINVAL);
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(split_spec(longer, SPLIT_VERSION_OPTIONAL, name, version, &err), -EINVAL);
	longer[1] = ':';
	assert_int_equal(split_spec(longer, SPLIT_VERSION_OPTIONAL, name, version, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_share_is_full_only_when_all_is_there),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_text_from_outside_is_harmless),
		cmocka_unit_test(test_progress_line),
		cmocka_unit_test(test_progress_counts_shards_where_there_are_no_bytes),
		cmocka_unit_test(test_split),
	};

	return cmocka_run_group_tests_name("ctl_cell", tests, NULL, NULL);
}
