/* What the files of the s3 kind share. For origin/s3*.c alone. */
#ifndef ORIGIN_S3_H
#define ORIGIN_S3_H

#include "origin/http_kind.h"
#include "origin/s3_url.h"

struct s3_source {
	struct http_source http; /* first */
	struct s3_place place;
	char *profile; /* its name, for sentences */
};

/* struct http_dialect's. */
int s3_refuse(const struct http_source *source, const struct http_refusal *refusal,
	      struct larder_error *err);

#endif
