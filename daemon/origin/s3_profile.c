/*
 * Owns: reading files of profiles, with who may have them, and the choice of one for a bucket.
 * Must not: keep a secret in memory that it has given back, or tell one.
 * Called by: s3.c, the check of the configuration.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "origin/origins.h"
#include "origin/s3_profile.h"

#define PRINTABLE(text, shown) larder_text_quote(text, SIZE_MAX, shown, sizeof(shown))

/* --- files */

static uid_t owner_uid(const struct source_as *owner)
{
	return owner ? owner->uid : geteuid();
}

static int open_as(int dir_fd, const char *path, const struct source_as *owner,
		   struct larder_error *err)
{
	const struct source_as self = {0};
	int rc = source_as_enter(owner ? owner : &self, err), fd;

	if (rc)
		return rc;
	/* A FIFO must not hold us. */
	fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	rc = fd < 0 ? -errno : 0;
	source_as_leave(owner ? owner : &self);
	return rc ? larder_error_set(err, -rc, "open the S3 credentials %s: %s", path,
				     strerror(-rc))
		  : fd;
}

static int check_file(const struct stat *st, const char *path, const struct source_as *owner,
		      struct larder_error *err)
{
	if (!S_ISREG(st->st_mode))
		return larder_error_set(err, EINVAL, "the S3 credentials %s: no regular file",
					path);
	if ((uint64_t)st->st_size > S3_FILE_BYTES_MAX)
		return larder_error_set(err, EINVAL, "the S3 credentials %s: over %zu bytes", path,
					S3_FILE_BYTES_MAX);
	if (st->st_uid != owner_uid(owner) && st->st_uid != 0)
		return larder_error_set(err, EACCES,
					"the S3 credentials %s belong to user %u and are used by "
					"user %u; chown the file",
					path, (unsigned int)st->st_uid,
					(unsigned int)owner_uid(owner));
	return 0;
}

