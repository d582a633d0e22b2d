/*
 * Owns what the text of an origin may be, and whether its directory can be read.
 * Must not open or list an origin.
 * Called by spec.c, the manifest's head, the catalog, the daemon's checker child.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "larder/catalog.h"
#include "larder/manifest.h"

static int refuse(struct larder_error *err, const char *origin, const char *fault)
{
	char bad[200];

	return larder_error_set(err, EINVAL, "bad origin \"%s\": %s",
				larder_text_quote(origin, SIZE_MAX, bad, sizeof(bad)), fault);
}

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

/* Secrets have no place in arguments, logs and manifests: no user:password@ before the host. */
static int check_url(const char *origin, const char *rest, struct larder_error *err)
{
	size_t host = strcspn(rest, "/?#");

	if (!host || *rest == ':')
		return refuse(err, origin, "no host or bucket behind ://");
	if (memchr(rest, '@', host))
		return refuse(err, origin,
			      "leave user and password out; credentials are configured");
	if (strpbrk(rest, " \\\"<>"))
		return refuse(err, origin,
			      "spaces, quotes and backslashes are percent-encoded in a URL");
	return 0;
}

int larder_origin_check(const char *origin, struct larder_error *err)
{
	static const char *const schemes[] = {"https://", "http://", "s3://"};

	if (strlen(origin) > LARDER_PATH_BYTES)
		return refuse(err, origin, "it is over 4095 bytes");
	if (has_control(origin))
		return refuse(err, origin, "it has control characters");
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (strncmp(origin, schemes[i], strlen(schemes[i])) == 0)
			return check_url(origin, origin + strlen(schemes[i]), err);
	if (*origin != '/')
		return refuse(err, origin,
			      "write an absolute path, or a URL with http://, https:// or s3://");
	if (!origin[1])
		return refuse(err, origin, "the root directory is no dataset");
	if (larder_path_check(origin + 1, NULL))
		return refuse(err, origin,
			      "write it without //, . and .. in it and without a / at its end");
	return 0;
}

bool larder_origin_readable(const char *origin)
{
	struct stat st;
	int want = R_OK;

	if (*origin != '/')
		return true;
	if (stat(origin, &st) < 0)
		return false;
	if (S_ISDIR(st.st_mode))
		want |= X_OK;
	return faccessat(AT_FDCWD, origin, want, AT_EACCESS) == 0;
}
