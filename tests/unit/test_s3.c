/*
 * S3 without a server: URLs as signatures want them, profiles and who serves which bucket, files
 * that others may read, pages and errors in XML, and what hostile input does to all of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "origin/origins.h"
#include "origin/s3_list.h"
#include "origin/s3_profile.h"
#include "origin/s3_url.h"
#include "scratch.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SECRET	 "wJalrXUtnFEMI"

/* --- URLs */

struct url_case {
	const char *origin, *endpoint, *region;
	enum s3_style style;
	const char *path, *url;
};

static void test_urls(void **state)
{
	static const struct url_case cases[] = {
		{"s3://bkt/p", NULL, NULL, S3_STYLE_AUTO, "a",
		 "https://bkt.s3.us-east-1.amazonaws.com/p/a"},
		{"s3://bkt/p", NULL, "cn-north-1", S3_STYLE_AUTO, "a",
		 "https://bkt.s3.cn-north-1.amazonaws.com.cn/p/a"},
		{"s3://b.k.t", NULL, "eu-west-1", S3_STYLE_AUTO, "a",
		 "https://s3.eu-west-1.amazonaws.com/b.k.t/a"},
		{"s3://bkt", NULL, "eu-west-1", S3_STYLE_PATH, "a",
		 "https://s3.eu-west-1.amazonaws.com/bkt/a"},
		{"s3://bkt/p", "http://h:9000", NULL, S3_STYLE_AUTO, "a", "http://h:9000/bkt/p/a"},
		{"s3://bkt/p", "http://h:9000/", NULL, S3_STYLE_VIRTUAL, "a",
		 "http://bkt.h:9000/p/a"},
		{"s3://bkt", "https://h/s3/", NULL, S3_STYLE_AUTO, "a", "https://h/s3/bkt/a"},
		{"s3://ten:bkt", "https://h", NULL, S3_STYLE_AUTO, "a", "https://h/ten%3Abkt/a"},
		{"s3://bkt/my%20data%2525", "http://h", NULL, S3_STYLE_AUTO, "x",
		 "http://h/bkt/my%20data%2525/x"},
		{"s3://bkt", "http://h", NULL, S3_STYLE_AUTO, "a b+c%d=(e):'f'@g,h*\xc3\xa9~-._/i",
		 "http://h/bkt/a%20b%2Bc%25d%3D%28e%29%3A%27f%27%40g%2Ch%2A%C3%A9~-._/i"},
		{"s3://bkt/a//b", "http://h", NULL, S3_STYLE_AUTO, "c", "http://h/bkt/a//b/c"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct s3_profile profile = {.endpoint = (char *)(uintptr_t)cases[i].endpoint,
					     .region = (char *)(uintptr_t)cases[i].region,
					     .style = cases[i].style};
		struct larder_error err = {0};
		struct s3_place place;
		char *url;

		assert_int_equal(s3_place_init(&place, cases[i].origin, &profile, &err), 0);
		url = s3_object_url(&place, cases[i].path);
		assert_string_equal(url, cases[i].url);
		free(url);
		s3_place_fini(&place);
	}
}

static void test_the_query_is_sorted_and_encoded(void **state)
{
	struct s3_profile profile = {.endpoint = (char[]){"http://h"}};
	struct s3_place place;
	char *url;

	(void)state;
	assert_int_equal(s3_place_init(&place, "s3://bkt/a%2Fb%20+", &profile, NULL), 0);
	assert_string_equal(place.prefix, "a/b +/");
	url = s3_list_url(&place, "x/y=+ &");
	assert_string_equal(url, "http://h/bkt?continuation-token=x%2Fy%3D%2B%20%26"
				 "&encoding-type=url&list-type=2&max-keys=1000"
				 "&prefix=a%2Fb%20%2B%2F");
	free(url);
	s3_place_fini(&place);
	profile.style = S3_STYLE_VIRTUAL;
	assert_int_equal(s3_place_init(&place, "s3://bkt", &profile, NULL), 0);
	url = s3_list_url(&place, NULL);
	assert_string_equal(url,
			    "http://bkt.h/?encoding-type=url&list-type=2&max-keys=1000&prefix=");
	free(url);
	s3_place_fini(&place);
}

static void test_origins_that_are_none(void **state)
{
	static const char *const bad[] = {"s3://",	   "s3:///p",	 "s3://a..b/p",
					  "s3://a_b@c/p",  "s3://b/p?x", "s3://b/p#x",
					  "s3://b/%0",	   "s3://b/%zz", "s3://b/%00",
					  "s3://b\x01c/p", "s3://-b/p"};
	const struct s3_profile profile = {0};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct larder_error err = {0};
		struct s3_place place;

		if (s3_place_init(&place, bad[i], &profile, &err) != -EINVAL)
			fail_msg("%s", bad[i]);
		assert_true(*err.text);
	}
}