static int slurp(int fd, const char *path, char *text, size_t *len, struct larder_error *err)
{
	*len = 0;
	for (;;) {
		ssize_t n = read(fd, text + *len, S3_FILE_BYTES_MAX + 1 - *len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return larder_error_set(err, errno, "read the S3 credentials %s: %s", path,
						strerror(errno));
		if (!n)
			return 0;
		*len += (size_t)n;
		if (*len > S3_FILE_BYTES_MAX)
			return larder_error_set(err, EINVAL,
						"the S3 credentials %s: over %zu bytes", path,
						S3_FILE_BYTES_MAX);
	}
}

static bool has_secret(const struct s3_profiles *profiles, size_t from)
{
	for (size_t i = from; i < profiles->count; i++)
		if (profiles->items[i].secret || profiles->items[i].token)
			return true;
	return false;
}

static int too_open(const struct stat *st, const char *path, struct larder_error *err)
{
	return larder_error_set(
		err, EACCES,
		"the S3 credentials %s can be read by others (mode %04o); chmod 600 "
		"%s",
		path, st->st_mode & 07777, path);
}

int s3_profiles_read(int dir_fd, const char *path, const struct source_as *owner, bool open,
		     struct s3_profiles *profiles, struct larder_error *err)
{
	struct s3_profiles found = {0};
	auto_fd int fd = open_as(dir_fd, path, owner, err);
	char *text = NULL;
	struct stat st;
	size_t len = 0;
	int rc = fd < 0 ? fd : 0;

	if (!rc && fstat(fd, &st) < 0)
		rc = larder_error_set(err, errno, "stat %s: %s", path, strerror(errno));
	if (!rc)
		rc = check_file(&st, path, owner, err);
	if (!rc && !open && (st.st_mode & 077))
		rc = too_open(&st, path, err);
	if (!rc && !(text = malloc(S3_FILE_BYTES_MAX + 1)))
		rc = larder_error_set(err, ENOMEM, "out of memory");
	if (!rc)
		rc = slurp(fd, path, text, &len, err);
	if (!rc && (st.st_mode & 077)) {
		rc = s3_profiles_parse(text, len, path, &found, err);
		if (!rc && has_secret(&found, 0))
			rc = too_open(&st, path, err);
	}
	if (!rc)
		rc = s3_profiles_parse(text, len, path, profiles, err);
	if (text)
		explicit_bzero(text, len);
	free(text);
	s3_profiles_fini(&found);
	return rc;
}

int s3_credentials_check(const char *path, struct larder_error *err)
{
	struct s3_profiles profiles = {0};
	int rc = s3_profiles_read(AT_FDCWD, path, NULL, false, &profiles, err);

	for (size_t i = 0; !rc && i < profiles.count; i++)
		rc = s3_profile_check(&profiles.items[i], err);
	if (rc)
		larder_error_prefix(err, "s3_credentials");
	s3_profiles_fini(&profiles);
	return rc;
}

/* --- the choice */

/* Blanks and commas between the names; a * at a name's end stands for anything. */
static bool serves(const struct s3_profile *profile, const char *bucket)
{
	const char *at = profile->buckets;

	while (at && *at) {
		size_t len = strcspn(at, ", \t");

		if (len && at[len - 1] == '*' && strncmp(at, bucket, len - 1) == 0)
			return true;
		if (len == strlen(bucket) && strncmp(at, bucket, len) == 0)
			return true;
		at += len;
		at += strspn(at, ", \t");
	}
	return false;
}

static struct s3_profile *named(const struct s3_profiles *profiles, const char *name)
{
	for (size_t i = 0; i < profiles->count; i++)
		if (strcmp(profiles->items[i].name, name) == 0)
			return &profiles->items[i];
	return NULL;
}

static bool told(const char *text)
{
	return text && *text;
}

static const char *environment(const struct source_s3 *from, const char *name)
{
	const char *value = from->environment ? getenv(name) : NULL;

	return told(value) ? value : NULL;
}

static int dup_to(char **slot, const char *text)
{
	if (!told(text))
		return 0;
	free(*slot);
	*slot = strdup(text);
	return *slot ? 0 : -ENOMEM;
}

static int take_environment(const struct source_s3 *from, struct s3_profile *profile)
{
	const char *key_id = environment(from, "AWS_ACCESS_KEY_ID");
	int rc = dup_to(&profile->name, key_id ? "of the environment" : "(none)");

	rc = rc ? rc : dup_to(&profile->key_id, key_id);
	rc = rc ? rc : dup_to(&profile->secret, environment(from, "AWS_SECRET_ACCESS_KEY"));
	return rc ? rc : dup_to(&profile->token, environment(from, "AWS_SESSION_TOKEN"));
}

static const char *first_of(const char *a, const char *b)
{
	return a ? a : b;
}

/* What is asked for wins; the environment fills in. */
static int take_place(const struct source_s3 *from, struct s3_profile *profile)
{
	int rc = dup_to(&profile->region, from->region);

	rc = rc ? rc : dup_to(&profile->endpoint, from->endpoint);
	if (!rc && !profile->region)
		rc = dup_to(&profile->region, first_of(environment(from, "AWS_REGION"),
						       environment(from, "AWS_DEFAULT_REGION")));
	if (!rc && !profile->endpoint)
		rc = dup_to(&profile->endpoint, first_of(environment(from, "AWS_ENDPOINT_URL_S3"),
							 environment(from, "AWS_ENDPOINT_URL")));
	return rc;
}

static int read_all(const struct source_s3 *from, struct s3_profiles *profiles,
		    struct larder_error *err)
{
	int rc = 0;

	if (told(from->credentials_text))
		rc = s3_profiles_parse(from->credentials_text, strlen(from->credentials_text),
				       told(from->credentials_file) ? from->credentials_file
								    : "the S3 credentials",
				       profiles, err);
	else if (told(from->credentials_file))
		rc = s3_profiles_read(AT_FDCWD, from->credentials_file, from->owner, false,
				      profiles, err);
	if (!rc && told(from->config_file))
		rc = s3_profiles_read(AT_FDCWD, from->config_file, from->owner, true, profiles,
				      err);
	return rc;
}

/* NULL: none of the files' serves; *rc tells whether that is an error. */
static struct s3_profile *pick(const struct source_s3 *from, const struct s3_profiles *profiles,
			       const char *bucket, int *rc, struct larder_error *err)
{
	struct s3_profile *found;
	char shown[140];

	*rc = 0;
	if (told(from->profile)) {
		found = named(profiles, from->profile);
		if (!found)
			*rc = larder_error_set(err, ENOENT,
					       "no profile \"%s\" in the S3 credentials",
					       PRINTABLE(from->profile, shown));
		return found;
	}
	for (size_t i = 0; i < profiles->count; i++)
		if (serves(&profiles->items[i], bucket))
			return &profiles->items[i];
	return environment(from, "AWS_ACCESS_KEY_ID") ? NULL : named(profiles, "default");
}

int s3_profile_choose(const struct source_s3 *from, const char *bucket, struct s3_profile *profile,
		      struct larder_error *err)
{
	struct s3_profiles profiles = {0};
	struct s3_profile *found;
	int rc = read_all(from, &profiles, err);

	*profile = (struct s3_profile){0};
	if (rc)
		goto out;
	found = pick(from, &profiles, bucket, &rc, err);
	if (rc)
		goto out;
	if (found) {
		*profile = *found;
		*found = (struct s3_profile){0};
	} else {
		rc = take_environment(from, profile);
	}
	rc = rc ? rc : take_place(from, profile);
	rc = rc ? larder_error_set(err, ENOMEM, "out of memory") : s3_profile_check(profile, err);
out:
	s3_profiles_fini(&profiles);
	if (rc)
		s3_profile_fini(profile);
	return rc;
}
