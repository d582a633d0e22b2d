/*
 * A dataset version's directory in a tier: made, found, opened. What goes into data/ is the sink's.
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

#define CREATE_TRIES 8 /* tree_trash may take an empty parent away under us */
#define COPY_BYTES   (256 * 1024)

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

/* --- making one --- */

static int manifest_check_key(int fd, const struct tree_key *key, struct larder_error *err)
{
	struct larder_manifest_head head = {0};
	bool same;
	int rc = larder_manifest_head_read(fd, &head, err);

	if (rc)
		return rc;
	same = strcmp(head.digest, key->digest) == 0;
	larder_manifest_head_fini(&head);
	if (!same)
		return larder_error_set(err, EINVAL, "this manifest is not the one of digest %s",
					key->digest);
	return manifest_check(fd, err);
}

static int copy_bytes(int from, int to)
{
	auto_free char *buf = malloc(COPY_BYTES);
	off_t at = 0;

	if (!buf)
		return -ENOMEM;
	for (;;) {
		ssize_t n = pread(from, buf, COPY_BYTES, at);
		ssize_t put = 0;

		if (n == 0)
			return 0;
		if (n > 0)
			put = pwrite(to, buf, (size_t)n, at);
		if (n < 0 || put < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		at += put;
	}
}

static bool same_bytes(int a, int b)
{
	auto_free char *buf = malloc(2 * COPY_BYTES);
	off_t at = 0;

	while (buf) {
		ssize_t n = pread(a, buf, COPY_BYTES, at);
		ssize_t m = pread(b, buf + COPY_BYTES, COPY_BYTES, at);

		if (n < 0 || n != m || memcmp(buf, buf + COPY_BYTES, (size_t)n) != 0)
			return false;
		if (n == 0)
			return true;
		at += n;
	}
	return false;
}

/* The head may have changed though the digest, which is the body's, did not. */
static bool manifest_is_there(int tree, int manifest_fd)
{
	auto_fd int fd = below_open(tree, "manifest", O_RDONLY, 0);
	struct stat there, now;

	return fd >= 0 && fstat(fd, &there) == 0 && fstat(manifest_fd, &now) == 0 &&
	       S_ISREG(there.st_mode) && there.st_uid == now.st_uid &&
	       there.st_size == now.st_size && same_bytes(fd, manifest_fd);
}

/* The copy keeps its owner, who is the publisher: recovery reads it from there. */
static int manifest_put(int tree, int manifest_fd, const struct tree_key *key,
			struct larder_error *err)
{
	auto_fd int fd = -1;
	struct stat st;
	int rc;

	if (manifest_is_there(tree, manifest_fd))
		return 0;
	if (unlinkat(tree, "manifest.new", 0) < 0 && errno != ENOENT)
		return larder_error_set(err, errno, "manifest.new: %s", strerror(errno));
	fd = below_open(tree, "manifest.new", O_RDWR | O_CREAT | O_EXCL, 0400);
	if (fd < 0)
		return larder_error_set(err, fd, "make the tree's manifest: %s", strerror(-fd));
	rc = copy_bytes(manifest_fd, fd);
	if (rc == 0 && (fstat(manifest_fd, &st) < 0 || fchown(fd, st.st_uid, (gid_t)-1) < 0))
		rc = -errno;
	if (rc)
		return larder_error_set(err, rc, "copy the manifest: %s", strerror(-rc));
	/* the copy is what will be trusted, so the copy is what is checked */
	rc = manifest_check_key(fd, key, err);
	if (rc)
		return rc;
	if (fchmod(fd, 0444) < 0 || fsync(fd) < 0 ||
	    renameat(tree, "manifest.new", tree, "manifest") < 0)
		return larder_error_set(err, errno, "write the tree's manifest: %s",
					strerror(errno));
	return 0;
}

/*
 * Where the manifest has no digests: room for those that the first use will find. Records are
 * written before the sync that comes before names, so that no name is without its record.
 */
static int digests_put(int tree, int manifest_fd, struct larder_error *err)
{
	struct larder_manifest_head head;
	auto_fd int fd = -1;
	int rc = larder_manifest_head_read(manifest_fd, &head, err);

	if (rc)
		return rc;
	if (head.first_use)
		fd = below_open(tree, "digests", O_RDWR | O_CREAT, 0600);
	if (fd >= 0 && fsync(fd) < 0)
		rc = larder_error_set(err, errno, "sync the digests: %s", strerror(errno));
	else if (head.first_use && fd < 0)
		rc = larder_error_set(err, fd, "make room for digests: %s", strerror(-fd));
	larder_manifest_head_fini(&head);
	return rc;
}

/* One directory level, its own name durable in its parent. */
static int descend(int *at, int first, const char *name, mode_t mode)
{
	int parent = *at < 0 ? first : *at;
	int next = below_make_dir(parent, name, mode);
	int rc = next;

	if (next >= 0)
		rc = fsync(parent) < 0 ? -errno : 0;
	if (rc < 0 && next >= 0)
		close(next);
	if (rc < 0)
		return rc;
	if (*at >= 0)
		close(*at);
	*at = next;
	return 0;
}

/* data/ comes last: where it is, the manifest is too. */
static int create_once(struct tier *tier, const struct tree_key *key, int manifest_fd,
		       struct larder_error *err)
{
	char last[STORE_KEY_PATH_MAX];
	auto_fd int at = -1;
	int data;
	int rc;

	snprintf(last, sizeof(last), "%s@%s", key->version, key->digest);
	rc = descend(&at, tier->trees_fd, key->domain, 0700);
	if (rc == 0)
		rc = descend(&at, tier->trees_fd, key->name, 0700);
	if (rc == 0)
		rc = descend(&at, tier->trees_fd, last, 0700);
	if (rc)
		return larder_error_set(err, rc, "make directory: %s", strerror(-rc));
	rc = manifest_put(at, manifest_fd, key, err);
	if (!rc)
		rc = digests_put(at, manifest_fd, err);
	if (rc)
		return rc;
	data = below_make_dir(at, "data", 0555);
	if (data < 0)
		return larder_error_set(err, data, "make data: %s", strerror(-data));
	rc = fsync(data) < 0 || fsync(at) < 0 ? -errno : 0;
	close(data);
	return rc ? larder_error_set(err, rc, "sync directory: %s", strerror(-rc)) : 0;
}

int tree_create(struct tier *tier, const struct tree_key *key, int manifest_fd,
		struct larder_error *err)
{
	char path[STORE_KEY_PATH_MAX];
	struct larder_error why = {0};
	int rc = tree_key_path(key, "", path, err);
	int try;

	if (rc)
		return rc;
	for (try = 0; try < CREATE_TRIES; try++) {
		rc = create_once(tier, key, manifest_fd, &why);
		if (rc == 0)
			return 0;
		if (rc != -ENOENT)
			break;
	}
	return larder_error_set(err, rc, "make tree %s/trees/%s: %s", tier->path, path, why.text);
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