/* --- profiles */

static int parse(const char *text, struct s3_profiles *profiles, struct larder_error *err)
{
	*profiles = (struct s3_profiles){0};
	return s3_profiles_parse(text, strlen(text), "F", profiles, err);
}

static void test_profiles(void **state)
{
	struct s3_profiles profiles;
	struct larder_error err = {0};
	const struct s3_profile *p;

	(void)state;
	assert_int_equal(parse("# remark\n\n[default]\r\naws_access_key_id = A:B \r\n"
			       "aws_secret_access_key=" SECRET "/+=\noutput = json\n"
			       "; remark\n[profile two words]\n  region = eu-1\n"
			       "[sso-session x]\nregion = no\n[profile two]\ncli =\n region = no\n"
			       "s3 =\n  addressing_style = path\n  max_queue = 3\n"
			       "endpoint_url = http://h:1\n[default]\nregion = r\nregion = s\n",
			       &profiles, &err),
			 0);
	assert_int_equal(profiles.count, 3);
	p = &profiles.items[0];
	assert_string_equal(p->name, "default");
	assert_string_equal(p->key_id, "A:B");
	assert_string_equal(p->secret, SECRET "/+=");
	assert_string_equal(p->region, "r");
	assert_string_equal(profiles.items[1].name, "two words");
	assert_string_equal(profiles.items[1].region, "eu-1");
	p = &profiles.items[2];
	assert_string_equal(p->name, "two");
	assert_null(p->region);
	assert_int_equal(p->style, S3_STYLE_PATH);
	assert_string_equal(p->endpoint, "http://h:1");
	s3_profiles_fini(&profiles);
}

static void test_no_sentence_has_a_value(void **state)
{
	static const char *const bad[] = {
		SECRET,
		SECRET " = x",
		"[a]\n" SECRET,
		"[a]\naws_secret_access_key = " SECRET " # mine",
		"[a]\naws_secret_access_key = " SECRET "\x01",
		"[a\naws_secret_access_key = " SECRET,
		"[]\naws_secret_access_key = " SECRET,
		"[a] " SECRET,
		"[a]\naddressing_style = " SECRET,
		"[a\x02]\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct larder_error err = {0};
		struct s3_profiles profiles;

		assert_int_equal(parse(bad[i], &profiles, &err), -EINVAL);
		assert_non_null(strstr(err.text, "F:"));
		assert_null(strstr(err.text, SECRET));
		s3_profiles_fini(&profiles);
	}
}

static void test_profiles_that_are_no_use(void **state)
{
	static const char *const bad[] = {
		"aws_access_key_id = A",	 "aws_secret_access_key = " SECRET,
		"aws_session_token = " SECRET,	 "role_arn = x",
		"credential_process = /bin/x y", "region = a:b",
		"endpoint_url = ftp://h",	 "endpoint_url = http://u:" SECRET "@h",
		"endpoint_url = http://",	 "endpoint_url = http://h?" SECRET,
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct larder_error err = {0};
		struct s3_profile got;
		char text[256];

		snprintf(text, sizeof(text), "[default]\n%s\n", bad[i]);
		if (s3_profile_choose(&(struct source_s3){.credentials_text = text}, "b", &got,
				      &err) != -EINVAL)
			fail_msg("%s", bad[i]);
		assert_non_null(strstr(err.text, "profile default"));
		assert_null(strstr(err.text, SECRET));
	}
}

static const char many[] = "[default]\naws_access_key_id = D\naws_secret_access_key = d\n"
			   "[train]\naws_access_key_id = T\naws_secret_access_key = t\n"
			   "larder_buckets = val, train-*\nregion = r1\n"
			   "[public]\nlarder_buckets = open\nendpoint_url = http://p\n";

