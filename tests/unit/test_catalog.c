/*
 * Finding datasets in a catalog: versions, aliases, nearest names, and what a user may not see.
 * Each test builds its own catalog. As root the user's view is taken in a child with other ids.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "skip.h"
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "larder/catalog.h"
#include "scratch.h"

#define D1     "0123456789abcdeffedcba9876543210"
#define USER   4242 /* whom no NSS knows */
#define NOBODY 65534

/* name/file gets a head that says name:version. */
static void publish_as(const char *dir, const char *name, const char *file, const char *says,
		       const char *version, const char *access, const char *origin)
{
	char text[1000];

	mkdir(scratch_path(dir, "%s", name), 0755);
	snprintf(text, sizeof(text),
		 "larder-manifest 1\nname %s\nversion %s\naccess %s\norigin %s\ncreated 5\n"
		 "shards %020d\nbytes %020d\ndigest " D1 "\n\n",
		 says, version, access, origin, 0, 0);
	scratch_write(scratch_path(dir, "%s/%s", name, file), text, strlen(text));
}

static void publish(const char *dir, const char *name, const char *version, const char *access)
{
	char file[100];

	snprintf(file, sizeof(file), "%s.manifest", version);
	publish_as(dir, name, file, name, version, access, "/data/x");
}

static void alias(const char *dir, const char *name, const char *from, const char *to)
{
	if (symlink(to, scratch_path(dir, "%s/%s.manifest", name, from)))
		fail_msg("symlink");
}

static int setup(void **state)
{
	char *dir = scratch_create();

	chmod(dir, 0755);
	publish(dir, "imagenet", "v2", "public");
	publish(dir, "imagenet", "v3", "public");
	publish(dir, "imagenet", "v10", "public");
	alias(dir, "imagenet", "latest", "v3.manifest");
	publish(dir, "imagenet-1k", "v1", "public");
	publish(dir, "secret", "v1", "users=1");
	alias(dir, "secret", "latest", "v1.manifest");
	publish(dir, "mixed", "open", "public");
	publish(dir, "mixed", "closed", "users=1");
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	scratch_destroy(*state);
	return 0;
}

static int find(const char *dir, const char *text, uid_t uid, struct larder_catalog_entry *entry,
		struct larder_error *err)
{
	struct larder_spec spec;
	int rc;

	assert_int_equal(larder_spec_parse(text, &spec, NULL), 0);
	rc = larder_catalog_find(dir, &spec, uid, uid, entry, err);
	larder_spec_fini(&spec);
	return rc;
}

static void expect_error(const char *dir, const char *text, uid_t uid, int code, const char *say)
{
	struct larder_catalog_entry entry;
	struct larder_error err = {0};
	int rc = find(dir, text, uid, &entry, &err);

	if (rc != code)
		fail_msg("%s: %d, \"%s\"", text, rc, err.text);
	assert_string_equal(err.text, say);
	assert_null(entry.path);
	assert_int_equal(entry.head.n_origins, 0);
	/* and the same without a box */
	assert_int_equal(find(dir, text, uid, &entry, NULL), code);
}

static void expect_version(const char *dir, const char *text, uid_t uid, const char *version)
{
	struct larder_catalog_entry entry;
	struct larder_error err = {0};

	if (find(dir, text, uid, &entry, &err))
		fail_msg("%s: %s", text, err.text);
	assert_string_equal(entry.head.version, version);
	assert_int_equal(entry.head.publisher, geteuid());
	assert_string_equal(entry.path,
			    scratch_path(dir, "%s/%s.manifest", entry.head.name, version));
	larder_catalog_entry_fini(&entry);
}

static void test_versions_and_aliases(void **state)
{
	expect_version(*state, "imagenet", USER, "v3");
	expect_version(*state, "imagenet:latest", USER, "v3");
	expect_version(*state, "imagenet:v2", USER, "v2");
	expect_version(*state, "imagenet:v2/train", USER, "v2");
	expect_version(*state, "imagenet:v2@01234567", USER, "v2");
	expect_version(*state, "imagenet@" D1, USER, "v3");
}

static void test_another_digest(void **state)
{
	expect_error(
		*state, "imagenet:v3@deadbeef", USER, -ESTALE,
		"imagenet:v3 has the digest 0123456789abcdef now, not deadbeef; name the version "
		"without a digest to take what is there");
}

