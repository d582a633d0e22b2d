/*
 * Where a bucket is, and the URLs of what is in it, encoded as SigV4 wants them: by text alone.
 */
#ifndef ORIGIN_S3_URL_H
#define ORIGIN_S3_URL_H

#include "larder/error.h"
#include "origin/s3_profile.h"

/* Of an origin s3://bucket/prefix. Strings are owned. */
struct s3_place {
	char *bucket;
	char *prefix; /* of keys, decoded: "" or with a / at its end */
	char *base;   /* the bucket's URL, without a / at its end */
	char *region;
	bool in_path; /* the bucket is in the URL's path, not in its host */
};

/* -EINVAL: no such bucket's name, a query, a prefix that is encoded wrongly. */
int s3_place_init(struct s3_place *place, const char *origin, const struct s3_profile *profile,
		  struct larder_error *err);
void s3_place_fini(struct s3_place *place);

/* Percent-decodes; plus: "+" is a space. Room in out: strlen(text) + 1. -EINVAL, also for %00. */
int s3_unquote(const char *text, bool plus, char *out);
/* Of the key prefix + path. To free; NULL: no memory. */
char *s3_object_url(const struct s3_place *place, const char *path);
/* Of a page of the listing; token NULL: the first. To free; NULL: no memory. */
char *s3_list_url(const struct s3_place *place, const char *token);

#endif
