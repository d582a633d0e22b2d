/*
 * A dataset version's directory in a tier: found, opened, taken away (tree_make.c makes it).
 * Knows no rows and no jobs. Called by the server and its workers.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "store/inside.h"

static const char DOMAIN_BYTES[] =
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

static int domain_check(const char *domain, struct larder_error *err)
{
	size_t len = strlen(domain);

	if (len == 0 || len > 63 || domain[0] == '.' || strspn(domain, DOMAIN_BYTES) != len)
		return larder_error_set(
			err, EINVAL,
			"\"%.80s\" is no domain: 1 to 63 letters, digits, '.', '_' or '-', not starting with '.'",
			domain);
	return 0;
}

int tree_key_path(const struct tree_key *key, const char *suffix, char out[STORE_KEY_PATH_MAX],
		  struct larder_error *err)
{
	int rc = domain_check(key->domain, err);

	if (rc == 0)
		rc = larder_name_check(key->name, err);
	if (rc == 0)
		rc = larder_version_check(key->version, err);
	if (rc == 0)
		rc = larder_digest_check(key->digest, err);
	if (rc)
		return rc;
	if (strlen(key->digest) != LARDER_DIGEST_HEX)
		return larder_error_set(err, EINVAL,
					"a tree is named by all %d digits of its digest",
					LARDER_DIGEST_HEX);
	snprintf(out, STORE_KEY_PATH_MAX, "%s/%s/%s@%s%s", key->domain, key->name, key->version,
		 key->digest, suffix);
	return 0;
}

mode_t shard_store_mode(uint32_t origin_mode)
{
	return origin_mode & 0111 ? 0555 : 0444;
}

bool shard_bit(const uint8_t *bits, uint64_t index)
{
	return !bits || (bits[index / 8] >> (index % 8) & 1);
}

static int open_part(struct tier *tier, const struct tree_key *key, const char *part, int flags,
		     int *fd, struct larder_error *err)
{
	char path[STORE_KEY_PATH_MAX];
	int rc = tree_key_path(key, part, path, err);

	if (rc)
		return rc;
	*fd = below_open(tier->trees_fd, path, flags, 0);
	if (*fd < 0)
		return larder_error_set(err, *fd, "open %s/trees/%s: %s", tier->path, path,
					strerror(-*fd));
	return 0;
}

int tree_open_data(struct tier *tier, const struct tree_key *key, int *fd, struct larder_error *err)
{
	return open_part(tier, key, "/data", O_PATH | O_DIRECTORY, fd, err);
}

int tree_open_manifest(struct tier *tier, const struct tree_key *key, int *fd,
		       struct larder_error *err)
{
	return open_part(tier, key, "/manifest", O_RDONLY, fd, err);
}

int tree_open_digests(struct tier *tier, const struct tree_key *key)
{
	int fd = -1;

	return open_part(tier, key, "/digests", O_RDONLY, &fd, NULL) ? -1 : fd;
}

int tree_exists(struct tier *tier, const struct tree_key *key)
{
	int fd = -1;
	int rc = tree_open_data(tier, key, &fd, NULL);

	if (rc == 0)
		close(fd);
	return rc == -ENOTDIR || rc == -ELOOP ? -ENOENT : rc;
}

bool tree_is_there(const struct tier *tier, const struct tree_key *key)
{
	char path[PATH_MAX], part[STORE_KEY_PATH_MAX];
	struct stat st;
	int n;

	if (tree_key_path(key, "/data", part, NULL))
		return false;
	n = snprintf(path, sizeof(path), "%s/trees/%s", tier->path, part);
	/* another device: something else is mounted there, or the tier was unmounted */
	return n > 0 && (size_t)n < sizeof(path) && lstat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
	       st.st_dev == tier->dev;
}

char *tree_data_path(const struct tier *tier, const struct tree_key *key)
{
	char path[STORE_KEY_PATH_MAX];
	char *full = NULL;

	if (tree_key_path(key, "/data", path, NULL) ||
	    asprintf(&full, "%s/trees/%s", tier->path, path) < 0)
		return NULL;
	return full;
}

int tree_open(struct tier *tier, const struct tree_key *key, struct tree_open *open,
	      struct larder_error *err)
{
	int rc = open_part(tier, key, "/data", O_RDONLY | O_DIRECTORY, &open->data, err);

	if (rc == 0)
		rc = tree_open_manifest(tier, key, &open->manifest, err);
	if (rc == 0)
		open->digests = tree_open_digests(tier, key);
	if (rc == 0)
		rc = tree_open_rewind(open, err);
	place_init(&open->place, open->data);
	return rc;
}

int tree_open_rewind(struct tree_open *open, struct larder_error *err)
{
	int rc;

	manifest_reader_close(open->reader);
	open->reader = NULL;
	rc = manifest_reader_open(open->manifest, &open->reader, err);
	if (!rc)
		manifest_reader_digests(open->reader, open->digests);
	return rc;
}

void tree_open_fini(struct tree_open *open)
{
	if (open->reader)
		manifest_reader_close(open->reader);
	place_fini(&open->place);
	if (open->manifest >= 0)
		close(open->manifest);
	if (open->digests >= 0)
		close(open->digests);
	if (open->data >= 0)
		close(open->data);
}

/* --- taking one away --- */

/* Parents that are empty now; ENOTEMPTY is the usual answer and fine. */
static void prune_parents(struct tier *tier, const struct tree_key *key)
{
	char path[STORE_KEY_PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", key->domain, key->name);
	if (unlinkat(tier->trees_fd, path, AT_REMOVEDIR) == 0)
		unlinkat(tier->trees_fd, key->domain, AT_REMOVEDIR);
}

int tree_trash(struct tier *tier, const struct tree_key *key, struct larder_error *err)
{
	char path[STORE_KEY_PATH_MAX];
	char unique[STORE_UNIQUE_MAX];
	int rc = tree_key_path(key, "", path, err);

	if (rc)
		return rc;
	trash_unique(tier, unique);
	if (renameat(tier->trees_fd, path, tier->trash_fd, unique) < 0)
		return larder_error_set(err, errno, "move %s/trees/%s to the trash: %s", tier->path,
					path, strerror(errno));
	prune_parents(tier, key);
	return 0;
}

int tree_drop_shard(struct tier *tier, const struct tree_key *key, const char *path,
		    struct larder_error *err)
{
	auto_fd int data = -1;
	struct place place;
	char unique[STORE_UNIQUE_MAX];
	const char *name;
	int dir;
	int rc = larder_path_check(path, err);

	if (rc == 0)
		rc = open_part(tier, key, "/data", O_RDONLY | O_DIRECTORY, &data, err);
	if (rc)
		return rc;
	place_init(&place, data);
	dir = place_at(&place, path, false, &name);
	rc = dir < 0 ? dir : 0;
	trash_unique(tier, unique);
	/* rename takes away whatever it is, a directory in a file's place included */
	if (rc == 0 && renameat(dir, name, tier->trash_fd, unique) < 0)
		rc = -errno;
	place_fini(&place);
	if (rc == 0 || rc == -ENOENT)
		return 0;
	return larder_error_set(err, rc, "drop a bad shard: %s", strerror(-rc));
}
