/*
 * Foreign lists: what each form says, and what no list may say.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "larder/manifest.h"
#include "larder/text.h"
#include "scan/list.h"

#define SHA256		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define XXH128		"06b05ab6733a618578af5f94892f3950"
#define XXH128_REVERSED "50392f89945faf7885613a73b65ab006"
#define MD5		"900150983cd24fb0d6963f7d28e17f72"

static const struct scan_list plainly = {.where = "/tmp/x", .origin = "https://h/d"};

/* The text is copied exactly, so that a sanitizer sees a step beyond it. */
static int parse(const struct scan_list *list, const char *text, struct scan_paths *paths,
		 struct larder_error *err)
{
	char *copy = strdup(text);
	int rc;

	*paths = (struct scan_paths){0};
	*err = (struct larder_error){0};
	rc = scan_list_parse(list, copy, strlen(copy), paths, err);
	free(copy);
	return rc;
}

static void refused(const struct scan_list *list, const char *text, int code, const char *part)
{
	struct scan_paths paths;
	struct larder_error err;

	assert_int_equal(parse(list, text, &paths, &err), -code);
	if (!strstr(err.text, part))
		fail_msg("\"%s\" is not in: %s", part, err.text);
	scan_paths_fini(&paths);
}

static void taken(const struct scan_list *list, const char *text, struct scan_paths *paths)
{
	struct larder_error err;

	if (parse(list, text, paths, &err))
		fail_msg("%s", err.text);
}

/* One path and the kind of its sum. */
static void taken_one(const struct scan_list *list, const char *text, const char *path,
		      enum sum_kind kind)
{
	struct scan_paths paths;

	taken(list, text, &paths);
	assert_int_equal(paths.count, 1);
	assert_string_equal(paths.items[0]->path, path);
	assert_int_equal(paths.items[0]->sum, kind);
	scan_paths_fini(&paths);
}

static struct digest digest_in(const char *text)
{
	struct scan_paths paths;
	struct digest digest;

	taken(&plainly, text, &paths);
	assert_int_equal(paths.items[0]->sum, SUM_XXH128);
	digest = sum_digest(scan_path_sum(paths.items[0]));
	scan_paths_fini(&paths);
	return digest;
}

static void test_lines_of_sums(void **state)
{
	(void)state;
	taken_one(&plainly, SHA256 "  a/b.tar\n", "a/b.tar", SUM_SHA256);
	taken_one(&plainly, SHA256 " *a b\r\n", "a b", SUM_SHA256);
	taken_one(&plainly, SHA256 "  ./././a", "a", SUM_SHA256);
	taken_one(&plainly, "\\" SHA256 "  n\\\\\\nl\n", "n\\\nl", SUM_SHA256);
	taken_one(&plainly, "# by hand\n\n44bc2cf5ad770999  a\n", "a", SUM_XXH64);
	taken_one(&plainly, "32D153FF  a\n", "a", SUM_XXH32);
	taken_one(&plainly, "XXH3_78af5f94892f3950  a\n", "a", SUM_XXH3);
	taken_one(&plainly, "a9993e364706816aba3e25717850c26c9cd0d89d  a\n", "a", SUM_SHA1);
	refused(&plainly, SHA256 "  a\n" SHA256 " b\n", EINVAL, "line 2");
	refused(&plainly, SHA256 "  a\nnothing here\n", EINVAL, "line 2");
	refused(&plainly, SHA256 "  a\n" SHA256 "  \n", EINVAL, "line 2");
	refused(&plainly, SHA256 "  a\n\\" SHA256 "  a\\x\n", EINVAL, "line 2");
}

static void test_tagged_lines(void **state)
{
	struct digest digest, reversed;

	(void)state;
	taken_one(&plainly, "SHA256 (a (b) = c) = " SHA256 "\n", "a (b) = c", SUM_SHA256);
	taken_one(&plainly, "MD5 (z) = " MD5 "\n", "z", SUM_MD5);
	taken_one(&plainly, "XXH3 (y) = 78af5f94892f3950\n", "y", SUM_XXH3);
	digest = digest_in("XXH128 (x) = " XXH128 "\n");
	reversed = digest_in("XXH128_LE (x) = " XXH128_REVERSED "\n");
	assert_true(digest_equal(digest, reversed));
	assert_true(digest_equal(digest, digest_of("abc", 3)));
	refused(&plainly, "SHA256 (x) = " MD5 "\n", EINVAL, "no sha256");
	refused(&plainly, "SHA256 (a) = " SHA256 "\nCRC (x) = 12345678\n", EINVAL, "line 2");
	refused(&plainly, "SHA256 (a) = " SHA256 "\nSHA256 () = " SHA256 "\n", EINVAL, "line 2");
}