/* Which key id asks for the bucket; NULL: nobody signs. */
static void chosen(const struct source_s3 *from, const char *bucket, const char *key_id,
		   const char *endpoint)
{
	struct larder_error err = {0};
	struct s3_profile got;

	assert_int_equal(s3_profile_choose(from, bucket, &got, &err), 0);
	if (key_id)
		assert_string_equal(got.key_id, key_id);
	else
		assert_null(got.key_id);
	if (endpoint)
		assert_string_equal(got.endpoint, endpoint);
	else
		assert_null(got.endpoint);
	s3_profile_fini(&got);
}

static void test_who_serves_a_bucket(void **state)
{
	struct source_s3 from = {.credentials_text = many};
	struct larder_error err = {0};
	struct s3_profile got;

	(void)state;
	chosen(&from, "other", "D", NULL);
	chosen(&from, "val", "T", NULL);
	chosen(&from, "valid", "D", NULL);
	chosen(&from, "train-", "T", NULL);
	chosen(&from, "train-1", "T", NULL);
	chosen(&from, "train", "D", NULL);
	chosen(&from, "open", NULL, "http://p");
	from.endpoint = "http://mine";
	chosen(&from, "open", NULL, "http://mine");
	from.profile = "train";
	chosen(&from, "open", "T", "http://mine");
	from.profile = "no\nbody";
	assert_int_equal(s3_profile_choose(&from, "open", &got, &err), -ENOENT);
	chosen(&(struct source_s3){0}, "other", NULL, NULL);
}

static void test_the_environment(void **state)
{
	struct source_s3 from = {.credentials_text = many, .environment = true};

	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "E", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "e", 1);
	setenv("AWS_ENDPOINT_URL", "http://env", 1);
	chosen(&from, "other", "E", "http://env");
	chosen(&from, "val", "T", "http://env");
	chosen(&from, "open", NULL, "http://p");
	from.environment = false;
	chosen(&from, "other", "D", NULL);
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	from.environment = true;
	chosen(&from, "other", "D", "http://env");
	unsetenv("AWS_ENDPOINT_URL");
}

/* --- files */

static void put_file(const char *path, const char *text, mode_t mode)
{
	scratch_write(path, text, strlen(text));
	assert_int_equal(chmod(path, mode), 0);
}

static int read_file(const char *path, const struct source_as *owner, bool open,
		     struct larder_error *err)
{
	struct s3_profiles profiles = {0};
	int rc;

	*err = (struct larder_error){0};
	rc = s3_profiles_read(AT_FDCWD, path, owner, open, &profiles, err);
	s3_profiles_fini(&profiles);
	assert_null(strstr(err->text, SECRET));
	return rc;
}

static void test_files_of_others_and_for_others(void **state)
{
	static const char text[] =
		"[a]\naws_access_key_id = A\naws_secret_access_key = " SECRET "\n";
	const struct source_as user = {.uid = 54321, .gid = 54321};
	char *dir = scratch_create();
	const char *path = scratch_path(dir, "f");
	struct larder_error err;

	(void)state;
	put_file(path, text, 0600);
	assert_int_equal(read_file(path, NULL, false, &err), 0);
	assert_int_equal(s3_credentials_check(path, &err), 0);
	put_file(path, text, 0640);
	assert_int_equal(read_file(path, NULL, false, &err), -EACCES);
	assert_non_null(strstr(err.text, "chmod 600"));
	assert_int_equal(read_file(path, NULL, true, &err), -EACCES);
	put_file(path, "[a]\nregion = r\n", 0644);
	assert_int_equal(read_file(path, NULL, true, &err), 0);
	assert_int_equal(read_file(path, NULL, false, &err), -EACCES);
	assert_int_equal(read_file(dir, NULL, true, &err), -EINVAL);
	unlink(path);
	assert_int_equal(read_file(path, NULL, true, &err), -ENOENT);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(read_file(path, NULL, true, &err), -EINVAL);
	unlink(path);
	if (geteuid() == 0) {
		assert_int_equal(chmod(dir, 0755), 0);
		put_file(path, text, 0600);
		assert_int_equal(read_file(path, &user, false, &err), -EACCES);
		assert_int_equal(chown(path, 54322, 0), 0);
		assert_int_equal(read_file(path, NULL, false, &err), -EACCES);
		assert_non_null(strstr(err.text, "54322"));
		assert_int_equal(chown(path, 54321, 54321), 0);
		assert_int_equal(read_file(path, &user, false, &err), 0);
	}
	scratch_destroy(dir);
}

