/*
 * Owns: origins at s3://: opened with a profile, listed page by page, read as http.c reads.
 * Must not: write, rename or delete there, or keep a secret but in libcurl's hands and its own.
 * Called by: xfer and scan, through source_ops, from many threads at once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "origin/origins.h"
#include "origin/s3.h"
#include "origin/s3_list.h"

#define PAGE_BYTES_MAX	((size_t)16 * 1024 * 1024) /* 1,000 keys of 1,024 bytes, encoded: 4 MB */
#define EMPTY_PAGES_MAX 1000u			   /* one after the other */

static bool s3_owns(const char *origin)
{
	return strncmp(origin, "s3://", 5) == 0;
}

static char *object_url(const struct http_source *source, const char *path)
{
	return s3_object_url(&((const struct s3_source *)source)->place, path);
}

/* A listing's LastModified has more digits than the header's, and servers round up or down. */
static const struct http_dialect dialect = {
	.url = object_url,
	.refuse = s3_refuse,
	.if_match = true,
	.modified_slack_s = 1,
};

static void s3_close(struct source *base)
{
	struct s3_source *s3 = (struct s3_source *)base;

	if (!s3)
		return;
	http_source_fini(&s3->http);
	s3_place_fini(&s3->place);
	free(s3->profile);
	free(s3);
}

/* --- who asks */

/* libcurl hashes no payload where this header tells the hash; reading has none to protect. */
static int sign_with(struct s3_source *s3, struct s3_profile *profile)
{
	struct http_sign *sign = &s3->http.sign;
	int rc;

	if (!profile->secret)
		return 0;
	if (asprintf(&sign->scheme, "aws:amz:%s:s3", s3->place.region) < 0) {
		sign->scheme = NULL;
		return -ENOMEM;
	}
	sign->key_id = profile->key_id;
	sign->secret = profile->secret;
	profile->key_id = profile->secret = NULL;
	rc = http_source_header(&s3->http, "x-amz-content-sha256: UNSIGNED-PAYLOAD");
	if (!rc && profile->token) {
		char *line;

		if (asprintf(&line, "x-amz-security-token: %s", profile->token) < 0)
			return -ENOMEM;
		rc = http_source_header(&s3->http, line);
		explicit_bzero(line, strlen(line));
		free(line);
	}
	return rc;
}

static int begin(struct s3_source *s3, const char *origin, const struct source_options *options,
		 struct larder_error *err)
{
	const struct source_s3 none = {0};
	struct s3_profile profile = {0};
	auto_free char *bucket = strndup(origin + 5, strcspn(origin + 5, "/"));
	int rc;

	if (!bucket)
		return larder_error_set(err, ENOMEM, "out of memory");
	rc = s3_profile_choose(options ? &options->s3 : &none, bucket, &profile, err);
	if (rc)
		return rc;
	rc = s3_place_init(&s3->place, origin, &profile, err);
	if (!rc)
		rc = http_source_init(&s3->http, origin, s3->place.base, options, err);
	if (!rc && sign_with(s3, &profile))
		rc = larder_error_set(err, ENOMEM, "out of memory");
	s3->profile = profile.name;
	profile.name = NULL;
	s3_profile_fini(&profile);
	return rc;
}

static int s3_open(const char *origin, const struct source_as *as,
		   const struct source_options *options, struct source **out,
		   struct larder_error *err)
{
	struct s3_source *s3 = calloc(1, sizeof(*s3));
	int rc;

	(void)as; /* options->s3.owner says whose credentials these are */
	if (!s3)
		return larder_error_set(err, ENOMEM, "no memory for origin %s", origin);
	s3->http.base.ops = &source_s3;
	s3->http.dialect = &dialect;
	rc = begin(s3, origin, options, err);
	if (rc) {
		larder_error_prefix(err, "origin %s", origin);
		s3_close(&s3->http.base);
		return rc;
	}
	*out = &s3->http.base;
	return 0;
}

/* --- the listing */