static void test_what_32_digits_are_must_be_told(void **state)
{
	struct scan_list list = plainly;

	(void)state;
	refused(&list, XXH128 "  a\n", EINVAL, "--sums");
	list.sums = SUM_XXH128;
	taken_one(&list, XXH128 "  a\n", "a", SUM_XXH128);
	refused(&list, SHA256 "  a\n", EINVAL, "no xxh128");
	list.sums = SUM_NONE;
	list.where = "/x/md5/MD5SUMS.txt";
	taken_one(&list, MD5 "  a\n", "a", SUM_MD5);
	list.where = "/x/md5/all.xxh128";
	taken_one(&list, XXH128 "  a\n", "a", SUM_XXH128);
	list.where = "/x/xxh3_128sums";
	taken_one(&list, XXH128 "  a\n", "a", SUM_XXH128);
	/* a name that does not fit the digits says nothing, and the directory's name neither */
	taken_one(&list, SHA256 "  a\n", "a", SUM_SHA256);
	list.where = "/x/md5/all";
	refused(&list, MD5 "  a\n", EINVAL, "--sums");
}

static void test_paths_that_may_not_be(void **state)
{
	static const char *const bad[] = {"../../etc/shadow", "/etc/shadow", "a/../b", "a//b",
					  "a/"};
	char text[200];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), SHA256 "  ok\n" SHA256 "  %s\n", bad[i]);
		refused(&plainly, text, EINVAL, "line 2");
		snprintf(text, sizeof(text), "ok\n%s\n", bad[i]);
		refused(&plainly, text, EINVAL, "line 2");
	}
	refused(&plainly, "\n\n", EINVAL, "names no path");
	assert_int_equal(scan_list_parse(&plainly, (char[]){"a\0b"}, 3, &(struct scan_paths){0},
					 &(struct larder_error){0}),
			 -EINVAL);
}

static void test_nothing_twice(void **state)
{
	(void)state;
	refused(&plainly, "b\na\nc\na\n", EINVAL, "\"a\" is listed twice (lines 2 and 4)");
	refused(&plainly, "a/b\nx\na\n", EINVAL, "\"a\" (line 3) is a file, and \"a/b\" (line 1)");
	refused(&plainly, "{a,b,a}\n", EINVAL, "twice");
	refused(&plainly,
		"{\"version\":2,\"shards\":[{\"raw_data\":{\"basename\":\"s\",\"bytes\":1}},"
		"{\"raw_data\":{\"basename\":\"s\",\"bytes\":1}}]}",
		EINVAL, "shards 1 and 2");
}

static void test_where_a_list_stands(void **state)
{
	struct scan_list list = plainly;

	(void)state;
	list.where = "https://h/d/sub%20dir/SHA256SUMS";
	taken_one(&list, SHA256 "  a\n", "sub dir/a", SUM_SHA256);
	taken_one(&list, "a\n", "sub dir/a", SUM_NONE);
	taken_one(&list, "https://h/d/x/a%2Bb.tar\n", "x/a+b.tar", SUM_NONE);
	refused(&list, "https://h/dd/a.tar\n", EINVAL, "not below the origin");
	list.where = "https://h/d2/SHA256SUMS";
	taken_one(&list, SHA256 "  a\n", "a", SUM_SHA256);
	list.form = SCAN_LIST_PLAIN;
	list.where = "https://h/d/sub/list";
	taken_one(&list, SHA256 "  a\n", SHA256 "  a", SUM_NONE);
	taken_one(&list, "a{1,2}\n", "a{1,2}", SUM_NONE);
}

static void test_plain_lists(void **state)
{
	struct scan_list list = plainly;
	struct scan_paths paths;

	(void)state;
	list.form = SCAN_LIST_PLAIN;
	taken(&list, "a\n\nb/c d\r\n\xc3\xa9", &paths);
	assert_int_equal(paths.count, 3);
	assert_string_equal(paths.items[1]->path, "b/c d");
	assert_string_equal(paths.items[2]->path, "\xc3\xa9");
	scan_paths_fini(&paths);
	refused(&list, "a\nb/../c\n", EINVAL, "line 2");
}

static void expands(const char *text, size_t count, const char *first, const char *last)
{
	struct scan_paths paths = {0};
	struct larder_error err = {0};

	if (scan_paths_expand(&paths, text, 0, &err))
		fail_msg("%s", err.text);
	assert_int_equal(paths.count, count);
	assert_string_equal(paths.items[0]->path, first);
	assert_string_equal(paths.items[count - 1]->path, last);
	scan_paths_fini(&paths);
}

