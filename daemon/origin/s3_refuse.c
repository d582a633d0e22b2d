/*
 * Owns: the sentences about what S3 servers refuse.
 * Must not: repeat what the server says but its error's name and where a bucket is.
 * Called by: http.c, through the dialect of s3.c.
 */
#include <errno.h>
#include <string.h>

#include "origin/http_answer.h"
#include "origin/s3.h"
#include "origin/s3_list.h"

static bool is(const struct s3_error *error, const char *code)
{
	return strcmp(error->code, code) == 0;
}

static bool is_any(const struct s3_error *error, const char *const *codes)
{
	for (; *codes; codes++)
		if (is(error, *codes))
			return true;
	return false;
}

/* The bucket is in another region than the request was signed for, or sent to. */
static int elsewhere(const struct s3_source *s3, const struct s3_error *error,
		     struct larder_error *err)
{
	const char *where = *error->region ? error->region : error->endpoint;

	return larder_error_set(
		err, EPROTO,
		"bucket %s is not in region %s%s%s (%s); set region, or endpoint_url, "
		"of S3 profile %s",
		s3->place.bucket, s3->place.region, *where ? ", the server names " : "", where,
		error->code, s3->profile);
}

/* 403 and its like, by what the server calls it; 0: none of these. */
static int denied(const struct s3_source *s3, const struct s3_error *error,
		  struct larder_error *err)
{
	static const char *const stale[] = {"ExpiredToken", "InvalidToken", "TokenRefreshRequired",
					    NULL};

	if (is(error, "SignatureDoesNotMatch"))
		return larder_error_set(err, EACCES,
					"the server refuses the signature: the keys of S3 profile "
					"%s are not those it has (SignatureDoesNotMatch)",
					s3->profile);
	if (is(error, "InvalidAccessKeyId"))
		return larder_error_set(err, EACCES,
					"the server does not know the key id of S3 profile %s "
					"(InvalidAccessKeyId)",
					s3->profile);
	if (is_any(error, stale))
		return larder_error_set(
			err, EACCES,
			"the session token of S3 profile %s is over or wrong (%s); renew "
			"it",
			s3->profile, error->code);
	if (is(error, "RequestTimeTooSkewed"))
		return larder_error_set(
			err, EACCES,
			"the clocks of this machine and of the server differ too much "
			"(RequestTimeTooSkewed)");
	if (is(error, "InvalidObjectState"))
		return larder_error_set(err, EACCES,
					"the object is in an archive (InvalidObjectState); have it "
					"restored there");
	return 0;
}

static int not_let(const struct s3_source *s3, const struct http_refusal *refusal,
		   const struct s3_error *error, struct larder_error *err)
{
	const char *code = *error->code ? error->code : "no reason told";

	if (!s3->http.sign.scheme)
		return larder_error_set(
			err, EACCES,
			"bucket %s does not let everybody read it, and there is no S3 "
			"profile with keys for it (HTTP status %ld, %s)",
			s3->place.bucket, refusal->status, code);
	return larder_error_set(
		err, EACCES, "the server does not let S3 profile %s read it (HTTP status %ld, %s)",
		s3->profile, refusal->status, code);
}

int s3_refuse(const struct http_source *source, const struct http_refusal *refusal,
	      struct larder_error *err)
{
	static const char *const moved[] = {"PermanentRedirect", "TemporaryRedirect",
					    "AuthorizationHeaderMalformed",
					    "IllegalLocationConstraintException", NULL};
	const struct s3_source *s3 = (const struct s3_source *)source;
	struct s3_error error;
	int rc;

	s3_error_parse(refusal->page, refusal->page_len, &error);
	if (is_any(&error, moved))
		return elsewhere(s3, &error, err);
	rc = denied(s3, &error, err);
	if (rc)
		return rc;
	if (refusal->status == 401 || refusal->status == 403)
		return not_let(s3, refusal, &error, err);
	if (is(&error, "NoSuchBucket"))
		return larder_error_set(err, ENOENT, "there is no bucket %s at %s (NoSuchBucket)",
					s3->place.bucket, source->host);
	rc = http_status_refuse(refusal->status, source->tls, err);
	return *error.code ? larder_error_prefix(err, "%s", error.code) : rc;
}
