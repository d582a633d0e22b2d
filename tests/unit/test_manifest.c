/*
 * Manifests: head, body, writer, merge, and every refusal that DESIGN lists, each made on purpose.
 * A damaged body is given the head that would fit it, so that only the fault itself is refused.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/manifest.h"
#include "scratch.h"

#define COUNT(a)		(sizeof(a) / sizeof((a)[0]))
#define D1			"0123456789abcdeffedcba9876543210"
#define D0			"99aa06d3014798d86001c324468d497f" /* of nothing */
#define FILE_LINE(path)		"f " D1 " 10 1700000000000000000 0644 " path "\n"
#define LINK_LINE(path, target) "l - 0 1700000000000000000 0777 " path " " target "\n"
#define DIR_LINE(path)		"d - 0 1700000000000000000 0755 " path "\n"

static int setup(void **state)
{
	*state = scratch_create();
	return 0;
}

static int teardown(void **state)
{
	scratch_destroy(*state);
	return 0;
}

static int open_text(const char *dir, const char *text, size_t len)
{
	const char *path = scratch_path(dir, "m");
	int fd;

	scratch_write(path, text, len);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* The sum of sizes that reading the lines' third field gives. */
static uint64_t sum_sizes(const char *body, size_t len, uint64_t *lines)
{
	uint64_t sum = 0;

	*lines = 0;
	for (const char *p = body; p < body + len; (*lines)++) {
		const char *end = memchr(p, '\n', (size_t)(body + len - p));
		uint64_t size = 0;

		if (sscanf(p, "f %*s %" SCNu64, &size) == 1)
			sum += size;
		if (!end)
			break;
		p = end + 1;
	}
	return sum;
}

/* A manifest whose head fits the body, whatever stands in that. */
static int open_body(const char *dir, const char *body, size_t len)
{
	struct larder_manifest_head head = {.name = "x", .version = "v1", .created_s = 5};
	char *origin = strdup("/data/x"), *text, *whole;
	size_t head_len;
	int fd;

	head.origins[head.n_origins++] = origin;
	head.bytes = sum_sizes(body, len, &head.shards);
	digest_format(digest_of(body, len), head.digest);
	text = larder_manifest_head_format(&head);
	assert_non_null(text);
	head_len = strlen(text);
	whole = malloc(head_len + len);
	assert_non_null(whole);
	memcpy(whole, text, head_len);
	memcpy(whole + head_len, body, len);
	fd = open_text(dir, whole, head_len + len);
	free(whole);
	free(text);
	free(origin);
	return fd;
}

static int check_body(const char *dir, const char *body, struct larder_error *err)
{
	int fd = open_body(dir, body, strlen(body));
	int rc = manifest_check(fd, err);

	close(fd);
	return rc;
}

/* --- the head --- */

static const char good_head[] = "larder-manifest 1\nname imagenet\nversion v3\n"
				"access users=ada,1000\norigin /data/image net\n"
				"origin https://host/imagenet\ncreated 1700000000\n"
				"shards 00000000000001281167\nbytes 00000000148000000000\n"
				"digest " D1 "\n\n";

static void test_head(void **state)
{
	struct larder_manifest_head head;
	char *text;

	(void)state;
	assert_int_equal(larder_manifest_head_parse(good_head, strlen(good_head), &head, NULL), 0);
	assert_string_equal(head.name, "imagenet");
	assert_string_equal(head.version, "v3");
	assert_int_equal(head.access.kind, LARDER_ACCESS_USERS);
	assert_string_equal(head.access.who, "ada,1000");
	assert_int_equal(head.n_origins, 2);
	assert_string_equal(head.origins[0], "/data/image net");
	assert_string_equal(head.origins[1], "https://host/imagenet");
	assert_int_equal(head.created_s, 1700000000);
	assert_int_equal(head.shards, 1281167);
	assert_int_equal(head.bytes, INT64_C(148000000000));
	assert_string_equal(head.digest, D1);
	assert_int_equal(head.body_offset, strlen(good_head));
	text = larder_manifest_head_format(&head);
	assert_string_equal(text, good_head);
	free(text);
	larder_manifest_head_fini(&head);
}

static void test_head_cut_anywhere_is_refused(void **state)
{
	(void)state;
	for (size_t len = 0; len < strlen(good_head); len++) {
		struct larder_manifest_head head;
		struct larder_error err = {0};
		char *exact = malloc(len + 1);

		assert_non_null(exact);
		memcpy(exact, good_head, len);
		assert_int_equal(larder_manifest_head_parse(exact, len, &head, &err), -EINVAL);
		assert_non_null(strstr(err.text, "manifest, line "));
		assert_int_equal(head.n_origins, 0);
		free(exact);
	}
}

static void test_head_refusals(void **state)
{
	static const struct {
		const char *from, *to, *say;
	} rows[] = {
		{"larder-manifest 1", "larder-manifest 2",
		 "a version that this Larder does not know"},
		{"larder-manifest 1", "#!/bin/sh", "this is no manifest"},
		{"name imagenet", "name Imagenet", "line 2: bad dataset name"},
		{"name imagenet", "name ../../etc", "line 2: bad dataset name"},
		{"name imagenet\n", "", "line 2: \"name ...\" should stand here"},
		{"version v3", "version v/3", "line 3: bad version"},
		{"access users=ada,1000", "access everyone", "line 4: bad access"},
		{"access users=ada,1000", "access users=", "line 4: bad access"},
		{"access users=ada,1000", "access users=a,,b", "line 4: bad access"},
		{"origin /data/image net", "origin data", "line 5: bad origin"},
		{"origin /data/image net", "origin /data/../x", "line 5: bad origin"},
		{"origin https://host/imagenet", "origin https://u:p@host/x", "line 6: bad origin"},
		{"created 1700000000", "created -5", "line 7: bad number"},
		{"created 1700000000", "created 017", "line 7: zeros in front"},
		{"created 1700000000", "created 9999999999999999999", "line 7: this time"},
		{"shards 0000", "shards ", "line 8: 20 digits"},
		{"shards 00000000000001281167", "shards 99999999999999999999", "line 8: too large"},
		{"bytes 0000", "bytes 00000", "line 9: 20 digits"},
		{"digest " D1, "digest 01234567", "line 10: 32 digits"},
		{"digest " D1, "digest 0123456789ABCDEFFEDCBA9876543210", "line 10: bad digest"},
		{"\n\n", "\nextra x\n\n", "line 11: an empty line should stand here"},
		{"name ", "name  ", "line 2: bad dataset name"},
		{"name ", "name\t", "line 2: \"name ...\""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *at = strstr(good_head, rows[i].from);
		struct larder_manifest_head head;
		struct larder_error err = {0};
		char text[600];

		assert_non_null(at);
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good_head), good_head,
			 rows[i].to, at + strlen(rows[i].from));
		assert_int_equal(larder_manifest_head_parse(text, strlen(text), &head, &err),
				 -EINVAL);
		if (!strstr(err.text, rows[i].say))
			fail_msg("\"%s\" does not say \"%s\"", err.text, rows[i].say);
	}
}

