/*
 * Scrub: reads what is on the disk, not what the page cache remembers, and compares it with the
 * manifest. Changes nothing. Called by the server's workers; slow by nature, so it can be stopped.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "store/inside.h"

#define READ_BYTES (1024 * 1024)
#define READ_ALIGN 4096

struct verifier {
	void (*bad)(const struct shard *shard, const char *problem, void *arg);
	void *arg;
	_Atomic uint64_t *done_bytes;
	const _Atomic bool *stop;
	unsigned char *buf;
	char problem[128];
};

static bool stopped(const struct verifier *v)
{
	return v->stop && atomic_load(v->stop);
}

static const char *unreadable(struct verifier *v, int code)
{
	snprintf(v->problem, sizeof(v->problem), "cannot be read: %s", strerror(code));
	return v->problem;
}

/* Where O_DIRECT is refused the cache is asked to forget, which clean pages do. */
static int open_uncached(int dir, const char *name)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC;
	int fd = openat(dir, name, flags | O_DIRECT);

	if (fd < 0 && errno == EINVAL) {
		fd = openat(dir, name, flags);
		if (fd >= 0)
			posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	}
	return fd < 0 ? -errno : fd;
}

/* NULL: the bytes are the manifest's, or it was stopped. */
static const char *digest_differs(struct verifier *v, int fd, const struct shard *shard)
{
	struct digest_state state;
	off_t at = 0;

	digest_init(&state);
	/* not to the read of 0: an offset that is no multiple of a block may be refused */
	while (!stopped(v) && (uint64_t)at < shard->size) {
		ssize_t n = pread(fd, v->buf, READ_BYTES, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return unreadable(v, errno);
		if (n == 0)
			break;
		digest_update(&state, v->buf, (size_t)n);
		at += n;
		if (v->done_bytes)
			atomic_fetch_add(v->done_bytes, (uint64_t)n);
	}
	if (stopped(v) || digest_equal(digest_final(&state), shard->digest))
		return NULL;
	return "its bytes differ from the manifest's digest";
}

static const char *file_problem(struct verifier *v, int dir, const char *name,
				const struct shard *shard)
{
	auto_fd int fd = open_uncached(dir, name);
	struct stat st;

	if (fd < 0)
		return unreadable(v, -fd);
	if (fstat(fd, &st) < 0)
		return unreadable(v, errno);
	if ((uint64_t)st.st_size != shard->size)
		return "its size differs from the manifest's";
	if ((st.st_mode & 07777) != shard_store_mode(shard->mode))
		return "its mode was changed";
	if (shard->undigested)
		return "the digest that its first use found is lost";
	return digest_differs(v, fd, shard);
}

static const char *symlink_problem(struct verifier *v, int dir, const char *name,
				   const struct shard *shard)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(dir, name, target, sizeof(target));

	if (len < 0)
		return unreadable(v, errno);
	if ((size_t)len != strlen(shard->target) || memcmp(target, shard->target, (size_t)len))
		return "it points somewhere else";
	return NULL;
}

static const char *problem_of(struct verifier *v, struct place *place, const struct shard *shard)
{
	const char *name;
	struct stat st;
	int dir = place_at(place, shard->path, false, &name);

	if (dir >= 0 && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		dir = -errno;
	if (dir == -ENOENT || dir == -ENOTDIR || dir == -ELOOP)
		return "it is not there";
	if (dir < 0)
		return unreadable(v, -dir);
	switch (shard->type) {
	case SHARD_FILE:
		return S_ISREG(st.st_mode) ? file_problem(v, dir, name, shard) : "it is no file";
	case SHARD_SYMLINK:
		return S_ISLNK(st.st_mode) ? symlink_problem(v, dir, name, shard)
					   : "it is no symlink";
	case SHARD_DIR: return S_ISDIR(st.st_mode) ? NULL : "it is no directory";
	}
	return "its type is unknown";
}

static int verify(struct verifier *v, struct tree_open *tree, const uint8_t *present,
		  struct larder_error *err)
{
	uint64_t limit = manifest_reader_head(tree->reader)->shards;
	struct shard shard;
	int rc;

	while ((rc = manifest_reader_next(tree->reader, &shard, err)) == 1) {
		const char *problem;

		if (stopped(v))
			return larder_error_set(err, ECANCELED, "verifying was stopped");
		if (shard.index >= limit || !shard_bit(present, shard.index))
			continue;
		problem = problem_of(v, &tree->place, &shard);
		if (problem)
			v->bad(&shard, problem, v->arg);
	}
	return rc == 0 && stopped(v) ? larder_error_set(err, ECANCELED, "verifying was stopped")
				     : rc;
}

int tree_verify(struct tier *tier, const struct tree_key *key, const uint8_t *present,
		void (*bad)(const struct shard *shard, const char *problem, void *arg), void *arg,
		_Atomic uint64_t *done_bytes, const _Atomic bool *stop, struct larder_error *err)
{
	struct tree_open tree = TREE_OPEN_NONE;
	struct verifier v = {.bad = bad, .arg = arg, .done_bytes = done_bytes, .stop = stop};
	int rc;

	v.buf = aligned_alloc(READ_ALIGN, READ_BYTES);
	if (!v.buf)
		return larder_error_set(err, ENOMEM, "out of memory");
	rc = tree_open(tier, key, &tree, err);
	if (rc == 0)
		rc = verify(&v, &tree, present, err);
	tree_open_fini(&tree);
	free(v.buf);
	return rc;
}