static void test_unknown_names(void **state)
{
	expect_error(
		*state, "imagnet", USER, -ENOENT,
		"unknown dataset \"imagnet\"; did you mean imagenet? (larder catalog lists what "
		"there is)");
	expect_error(*state, "zzz", USER, -ENOENT,
		     "unknown dataset \"zzz\" (larder catalog lists what there is)");
	publish(*state, "imagenex", "v1", "public");
	publish(*state, "imagenew", "v1", "public");
	publish(*state, "imaxenet", "v1", "public");
	expect_error(*state, "imagene", USER, -ENOENT,
		     "unknown dataset \"imagene\"; did you mean imagenet, imagenew or imagenex? "
		     "(larder catalog lists what there is)");
}

static void test_unknown_versions(void **state)
{
	expect_error(*state, "imagenet:v9", USER, -ENOENT,
		     "dataset \"imagenet\" has no version \"v9\"; it has latest (v3), v2, v3, v10");
	expect_error(*state, "imagenet-1k", USER, -ENOENT,
		     "dataset \"imagenet-1k\" has no latest; name a version: it has v1");
	for (int i = 20; i < 40; i++) {
		char version[8];

		snprintf(version, sizeof(version), "v%d", i);
		publish(*state, "imagenet", version, "public");
	}
	expect_error(
		*state, "imagenet:v9", USER, -ENOENT,
		"dataset \"imagenet\" has no version \"v9\"; it has latest (v3), v2, v3, v10, v20, "
		"v21, v22, v23, v24, v25, v26, v27 and 12 more");
}

/* A forbidden dataset reads like an unknown one, and is no nearest name. */
static void test_forbidden_reads_like_unknown(void **state)
{
	expect_version(*state, "secret", 1, "v1");
	expect_version(*state, "secret", 0, "v1");
	expect_error(*state, "secret", USER, -ENOENT,
		     "unknown dataset \"secret\" (larder catalog lists what there is)");
	expect_error(*state, "secret:v1", USER, -ENOENT,
		     "unknown dataset \"secret\" (larder catalog lists what there is)");
	expect_error(*state, "secret:v9", USER, -ENOENT,
		     "unknown dataset \"secret\" (larder catalog lists what there is)");
	expect_error(*state, "secert", USER, -ENOENT,
		     "unknown dataset \"secert\" (larder catalog lists what there is)");
	expect_error(*state, "secert", 1, -ENOENT,
		     "unknown dataset \"secert\"; did you mean secret? (larder catalog lists what "
		     "there is)");
	expect_error(*state, "mixed:closed", USER, -ENOENT,
		     "dataset \"mixed\" has no version \"closed\"; it has open");
	expect_version(*state, "mixed:closed", 1, "closed");
}

static void test_place_and_head_must_agree(void **state)
{
	publish_as(*state, "moved", "v1.manifest", "imagenet", "v1", "public", "/x");
	publish_as(*state, "moved", "v2.manifest", "moved", "v1", "public", "/x");
	expect_error(
		*state, "moved:v1", USER, -EINVAL,
		"the manifest moved/v1.manifest says that it is imagenet:v1; publish it under its "
		"own name");
	expect_error(
		*state, "moved:v2", USER, -EINVAL,
		"the manifest moved/v2.manifest says that it is moved:v1; publish it under its own "
		"name");
}

/* An alias is a symlink to a file beside it: one hop, no way out. */
static void test_bad_aliases(void **state)
{
	alias(*state, "imagenet", "up", "../imagenet-1k/v1.manifest");
	alias(*state, "imagenet", "abs", scratch_path(*state, "imagenet/v3.manifest"));
	alias(*state, "imagenet", "dot", "./v3.manifest");
	alias(*state, "imagenet", "two", "latest.manifest");
	alias(*state, "imagenet", "gone", "v77.manifest");
	alias(*state, "imagenet", "self", "self.manifest");
	alias(*state, "imagenet", "odd", "v3.txt");
	expect_error(*state, "imagenet:up", USER, -EINVAL,
		     "the alias up.manifest must point at VERSION.manifest beside it, not at "
		     "\"../imagenet-1k/v1.manifest\"");
	expect_error(*state, "imagenet:dot", USER, -EINVAL,
		     "the alias dot.manifest must point at VERSION.manifest beside it, not at "
		     "\"./v3.manifest\"");
	expect_error(*state, "imagenet:odd", USER, -EINVAL,
		     "the alias odd.manifest must point at VERSION.manifest beside it, not at "
		     "\"v3.txt\"");
	expect_error(*state, "imagenet:two", USER, -EINVAL,
		     "imagenet/latest.manifest is an alias of an alias");
	expect_error(*state, "imagenet:self", USER, -EINVAL,
		     "imagenet/self.manifest is an alias of an alias");
	expect_error(
		*state, "imagenet:gone", USER, -ENOENT,
		"dataset \"imagenet\" has no version \"gone\"; it has latest (v3), v2, v3, v10");
	{
		struct larder_catalog_entry entry;

		assert_int_equal(find(*state, "imagenet:abs", USER, &entry, NULL), -EINVAL);
	}
}

