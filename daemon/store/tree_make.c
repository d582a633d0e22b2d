/*
 * Making a dataset version's directory in a tier: its parents, the manifest's copy, data/; durable.
 * What goes into data/ is the sink's. Knows no rows and no jobs. Called by the server's workers.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "store/inside.h"

#define CREATE_TRIES 8 /* tree_trash may take an empty parent away under us */
#define COPY_BYTES   (256 * 1024)

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
