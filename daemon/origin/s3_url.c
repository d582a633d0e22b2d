/*
 * Owns: URLs of buckets, objects and listings, in the one spelling that signatures are made of.
 * Must not: look at files or servers.
 * Called by: s3.c.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/text.h"
#include "origin/s3_url.h"

#define DEFAULT_REGION "us-east-1"

/* Whatever SigV4 does not call unreserved is encoded: the server encodes again what it decoded, and
 * compares. */
static char *encode(char *at, const char *text, bool keep_slash)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if ((isascii(c) && isalnum(c)) || strchr("-._~", c) || (keep_slash && c == '/'))
			*at++ = (char)c;
		else
			at += sprintf(at, "%%%02X", c);
	}
	*at = '\0';
	return at;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int s3_unquote(const char *text, bool plus, char *out)
{
	for (; *text; text++) {
		int high, low;

		if (*text != '%') {
			*out++ = (char)(plus && *text == '+' ? ' ' : *text);
			continue;
		}
		high = hex(text[1]);
		low = high < 0 ? -1 : hex(text[2]);
		if (low < 0 || (!high && !low))
			return -EINVAL;
		*out++ = (char)(high << 4 | low);
		text += 2;
	}
	*out = '\0';
	return 0;
}

/* --- where a bucket is */

/* AWS's rules are stricter, those of other servers are not; Ceph has TENANT:BUCKET. */
static int check_bucket(const char *bucket, const char *origin, struct larder_error *err)
{
	char shown[200];
	size_t len = strlen(bucket);

	if (len && len <= 255 && isalnum((unsigned char)*bucket) && !strstr(bucket, "..") &&
	    bucket[strspn(bucket, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789._-:")] == '\0')
		return 0;
	return larder_error_set(
		err, EINVAL,
		"origin %s: a bucket's name has letters, digits, dots, hyphens and underscores",
		larder_text_quote(origin, SIZE_MAX, shown, sizeof(shown)));
}

/* A name that can be a part of a host's, under a certificate for *.HOST. */
static bool is_label(const char *bucket)
{
	size_t len = strlen(bucket);

	return len >= 3 && len <= 63 && bucket[len - 1] != '-' &&
	       bucket[strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

static char *aws_endpoint(const char *region)
{
	char *text;

	if (asprintf(&text, "https://s3.%s.amazonaws.com%s", region,
		     strncmp(region, "cn-", 3) == 0 ? ".cn" : "") < 0)
		return NULL;
	return text;
}

/* By itself: AWS wants the bucket in the host; most other servers know it in the path only. */
static bool wants_path(const struct s3_place *place, const struct s3_profile *profile)
{
	if (profile->style == S3_STYLE_AUTO)
		return profile->endpoint || !is_label(place->bucket);
	return profile->style == S3_STYLE_PATH;
}

static char *bucket_url(const struct s3_place *place, const char *endpoint)
{
	size_t len = strlen(endpoint), scheme = (size_t)(strstr(endpoint, "://") + 3 - endpoint);
	char *url = malloc(len + 3 * strlen(place->bucket) + 2);

	while (len && endpoint[len - 1] == '/')
		len--;
	if (!url)
		return NULL;
	if (place->in_path) {
		memcpy(url, endpoint, len);
		url[len] = '/';
		encode(url + len + 1, place->bucket, false);
	} else {
		sprintf(url, "%.*s%s.%.*s", (int)scheme, endpoint, place->bucket,
			(int)(len - scheme), endpoint + scheme);
	}
	return url;
}

static int make_base(struct s3_place *place, const struct s3_profile *profile,
		     struct larder_error *err)
{
	char *aws = NULL;

	place->region = strdup(profile->region ? profile->region : DEFAULT_REGION);
	place->in_path = wants_path(place, profile);
	if (!place->in_path && strpbrk(place->bucket, ":_"))
		return larder_error_set(err, EINVAL,
					"bucket %s cannot be a part of a host's name; set "
					"addressing_style = path",
					place->bucket);
	if (place->region && !profile->endpoint)
		aws = aws_endpoint(place->region);
	if (place->region && (profile->endpoint || aws))
		place->base = bucket_url(place, profile->endpoint ? profile->endpoint : aws);
	free(aws);
	return place->base ? 0 : larder_error_set(err, ENOMEM, "out of memory");
}

/* "a/b%20c/" becomes "a/b c/"; slashes at the end are one. */
static int make_prefix(struct s3_place *place, const char *text, const char *origin,
		       struct larder_error *err)
{
	char shown[200];
	size_t len;

	place->prefix = malloc(strlen(text) + 2);
	if (!place->prefix)
		return larder_error_set(err, ENOMEM, "out of memory");
	if (s3_unquote(text, false, place->prefix))
		return larder_error_set(err, EINVAL,
					"origin %s: a %% is followed by two hex digits, not 00; "
					"write %%25 for the sign itself",
					larder_text_quote(origin, SIZE_MAX, shown, sizeof(shown)));
	len = strlen(place->prefix);
	if (len && (text[strlen(text) - 1] != '/'))
		strcpy(place->prefix + len, "/");
	return 0;
}

int s3_place_init(struct s3_place *place, const char *origin, const struct s3_profile *profile,
		  struct larder_error *err)
{
	const char *bucket = origin + strlen("s3://"), *slash = strchr(bucket, '/');
	int rc;

	*place = (struct s3_place){0};
	if (strpbrk(origin, "?#"))
		return larder_error_set(err, EINVAL,
					"origin %s: in a prefix write %%3F for ? and %%23 for #",
					origin);
	place->bucket = slash ? strndup(bucket, (size_t)(slash - bucket)) : strdup(bucket);
	if (!place->bucket)
		return larder_error_set(err, ENOMEM, "out of memory");
	rc = check_bucket(place->bucket, origin, err);
	if (!rc)
		rc = make_prefix(place, slash ? slash + 1 : "", origin, err);
	if (!rc)
		rc = make_base(place, profile, err);
	if (rc)
		s3_place_fini(place);
	return rc;
}

void s3_place_fini(struct s3_place *place)
{
	free(place->bucket);
	free(place->prefix);
	free(place->base);
	free(place->region);
	*place = (struct s3_place){0};
}

/* --- URLs */

char *s3_object_url(const struct s3_place *place, const char *path)
{
	size_t len = strlen(place->base);
	char *url = malloc(len + 3 * (strlen(place->prefix) + strlen(path)) + 2);

	if (!url)
		return NULL;
	memcpy(url, place->base, len);
	url[len] = '/';
	encode(encode(url + len + 1, place->prefix, true), path, true);
	return url;
}

/* The names are in order, as they are signed. */
char *s3_list_url(const struct s3_place *place, const char *token)
{
	size_t room = strlen(place->base) + 3 * strlen(place->prefix) + 128;
	char *url, *at;

	url = malloc(room + (token ? 3 * strlen(token) : 0));
	if (!url)
		return NULL;
	at = url + sprintf(url, "%s%s?", place->base, place->in_path ? "" : "/");
	if (token) {
		at = encode(at + sprintf(at, "continuation-token="), token, false);
		*at++ = '&';
	}
	at += sprintf(at, "encoding-type=url&list-type=2&max-keys=1000&prefix=");
	encode(at, place->prefix, false);
	return url;
}