static void not_braces(const char *text, int code)
{
	struct scan_paths paths = {0};
	struct larder_error err = {0};

	assert_int_equal(scan_paths_expand(&paths, text, 0, &err), -code);
	scan_paths_fini(&paths);
}

static void test_braces(void **state)
{
	(void)state;
	expands("a.tar", 1, "a.tar", "a.tar");
	expands("n-{000..146}.tar", 147, "n-000.tar", "n-146.tar");
	expands("{8..11}", 4, "8", "11");
	expands("{train,val}/{0..1}/n-{00..09}.tar", 40, "train/0/n-00.tar", "val/1/n-09.tar");
	expands("{,x}a", 2, "a", "xa");
	not_braces("{0000..2}", EINVAL);
	not_braces("a{01..002}", EINVAL);
	not_braces("a{-1..2}", EINVAL);
	not_braces("a{1..2000000000000}", EINVAL);
	not_braces("{2..1}", EINVAL);
	not_braces("{a..c}", EINVAL);
	not_braces("{a}", EINVAL);
	not_braces("{{1..2}}", EINVAL);
	not_braces("a}", EINVAL);
	not_braces("a{1..2", EINVAL);
	not_braces("{1..2}/../x", EINVAL);
	not_braces("{0..999999999}", E2BIG);
	not_braces("{0..9999}{0..9999}", E2BIG);
	not_braces("{1,2}{1,2}{1,2}{1,2}{1,2}{1,2}{1,2}{1,2}{1,2}", EINVAL);
}

static void test_index_json(void **state)
{
	static const char text[] =
		"{\"version\": 2, \"shards\": [{\"column_names\": [\"x\"], \"compression\": \"zstd\","
		"\"format\": \"mds\", \"hashes\": [\"sha1\"], \"raw_data\": {\"basename\": "
		"\"shard.00000.mds\", \"bytes\": 100, \"hashes\": {}}, \"zip_data\": {\"basename\": "
		"\"shard.00000.mds.zstd\", \"bytes\": 50, \"hashes\": {\"crc9\": \"x\", \"sha256\": "
		"\"" SHA256 "\", \"xxh128\": \"" XXH128
		"\"}}}, {\"format\": \"csv\", \"raw_data\": "
		"{\"basename\": \"shard.00001.csv\", \"bytes\": 3, \"hashes\": {\"md5\": \"" MD5
		"\"}},"
		"\"raw_meta\": {\"basename\": \"shard.00001.csv.meta\", \"bytes\": 4, \"hashes\": {}},"
		"\"zip_data\": null}]}";
	struct scan_list list = plainly;
	struct scan_paths paths;

	(void)state;
	list.where = "https://h/d/train/index.json";
	taken(&list, text, &paths);
	assert_int_equal(paths.count, 4);
	assert_string_equal(paths.items[0]->path, "train/index.json");
	assert_string_equal(paths.items[1]->path, "train/shard.00000.mds.zstd");
	assert_int_equal(paths.items[1]->size, 50);
	assert_int_equal(paths.items[1]->sum, SUM_XXH128);
	assert_int_equal(paths.items[1]->line, 1);
	assert_string_equal(paths.items[2]->path, "train/shard.00001.csv");
	assert_int_equal(paths.items[2]->sum, SUM_MD5);
	assert_string_equal(paths.items[3]->path, "train/shard.00001.csv.meta");
	scan_paths_fini(&paths);
	list.where = "/elsewhere/index.json"; /* not of the dataset then */
	taken(&list, text, &paths);
	assert_int_equal(paths.count, 3);
	scan_paths_fini(&paths);
}

static void test_bad_index_json(void **state)
{
	(void)state;
	refused(&plainly, "{", EINVAL, "no JSON");
	refused(&plainly, "{\"a\": 1}", EINVAL, "no index.json");
	refused(&plainly, "{\"version\":2,\"shards\":{}}", EINVAL, "no index.json");
	refused(&plainly, "{\"version\":2,\"shards\":[]}", EINVAL, "names no path");
	refused(&plainly, "{\"version\":2,\"shards\":[7]}", EINVAL, "shard 1");
	refused(&plainly, "{\"version\":2,\"shards\":[{}]}", EINVAL, "raw_data");
	refused(&plainly,
		"{\"version\":2,\"shards\":[{\"raw_data\":{\"basename\":7,\"bytes\":1}}]}", EINVAL,
		"basename");
	refused(&plainly,
		"{\"version\":2,\"shards\":[{\"raw_data\":{\"basename\":\"a\",\"bytes\":-1}}]}",
		EINVAL, "bytes");
	refused(&plainly,
		"{\"version\":2,\"shards\":[{\"raw_data\":{\"basename\":\"../a\",\"bytes\":1}}]}",
		EINVAL, "shard 1");
	refused(&plainly,
		"{\"version\":2,\"shards\":[{\"raw_data\":{\"basename\":\"a\",\"bytes\":1,"
		"\"hashes\":{\"md5\":\"12\"}}}]}",
		EINVAL, "hash");
	refused(&plainly, "{\"version\":2,\"version\":2,\"shards\":[]}", EINVAL, "no JSON");
}

