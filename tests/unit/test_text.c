/*
 * Sizes, durations, names, digests, edit distance and text made safe to show; the error box.
 * Must pin down each limit by the value on either side of it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "larder/error.h"
#include "larder/text.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_error_set(void **state)
{
	struct larder_error err = {0};

	(void)state;
	errno = ENOENT;
	assert_int_equal(larder_error_set(&err, errno, "open %s: %m", "x"), -ENOENT);
	assert_int_equal(err.code, ENOENT);
	assert_string_equal(err.text, "open x: No such file or directory");
	assert_int_equal(larder_error_set(&err, -EPERM, "no"), -EPERM);
	assert_int_equal(err.code, EPERM);
	assert_int_equal(larder_error_set(&err, 0, "what"), -EIO);
	assert_int_equal(larder_error_set(NULL, ENOSPC, "full"), -ENOSPC);
	/* a sentence built from itself */
	larder_error_set(&err, EINVAL, "inner");
	larder_error_set(&err, EINVAL, "outer (%s)", err.text);
	assert_string_equal(err.text, "outer (inner)");
}

static void test_error_is_cut_not_overrun(void **state)
{
	char large[3 * LARDER_ERROR_MAX];
	struct larder_error err = {0};

	(void)state;
	memset(large, 'a', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	larder_error_set(&err, EINVAL, "%s", large);
	assert_int_equal(strlen(err.text), LARDER_ERROR_MAX - 1);
	assert_int_equal(larder_error_prefix(&err, "p"), -EINVAL);
	assert_int_equal(strlen(err.text), LARDER_ERROR_MAX - 1);
	assert_memory_equal(err.text, "p: aaa", 6);
	larder_error_set(&err, ENOENT, "tail");
	assert_int_equal(larder_error_prefix(&err, "%s", large), -ENOENT);
	assert_true(strlen(err.text) < LARDER_ERROR_MAX);
}

static void test_error_prefix(void **state)
{
	struct larder_error err = {0};

	(void)state;
	larder_error_set(&err, ENOENT, "no file");
	assert_int_equal(larder_error_prefix(&err, "line %d", 7), -ENOENT);
	assert_string_equal(err.text, "line 7: no file");
	assert_int_equal(larder_error_prefix(NULL, "x"), -EIO);
}

static void test_size_parse(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"0", 0},
		    {"512", 512},
		    {"512B", 512},
		    {"64K", 65536},
		    {"64k", 65536},
		    {"64KiB", 65536},
		    {"64KB", 65536},
		    {"1.5G", 1610612736},
		    {"2TiB", UINT64_C(2) << 40},
		    {"0.5K", 512},
		    {"0.001K", 1},
		    {"1.123456789E", UINT64_C(1295257491534657011)},
		    {"15E", UINT64_C(15) << 60},
		    {"18446744073709551615", UINT64_MAX},
		    {"15.999999999E", UINT64_C(18446744072556630111)}};
	static const char *const bad[] = {
		"",    " 1",   "1 ",   "-1",  "+1",   "K",   "1.5",	      "1.5B", "1.G", ".5G",
		"1GG", "1Gib", "0x10", "1e3", "1,5G", "1K1", "1.1234567890G", "1 G",  "1i"};
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		bytes = 42;
		assert_int_equal(larder_size_parse(good[i].text, &bytes, NULL), 0);
		assert_int_equal(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		if (larder_size_parse(bad[i], &bytes, NULL) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
	assert_int_equal(larder_size_parse("16E", &bytes, NULL), -ERANGE);
	assert_int_equal(larder_size_parse("18446744073709551616", &bytes, NULL), -ERANGE);
	assert_int_equal(larder_size_parse("99999999999999999999999", &bytes, NULL), -ERANGE);
}

static void test_size_sentence_shows_text_and_what_is_allowed(void **state)
{
	struct larder_error err = {0};
	uint64_t bytes;

	(void)state;
	larder_size_parse("ten\nG", &bytes, &err);
	assert_string_equal(err.text, "bad size \"ten?G\": write 512, 64K, 1.5G or 2TiB "
				      "(powers of 1024, up to E)");
}

static void test_duration_parse(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {{"0", 0},	       {"5", 5000},	  {"250ms", 250},
		    {"5s", 5000},      {"10m", 600000},	  {"2h", 7200000},
		    {"7d", 604800000}, {"1w", 604800000}, {"9223372036854775807ms", INT64_MAX}};
	static const char *const bad[] = {"",	  "s",	"-5",	"5 s", "1.5h",
					  "5min", "5S", "5m5s", "ms5"};
	int64_t ms;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(larder_duration_parse(good[i].text, &ms, NULL), 0);
		assert_int_equal(ms, good[i].ms);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		if (larder_duration_parse(bad[i], &ms, NULL) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
	assert_int_equal(larder_duration_parse("9223372036854775808ms", &ms, NULL), -ERANGE);
	assert_int_equal(larder_duration_parse("9223372036854775s", &ms, NULL), 0);
	assert_int_equal(larder_duration_parse("9223372036854776s", &ms, NULL), -ERANGE);
	assert_int_equal(larder_duration_parse("99999999999999999999", &ms, NULL), -ERANGE);
}

static void test_u64_parse(void **state)
{
	static const char *const bad[] = {"", " 1", "1 ", "+1", "-1", "1a", "0x1"};
	uint64_t value = 0;

	(void)state;
	assert_int_equal(larder_u64_parse("18446744073709551615", &value, NULL), 0);
	assert_true(value == UINT64_MAX);
	assert_int_equal(larder_u64_parse("007", &value, NULL), 0);
	assert_int_equal(value, 7);
	assert_int_equal(larder_u64_parse("18446744073709551616", &value, NULL), -ERANGE);
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(larder_u64_parse(bad[i], &value, NULL), -EINVAL);
}

static void test_size_format(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {{0, "0 B"},
		    {1023, "1023 B"},
		    {1024, "1 KiB"},
		    {1536, "1.5 KiB"},
		    {110 * 1024, "110 KiB"},
		    {1048575, "1 MiB"},
		    {UINT64_C(138) << 30, "138 GiB"},
		    {UINT64_C(2) << 40, "2 TiB"},
		    {UINT64_MAX, "16 EiB"}};
	char buf[32];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_string_equal(larder_size_format(rows[i].bytes, buf, sizeof(buf)),
				    rows[i].text);
}

/* What is printed is never further off than its last digit, and never reads 1024 of a unit. */
static void test_size_format_rounds_to_nearest(void **state)
{
	char buf[32], plain[32];

	(void)state;
	for (uint64_t bytes = 1024; bytes < UINT64_C(1) << 62; bytes += bytes / 7 + 1) {
		uint64_t back = 0;
		size_t len;

		larder_size_format(bytes, buf, sizeof(buf));
		assert_null(strstr(buf, "1024"));
		len = strcspn(buf, " ");
		snprintf(plain, sizeof(plain), "%.*s%s", (int)len, buf, buf + len + 1);
		assert_int_equal(larder_size_parse(plain, &back, NULL), 0);
		/* half of the last digit: at worst 0.5 of 10 units */
		assert_true((back > bytes ? back - bytes : bytes - back) <= bytes / 19);
	}
}

static void test_duration_format(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = {{0, "0 s"},
		    {7, "7 ms"},
		    {3000, "3 s"},
		    {59999, "59 s"},
		    {60000, "1 min"},
		    {125000, "2 min 5 s"},
		    {15000000, "4 h 10 min"},
		    {86400000, "1 day"},
		    {259200000, "3 days"},
		    {270000000, "3 days 3 h"},
		    {-1, "unknown"}};
	char buf[64];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_string_equal(larder_duration_format(rows[i].ms, buf, sizeof(buf)),
				    rows[i].text);
	larder_duration_format(INT64_MAX, buf, sizeof(buf));
	larder_duration_format(INT64_MAX, buf, 4);
	assert_int_equal(strlen(buf), 3);
}

static void fill(char *out, char first, size_t len)
{
	memset(out, first, len);
	out[len] = '\0';
}

static void test_names(void **state)
{
	static const char *const good[] = {"a", "0", "imagenet", "imagenet-1k", "a.b_c-d", "nonee"};
	static const char *const bad[] = {"",	 "none", "A", "-a", ".a", "_a",	 "a/b", "a b",
					  "a:b", "a\n",	 "é", "aB", "..", "a@b", "a=b", "a%"};
	char name[80];

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		assert_int_equal(larder_name_check(good[i], NULL), 0);
	for (size_t i = 0; i < COUNT(bad); i++)
		if (larder_name_check(bad[i], NULL) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
	fill(name, 'a', 64);
	assert_int_equal(larder_name_check(name, NULL), 0);
	fill(name, 'a', 65);
	assert_int_equal(larder_name_check(name, NULL), -EINVAL);
}

static void test_versions(void **state)
{
	static const char *const good[] = {"v3", "V3", "2024.01-rc_1", "none", "latest", "0"};
	static const char *const bad[] = {"", ".v", "-v", "v/3", "v 3", "v:3", "v@", "v\x80"};
	char version[80];

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		assert_int_equal(larder_version_check(good[i], NULL), 0);
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(larder_version_check(bad[i], NULL), -EINVAL);
	fill(version, 'Z', 64);
	assert_int_equal(larder_version_check(version, NULL), 0);
	fill(version, 'Z', 65);
	assert_int_equal(larder_version_check(version, NULL), -EINVAL);
}

static void test_digests(void **state)
{
	char digest[64];

	(void)state;
	fill(digest, 'f', 7);
	assert_int_equal(larder_digest_check(digest, NULL), -EINVAL);
	fill(digest, 'f', 8);
	assert_int_equal(larder_digest_check(digest, NULL), 0);
	fill(digest, '0', 32);
	assert_int_equal(larder_digest_check(digest, NULL), 0);
	fill(digest, '0', 33);
	assert_int_equal(larder_digest_check(digest, NULL), -EINVAL);
	assert_int_equal(larder_digest_check("DEADBEEF", NULL), -EINVAL);
	assert_int_equal(larder_digest_check("0123456g", NULL), -EINVAL);
	assert_int_equal(larder_digest_check("", NULL), -EINVAL);
}

static void test_edit_distance(void **state)
{
	char large[200];

	(void)state;
	assert_int_equal(larder_edit_distance("imagenet", "imagenet", 3), 0);
	assert_int_equal(larder_edit_distance("imagnet", "imagenet", 3), 1);
	assert_int_equal(larder_edit_distance("iamgenet", "imagenet", 3), 1);
	assert_int_equal(larder_edit_distance("kitten", "sitting", 3), 3);
	assert_int_equal(larder_edit_distance("kitten", "sitting", 2), 3);
	assert_int_equal(larder_edit_distance("abc", "xyz", 1), 2);
	assert_int_equal(larder_edit_distance("", "abc", 5), 3);
	assert_int_equal(larder_edit_distance("abc", "", 5), 3);
	assert_int_equal(larder_edit_distance("", "", 0), 0);
	fill(large, 'a', 199);
	assert_int_equal(larder_edit_distance(large, large, 2), 3);
	fill(large, 'a', 128);
	assert_int_equal(larder_edit_distance(large, large, 2), 0);
}

static void test_printable(void **state)
{
	char text[] = "a\nb\x1b[31mc\x7f\xc3\xa9\xff\xc2\x85z\xe2\x82";

	(void)state;
	assert_string_equal(larder_text_printable(text), "a?b?[31mc?\xc3\xa9???z??");
}

static void test_quote(void **state)
{
	char buf[12], tiny[3];

	(void)state;
	assert_string_equal(larder_text_quote("short", SIZE_MAX, buf, sizeof(buf)), "short");
	assert_string_equal(larder_text_quote("a bit longer than it", SIZE_MAX, buf, sizeof(buf)),
			    "a bit lo...");
	assert_string_equal(larder_text_quote("abcdefg\xc3\xa9xxxxx", SIZE_MAX, buf, sizeof(buf)),
			    "abcdefg...");
	assert_string_equal(larder_text_quote("abc\ndef", 5, buf, sizeof(buf)), "abc?d");
	assert_string_equal(larder_text_quote("12345678901", SIZE_MAX, buf, sizeof(buf)),
			    "12345678901");
	assert_string_equal(larder_text_quote("abc", SIZE_MAX, tiny, sizeof(tiny)), "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error_set),
		cmocka_unit_test(test_error_is_cut_not_overrun),
		cmocka_unit_test(test_error_prefix),
		cmocka_unit_test(test_size_parse),
		cmocka_unit_test(test_size_sentence_shows_text_and_what_is_allowed),
		cmocka_unit_test(test_duration_parse),
		cmocka_unit_test(test_u64_parse),
		cmocka_unit_test(test_size_format),
		cmocka_unit_test(test_size_format_rounds_to_nearest),
		cmocka_unit_test(test_duration_format),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_digests),
		cmocka_unit_test(test_edit_distance),
		cmocka_unit_test(test_printable),
		cmocka_unit_test(test_quote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
