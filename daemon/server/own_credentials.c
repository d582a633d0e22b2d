/*
 * Owns: reading a user's credentials files.
 * Must not: run as anybody but that user; keep or tell what is in them.
 * Called by: the check's child, when it has become the user.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "server/own_remote.h"

static int check_file(int fd, const char *path, bool secret, struct larder_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return larder_error_set(err, errno, "stat %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return larder_error_set(err, EINVAL, "%s is no regular file", path);
	if (secret && (st.st_mode & 077))
		return larder_error_set(
			err, EACCES,
			"%s can be read or written by others (mode %04o): chmod 600 it", path,
			st.st_mode & 07777);
	return 0;
}

/* Nothing in it ends a line early or begins a header: tabs and newlines are all there is below a
 * blank. */
static bool is_text(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 && !strchr("\t\n\r", text[i]))
			return false;
	return !memchr(text, 0, len);
}

static int read_text(int fd, const char *path, char *text, size_t *len, struct larder_error *err)
{
	ssize_t n;

	for (*len = 0; (n = read(fd, text + *len, OWN_CREDENTIALS_MAX + 1 - *len)) != 0;) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return larder_error_set(err, errno, "read %s: %s", path, strerror(errno));
		*len += (size_t)n;
		if (*len > OWN_CREDENTIALS_MAX)
			return larder_error_set(err, E2BIG, "%s is longer than %zu bytes", path,
						OWN_CREDENTIALS_MAX);
	}
	if (!is_text(text, *len))
		return larder_error_set(err, EINVAL, "%s has control characters", path);
	return 0;
}

/* Appended to *text, which grows; a file that is not there adds nothing. */
static int add_file(const char *home, const char *name, bool secret, char **text,
		    struct larder_error *err)
{
	char path[PATH_MAX];
	auto_fd int fd = -1;
	size_t had = *text ? strlen(*text) : 0, len = 0;
	char *more;
	int rc;

	snprintf(path, sizeof(path), "%s/%s", home, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0)
		return larder_error_set(err, errno, "open %s: %s", path, strerror(errno));
	rc = check_file(fd, path, secret, err);
	if (rc)
		return rc;
	more = calloc(1, had + OWN_CREDENTIALS_MAX + 3);
	if (!more)
		return larder_error_set(err, ENOMEM, "out of memory");
	memcpy(more, *text ? *text : "", had);
	rc = read_text(fd, path, more + had, &len, err);
	own_credentials_free(*text);
	*text = more;
	if (rc)
		more[had] = '\0';
	else
		strcpy(more + had + len, "\n");
	return rc;
}

int own_credentials_read(const char *home, bool s3, char **logins, char **profiles,
			 struct larder_error *err)
{
	int rc = 0;

	*logins = calloc(1, 1);
	*profiles = calloc(1, 1);
	if (!*logins || !*profiles)
		return larder_error_set(err, ENOMEM, "out of memory");
	if (!s3)
		return add_file(home, ".config/larder/credentials", true, logins, err);
	rc = add_file(home, ".aws/credentials", true, profiles, err);
	return rc ? rc : add_file(home, ".aws/config", false, profiles, err);
}