static void form_is(const char *origin, enum larder_origin_form want, size_t want_root)
{
	enum larder_origin_form form;
	struct larder_error err = {0};
	size_t root;

	if (larder_origin_form(origin, &form, &root, &err))
		fail_msg("%s", err.text);
	assert_int_equal(form, want);
	assert_int_equal(root, want_root);
}

static void test_forms_of_origins(void **state)
{
	enum larder_origin_form form;
	size_t root;

	(void)state;
	form_is("/a/index.json", LARDER_ORIGIN_TREE, 13);
	form_is("s3://b/x.tar", LARDER_ORIGIN_TREE, 12);
	form_is("s3://b", LARDER_ORIGIN_TREE, 6);
	form_is("s3://b/p/index.json", LARDER_ORIGIN_LIST, 8);
	form_is("https://h/d/SHA256SUMS", LARDER_ORIGIN_LIST, 11);
	form_is("https://h/d/x.sha256", LARDER_ORIGIN_LIST, 11);
	form_is("https://h/files.list", LARDER_ORIGIN_LIST, 9);
	form_is("https://h/d/{a,b}/x-{0..9}.tar", LARDER_ORIGIN_BRACES, 11);
	form_is("https://h/d/x-{0..9}.tar", LARDER_ORIGIN_BRACES, 11);
	form_is("https://h/d/x.tar.gz", LARDER_ORIGIN_FILE, 11);
	assert_int_equal(larder_origin_form("https://h/d", &form, &root, NULL), -EINVAL);
	assert_int_equal(larder_origin_form("https://h", &form, &root, NULL), -EINVAL);
	assert_int_equal(larder_origin_form("https://h.de", &form, &root, NULL), -EINVAL);
	assert_int_equal(larder_origin_form("https://h{1..2}/x", &form, &root, NULL), -EINVAL);
}

static void sum_is(enum sum_kind kind, const char *hex)
{
	struct larder_error err = {0};
	unsigned char want[SUM_BYTES_MAX];
	struct sum_state sum;

	assert_true(sum_parse(kind, hex, strlen(hex), false, want));
	assert_int_equal(sum_begin(&sum, kind, &err), 0);
	sum_update(&sum, "a", 1);
	sum_update(&sum, "bc", 2);
	assert_true(sum_matches(&sum, want));
	assert_int_equal(sum_begin(&sum, kind, &err), 0);
	sum_update(&sum, "abd", 3);
	assert_false(sum_matches(&sum, want));
}

/* Of "abc", as sha256sum, md5sum, b2sum and xxhsum print them. */
static void test_sums_are_those_of_the_tools(void **state)
{
	(void)state;
	sum_is(SUM_SHA256, SHA256);
	sum_is(SUM_MD5, MD5);
	sum_is(SUM_SHA1, "a9993e364706816aba3e25717850c26c9cd0d89d");
	sum_is(SUM_BLAKE2B, "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
			    "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923");
	sum_is(SUM_XXH32, "32d153ff");
	sum_is(SUM_XXH64, "44bc2cf5ad770999");
	sum_is(SUM_XXH3, "78af5f94892f3950");
}

static void test_many_lines_are_bounded(void **state)
{
	struct scan_paths paths = {0};
	struct larder_error err = {0};

	(void)state;
	paths.count = SCAN_PATHS_MAX; /* as if so many were there */
	assert_int_equal(scan_paths_add(&paths, "a", 1, 0, SUM_NONE, NULL, &err), -E2BIG);
	assert_non_null(strstr(err.text, "10000000"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_of_sums),
		cmocka_unit_test(test_tagged_lines),
		cmocka_unit_test(test_what_32_digits_are_must_be_told),
		cmocka_unit_test(test_paths_that_may_not_be),
		cmocka_unit_test(test_nothing_twice),
		cmocka_unit_test(test_where_a_list_stands),
		cmocka_unit_test(test_plain_lists),
		cmocka_unit_test(test_braces),
		cmocka_unit_test(test_index_json),
		cmocka_unit_test(test_bad_index_json),
		cmocka_unit_test(test_forms_of_origins),
		cmocka_unit_test(test_sums_are_those_of_the_tools),
		cmocka_unit_test(test_many_lines_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