struct listing {
	struct s3_source *s3;
	int (*found)(const struct source_entry *entry, void *arg);
	void *arg;
	uint64_t objects; /* so far, markers of directories too */
	struct larder_error *err;
};

static int bad_key(const struct listing *l, const char *key, const char *why)
{
	auto_free char *shown = larder_path_encode(key);

	return larder_error_set(
		l->err, EINVAL,
		"key %s in bucket %s cannot be a file's path: %s; rename the object, "
		"or publish a prefix without it",
		shown ? shown : "?", l->s3->place.bucket, why);
}

/* Keys that end in / and have no bytes stand for directories, as some tools make them. */
static int take_object(const struct s3_object *object, void *arg)
{
	struct listing *l = arg;
	size_t prefix = strlen(l->s3->place.prefix), len = strlen(object->key);
	struct larder_error why = {0};
	struct source_entry entry = {
		.path = object->key + prefix,
		.type = SHARD_FILE,
		.size = object->size,
		.mtime_ns = object->mtime_ns,
		.mode = 0644,
	};
	int rc;

	if (strncmp(object->key, l->s3->place.prefix, prefix) != 0)
		return larder_error_set(l->err, EPROTO,
					"the server lists keys that do not begin with %s",
					l->s3->place.prefix);
	l->objects++;
	if (len == prefix || object->key[len - 1] == '/')
		return object->size ? bad_key(l, object->key, "it ends in / and has bytes") : 0;
	if (larder_path_check(entry.path, &why))
		return bad_key(l, object->key, why.text);
	rc = l->found(&entry, l->arg);
	return rc ? larder_error_set(l->err, -rc, "%s: %s", object->key, strerror(-rc)) : 0;
}

static int take_page(struct listing *l, char **token)
{
	auto_free char *url = s3_list_url(&l->s3->place, *token);
	auto_free char *text = NULL;
	char *next = NULL;
	size_t len;
	int rc;

	if (!url)
		return larder_error_set(l->err, ENOMEM, "out of memory");
	rc = http_source_document(&l->s3->http, url, PAGE_BYTES_MAX, &text, &len, l->err);
	if (!rc)
		rc = s3_list_parse(text, len, take_object, l, &next, l->err);
	if (!rc && next && *token && strcmp(next, *token) == 0)
		rc = larder_error_set(l->err, EPROTO,
				      "the server gives the same page again and again");
	free(*token);
	*token = next;
	return rc;
}

static int take_pages(struct listing *l)
{
	unsigned int empty = 0;
	char *token = NULL;
	int rc;

	do {
		uint64_t before = l->objects;

		rc = take_page(l, &token);
		empty = l->objects == before ? empty + 1 : 0;
		if (!rc && empty > EMPTY_PAGES_MAX)
			rc = larder_error_set(l->err, EPROTO, "the server gives empty pages only");
	} while (!rc && token);
	free(token);
	return rc;
}

static int s3_list(struct source *base, unsigned int threads,
		   int (*found)(const struct source_entry *entry, void *arg), void *arg,
		   struct larder_error *err)
{
	struct s3_source *s3 = (struct s3_source *)base;
	struct larder_error why = {0};
	struct listing l = {.s3 = s3, .found = found, .arg = arg, .err = &why};
	int rc = take_pages(&l);

	(void)threads; /* a page tells how the next one is asked for */
	if (!rc && !l.objects)
		rc = larder_error_set(&why, ENOENT,
				      "there is no object whose key begins with \"%s\"",
				      s3->place.prefix);
	if (rc) {
		larder_error_prefix(&why, "list %s", s3->http.root);
		if (err)
			*err = why;
	}
	return rc;
}

const struct source_ops source_s3 = {
	.kind = "s3",
	.owns = s3_owns,
	.open = s3_open,
	.close = s3_close,
	.fetch = http_source_fetch,
	.fetch_many = http_source_fetch_many,
	.look = http_source_look,
	.list = s3_list,
};