/* --- XML */

struct seen {
	char keys[8][64];
	uint64_t bytes;
	int64_t mtime_ns;
	unsigned int count;
	int answer;
};

static int see(const struct s3_object *object, void *arg)
{
	struct seen *seen = arg;

	if (seen->count < COUNT(seen->keys))
		snprintf(seen->keys[seen->count], sizeof(seen->keys[0]), "%s", object->key);
	seen->count++;
	seen->bytes += object->size;
	seen->mtime_ns = object->mtime_ns;
	return seen->answer;
}

#define PAGE(text)   "<?xml version='1.0'?><ListBucketResult xmlns='x'>" text "</ListBucketResult>"
#define OBJECT(text) "<Contents>" text "</Contents>"
#define TIME	     "<LastModified>2009-10-12T17:50:30.250Z</LastModified>"

static int page(const char *text, struct seen *seen, char **token, struct larder_error *err)
{
	*seen = (struct seen){.answer = seen->answer};
	return s3_list_parse(text, strlen(text), see, seen, token, err);
}

static void test_pages(void **state)
{
	struct larder_error err = {0};
	struct seen seen = {0};
	char *token;

	(void)state;
	assert_int_equal(
		page(PAGE("<Prefix>p</Prefix><IsTruncated>true</IsTruncated>"
			  "<NextContinuationToken>t&amp;1</NextContinuationToken>" OBJECT(
				  "<Key>a%20b+c%2B</Key>" TIME "<ETag>\"x\"</ETag><Size>5</Size>"
				  "<Owner><ID>Key</ID></Owner>")
				  OBJECT("<Size>7</Size><Key>d</Key>") "<EncodingType>url</EncodingType>"),
		     &seen, &token, &err),
		0);
	assert_string_equal(token, "t&1");
	free(token);
	assert_int_equal(seen.count, 2);
	assert_string_equal(seen.keys[0], "a b c+");
	assert_string_equal(seen.keys[1], "d");
	assert_int_equal(seen.bytes, 12);
	assert_int_equal(page(PAGE("<IsTruncated>false</IsTruncated>" OBJECT(
				      "<Key>a%20b+c</Key><Size>5</Size>" TIME)),
			      &seen, &token, &err),
			 0);
	assert_null(token);
	assert_string_equal(seen.keys[0], "a%20b+c");
	assert_int_equal(seen.mtime_ns, 1255369830250000000);
	assert_int_equal(page(PAGE(""), &seen, &token, &err), 0);
	assert_int_equal(seen.count, 0);
	seen.answer = -ECANCELED;
	assert_int_equal(page(PAGE(OBJECT("<Key>a</Key><Size>5</Size>")
					   OBJECT("<Key>b</Key><Size>5</Size>")),
			      &seen, &token, &err),
			 -ECANCELED);
	assert_int_equal(seen.count, 1);
}

static void test_pages_that_are_none(void **state)
{
	static const char *const bad[] = {
		"",
		"plain",
		"<html></html>",
		"<ListBucketResult>",
		PAGE("<IsTruncated>true</IsTruncated>"),
		PAGE("<IsTruncated>true</IsTruncated><NextContinuationToken/>"),
		PAGE("<EncodingType>base64</EncodingType>"),
		PAGE(OBJECT("<Key>a</Key>")),
		PAGE(OBJECT("<Size>1</Size>")),
		PAGE(OBJECT("<Key>a</Key><Size>-1</Size>")),
		PAGE(OBJECT("<Key>a</Key><Size>99999999999999999999</Size>")),
		PAGE(OBJECT("<Key>a</Key><Size>1</Size><LastModified>now</LastModified>")),
		PAGE("<EncodingType>url</EncodingType>" OBJECT("<Key>a%</Key><Size>1</Size>")),
		PAGE("<EncodingType>url</EncodingType>" OBJECT("<Key>a%00</Key><Size>1</Size>")),
		PAGE("<EncodingType>url</EncodingType>" OBJECT("<Key>a%gg</Key><Size>1</Size>")),
		PAGE("<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a></a></a></a></a></a></a></"
		     "a></a></a></a></a></a></a></a></a></a></a>"),
		"<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>" PAGE("&b;"),
		PAGE(OBJECT("<Key>\x80</Key><Size>1</Size>")),
	};
	struct seen seen = {0};
	char *token;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct larder_error err = {0};

		if (page(bad[i], &seen, &token, &err) != -EPROTO)
			fail_msg("%s", bad[i]);
		assert_null(token);
		assert_true(*err.text);
	}
}

