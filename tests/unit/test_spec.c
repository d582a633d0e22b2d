/*
 * --dataset=: what is taken, what is refused and with which words, and subsets.
 * Must try every malformed spec that the grammar knows.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/spec.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void assert_text(const char *got, const char *want)
{
	if (!want)
		assert_null(got);
	else if (!got)
		fail_msg("nothing, not \"%s\"", want);
	else
		assert_string_equal(got, want);
}

static void test_catalog_specs(void **state)
{
	static const struct {
		const char *text, *name, *version, *digest, *subset;
	} rows[] = {
		{"imagenet", "imagenet", "", "", NULL},
		{"imagenet:v3", "imagenet", "v3", "", NULL},
		{"imagenet:v3@01234567", "imagenet", "v3", "01234567", NULL},
		{"imagenet@01234567", "imagenet", "", "01234567", NULL},
		{"imagenet/train", "imagenet", "", "", "train"},
		{"imagenet:v3/train/*.tar", "imagenet", "v3", "", "train/*.tar"},
		{"imagenet:v3@01234567/a:b@c=d", "imagenet", "v3", "01234567", "a:b@c=d"},
		{"imagenet/train/", "imagenet", "", "", "train"},
		{"imagenet/a%2Cb%25", "imagenet", "", "", "a,b%"},
		{"imagenet/with space", "imagenet", "", "", "with space"},
		{"imagenet/caf\xc3\xa9", "imagenet", "", "", "caf\xc3\xa9"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct larder_spec spec;

		assert_int_equal(larder_spec_parse(rows[i].text, &spec, NULL), 0);
		assert_int_equal(spec.kind, LARDER_SPEC_CATALOG);
		assert_string_equal(spec.name, rows[i].name);
		assert_string_equal(spec.version, rows[i].version);
		assert_string_equal(spec.digest, rows[i].digest);
		assert_null(spec.origin);
		assert_text(spec.subset, rows[i].subset);
		larder_spec_fini(&spec);
	}
}

static void test_own_specs(void **state)
{
	static const struct {
		const char *text, *name, *origin, *subset;
	} rows[] = {
		{"x=/data/x", "x", "/data/x", NULL},
		{"x=/data/x/", "x", "/data/x", NULL},
		{"x=/data/x//train/*.tar", "x", "/data/x", "train/*.tar"},
		{"x=/data/a:b@c=d", "x", "/data/a:b@c=d", NULL},
		{"x=/data/my files", "x", "/data/my files", NULL},
		{"x=/data/a%2Cb", "x", "/data/a,b", NULL},
		{"x=https://host/data", "x", "https://host/data", NULL},
		{"x=https://host/data//sub", "x", "https://host/data", "sub"},
		{"x=https://host:8443/a%2520b", "x", "https://host:8443/a%20b", NULL},
		{"x=s3://bucket/prefix", "x", "s3://bucket/prefix", NULL},
		{"x=http://host", "x", "http://host", NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct larder_spec spec;
		int rc = larder_spec_parse(rows[i].text, &spec, NULL);

		assert_int_equal(rc, 0);
		assert_int_equal(spec.kind, LARDER_SPEC_OWN);
		assert_string_equal(spec.name, rows[i].name);
		assert_string_equal(spec.origin, rows[i].origin);
		assert_string_equal(spec.version, "");
		assert_text(spec.subset, rows[i].subset);
		larder_spec_fini(&spec);
	}
}

static void test_refused_specs(void **state)
{
	static const char *const bad[] = {
		"",
		":v3",
		"@01234567",
		"/train",
		"=",
		"=/x",
		"Imagenet",
		"-x",
		".x",
		"none",
		"none:v1",
		"none=/x",
		" x",
		"x ",
		"x y",
		"x:",
		"x:/train",
		"x:v 3",
		"x:v:3",
		"x:.v",
		"x@",
		"x@0123456",
		"x@0123456G",
		"x@ABCDEF01",
		"x:v@",
		"x@0123456701234567012345670123456701",
		"x@01234567:v3",
		"x/",
		"x//",
		"x//a",
		"x/../y",
		"x/.",
		"x/a//b",
		"x/a//",
		"x/a/../b",
		"x/./a",
		"x=",
		"x=rel",
		"x=./rel",
		"x=~/data",
		"x=/",
		"x=/a/../b",
		"x=/a/.",
		"x=//sub",
		"x=/a//",
		"x=/a//../b",
		"x=ftp://h/a",
		"x=https://",
		"x=https:///a",
		"x=https://u:p@h/a",
		"x=s3://",
		"x=s3:///k",
		"x=https://h/a b",
		"x=file:///a",
		"x/a%2c",
		"x/a%",
		"x/a%41",
		"x/%2F",
		"x/a\nb",
		"x/a\tb",
		"x/a\x7f",
		"x/a\xff",
		"x/\xc2\x85",
		"x/a\x1b[0m",
		"x=/a\nb",
		"x$(id)",
		"x;id",
		"x`id`",
		"x:v3@01234567@01234567",
		"x%2Cy",
		"x=/a///",
		"x=/a///b",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct larder_error err = {0};
		struct larder_spec spec;

		if (larder_spec_parse(bad[i], &spec, &err) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_int_equal(err.code, EINVAL);
		assert_true(strlen(err.text) > 10);
		/* nothing that a terminal would obey comes back */
		assert_null(strpbrk(err.text, "\n\x1b\x7f\t"));
		assert_null(spec.origin);
		assert_null(spec.subset);
	}
}

