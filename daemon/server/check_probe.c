/*
 * Owns the question "can this user read this origin": tried, not computed, for only the file
 * system knows about ACLs, squashed roots and the rest.
 * Must not read data or follow what a manifest says out of the origin's directory by "..".
 * Called by check_helper.c, in the child, which has become the user.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "larder/cleanup.h"
#include "server/check_helper.h"

#define WINDOW_BYTES (64 * 1024) /* more than four of the longest lines */

/* "f DIGEST SIZE MTIME MODE PATH": the path of a file's line, decoded. false: another kind of line.
 */
static bool file_path(char *line, char path[LARDER_PATH_BYTES + 1])
{
	char *save = NULL, *word = strtok_r(line, " ", &save);

	if (!word || strcmp(word, "f") != 0)
		return false;
	for (int i = 0; i < 5; i++)
		word = strtok_r(NULL, " ", &save);
	return word &&
	       larder_path_decode(word, strlen(word), path, LARDER_PATH_BYTES + 1, NULL) > 0;
}

/* First file of a window of whole lines, or the last one. */
static bool find_file(char *text, bool last, char path[LARDER_PATH_BYTES + 1])
{
	char *save = NULL;
	bool found = false;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		found |= file_path(line, path);
		if (found && !last)
			return true;
	}
	return found;
}

/* A window of the body; the part of a line at its open end, or ends, is cut off. */
static char *read_window(int fd, off_t offset, bool cut_front, char *buf)
{
	ssize_t n = pread(fd, buf, WINDOW_BYTES, offset);
	char *start = buf, *end;

	if (n <= 0)
		return NULL;
	buf[n] = '\0';
	end = strrchr(buf, '\n');
	if (!end)
		return NULL;
	end[1] = '\0';
	if (cut_front)
		start = strchr(buf, '\n') + 1;
	return start;
}

static int try_file(int dir, const char *origin, const char *path, struct larder_error *err)
{
	auto_fd int fd = openat(dir, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0 || errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
		return 0; /* what changed at the origin is no question of rights */
	if (errno == EACCES || errno == EPERM)
		return larder_error_set(err, EACCES,
					"you may not read %s/%s, a file of this dataset's origin",
					origin, path);
	return larder_error_set(err, EIO,
				"open %s/%s: %m; whether you may read the origin cannot be told",
				origin, path);
}

/* The first and the last file the manifest names: cheap, and no guess. */
static int try_files(int dir, const char *origin, const struct larder_manifest_head *head,
		     int manifest_fd, struct larder_error *err)
{
	auto_free char *buf = malloc(WINDOW_BYTES + 1);
	char path[LARDER_PATH_BYTES + 1];
	off_t body = (off_t)head->body_offset, at;
	struct stat st;
	char *text;
	int rc;

	if (!buf)
		return larder_error_set(err, ENOMEM, "out of memory");
	if (fstat(manifest_fd, &st) < 0)
		return larder_error_set(err, EIO, "the manifest: %m");
	text = read_window(manifest_fd, body, false, buf);
	if (text && find_file(text, false, path) && (rc = try_file(dir, origin, path, err)))
		return rc;
	at = st.st_size - WINDOW_BYTES;
	text = read_window(manifest_fd, at > body ? at : body, at > body, buf);
	if (text && find_file(text, true, path))
		return try_file(dir, origin, path, err);
	return 0;
}

static int closed_or_unknown(const char *origin, struct larder_error *err)
{
	if (errno == EACCES || errno == EPERM || errno == ENOENT || errno == ENOTDIR)
		return larder_error_set(err, ENOENT, "origin %s: %m", origin);
	return larder_error_set(
		err, EIO, "origin %s: %m; whether you may read it cannot be told now", origin);
}

static int try_origin(const char *origin, const struct larder_manifest_head *head, int manifest_fd,
		      struct larder_error *err)
{
	auto_close_dir DIR *listing = NULL;
	auto_fd int fd = open(origin, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	int dir;

	if (fd < 0 || fstat(fd, &st) < 0)
		return closed_or_unknown(origin, err);
	if (!S_ISDIR(st.st_mode))
		return 0; /* a single file: it is open */
	listing = fdopendir(fd);
	if (!listing)
		return closed_or_unknown(origin, err);
	dir = dirfd(listing);
	fd = -1; /* the listing's now */
	errno = 0;
	if (!readdir(listing) && errno)
		return closed_or_unknown(origin, err);
	if (faccessat(dir, ".", X_OK, AT_EACCESS) < 0)
		return closed_or_unknown(origin, err);
	return try_files(dir, origin, head, manifest_fd, err);
}

int check_probe_origins(const struct larder_manifest_head *head, int manifest_fd,
			struct larder_error *err)
{
	int rc = larder_error_set(
		err, EOPNOTSUPP,
		"the origin of \"%s\" is no path, and rights at such an origin cannot be checked "
		"yet; ask its publisher to set access to public, users= or groups=",
		head->name);

	for (unsigned int i = 0; i < head->n_origins; i++) {
		if (*head->origins[i] != '/')
			continue;
		rc = try_origin(head->origins[i], head, manifest_fd, err);
		if (!rc)
			return 0;
	}
	return rc;
}