static void test_head_with_too_many_origins(void **state)
{
	char text[2000] = "larder-manifest 1\nname x\nversion v\naccess origin\n";
	struct larder_manifest_head head;

	(void)state;
	for (int i = 0; i < LARDER_ORIGINS_MAX + 1; i++)
		strcat(text, "origin /data\n");
	strcat(text, strstr(good_head, "created"));
	assert_int_equal(larder_manifest_head_parse(text, strlen(text), &head, NULL), -EINVAL);
	memmove(strstr(text, "origin /"), strstr(text, "origin /") + 13,
		strlen(strstr(text, "origin /") + 13) + 1);
	assert_int_equal(larder_manifest_head_parse(text, strlen(text), &head, NULL), 0);
	assert_int_equal(head.n_origins, LARDER_ORIGINS_MAX);
	larder_manifest_head_fini(&head);
}

static void test_head_without_end_is_left(void **state)
{
	size_t len = LARDER_MANIFEST_HEAD_MAX * 2;
	struct larder_manifest_head head;
	char *text = malloc(len);

	(void)state;
	assert_non_null(text);
	memset(text, 'a', len);
	memcpy(text, "larder-manifest 1\nname ", 23);
	assert_int_equal(larder_manifest_head_parse(text, len, &head, NULL), -EINVAL);
	free(text);
}

static void test_head_of_what_is_no_file(void **state)
{
	struct larder_manifest_head head;
	struct larder_error err = {0};
	int fd = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(larder_manifest_head_read(fd, &head, &err), -EINVAL);
	assert_string_equal(err.text, "the manifest is no regular file");
	close(fd);
}