static void test_lengths_of_names(void **state)
{
	char text[400];
	struct larder_spec spec;

	(void)state;
	snprintf(text, sizeof(text), "%064d:%064d", 0, 0);
	assert_int_equal(larder_spec_parse(text, &spec, NULL), 0);
	assert_int_equal(strlen(spec.name), 64);
	assert_int_equal(strlen(spec.version), 64);
	larder_spec_fini(&spec);
	snprintf(text, sizeof(text), "%065d", 0);
	assert_int_equal(larder_spec_parse(text, &spec, NULL), -EINVAL);
	snprintf(text, sizeof(text), "x:%065d", 0);
	assert_int_equal(larder_spec_parse(text, &spec, NULL), -EINVAL);
	snprintf(text, sizeof(text), "x:%0300d", 0);
	assert_int_equal(larder_spec_parse(text, &spec, NULL), -EINVAL);
	snprintf(text, sizeof(text), "x/%0256d", 0);
	assert_int_equal(larder_spec_parse(text, &spec, NULL), -EINVAL);
}

static void test_sentences(void **state)
{
	struct larder_spec_list list;
	struct larder_error err = {0};

	(void)state;
	larder_spec_list_parse("a,Imagenet", &list, &err);
	assert_string_equal(
		err.text, "bad dataset name \"Imagenet\": allowed are a-z, 0-9, '.', '_' and '-', "
			  "the first a letter or digit, at most 64");
	larder_spec_list_parse("a:v1,a:v2", &list, &err);
	assert_string_equal(err.text, "dataset \"a\" is named twice; a job has one version and one "
				      "subset of a dataset");
	larder_spec_list_parse("a.b,a-b", &list, &err);
	assert_string_equal(err.text, "datasets \"a.b\" and \"a-b\" would both be DATASET_A_B_DIR; "
				      "use one of them only");
	larder_spec_list_parse("a/x%41", &list, &err);
	assert_string_equal(err.text,
			    "bad dataset \"%41\": write a percent sign as %25 and a comma "
			    "as %2C");
}

static void test_lists(void **state)
{
	struct larder_spec_list list;

	(void)state;
	assert_int_equal(larder_spec_list_parse("none", &list, NULL), 0);
	assert_int_equal(list.count, 0);
	larder_spec_list_fini(&list);
	assert_int_equal(larder_spec_list_parse("a:v1,b=/x,c/y%2Cz", &list, NULL), 0);
	assert_int_equal(list.count, 3);
	assert_string_equal(list.items[0].name, "a");
	assert_string_equal(list.items[1].origin, "/x");
	assert_string_equal(list.items[2].subset, "y,z");
	larder_spec_list_fini(&list);
	larder_spec_list_fini(&list);
}

static void test_refused_lists(void **state)
{
	static const char *const bad[] = {
		"",	 ",",	  "a,",	    ",a",      "a,,b",	  "none,a", "a,none", "a,a",
		"a,a:v", "a,a/x", "a,a=/x", "a_b,a-b", "a,b,c,Z", "none,",  "a\n",    "a,b\xff"};
	struct larder_spec_list list;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		if (larder_spec_list_parse(bad[i], &list, NULL) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_null(list.items);
		assert_int_equal(list.count, 0);
	}
}

static void test_limits_of_lists(void **state)
{
	static char text[LARDER_SPEC_TEXT_MAX + 100];
	struct larder_spec_list list;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < LARDER_SPECS_MAX; i++)
		n += (size_t)sprintf(text + n, "%sd%d", i ? "," : "", i);
	assert_int_equal(larder_spec_list_parse(text, &list, NULL), 0);
	assert_int_equal(list.count, LARDER_SPECS_MAX);
	larder_spec_list_fini(&list);
	strcpy(text + n, ",more");
	assert_int_equal(larder_spec_list_parse(text, &list, NULL), -EINVAL);
	memset(text, 'a', LARDER_SPEC_TEXT_MAX + 1);
	text[LARDER_SPEC_TEXT_MAX + 1] = '\0';
	assert_int_equal(larder_spec_list_parse(text, &list, NULL), -EINVAL);
}