static void test_a_key_that_is_too_long(void **state)
{
	struct larder_error err = {0};
	struct seen seen = {0};
	size_t long_one = 100000;
	char *text = malloc(long_one + 256), *token;

	(void)state;
	sprintf(text,
		"<ListBucketResult><Contents><Key>%*s</Key><Size>1</Size></Contents>"
		"</ListBucketResult>",
		(int)long_one, "a");
	assert_int_equal(page(text, &seen, &token, &err), -EPROTO);
	assert_int_equal(seen.count, 0);
	free(text);
}

/* Every cut, and every byte turned into another: an answer or a sentence, never more. */
static void test_pages_that_were_damaged(void **state)
{
	static const char good[] =
		PAGE("<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
		     "<NextContinuationToken>t</NextContinuationToken>" OBJECT(
			     "<Key>a%20b</Key><Size>5</Size>" TIME));
	struct s3_error error;
	struct seen seen = {0};
	char text[sizeof(good)], *token;

	(void)state;
	for (size_t at = 0; at < sizeof(good) - 1; at++) {
		for (unsigned int byte = 0; byte < 256; byte += 7) {
			memcpy(text, good, sizeof(good));
			text[at] = (char)byte;
			seen = (struct seen){0};
			s3_list_parse(text, sizeof(good) - 1, see, &seen, &token, NULL);
			free(token);
		}
		seen = (struct seen){0};
		assert_int_equal(s3_list_parse(good, at, see, &seen, &token, NULL), -EPROTO);
		assert_int_equal(seen.count, 0);
		s3_error_parse(good, at, &error);
	}
}

static void test_errors(void **state)
{
	static const char text[] = "<?xml version='1.0'?><Error><Code>PermanentRedirect</Code>"
				   "<Message>secret</Message><Endpoint>b.s3.eu</Endpoint>"
				   "<Region>eu\x7f-1</Region><Deep><Code>no</Code></Deep></Error>";
	struct s3_error error;

	(void)state;
	s3_error_parse(text, strlen(text), &error);
	assert_string_equal(error.code, "PermanentRedirect");
	assert_string_equal(error.endpoint, "b.s3.eu");
	assert_string_equal(error.region, "eu?-1");
	s3_error_parse(text, 60, &error);
	assert_string_equal(error.code, "PermanentRedirect");
	s3_error_parse("<html><Code>x</Code>", 20, &error);
	assert_string_equal(error.code, "");
	s3_error_parse("", 0, &error);
	assert_string_equal(error.code, "");
}

static void test_times(void **state)
{
	static const char *const bad[] = {
		"",
		"2009-10-12",
		"2009-10-12T17:50:30",
		"2009-13-12T17:50:30Z",
		"2009-10-12T17:50:30.Zx",
		"2009-10-12 17:50:30Z",
		"0009-10-12T17:50:30Z",
		"9999-10-12T17:50:30Z",
		"2009-10-12T25:50:30Z",
		"+009-10-12T17:50:30Z",
	};
	int64_t ns;

	(void)state;
	assert_int_equal(s3_time_parse("1970-01-01T00:00:01Z", &ns), 0);
	assert_int_equal(ns, 1000000000);
	assert_int_equal(s3_time_parse("2009-10-12T17:50:30.123456789012Z", &ns), 0);
	assert_int_equal(ns, 1255369830123456789);
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(s3_time_parse(bad[i], &ns), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_the_query_is_sorted_and_encoded),
		cmocka_unit_test(test_origins_that_are_none),
		cmocka_unit_test(test_profiles),
		cmocka_unit_test(test_no_sentence_has_a_value),
		cmocka_unit_test(test_profiles_that_are_no_use),
		cmocka_unit_test(test_who_serves_a_bucket),
		cmocka_unit_test(test_the_environment),
		cmocka_unit_test(test_files_of_others_and_for_others),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_pages_that_are_none),
		cmocka_unit_test(test_a_key_that_is_too_long),
		cmocka_unit_test(test_pages_that_were_damaged),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