static void test_a_dataset_that_is_a_symlink_is_none(void **state)
{
	if (symlink("imagenet", scratch_path(*state, "linked")))
		fail_msg("symlink");
	expect_error(*state, "linked:v3", USER, -ENOENT,
		     "unknown dataset \"linked\" (larder catalog lists what there is)");
}

static void test_what_is_no_regular_file(void **state)
{
	mkdir(scratch_path(*state, "imagenet/dir.manifest"), 0755);
	mkfifo(scratch_path(*state, "imagenet/fifo.manifest"), 0644);
	expect_error(*state, "imagenet:dir", USER, -EINVAL,
		     "imagenet:dir: the manifest is no regular file");
	/* nobody writes to it: opening must not wait for one */
	expect_error(*state, "imagenet:fifo", USER, -EINVAL,
		     "imagenet:fifo: the manifest is no regular file");
}

static void test_a_broken_manifest(void **state)
{
	scratch_write(scratch_path(*state, "imagenet/bad.manifest"), "hello\n", 6);
	expect_error(*state, "imagenet:bad", USER, -EINVAL,
		     "imagenet:bad: manifest, line 1: this is no manifest; it should begin with "
		     "\"larder-manifest 1\"");
}

static void test_no_catalog(void **state)
{
	struct larder_catalog_entry entry;
	struct larder_error err = {0};

	assert_int_equal(find(scratch_path(*state, "nowhere"), "x", USER, &entry, &err), -ENOTDIR);
	assert_non_null(strstr(err.text, "there is no catalog at "));
	assert_int_equal(
		find(scratch_path(*state, "imagenet/v3.manifest"), "x", USER, &entry, &err),
		-ENOTDIR);
}

/* The struct may come from elsewhere than the parser: nothing but names reaches a path. */
static void test_a_spec_that_was_not_parsed(void **state)
{
	struct larder_spec spec = {.kind = LARDER_SPEC_CATALOG, .name = "../etc", .version = "v1"};
	struct larder_catalog_entry entry;

	assert_int_equal(larder_catalog_find(*state, &spec, 0, 0, &entry, NULL), -EINVAL);
	strcpy(spec.name, "imagenet");
	strcpy(spec.version, "../secret/v1");
	assert_int_equal(larder_catalog_find(*state, &spec, 0, 0, &entry, NULL), -EINVAL);
	spec.kind = LARDER_SPEC_OWN;
	assert_int_equal(larder_catalog_find(*state, &spec, 0, 0, &entry, NULL), -EINVAL);
}

/* --- listing --- */

struct listing {
	char text[1000];
	int stop_after;
};

static int note_row(const struct larder_catalog_row *row, void *arg)
{
	struct listing *listing = arg;
	size_t had = strlen(listing->text);

	if (!row->head && !row->problem)
		fail_msg("neither head nor problem");
	if (row->head && strcmp(row->head->version, row->alias_of ? row->alias_of : row->version))
		fail_msg("%s: another version's head", row->version);
	snprintf(listing->text + had, sizeof(listing->text) - had, "%s:%s%s%s%s ", row->name,
		 row->version, row->alias_of ? ">" : "", row->alias_of ? row->alias_of : "",
		 row->head ? "" : "!");
	return --listing->stop_after == 0 ? 7 : 0;
}

static void expect_listing(const char *dir, const char *name, uid_t uid, const char *want)
{
	struct listing listing = {0};

	assert_int_equal(larder_catalog_each(dir, name, uid, uid, note_row, &listing, NULL), 0);
	assert_string_equal(listing.text, want);
}

static void test_listing(void **state)
{
	expect_listing(*state, NULL, USER,
		       "imagenet:latest>v3 imagenet:v2 imagenet:v3 imagenet:v10 imagenet-1k:v1 "
		       "mixed:open ");
	expect_listing(*state, NULL, 1,
		       "imagenet:latest>v3 imagenet:v2 imagenet:v3 imagenet:v10 imagenet-1k:v1 "
		       "mixed:closed mixed:open secret:latest>v1 secret:v1 ");
	expect_listing(*state, "mixed", USER, "mixed:open ");
}