static void test_format_is_canonical(void **state)
{
	static const struct {
		const char *text, *canonical;
	} rows[] = {
		{"none", "none"},
		{"a", "a"},
		{"a:v1@0123456789/x/,b=/o/%2C%25//s,c", "a:v1@0123456789/x,b=/o/%2C%25//s,c"},
		{"x=https://h/a%2520b/", "x=https://h/a%2520b"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct larder_spec_list list, again;
		char *text;

		assert_int_equal(larder_spec_list_parse(rows[i].text, &list, NULL), 0);
		text = larder_spec_list_format(&list);
		assert_string_equal(text, rows[i].canonical);
		assert_int_equal(larder_spec_list_parse(text, &again, NULL), 0);
		assert_int_equal(again.count, list.count);
		larder_spec_list_fini(&again);
		larder_spec_list_fini(&list);
		free(text);
	}
}

static void test_env_names(void **state)
{
	char out[LARDER_NAME_MAX + 1], name[80];

	(void)state;
	larder_spec_env_name("imagenet-1k", out);
	assert_string_equal(out, "IMAGENET_1K");
	larder_spec_env_name("a.b_c-9", out);
	assert_string_equal(out, "A_B_C_9");
	memset(name, 'z', 79);
	name[79] = '\0';
	larder_spec_env_name(name, out);
	assert_int_equal(strlen(out), LARDER_NAME_MAX);
}

static void test_subset_match(void **state)
{
	static const struct {
		const char *subset, *shard;
		bool match;
	} rows[] = {
		{NULL, "a", true},
		{"train", "train", true},
		{"train", "train/x", true},
		{"train", "training", false},
		{"train", "a/train", false},
		{"train/a", "train", false},
		{"*", "a", true},
		{"*", "a/b", true},
		{"*.tar", "a.tar", true},
		{"*.tar", "d/a.tar", false},
		{"train/*.tar", "train/a.tar", true},
		{"train/*.tar", "train/b/a.tar", false},
		{"train/*", "train/b/a.tar", true},
		{"n0[0-4]*", "n03/x.jpg", true},
		{"n0[0-4]*", "n05/x.jpg", false},
		{"*/x", "a/x/y", true},
		{"?", "ab", false},
		{"a\\*", "a*", true},
		{"a\\*", "ab", false},
		{"[", "[", true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (larder_subset_match(rows[i].subset, rows[i].shard) != rows[i].match)
			fail_msg("%s ~ %s", rows[i].subset, rows[i].shard);
}

static void test_subset_covers(void **state)
{
	static const struct {
		const char *outer, *inner;
		bool covers;
	} rows[] = {
		{NULL, NULL, true},	   {NULL, "a", true},
		{"a", NULL, false},	   {"a", "a", true},
		{"a", "a/b", true},	   {"a", "ab", false},
		{"a/b", "a", false},	   {"a", "a/*.tar", true},
		{"a", "a*", false},	   {"a", "*", false},
		{"a/b", "a/*", false},	   {"*.tar", "x.tar", true},
		{"*.tar", "x.jpg", false}, {"*.tar", "*.tar", true},
		{"*", "x*", false},	   {"train/*", "train/a/b", true},
		{"a", "a[b]/c", false},	   {"a", "a/[b", true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (larder_subset_covers(rows[i].outer, rows[i].inner) != rows[i].covers)
			fail_msg("%s covers %s", rows[i].outer, rows[i].inner);
}

/* The pattern is a stranger's: it must not cost exponential time. */
static void test_a_hostile_glob_is_cheap(void **state)
{
	char glob[300] = "", shard[256];

	(void)state;
	for (int i = 0; i < 100; i++)
		strcat(glob, "*a");
	strcat(glob, "b");
	memset(shard, 'a', 255);
	shard[255] = '\0';
	for (int i = 0; i < 100; i++)
		assert_false(larder_subset_match(glob, shard));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_catalog_specs),
		cmocka_unit_test(test_own_specs),
		cmocka_unit_test(test_refused_specs),
		cmocka_unit_test(test_lengths_of_names),
		cmocka_unit_test(test_sentences),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_refused_lists),
		cmocka_unit_test(test_limits_of_lists),
		cmocka_unit_test(test_format_is_canonical),
		cmocka_unit_test(test_env_names),
		cmocka_unit_test(test_subset_match),
		cmocka_unit_test(test_subset_covers),
		cmocka_unit_test(test_a_hostile_glob_is_cheap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
