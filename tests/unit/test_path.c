/*
 * How a shard's path is spelt, ordered and refused.
 * Must try every refusal of larder-manifest(5) that concerns one path.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "larder/text.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *path, *text;
} pairs[] = {
	{"a", "a"},
	{"train/0001.tar", "train/0001.tar"},
	{"with space", "with%20space"},
	{"new\nline", "new%0Aline"},
	{"100%", "100%25"},
	{"\x7f", "%7F"},
	{"caf\xc3\xa9", "caf\xc3\xa9"},
	{"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
	{"\xff", "%FF"},
	{"\xc3", "%C3"},
	{"\xc3/x", "%C3/x"},
	{"\xe2\x82z", "%E2%82z"},
	{"\xed\xa0\x80", "%ED%A0%80"},	      /* a surrogate */
	{"\xc0\xaf", "%C0%AF"},		      /* an overlong '/' */
	{"\xf4\x90\x80\x80", "%F4%90%80%80"}, /* above U+10FFFF */
	{"\xc2\x85", "\xc2\x85"},
	{"\x80\xc3\xa9\x80", "%80\xc3\xa9%80"},
	{"...", "..."},
	{".hidden/..x", ".hidden/..x"},
};

static void test_round_trip(void **state)
{
	char out[LARDER_PATH_BYTES + 1];

	(void)state;
	for (size_t i = 0; i < COUNT(pairs); i++) {
		char *text = larder_path_encode(pairs[i].path);

		assert_string_equal(text, pairs[i].text);
		assert_int_equal(larder_path_decode(text, strlen(text), out, sizeof(out), NULL),
				 strlen(pairs[i].path));
		assert_string_equal(out, pairs[i].path);
		free(text);
	}
}

/* Every pair of bytes has one spelling, and no other text decodes to it. */
static void test_round_trip_of_every_pair_of_bytes(void **state)
{
	char path[3], out[16];

	(void)state;
	for (int a = 1; a < 256; a++)
		for (int b = 1; b < 256; b++) {
			char *text;

			path[0] = (char)a;
			path[1] = (char)b;
			path[2] = '\0';
			if (larder_path_check(path, NULL))
				continue;
			text = larder_path_encode(path);
			assert_int_equal(
				larder_path_decode(text, strlen(text), out, sizeof(out), NULL), 2);
			assert_string_equal(out, path);
			free(text);
		}
}

