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
#include <sys/random.h>
#include <sys/stat.h>

#include "core/manifest.h"
#include "larder/cleanup.h"
#include "server/check_helper.h"

#define SAMPLES 256 /* files tried besides, picked anew each time */

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

/* What was tried in the directory that the manifest is at: one file of each mode is enough there,
 * for publish refuses access=origin where files of one mode in one directory differ in owner or
 * group. */
struct tried {
	char dir[LARDER_PATH_BYTES + 1];
	bool any;		   /* dir is filled */
	uint64_t modes[4096 / 64]; /* bits by permission */
};

static bool first_of_mode(struct tried *tried, uint32_t mode)
{
	uint64_t *word = &tried->modes[(mode & 07777) / 64], bit = UINT64_C(1) << mode % 64;
	bool first = !(*word & bit);

	*word |= bit;
	return first;
}

static int try_dir(int dir, const char *origin, const char *path, struct larder_error *err)
{
	if (!faccessat(dir, *path ? path : ".", R_OK | X_OK, AT_EACCESS) || errno == ENOENT ||
	    errno == ENOTDIR || errno == ELOOP)
		return 0; /* what changed at the origin is no question of rights */
	if (errno == EACCES || errno == EPERM)
		return larder_error_set(
			err, EACCES, "you may not read %s/%s, a directory of this dataset's origin",
			origin, path);
	return larder_error_set(err, EIO,
				"%s/%s: %m; whether you may read the origin cannot be told", origin,
				path);
}

/* A new directory? Then it is tried, and everything in it is new. */
static int enter_dir(struct tried *tried, int dir, const char *origin, const char *path,
		     struct larder_error *err)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	if (tried->any && strlen(tried->dir) == len && !memcmp(tried->dir, path, len))
		return 0;
	memcpy(tried->dir, path, len);
	tried->dir[len] = '\0';
	tried->any = true;
	memset(tried->modes, 0, sizeof(tried->modes));
	return try_dir(dir, origin, tried->dir, err);
}

/* Every directory, in each a file of every mode, and some more by chance: a right that was taken
 * away from one file after the publication is found sooner or later, one from a directory at once.
 */
static int try_shards(struct manifest_reader *reader, int dir, const char *origin,
		      struct larder_error *err)
{
	uint64_t stride = manifest_reader_head(reader)->shards / SAMPLES + 1, pick;
	auto_free struct tried *tried = calloc(1, sizeof(*tried));
	struct shard shard;
	int rc;

	if (!tried || getrandom(&pick, sizeof(pick), 0) != (ssize_t)sizeof(pick))
		return larder_error_set(err, ENOMEM, "out of memory");
	pick %= stride;
	while ((rc = manifest_reader_next(reader, &shard, err)) == 1) {
		bool sample = shard.index % stride == pick;

		rc = enter_dir(tried, dir, origin, shard.path, err);
		if (!rc && shard.type == SHARD_DIR)
			rc = try_dir(dir, origin, shard.path, err);
		if (!rc && shard.type == SHARD_FILE && (first_of_mode(tried, shard.mode) || sample))
			rc = try_file(dir, origin, shard.path, err);
		if (rc)
			return rc;
	}
	return rc;
}

static int try_files(int dir, const char *origin, int manifest_fd, struct larder_error *err)
{
	struct manifest_reader *reader;
	int rc = manifest_reader_open(manifest_fd, &reader, err);

	if (rc)
		return rc;
	rc = try_shards(reader, dir, origin, err);
	manifest_reader_close(reader);
	return rc;
}

static int closed_or_unknown(const char *origin, struct larder_error *err)
{
	if (errno == EACCES || errno == EPERM || errno == ENOENT || errno == ENOTDIR)
		return larder_error_set(err, ENOENT, "origin %s: %m", origin);
	return larder_error_set(
		err, EIO, "origin %s: %m; whether you may read it cannot be told now", origin);
}

static int try_origin(const char *origin, int manifest_fd, struct larder_error *err)
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
	return try_files(dir, origin, manifest_fd, err);
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
		rc = try_origin(head->origins[i], manifest_fd, err);
		if (!rc)
			return 0;
	}
	return rc;
}
