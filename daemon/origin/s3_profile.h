/*
 * Who asks an S3 server, and where it is: profiles in AWS's format.
 *
 *     [name]                      # also [profile name]
 *     aws_access_key_id = …       # neither key: requests are not signed (a public bucket)
 *     aws_secret_access_key = …
 *     aws_session_token = …
 *     region = eu-central-1
 *     endpoint_url = https://minio.example:9000
 *     addressing_style = path     # path, virtual, auto; also indented below "s3 ="
 *     larder_buckets = train-*, val
 *
 * Which profile serves a bucket: the one that is named; else the first whose larder_buckets has the
 * bucket (a * at the end stands for anything); else the environment's keys, if it has any and
 * counts; else [default]; else nobody signs. An endpoint or region that is asked for wins over the
 * profile's, and the environment's fills in what both leave open.
 *
 * For a user's own dataset: struct source_s3 in core/source.h has `owner` set to that user, with
 * `environment` false, and credentials_file (read with that user's file system ids; it must be that
 * user's and closed to others), or credentials_text where a child that has become the user read it.
 * No sentence made here has anything of a file's text but names of profiles and keys.
 */
#ifndef ORIGIN_S3_PROFILE_H
#define ORIGIN_S3_PROFILE_H

#include <stddef.h>

#include "core/source.h"
#include "larder/error.h"

#define S3_FILE_BYTES_MAX ((size_t)256 * 1024)

enum s3_style { S3_STYLE_AUTO, S3_STYLE_PATH, S3_STYLE_VIRTUAL };

/* Strings are owned; NULL: not told. */
struct s3_profile {
	char *name;
	char *key_id, *secret, *token;
	char *region, *endpoint, *buckets;
	char *foreign; /* a key of AWS's that gets keys elsewhere, as role_arn */
	enum s3_style style;
};

struct s3_profiles {
	struct s3_profile *items; /* owned */
	size_t count;
};

/*
 * Adds the profiles of a text; what is there already stays, key by key. `where` is for sentences
 * ("FILE"). -EINVAL names the line.
 */
int s3_profiles_parse(const char *text, size_t len, const char *where, struct s3_profiles *profiles,
		      struct larder_error *err);
/*
 * The same from a file below dir_fd (AT_FDCWD), opened as `owner` (NULL: as this process). -EACCES:
 * it is another user's, or others may read it (only with secrets in it, where `open` is true);
 * -EINVAL: no regular file, too long, not in the format; -errno.
 */
int s3_profiles_read(int dir_fd, const char *path, const struct source_as *owner, bool open,
		     struct s3_profiles *profiles, struct larder_error *err);
void s3_profiles_fini(struct s3_profiles *profiles);

/* The profile for a bucket, by the order above; fini it. -ENOENT: a profile that is named is not
 * there; -EINVAL: it is no use. */
int s3_profile_choose(const struct source_s3 *from, const char *bucket, struct s3_profile *profile,
		      struct larder_error *err);
/* Wipes the secrets. */
void s3_profile_fini(struct s3_profile *profile);

/* Is it whole: both keys or none, an endpoint and a region that can be used? -EINVAL. */
int s3_profile_check(const struct s3_profile *profile, struct larder_error *err);

/* For --check-config: can the file be read, may nobody else, is it in the format? */
int s3_credentials_check(const char *path, struct larder_error *err);

#endif