/* Editors' left-overs, a README, a temporary file of publish: none is a version. */
static void test_other_files_are_passed_over(void **state)
{
	static const char *const files[] = {"readme",
					    "README.md",
					    "imagenet/v4.manifest~",
					    "imagenet/.v5.manifest",
					    "imagenet/v6.manifest.tmp",
					    "imagenet/.manifest",
					    "imagenet/manifest",
					    "imagenet/v 7.manifest"};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		scratch_write(scratch_path(*state, "%s", files[i]), "x", 1);
	mkdir(scratch_path(*state, "Upper"), 0755);
	mkdir(scratch_path(*state, "empty"), 0755);
	mkdir(scratch_path(*state, ".git"), 0755);
	expect_listing(*state, "imagenet", USER,
		       "imagenet:latest>v3 imagenet:v2 imagenet:v3 imagenet:v10 ");
	expect_listing(*state, NULL, USER,
		       "imagenet:latest>v3 imagenet:v2 imagenet:v3 imagenet:v10 imagenet-1k:v1 "
		       "mixed:open ");
}

static void test_listing_shows_problems(void **state)
{
	scratch_write(scratch_path(*state, "mixed/bad.manifest"), "hello\n", 6);
	alias(*state, "mixed", "way-out", "../imagenet/v3.manifest");
	expect_listing(*state, "mixed", USER, "mixed:bad! mixed:open mixed:way-out! ");
}

static void test_listing_stops_and_refuses(void **state)
{
	struct listing listing = {.stop_after = 2};
	struct larder_error err = {0};

	assert_int_equal(larder_catalog_each(*state, NULL, USER, USER, note_row, &listing, NULL),
			 7);
	assert_string_equal(listing.text, "imagenet:latest>v3 imagenet:v2 ");
	listing = (struct listing){0};
	assert_int_equal(
		larder_catalog_each(*state, "imagnet", USER, USER, note_row, &listing, &err),
		-ENOENT);
	assert_non_null(strstr(err.text, "did you mean imagenet?"));
	assert_int_equal(
		larder_catalog_each(*state, "secret", USER, USER, note_row, &listing, &err),
		-ENOENT);
	assert_int_equal(larder_catalog_each(*state, "../x", USER, USER, note_row, &listing, &err),
			 -EINVAL);
	assert_string_equal(listing.text, "");
}

/* --- the file system's permissions, as a user without any --- */

/* Runs check(dir) as `nobody` without groups; what it answers is the child's exit status. */
static int as_nobody(const char *dir, int (*check)(const char *dir))
{
	pid_t pid = fork();
	int status = -1;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
		    setresuid(NOBODY, NOBODY, NOBODY))
			_exit(100);
		_exit(check(dir));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* 0 found, else the errno. */
static int find_code(const char *dir, const char *text)
{
	struct larder_catalog_entry entry;
	struct larder_spec spec;
	int rc = larder_spec_parse(text, &spec, NULL);

	if (rc == 0)
		rc = larder_catalog_find(dir, &spec, geteuid(), getegid(), &entry, NULL);
	return -rc;
}

static int find_by_origin(const char *dir)
{
	if (find_code(dir, "owned:open") != 0)
		return 1;
	if (find_code(dir, "owned:closed") != ENOENT)
		return 2;
	if (find_code(dir, "owned:below") != ENOENT)
		return 3;
	if (find_code(dir, "owned:elsewhere") != 0)
		return 4;
	if (find_code(dir, "owned:public") != 0)
		return 5;
	return find_code(dir, "owned:url");
}

static void publish_owned(const char *dir, const char *version, const char *access,
			  const char *origin)
{
	char file[100];

	snprintf(file, sizeof(file), "%s.manifest", version);
	publish_as(dir, "owned", file, "owned", version, access, origin);
}