static void test_access_words(void **state)
{
	static const char *const good[] = {
		"origin",   "public",	      "users=a",	   "users=a,b,1000",
		"groups=g", "users=DOM\\ada", "groups=grp@ad.site"};
	static const char *const bad[] = {
		"",	      "Origin",	  "users",     "users=",  "users=,a", "users=a,",
		"groups=a b", "public=x", "users=a\n", "group=a", "origin ",  "users=a;b"};
	struct larder_access access;
	char buf[1100], large[1100] = "users=";

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(larder_access_parse(good[i], &access, NULL), 0);
		assert_string_equal(larder_access_format(&access, buf, sizeof(buf)), good[i]);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		if (larder_access_parse(bad[i], &access, NULL) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
	memset(large + 6, 'a', 1023);
	assert_int_equal(larder_access_parse(large, &access, NULL), 0);
	large[6 + 1023] = 'a';
	assert_int_equal(larder_access_parse(large, &access, NULL), -EINVAL);
}

static void test_access_allows(void **state)
{
	static const struct {
		const char *text;
		uid_t uid;
		gid_t gid;
		int allows;
	} rows[] = {
		{"public", 1234567, 1234567, 1},
		{"origin", 1234567, 1234567, 1},
		{"users=1234567", 1234567, 5, 1},
		{"users=5,1234567", 1234567, 5, 1},
		{"users=1234567", 1234568, 1234567, 0},
		{"users=root", 1234567, 5, 0},
		{"users=root", 0, 0, 1},
		{"users=daemon", 1, 1, 1},
		{"users=daemon", 2, 1, 0},
		{"users=nobody-there", 1234567, 5, 0},
		{"groups=1234567", 9, 1234567, 1},
		{"groups=1234567", 1234567, 9, 0},
		{"groups=daemon", 1234567, 1, 1},
		{"groups=daemon", 1234567, 2, 0},
		{"groups=no-such-group", 1234567, 0, 0},
		{"groups=5", 0, 0, 1},
		{"users=01234567x", 1234567, 5, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct larder_access access;

		assert_int_equal(larder_access_parse(rows[i].text, &access, NULL), 0);
		if (larder_access_allows(&access, rows[i].uid, rows[i].gid) != rows[i].allows)
			fail_msg("%s for uid %u", rows[i].text, rows[i].uid);
	}
}

/* --- the body --- */

static void test_sound_bodies(void **state)
{
	static const char *const bodies[] = {
		"",
		FILE_LINE("a"),
		FILE_LINE("a") FILE_LINE("a.b") FILE_LINE("ab"),
		DIR_LINE("a") FILE_LINE("a!") FILE_LINE("b/c") FILE_LINE("b/c%20d"),
		FILE_LINE("a/b") FILE_LINE("a/c") FILE_LINE("a!b"),
		LINK_LINE("a", "b") LINK_LINE("a%0Ab", "c%20d") LINK_LINE("d/e", "../f"),
		"f " D0 " 0 -1 0000 empty\n",
		"f " D1 " 9223372036854775807 9223372036854775807 7777 a\n",
		FILE_LINE("caf\xc3\xa9") FILE_LINE("%FF"),
	};

	for (size_t i = 0; i < COUNT(bodies); i++) {
		struct larder_error err = {0};

		if (check_body(*state, bodies[i], &err))
			fail_msg("%s: %s", bodies[i], err.text);
	}
}

static void test_refused_bodies(void **state)
{
	static const struct {
		const char *body, *say;
	} rows[] = {
		/* paths */
		{FILE_LINE("../x"), "it has a component .."},
		{FILE_LINE("a/.."), "it has a component .."},
		{FILE_LINE("a/./b"), "it has a component ."},
		{FILE_LINE("/etc/passwd"), "it is absolute"},
		{FILE_LINE("a//b"), "it has a //"},
		{FILE_LINE("a/"), "it ends in /"},
		{FILE_LINE(""), "it is empty"},
		{FILE_LINE("a%00b"), "it has a NUL byte"},
		{FILE_LINE("a%2Fb"), "a / is never encoded"},
		{FILE_LINE("%2E%2E"), "one canonical way"},
		{FILE_LINE("%41"), "one canonical way"},
		{FILE_LINE("%0a"), "behind % stand two of 0-9 and A-F"},
		{FILE_LINE("\xff"), "one canonical way"},
		{FILE_LINE("%C3%A9"), "one canonical way"},
		/* order */
		{FILE_LINE("a") FILE_LINE("a"), "\"a\" is there twice"},
		{FILE_LINE("a") DIR_LINE("a"), "\"a\" is there twice"},
		{FILE_LINE("b") FILE_LINE("a"), "\"a\" is not in order"},
		{FILE_LINE("a!") FILE_LINE("a/b"), "\"a/b\" is not in order"},
		{FILE_LINE("%FF") FILE_LINE("caf\xc3\xa9"), "is not in order"},
		/* both file and directory */
		{FILE_LINE("a") FILE_LINE("a/b"), "\"a/b\" lies below"},
		{FILE_LINE("a/b") FILE_LINE("a/b/c/d"), "\"a/b/c/d\" lies below"},
		{LINK_LINE("a", "x") FILE_LINE("a/b"), "\"a/b\" lies below"},
		{DIR_LINE("a") FILE_LINE("a/b"), "\"a/b\" lies below"},
		/* symlinks */
		{LINK_LINE("a", ".."), "leaves the dataset"},
		{LINK_LINE("a", "/etc/passwd"), "leaves the dataset"},
		{LINK_LINE("a/b", "../../x"), "leaves the dataset"},
		{LINK_LINE("a/b", "c/../../../x"), "leaves the dataset"},
		{LINK_LINE("a", ""), "a symlink without a target"},
		{"l - 0 1 0777 a\n", "the symlink's target is missing"},
		{LINK_LINE("a", "%2Fetc"), "a / is never encoded"},
		{LINK_LINE("a", "b c"), "one canonical way"},
		{FILE_LINE("a b"), "something stands behind the path"},
		/* numbers */
		{"f " D1 " 18446744073709551616 1 0644 a\n", "the size is no plain number"},
		{"f " D1 " 9223372036854775808 1 0644 a\n", "the size is no plain number"},
		{"f " D1 " -1 1 0644 a\n", "the size is no plain number"},
		{"f " D1 " 01 1 0644 a\n", "the size is no plain number"},
		{"f " D1 " +1 1 0644 a\n", "the size is no plain number"},
		{"f " D1 "  1 1 0644 a\n", "the size is no plain number"},
		{"f " D1 " 1 9223372036854775808 0644 a\n", "the time is no plain number"},
		{"f " D1 " 1 -0 0644 a\n", "the time is no plain number"},
		{"f " D1 " 1 1 644 a\n", "the mode is not 4 octal digits"},
		{"f " D1 " 1 1 10644 a\n", "one space should stand behind the mode"},
		{"f " D1 " 1 1 0888 a\n", "the mode is not 4 octal digits"},
		{"l - 1 1 0777 a b\n", "only files have a size"},
		{"d - 4096 1 0755 a\n", "only files have a size"},
		{"f " D1 " 9223372036854775807 1 0644 a\nf " D1 " 1 1 0644 b\n", "over 2^63"},
		{"f " D1 " 9223372036854775807 1 0644 a\nf " D1 " 9223372036854775807 1 0644 b\n"
		 "f " D1 " 2 1 0644 c\n",
		 "over 2^63"},
		/* fields */
		{"f " D1 " 0 1 0644 a\n", "is empty but has another digest"},
		{"f - 1 1 0644 a\n", "has no digest, and the head does not say"},
		{"f -1 1 0644 a\n", "one space should stand behind the -"},
		{"f 0123456789abcdef 1 1 0644 aaaaaaaaaaaa\n", "the digest is not 32"},
		{"f 0123456789ABCDEFFEDCBA9876543210 1 1 0644 a\n", "the digest is not 32"},
		{"f " D1 "0 1 1 0644 a\n", "one space should stand behind the digest"},
		{"f 0123\n", "it is cut short"},
		{"d " D1 " 0 1 0755 a\n", "only files have a digest"},
		{"p - 0 1 0644 a\n", "the type is none of f, l and d"},
		{"\n", "the type is none of f, l and d"},
		{"f\n", "one space should stand behind the type"},
		{"f " D1 " 1 1 0644\n", "one space should stand behind the mode"},
		{"f " D1 " 1 1 0644 \n", "it is empty"},
		{"f " D1 " 1 1 0644 a\r\n", "one canonical way"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct larder_error err = {0};
		int rc = check_body(*state, rows[i].body, &err);

		if (rc != -EINVAL)
			fail_msg("%d for %s", rc, rows[i].body);
		if (!strstr(err.text, rows[i].say) || !strstr(err.text, "manifest of x:v1, line "))
			fail_msg("\"%s\" does not say \"%s\"", err.text, rows[i].say);
	}
}

static void test_the_line_is_named(void **state)
{
	struct larder_error err = {0};

	/* ten lines of head: magic, name, version, access, origin, created, shards, bytes, digest,
	 * "" */
	check_body(*state, FILE_LINE("a") FILE_LINE("b") FILE_LINE("a"), &err);
	assert_string_equal(err.text,
			    "manifest of x:v1, line 13: \"a\" is not in order; it belongs "
			    "further up");
}

static void test_nul_in_the_body(void **state)
{
	static const char body[] = "f " D1 " 1 1 0644 a\0b\n";
	struct larder_error err = {0};
	int fd = open_body(*state, body, sizeof(body) - 1);

	assert_int_equal(manifest_check(fd, &err), -EINVAL);
	assert_non_null(strstr(err.text, "it has a NUL byte"));
	close(fd);
}

static void test_components_of_255_and_256_bytes(void **state)
{
	char body[2000];

	snprintf(body, sizeof(body), FILE_LINE("%0255d"), 0);
	assert_int_equal(check_body(*state, body, NULL), 0);
	snprintf(body, sizeof(body), FILE_LINE("%0256d"), 0);
	assert_int_equal(check_body(*state, body, NULL), -EINVAL);
	snprintf(body, sizeof(body), FILE_LINE("%0255d/%0255d"), 0, 0);
	assert_int_equal(check_body(*state, body, NULL), 0);
	snprintf(body, sizeof(body), FILE_LINE("%0255d/%0256d"), 0, 0);
	assert_int_equal(check_body(*state, body, NULL), -EINVAL);
}

/* What the head claims and the body does not keep. */
static void test_totals_and_digest(void **state)
{
	static const char body[] = FILE_LINE("a") FILE_LINE("b") FILE_LINE("c");
	static const struct {
		uint64_t shards, bytes;
		bool digest;
		const char *say;
	} rows[] = {
		{3, 30, true, NULL},
		{4, 30, true, "should have 4 shards and has 3"},
		{2, 30, true, "line 13: there are more shards than the head says"},
		{0, 0, true, "line 11: there are more shards than the head says"},
		{3, 31, true, "make 30 bytes, its head says 31"},
		{3, 30, false, "its head says " D1},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char text[2000], hex[33] = D1;
		struct larder_error err = {0};
		int fd, rc;

		if (rows[i].digest)
			digest_format(digest_of(body, strlen(body)), hex);
		snprintf(text, sizeof(text),
			 "larder-manifest 1\nname x\nversion v1\naccess public\norigin /x\n"
			 "created 5\nshards %020" PRIu64 "\nbytes %020" PRIu64 "\ndigest %s\n\n%s",
			 rows[i].shards, rows[i].bytes, hex, body);
		fd = open_text(*state, text, strlen(text));
		rc = manifest_check(fd, &err);
		assert_int_equal(rc, rows[i].say ? -EBADMSG : 0);
		if (rows[i].say && !strstr(err.text, rows[i].say))
			fail_msg("\"%s\" does not say \"%s\"", err.text, rows[i].say);
		close(fd);
	}
}

/* A copy that stopped: wherever it was cut, it is not taken for whole. */
static void test_truncated_anywhere(void **state)
{
	static const char body[] = FILE_LINE("a") LINK_LINE("b", "c") FILE_LINE("d");
	int fd = open_body(*state, body, strlen(body));
	off_t size = lseek(fd, 0, SEEK_END);

	close(fd);
	for (off_t len = size - 1; len >= 0; len--) {
		assert_int_equal(truncate(scratch_path(*state, "m"), len), 0);
		fd = open(scratch_path(*state, "m"), O_RDONLY | O_CLOEXEC);
		assert_true(manifest_check(fd, NULL) < 0);
		close(fd);
	}
}

/* Each byte of a manifest's body changed: no change goes unseen. */
static void test_any_byte_of_the_body_changed(void **state)
{
	static const char body[] = FILE_LINE("a") LINK_LINE("b", "c") FILE_LINE("d%20e");
	int fd = open_body(*state, body, strlen(body)), rw;
	off_t size = lseek(fd, 0, SEEK_END);

	rw = open(scratch_path(*state, "m"), O_RDWR | O_CLOEXEC);
	for (off_t at = size - (off_t)strlen(body); at < size; at++) {
		char byte, other;

		assert_int_equal(pread(rw, &byte, 1, at), 1);
		other = byte == '1' ? '2' : '1';
		assert_int_equal(pwrite(rw, &other, 1, at), 1);
		assert_true(manifest_check(fd, NULL) < 0);
		assert_int_equal(pwrite(rw, &byte, 1, at), 1);
	}
	assert_int_equal(manifest_check(fd, NULL), 0);
	close(rw);
	close(fd);
}

static void test_after_an_error_a_reader_stays_failed(void **state)
{
	static const char body[] = FILE_LINE("a") FILE_LINE("a") FILE_LINE("b");
	int fd = open_body(*state, body, strlen(body));
	struct manifest_reader *reader = NULL;
	struct shard shard;

	assert_int_equal(manifest_reader_open(fd, &reader, NULL), 0);
	assert_int_equal(manifest_reader_next(reader, &shard, NULL), 1);
	assert_int_equal(manifest_reader_next(reader, &shard, NULL), -EINVAL);
	assert_int_equal(manifest_reader_next(reader, &shard, NULL), -EINVAL);
	manifest_reader_close(reader);
	manifest_reader_close(NULL);
	close(fd);
}

static void test_a_line_that_never_ends(void **state)
{
	size_t len = 1u << 20;
	char *body = malloc(len);
	struct larder_error err = {0};
	int fd;

	assert_non_null(body);
	memset(body, 'a', len);
	memcpy(body, "f " D1 " 1 1 0644 ", strlen("f " D1 " 1 1 0644 "));
	fd = open_body(*state, body, len);
	assert_int_equal(manifest_check(fd, &err), -EINVAL);
	assert_non_null(strstr(err.text, "it is longer than any line can be"));
	close(fd);
	free(body);
}

/* --- the writer --- */

static struct larder_manifest_head plain_head(char *origin)
{
	struct larder_manifest_head head = {.name = "x", .version = "v1", .created_s = 1700000000};

	head.access.kind = LARDER_ACCESS_PUBLIC;
	head.origins[head.n_origins++] = origin;
	return head;
}

/* Writes the shards to dir/name; an open descriptor of it. */
static int write_shards(const char *dir, const char *name, const struct shard *shards, size_t n)
{
	char origin[] = "/data/x";
	struct larder_manifest_head head = plain_head(origin), done;
	struct manifest_writer *writer = NULL;
	struct larder_error err = {0};
	int fd = open(scratch_path(dir, "%s", name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_int_equal(manifest_writer_create(fd, &head, &writer, &err), 0);
	for (size_t i = 0; i < n; i++)
		if (manifest_writer_add(writer, &shards[i], &err))
			fail_msg("%s", err.text);
	assert_int_equal(manifest_writer_finish(writer, &done, &err), 0);
	assert_int_equal(done.shards, n);
	assert_int_equal(done.publisher, geteuid());
	larder_manifest_head_fini(&done);
	manifest_writer_destroy(writer);
	return fd;
}

static const struct digest some = {1, 2}, others = {3, 4};
static char component_255[256], deep_path[LARDER_PATH_BYTES + 1];

/* Names that file systems allow and shells hate. */
static size_t odd_shards(struct shard *shards)
{
	static const char *const paths[] = {"new\nline", "sp ace", "caf\xc3\xa9", "\xff\xfe",
					    "%25"};
	size_t n = 0;

	memset(component_255, '\n', 255);
	for (size_t i = 0; i < LARDER_PATH_BYTES; i++)
		deep_path[i] = i % 256 == 255 ? '/' : '\x01';
	shards[n++] = (struct shard){.type = SHARD_FILE,
				     .digest = some,
				     .size = 7,
				     .mode = 0600,
				     .mtime_ns = -5,
				     .path = deep_path};
	shards[n++] = (struct shard){.type = SHARD_FILE,
				     .digest = digest_of("", 0),
				     .mode = 07777,
				     .mtime_ns = INT64_MAX,
				     .path = component_255};
	shards[n++] =
		(struct shard){.type = SHARD_FILE, .digest = some, .size = 1, .path = paths[4]};
	shards[n++] = (struct shard){.type = SHARD_DIR, .mode = 0755, .path = paths[2]};
	shards[n++] = (struct shard){
		.type = SHARD_SYMLINK, .mode = 0777, .path = paths[0], .target = "sp ace\n%\xff"};
	shards[n++] = (struct shard){
		.type = SHARD_FILE, .digest = others, .size = INT64_MAX - 8, .path = paths[1]};
	shards[n++] =
		(struct shard){.type = SHARD_SYMLINK, .path = paths[3], .target = component_255};
	return n;
}

static void test_odd_names_round_trip(void **state)
{
	struct shard shards[16], got;
	size_t n = odd_shards(shards);
	int fd = write_shards(*state, "m", shards, n);
	struct manifest_reader *reader = NULL;
	struct larder_error err = {0};

	assert_int_equal(manifest_reader_open(fd, &reader, &err), 0);
	for (size_t i = 0; i < n; i++) {
		if (manifest_reader_next(reader, &got, &err) != 1)
			fail_msg("%s", err.text);
		assert_int_equal(got.index, i);
		assert_int_equal(got.type, shards[i].type);
		assert_true(got.size == shards[i].size);
		assert_true(digest_equal(got.digest, shards[i].digest));
		assert_true(got.mtime_ns == shards[i].mtime_ns);
		assert_int_equal(got.mode, shards[i].mode);
		assert_string_equal(got.path, shards[i].path);
		if (shards[i].target)
			assert_string_equal(got.target, shards[i].target);
		else
			assert_null(got.target);
	}
	assert_int_equal(manifest_reader_next(reader, &got, &err), 0);
	assert_int_equal(manifest_reader_next(reader, &got, &err), 0);
	manifest_reader_close(reader);
	close(fd);
}

/* The writer refuses what the reader would. */
static void test_writer_refusals(void **state)
{
	static const struct {
		struct shard first, second;
	} rows[] = {
		{{.type = SHARD_FILE, .size = 1, .path = "a"},
		 {.type = SHARD_FILE, .size = 1, .path = "a"}},
		{{.type = SHARD_FILE, .size = 1, .path = "b"},
		 {.type = SHARD_FILE, .size = 1, .path = "a"}},
		{{.type = SHARD_FILE, .size = 1, .path = "a"},
		 {.type = SHARD_FILE, .size = 1, .path = "a/b"}},
		{{.type = SHARD_DIR, .path = "a"}, {.type = SHARD_FILE, .size = 1, .path = "a/b"}},
		{{.type = SHARD_DIR, .path = "a"},
		 {.type = SHARD_FILE, .size = 1, .path = "b/../c"}},
		{{.type = SHARD_DIR, .path = "a"}, {.type = SHARD_FILE, .size = 1, .path = "/b"}},
		{{.type = SHARD_DIR, .path = "a"},
		 {.type = SHARD_FILE, .size = UINT64_MAX, .path = "b"}},
		{{.type = SHARD_FILE, .size = INT64_MAX, .path = "a"},
		 {.type = SHARD_FILE, .size = 1, .path = "b"}},
		{{.type = SHARD_DIR, .path = "a"},
		 {.type = SHARD_SYMLINK, .path = "b", .target = "../c"}},
		{{.type = SHARD_DIR, .path = "a"}, {.type = SHARD_SYMLINK, .path = "b"}},
		{{.type = SHARD_DIR, .path = "a"},
		 {.type = SHARD_FILE, .size = 1, .mode = 0100644, .path = "b"}},
		{{.type = SHARD_DIR, .path = "a"}, {.type = 'p', .path = "b"}},
		{{.type = SHARD_DIR, .path = "a"}, {.type = SHARD_FILE, .size = 0, .path = "b"}},
	};
	char origin[] = "/data/x";
	struct larder_manifest_head head = plain_head(origin);

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct manifest_writer *writer = NULL;
		int fd = open(*state, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

		assert_int_equal(manifest_writer_create(fd, &head, &writer, NULL), 0);
		assert_int_equal(manifest_writer_add(writer, &rows[i].first, NULL), 0);
		if (manifest_writer_add(writer, &rows[i].second, NULL) != -EINVAL)
			fail_msg("row %zu was taken", i);
		/* and what is half written never becomes whole */
		assert_int_equal(manifest_writer_add(writer, &rows[i].first, NULL), -EINVAL);
		assert_int_equal(manifest_writer_finish(writer, NULL, NULL), -EINVAL);
		assert_int_equal(manifest_check(fd, NULL), -EINVAL);
		manifest_writer_destroy(writer);
		close(fd);
	}
}

static void test_writer_wants_an_empty_file_and_a_good_head(void **state)
{
	char origin[] = "/data/x", bad[] = "data/x";
	struct larder_manifest_head head = plain_head(origin);
	struct manifest_writer *writer = NULL;
	int fd = open_text(*state, "x", 1);

	assert_int_equal(manifest_writer_create(fd, &head, &writer, NULL), -EINVAL);
	close(fd);
	fd = open(*state, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	head.origins[0] = bad;
	assert_int_equal(manifest_writer_create(fd, &head, &writer, NULL), -EINVAL);
	head.n_origins = 0;
	assert_int_equal(manifest_writer_create(fd, &head, &writer, NULL), -EINVAL);
	close(fd);
}

static void test_unfinished_is_no_manifest(void **state)
{
	char origin[] = "/data/x", path[32];
	struct larder_manifest_head head = plain_head(origin);
	struct manifest_writer *writer = NULL;
	int fd = open(*state, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	assert_int_equal(manifest_writer_create(fd, &head, &writer, NULL), 0);
	for (int i = 0; i < 10000; i++) {
		struct shard shard = {.type = SHARD_FILE, .size = 1, .path = path};

		snprintf(path, sizeof(path), "%06d", i);
		assert_int_equal(manifest_writer_add(writer, &shard, NULL), 0);
	}
	assert_true(lseek(fd, 0, SEEK_END) > 0);
	assert_int_equal(manifest_check(fd, NULL), -EINVAL);
	assert_int_equal(manifest_writer_finish(writer, NULL, NULL), 0);
	assert_int_equal(manifest_check(fd, NULL), 0);
	assert_int_equal(manifest_writer_finish(writer, NULL, NULL), -EINVAL);
	manifest_writer_destroy(writer);
	close(fd);
}

/* --- two of them --- */

struct merged {
	char text[400];
	int stop_after;
};

static int note_pair(const struct shard *shard, const struct shard *base, void *arg)
{
	struct merged *merged = arg;
	size_t had = strlen(merged->text);

	snprintf(merged->text + had, sizeof(merged->text) - had, "%s%s ", shard->path,
		 !base			   ? "+"
		 : shard_same(shard, base) ? "="
					   : "~");
	return --merged->stop_after == 0 ? 42 : 0;
}

static int merge_files(int now_fd, int base_fd, struct merged *merged)
{
	struct manifest_reader *now = NULL, *base = NULL;
	int rc;

	assert_int_equal(manifest_reader_open(now_fd, &now, NULL), 0);
	if (base_fd >= 0)
		assert_int_equal(manifest_reader_open(base_fd, &base, NULL), 0);
	rc = manifest_merge(now, base, note_pair, merged, NULL);
	manifest_reader_close(now);
	manifest_reader_close(base);
	return rc;
}

static void test_merge(void **state)
{
	const struct shard old[] = {
		{.type = SHARD_FILE, .size = 1, .digest = some, .path = "a"},
		{.type = SHARD_FILE, .size = 1, .digest = some, .path = "b/1"},
		{.type = SHARD_FILE, .size = 1, .digest = some, .path = "b/2"},
		{.type = SHARD_FILE, .size = 1, .digest = some, .path = "b!"},
		{.type = SHARD_FILE, .size = 1, .digest = some, .path = "d"},
	};
	const struct shard new[] = {
		{.type = SHARD_FILE, .size = 1, .digest = some, .path = "0"},
		{.type = SHARD_FILE, .size = 1, .digest = some, .path = "a"},
		{.type = SHARD_FILE, .size = 1, .digest = others, .path = "b/2"},
		{.type = SHARD_FILE, .size = 1, .digest = some, .path = "b/3"},
		{.type = SHARD_FILE, .size = 1, .digest = some, .path = "b!"},
		{.type = SHARD_FILE, .size = 1, .digest = some, .path = "c"},
		{.type = SHARD_FILE, .size = 1, .digest = some, .path = "e"},
	};
	int old_fd = write_shards(*state, "old", old, COUNT(old));
	int new_fd = write_shards(*state, "new", new, COUNT(new));
	struct merged merged = {0};

	assert_int_equal(merge_files(new_fd, old_fd, &merged), 0);
	assert_string_equal(merged.text, "0+ a= b/2~ b/3+ b!= c+ e+ ");
	merged = (struct merged){0};
	assert_int_equal(merge_files(new_fd, -1, &merged), 0);
	assert_string_equal(merged.text, "0+ a+ b/2+ b/3+ b!+ c+ e+ ");
	merged = (struct merged){.stop_after = 2};
	assert_int_equal(merge_files(new_fd, old_fd, &merged), 42);
	assert_string_equal(merged.text, "0+ a= ");
	/* one descriptor serves two readers */
	merged = (struct merged){0};
	assert_int_equal(merge_files(new_fd, new_fd, &merged), 0);
	assert_string_equal(merged.text, "0= a= b/2= b/3= b!= c= e= ");
	close(old_fd);
	close(new_fd);
}

static void test_what_is_the_same(void **state)
{
	const struct shard a = {.type = SHARD_FILE,
				.digest = some,
				.size = 5,
				.mode = 0644,
				.mtime_ns = 9,
				.path = "a"};
	struct shard b = a;

	(void)state;
	assert_true(shard_same(&a, &b));
	b.digest = others;
	assert_false(shard_same(&a, &b));
	b = a;
	b.size = 6;
	assert_false(shard_same(&a, &b));
	b = a;
	b.mode = 0755;
	assert_false(shard_same(&a, &b));
	b = a;
	b.mtime_ns = 8;
	assert_false(shard_same(&a, &b));
	b = a;
	b.path = "b";
	assert_false(shard_same(&a, &b));
	b = a;
	b.type = SHARD_SYMLINK;
	assert_false(shard_same(&a, &b));
	b = a;
	b.size = 0;
	assert_false(shard_same(&b, &b));
}

/* --- a first use that is trusted --- */

#define TRUSTED 600 /* more than are read at once */

static int open_trusted(const char *dir)
{
	char origin[] = "/data/x";
	struct larder_manifest_head head = plain_head(origin), done = {0};
	const char *path = scratch_path(dir, "trusted");
	struct manifest_writer *writer = NULL;
	struct larder_error err = {0};
	char name[16];
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	head.first_use = true;
	assert_int_equal(manifest_writer_create(fd, &head, &writer, &err), 0);
	for (unsigned int i = 0; i < TRUSTED; i++) {
		struct shard shard = {.type = SHARD_FILE, .size = 1, .path = name};

		snprintf(name, sizeof(name), "f%05u", i);
		shard.undigested = i % 3 != 0;
		if (!shard.undigested)
			shard.digest = some;
		assert_int_equal(manifest_writer_add(writer, &shard, &err), 0);
	}
	assert_int_equal(manifest_writer_finish(writer, &done, &err), 0);
	assert_true(done.first_use);
	larder_manifest_head_fini(&done);
	manifest_writer_destroy(writer);
	return fd;
}

/* Every seventh has a record. */
static int open_records(const char *dir)
{
	int fd = open(scratch_path(dir, "records"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	unsigned char record[MANIFEST_RECORD];

	for (unsigned int i = 0; i < TRUSTED; i += 7) {
		manifest_record_put((struct digest){7, i + 1}, record);
		assert_int_equal(pwrite(fd, record, sizeof(record), (off_t)i * MANIFEST_RECORD),
				 sizeof(record));
	}
	return fd;
}

static void test_a_first_use_has_its_records(void **state)
{
	int fd = open_trusted(*state), records = open_records(*state);
	struct manifest_reader *reader = NULL;
	struct larder_error err = {0};
	struct shard shard;

	assert_int_equal(manifest_check(fd, &err), 0);
	assert_int_equal(manifest_reader_open(fd, &reader, &err), 0);
	assert_true(manifest_reader_head(reader)->first_use);
	manifest_reader_digests(reader, records);
	for (unsigned int i = 0; i < TRUSTED; i++) {
		assert_int_equal(manifest_reader_next(reader, &shard, &err), 1);
		if (i % 3 == 0)
			assert_true(digest_equal(shard.digest, some));
		else if (i % 7 == 0)
			assert_true(digest_equal(shard.digest, (struct digest){7, i + 1}));
		assert_int_equal(shard.undigested, i % 3 != 0 && i % 7 != 0);
	}
	assert_int_equal(manifest_reader_next(reader, &shard, &err), 0);
	manifest_reader_close(reader);
	close(records);
	close(fd);
}

static void test_without_being_asked_for_no_digest_is_missing(void **state)
{
	static const char without[] = "f - 10 1700000000000000000 0644 a\n";
	struct larder_error err = {0};
	struct shard a = {.type = SHARD_FILE, .size = 1, .path = "a", .digest = some}, b = a;
	char text[1024], *trust;

	assert_int_equal(check_body(*state, without, &err), -EINVAL);
	assert_non_null(strstr(err.text, "trust first-use"));
	assert_true(shard_same(&a, &b));
	b.undigested = true;
	assert_false(shard_same(&a, &b));
	assert_false(shard_same(&b, &a));
	/* the head has one word for it, in one place */
	snprintf(text, sizeof(text), "%s", good_head);
	trust = strstr(text, "created");
	memmove(trust + 13, trust, strlen(trust) + 1);
	memcpy(trust, "trust always\n", 13);
	assert_int_equal(larder_manifest_head_parse(text, strlen(text),
						    &(struct larder_manifest_head){0}, &err),
			 -EINVAL);
	assert_non_null(strstr(err.text, "first-use"));
}

#define WITH_DIR(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_head_cut_anywhere_is_refused),
		cmocka_unit_test(test_head_refusals),
		cmocka_unit_test(test_head_with_too_many_origins),
		cmocka_unit_test(test_head_without_end_is_left),
		WITH_DIR(test_head_of_what_is_no_file),
		cmocka_unit_test(test_access_words),
		cmocka_unit_test(test_access_allows),
		WITH_DIR(test_sound_bodies),
		WITH_DIR(test_refused_bodies),
		WITH_DIR(test_the_line_is_named),
		WITH_DIR(test_nul_in_the_body),
		WITH_DIR(test_components_of_255_and_256_bytes),
		WITH_DIR(test_totals_and_digest),
		WITH_DIR(test_truncated_anywhere),
		WITH_DIR(test_any_byte_of_the_body_changed),
		WITH_DIR(test_after_an_error_a_reader_stays_failed),
		WITH_DIR(test_a_line_that_never_ends),
		WITH_DIR(test_odd_names_round_trip),
		WITH_DIR(test_writer_refusals),
		WITH_DIR(test_writer_wants_an_empty_file_and_a_good_head),
		WITH_DIR(test_unfinished_is_no_manifest),
		WITH_DIR(test_merge),
		cmocka_unit_test(test_what_is_the_same),
		WITH_DIR(test_a_first_use_has_its_records),
		WITH_DIR(test_without_being_asked_for_no_digest_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
