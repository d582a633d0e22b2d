/* What S3 servers answer in XML: pages of listings, and errors. */
#ifndef ORIGIN_S3_LIST_H
#define ORIGIN_S3_LIST_H

#include <stddef.h>
#include <stdint.h>

#include "larder/error.h"

struct s3_object {
	const char *key; /* decoded */
	uint64_t size;
	int64_t mtime_ns; /* 0: not told */
};

/*
 * A page of ListObjectsV2: each object to found(), whose non-zero answer stops it. *token (to free)
 * is how the next page is asked for, NULL: this was the last one. -EPROTO: no such page.
 */
int s3_list_parse(const char *text, size_t len,
		  int (*found)(const struct s3_object *object, void *arg), void *arg, char **token,
		  struct larder_error *err);

/* What an error's page tells; "": nothing. The text may be cut anywhere. */
struct s3_error {
	char code[64], region[64], endpoint[256];
};
void s3_error_parse(const char *text, size_t len, struct s3_error *error);

/* "2009-10-12T17:50:30.000Z". -EINVAL. */
int s3_time_parse(const char *text, int64_t *ns);

#endif
