/*
 * Owns: origins that are a directory here, on a local or shared file system: one descriptor of the
 * root, everything opened beneath it under the ids of the one it is read for.
 * Must not: write, rename or delete anything; follow a path out of the root.
 * Called by: xfer and scan, through source_ops, from many threads at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "origin/origins.h"
#include "origin/posix.h"

#define OPEN_TRIES 32 /* openat2 says EAGAIN while somebody renames beside it */

static struct posix_source *posix_of(struct source *source)
{
	return (struct posix_source *)source; /* base is the first member */
}

static bool posix_owns(const char *origin)
{
	return origin[0] == '/';
}

static void posix_close(struct source *base)
{
	struct posix_source *source = posix_of(base);

	if (!source)
		return;
	if (source->fd >= 0)
		close(source->fd);
	free(source->root);
	free(source->groups);
	free(source);
}

static int copy_as(const struct source_as *as, struct posix_source *source)
{
	source->as = *as;
	source->as.groups = NULL;
	if (!as->n_groups)
		return 0;
	source->groups = calloc(as->n_groups, sizeof(gid_t));
	if (!source->groups)
		return -ENOMEM;
	memcpy(source->groups, as->groups, as->n_groups * sizeof(gid_t));
	source->as.groups = source->groups;
	return 0;
}

static int open_root(struct posix_source *source, struct larder_error *err)
{
	int rc = source_as_enter(&source->as, err);
	int saved;

	if (rc)
		return rc;
	source->fd = open(source->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
	saved = errno;
	source_as_leave(&source->as);
	if (source->fd < 0)
		return larder_error_set(err, saved, "origin %s cannot be opened: %s", source->root,
					strerror(saved));
	return 0;
}

static int posix_open(const char *origin, const struct source_as *as,
		      const struct source_options *options, struct source **out,
		      struct larder_error *err)
{
	struct posix_source *source = calloc(1, sizeof(*source));
	int rc;

	(void)options;
	if (!source)
		return larder_error_set(err, ENOMEM, "no memory for origin %s", origin);
	source->base.ops = &source_posix;
	source->fd = -1;
	source->root = strdup(origin);
	if (!source->root || copy_as(as, source)) {
		posix_close(&source->base);
		return larder_error_set(err, ENOMEM, "no memory for origin %s", origin);
	}
	rc = open_root(source, err);
	if (rc) {
		posix_close(&source->base);
		return rc;
	}
	*out = &source->base;
	return 0;
}

int posix_open_beneath(const struct posix_source *source, const char *path, int flags)
{
	struct open_how how = {
		/* openat2 takes O_PATH with nothing that does not belong to it */
		.flags = (unsigned int)(flags | O_CLOEXEC |
					(flags & O_PATH ? 0 : O_NOCTTY | O_NONBLOCK)),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd = -1;

	for (int i = 0; i < OPEN_TRIES; i++) {
		fd = syscall(SYS_openat2, source->fd, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return fd >= 0 ? (int)fd : -errno;
}

const char *posix_show(const char *path, char *buf, size_t len)
{
	auto_free char *encoded = larder_path_encode(path);

	snprintf(buf, len, "%s", encoded ? encoded : "(no memory)");
	return buf;
}

static int open_refused(const struct posix_source *source, const char *shown, int rc,
			struct larder_error *err)
{
	switch (rc) {
	case -ENOENT:
	case -ENOTDIR:
		return larder_error_set(
			err, ENOENT,
			"%s is not at %s any more; put it back or publish a new version", shown,
			source->root);
	case -EXDEV:
	case -ELOOP:
		return larder_error_set(err, ELOOP, "%s leads out of the origin %s", shown,
					source->root);
	case -EACCES:
	case -EPERM:
		return larder_error_set(err, EACCES, "user %u may not read %s at %s",
					(unsigned int)(source->as.uid ? source->as.uid : geteuid()),
					shown, source->root);
	case -ENOSYS:
		return larder_error_set(err, ENOSYS, "this kernel has no openat2(2) (Linux 5.6)");
	default:
		return larder_error_set(err, rc, "open %s at %s: %s", shown, source->root,
					strerror(-rc));
	}
}

static int check_file(const struct posix_source *source, int fd, const struct shard *shard,
		      struct larder_error *err)
{
	char shown[512];
	struct stat st = {0};
	int rc = fstat(fd, &st) < 0 ? errno : 0;

	if (!rc && S_ISREG(st.st_mode) && (uint64_t)st.st_size == shard->size)
		return 0;
	posix_show(shard->path, shown, sizeof(shown));
	if (rc)
		return larder_error_set(err, rc, "stat %s at %s: %s", shown, source->root,
					strerror(rc));
	if (!S_ISREG(st.st_mode))
		return larder_error_set(
			err, ESTALE,
			"%s at %s is not a regular file any more; publish a new version", shown,
			source->root);
	return larder_error_set(err, ESTALE,
				"%s changed at the origin %s: it has %jd bytes, the manifest "
				"says %" PRIu64 "; publish a new version",
				shown, source->root, (intmax_t)st.st_size, shard->size);
}

static int posix_open_shard(struct source *base, const struct shard *shard, int *out,
			    struct larder_error *err)
{
	struct posix_source *source = posix_of(base);
	auto_fd int fd = -1;
	char shown[512];
	int rc = source_as_enter(&source->as, err);

	if (rc)
		return rc;
	rc = posix_open_beneath(source, shard->path, O_RDONLY);
	source_as_leave(&source->as);
	if (rc < 0)
		return open_refused(source, posix_show(shard->path, shown, sizeof(shown)), rc, err);
	fd = rc;
	rc = check_file(source, fd, shard, err);
	if (rc)
		return rc;
	*out = take_fd(&fd);
	return 0;
}

/* What a list names: where a symlink leads counts, if it stays inside. */
static int posix_look(struct source *base, const char *path, struct source_entry *entry,
		      struct larder_error *err)
{
	struct posix_source *source = posix_of(base);
	auto_fd int fd = -1;
	char shown[512];
	struct stat st;
	int rc = source_as_enter(&source->as, err);

	if (rc)
		return rc;
	posix_show(path, shown, sizeof(shown));
	rc = posix_open_beneath(source, path, O_PATH);
	source_as_leave(&source->as);
	if (rc == -ENOENT || rc == -ENOTDIR)
		return larder_error_set(err, ENOENT, "%s is not at %s", shown, source->root);
	if (rc < 0)
		return open_refused(source, shown, rc, err);
	fd = rc;
	if (fstat(fd, &st) < 0)
		return larder_error_set(err, errno, "stat %s at %s: %s", shown, source->root,
					strerror(errno));
	if (!S_ISREG(st.st_mode))
		return larder_error_set(err, EINVAL, "%s at %s is no regular file", shown,
					source->root);
	*entry = (struct source_entry){
		.path = path,
		.type = SHARD_FILE,
		.size = (uint64_t)st.st_size,
		.mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
		.mode = st.st_mode & 07777,
		.uid = st.st_uid,
		.gid = st.st_gid,
	};
	return 0;
}

const struct source_ops source_posix = {
	.kind = "posix",
	.owns = posix_owns,
	.open = posix_open,
	.close = posix_close,
	.open_shard = posix_open_shard,
	.look = posix_look,
	.list = posix_list,
};