static void test_the_origin_decides(void **state)
{
	const char *dir = *state;

	if (geteuid() != 0)
		skip_because("needs root");
	mkdir(scratch_path(dir, "o1"), 0755);
	mkdir(scratch_path(dir, "o2"), 0755);
	mkdir(scratch_path(dir, "o2/in"), 0755);
	chmod(scratch_path(dir, "o2"), 0700);
	publish_owned(dir, "open", "origin", scratch_path(dir, "o1"));
	publish_owned(dir, "closed", "origin", scratch_path(dir, "o2"));
	publish_owned(dir, "below", "origin", scratch_path(dir, "o2/in"));
	publish_owned(dir, "public", "public", scratch_path(dir, "o2"));
	publish_owned(dir, "elsewhere", "origin", "/not/on/this/host");
	publish_owned(dir, "url", "origin", "https://host/x");
	assert_int_equal(as_nobody(dir, find_by_origin), 0);
}

static int find_unreadable(const char *dir)
{
	if (find_code(dir, "imagenet:v3") != ENOENT)
		return 1;
	if (find_code(dir, "imagenet:v2") != 0)
		return 2;
	if (find_code(dir, "mixed:open") != ENOENT)
		return 3;
	return 0;
}

/* What the file system hides reads like what is not there, too. */
static void test_unreadable_manifests_and_directories(void **state)
{
	const char *dir = *state;

	if (geteuid() != 0)
		skip_because("needs root");
	chmod(scratch_path(dir, "imagenet/v3.manifest"), 0600);
	chmod(scratch_path(dir, "mixed"), 0700);
	assert_int_equal(as_nobody(dir, find_unreadable), 0);
}

static int readable_bits(const char *dir)
{
	return larder_origin_readable(scratch_path(dir, "r")) << 0 |
	       larder_origin_readable(scratch_path(dir, "closed")) << 1 |
	       larder_origin_readable(scratch_path(dir, "list-only")) << 2 |
	       larder_origin_readable(scratch_path(dir, "gone")) << 3 |
	       larder_origin_readable("https://host/x") << 4 |
	       larder_origin_readable(scratch_path(dir, "file")) << 5;
}

static void test_origin_readable(void **state)
{
	const char *dir = *state;

	if (geteuid() != 0)
		skip_because("needs root");
	mkdir(scratch_path(dir, "r"), 0755);
	mkdir(scratch_path(dir, "closed"), 0700);
	mkdir(scratch_path(dir, "list-only"), 0755);
	chmod(scratch_path(dir, "list-only"), 0744);
	scratch_write(scratch_path(dir, "file"), "x", 1);
	assert_int_equal(as_nobody(dir, readable_bits), 1 | 16 | 32);
	assert_int_equal(readable_bits(dir), 1 | 2 | 4 | 16 | 32);
}

static void test_origin_texts(void **state)
{
	static const char *const good[] = {
		"/a",		"/a/b c/%41", "https://h", "http://h:80/x?y=z", "s3://bucket/k@y",
		"https://h/a@b"};
	static const char *const bad[] = {
		"",	  "/",	       "a",	      "./a",	       "/a/",
		"/a//b",  "/a/../b",   "/a/.",	      "https://",      "https:///a",
		"s3://",  "ftp://h/a", "file:///a",   "//a",	       "/a\nb",
		"/a\x1b", "HTTPS://h", "https://u@h", "https://h/a b", "https://:80/"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (larder_origin_check(good[i], NULL))
			fail_msg("%s was refused", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (larder_origin_check(bad[i], NULL) != -EINVAL)
			fail_msg("%s was taken", bad[i]);
}

#define WITH_CATALOG(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		WITH_CATALOG(test_versions_and_aliases),
		WITH_CATALOG(test_another_digest),
		WITH_CATALOG(test_unknown_names),
		WITH_CATALOG(test_unknown_versions),
		WITH_CATALOG(test_forbidden_reads_like_unknown),
		WITH_CATALOG(test_place_and_head_must_agree),
		WITH_CATALOG(test_bad_aliases),
		WITH_CATALOG(test_a_dataset_that_is_a_symlink_is_none),
		WITH_CATALOG(test_what_is_no_regular_file),
		WITH_CATALOG(test_a_broken_manifest),
		WITH_CATALOG(test_no_catalog),
		WITH_CATALOG(test_a_spec_that_was_not_parsed),
		WITH_CATALOG(test_listing),
		WITH_CATALOG(test_other_files_are_passed_over),
		WITH_CATALOG(test_listing_shows_problems),
		WITH_CATALOG(test_listing_stops_and_refuses),
		WITH_CATALOG(test_the_origin_decides),
		WITH_CATALOG(test_unreadable_manifests_and_directories),
		WITH_CATALOG(test_origin_readable),
		cmocka_unit_test(test_origin_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