static void test_refused_texts(void **state)
{
	static const char *const bad[] = {
		"",	   "/a",      "a/",	      "a//b",	   ".",		 "..",
		"a/.",	   "./a",     "a/../b",	      "../a",	   "a/..",	 "%00",
		"a%00",	   "a%2Fb",   "%2F",	      "%2f",	   "%",		 "%4",
		"a%2",	   "%4G",     "%0a",	      "%41",	   "a b",	 "a\nb",
		"%C3%A9",  "\xff",    "\x7f",	      "caf%c3%a9", "%2E%2E",	 "%2E",
		"\xc3%A9", "%C3\xa9", "\xed\xa0\x80", "a\tb",	   "%20/%2E%2E", "\xc0\xaf"};
	char out[LARDER_PATH_BYTES + 1];

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		if (larder_path_decode(bad[i], strlen(bad[i]), out, sizeof(out), NULL) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
	assert_int_equal(larder_path_decode("a\0b", 3, out, sizeof(out), NULL), -EINVAL);
}

static void test_the_sentence_shows_the_path_and_the_fault(void **state)
{
	struct larder_error err = {0};
	char out[64];

	(void)state;
	larder_path_decode("a/../b\n", 6, out, sizeof(out), &err);
	assert_string_equal(err.text, "bad path \"a/../b\": it has a component ..");
	larder_path_check("/x\x1b", &err);
	assert_string_equal(err.text, "bad path \"/x?\": it is absolute");
}

/* A component of `len` bytes 'x'. */
static char *component(char *to, size_t len)
{
	memset(to, 'x', len);
	to[len] = '\0';
	return to + len;
}

static void test_lengths(void **state)
{
	char path[LARDER_PATH_BYTES + 300], out[LARDER_PATH_BYTES + 1];
	char *p = path;

	(void)state;
	component(path, 255);
	assert_int_equal(larder_path_check(path, NULL), 0);
	component(path, 256);
	assert_int_equal(larder_path_check(path, NULL), -EINVAL);
	strcpy(component(path, 255), "/x");
	assert_int_equal(larder_path_check(path, NULL), 0);
	strcpy(path, "y/");
	component(path + 2, 256);
	assert_int_equal(larder_path_check(path, NULL), -EINVAL);
	/* 15 components of 255 and their slashes, and 255 more: 4095 */
	for (int i = 0; i < 15; i++) {
		p = component(p, 255);
		*p++ = '/';
	}
	p = component(p, 255);
	assert_int_equal(p - path, 4095);
	assert_int_equal(larder_path_check(path, NULL), 0);
	assert_int_equal(larder_path_decode(path, 4095, out, sizeof(out), NULL), 4095);
	assert_int_equal(larder_path_decode(path, 4095, out, sizeof(out) - 1, NULL), -EINVAL);
	memmove(path + 2, path, 4096);
	memcpy(path, "y/", 2);
	assert_int_equal(larder_path_check(path, NULL), -EINVAL);
	assert_int_equal(larder_path_decode(path, strlen(path), out, sizeof(out), NULL), -EINVAL);
}

/* 255 bytes decoded are legal even where they take three times as many encoded. */
static void test_a_long_component_that_is_all_escapes(void **state)
{
	char path[256], out[LARDER_PATH_BYTES + 1];
	char *text;

	(void)state;
	memset(path, '\n', 255);
	path[255] = '\0';
	text = larder_path_encode(path);
	assert_int_equal(strlen(text), 765);
	assert_int_equal(larder_path_decode(text, 765, out, sizeof(out), NULL), 255);
	assert_string_equal(out, path);
	free(text);
}

static void test_order(void **state)
{
	/* sorted: what lies below a directory stands right behind it */
	static const char *const sorted[] = {"a",   "a/b", "a/b/c", "a/c", "a b",  "a!",
					     "a-b", "a.b", "ab",    "b",   "\x7f", "\xc3\xa9"};

	(void)state;
	for (size_t i = 0; i < COUNT(sorted); i++)
		for (size_t j = 0; j < COUNT(sorted); j++) {
			int order = larder_path_compare(sorted[i], sorted[j]);

			assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
		}
}

static void test_symlinks(void **state)
{
	static const struct {
		const char *path, *target;
		bool stays;
	} rows[] = {
		{"a", "b", true},
		{"a", "b/c", true},
		{"a", ".", true},
		{"a/b", "..", true},
		{"a/b", "../c", true},
		{"a/b/c", "../../d", true},
		{"a/b", "./../c", true},
		{"a", "b//c", true},
		{"a", "...", true},
		{"a", "..x", true},
		{"a", "..", false},
		{"a", "../b", false},
		{"a/b", "../..", false},
		{"a/b", "../../c", false},
		{"a", "/b", false},
		{"a", "/", false},
		{"a", "", false},
		{"a", "b/../..", false},
		{"a/b", "x/../../../y", false},
		/* lexically inside, but x may be a symlink that already went up */
		{"a/b", "x/..", false},
		{"a", "b/../c", false},
		{"a/b/c", "../x/../../d", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (larder_symlink_stays(rows[i].path, rows[i].target) != rows[i].stays)
			fail_msg("%s -> %s", rows[i].path, rows[i].target);
}

static void test_targets_are_encoded_but_not_paths(void **state)
{
	char out[64];

	(void)state;
	assert_int_equal(larder_percent_decode("../a%20b/", 9, out, sizeof(out), NULL), 7);
	assert_string_equal(out, "../a b/");
	assert_int_equal(larder_percent_decode("..%2Fa", 6, out, sizeof(out), NULL), -EINVAL);
	assert_int_equal(larder_percent_decode("%00", 3, out, sizeof(out), NULL), -EINVAL);
	assert_int_equal(larder_percent_decode("abcd", 4, out, 4, NULL), -EINVAL);
	assert_int_equal(larder_percent_decode("abc", 3, out, 4, NULL), 3);
	assert_int_equal(larder_percent_decode("%20%20", 6, out, 2, NULL), -EINVAL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_round_trip_of_every_pair_of_bytes),
		cmocka_unit_test(test_refused_texts),
		cmocka_unit_test(test_the_sentence_shows_the_path_and_the_fault),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_a_long_component_that_is_all_escapes),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_symlinks),
		cmocka_unit_test(test_targets_are_encoded_but_not_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
