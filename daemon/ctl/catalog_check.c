/*
 * Reads a manifest whole, and looks at its origin: sizes, times and links, no bytes.
 * It must not write anywhere.
 * Called by catalog.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/manifest.h"
#include "ctl/catalog_check.h"
#include "ctl/catalog_file.h"
#include "larder/cleanup.h"

#define PROBLEM_MAX 256

static int check_file(const struct shard *shard, const struct stat *st, char *problem)
{
	int64_t mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;

	if (!S_ISREG(st->st_mode))
		return snprintf(problem, PROBLEM_MAX, "is no regular file any more");
	if ((uint64_t)st->st_size != shard->size)
		return snprintf(problem, PROBLEM_MAX, "has %jd bytes, not %" PRIu64,
				(intmax_t)st->st_size, shard->size);
	if (mtime_ns != shard->mtime_ns)
		return snprintf(problem, PROBLEM_MAX, "was changed since");
	return 0;
}

static int check_link(int origin, const struct shard *shard, const struct stat *st, char *problem)
{
	char target[LARDER_PATH_BYTES + 2];
	ssize_t n =
		S_ISLNK(st->st_mode) ? readlinkat(origin, shard->path, target, sizeof(target)) : -1;

	if (n < 0)
		return snprintf(problem, PROBLEM_MAX, "is no symbolic link any more");
	if ((size_t)n != strlen(shard->target) || memcmp(target, shard->target, (size_t)n) != 0)
		return snprintf(problem, PROBLEM_MAX, "points elsewhere");
	return 0;
}

/* Fills problem and returns non-zero when the shard is not as the manifest has it. */
static int check_shard(int origin, const struct shard *shard, char *problem)
{
	struct stat st;

	if (fstatat(origin, shard->path, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return snprintf(problem, PROBLEM_MAX, "%s", strerror(errno));
	switch (shard->type) {
	case SHARD_FILE: return check_file(shard, &st, problem);
	case SHARD_SYMLINK: return check_link(origin, shard, &st, problem);
	case SHARD_DIR:
		return S_ISDIR(st.st_mode)
			       ? 0
			       : snprintf(problem, PROBLEM_MAX, "is no directory any more");
	}
	return snprintf(problem, PROBLEM_MAX, "has an unknown type");
}

static int tell(const struct catalog_check *check, const struct shard *shard, const char *problem,
		struct larder_error *err)
{
	auto_free char *path = larder_path_encode(shard->path);
	char dataset[LARDER_NAME_MAX + LARDER_VERSION_MAX + 2];
	const struct larder_msg_SHARD row = {
		.dataset = dataset, .path = path, .size = shard->size, .problem = problem};

	if (!path)
		return larder_error_set(err, ENOMEM, "out of memory");
	snprintf(dataset, sizeof(dataset), "%s:%s", check->name, check->version);
	return sheets_add(check->sheets, NULL, LARDER_MSG_SHARD, &row, err);
}

static int check_shards(const struct catalog_check *check, struct manifest_reader *reader,
			int origin, uint64_t *problems, struct larder_error *err)
{
	char problem[PROBLEM_MAX];
	struct shard shard;
	int rc;

	while ((rc = manifest_reader_next(reader, &shard, err)) == 1) {
		if (check_shard(origin, &shard, problem) == 0)
			continue;
		++*problems;
		rc = tell(check, &shard, problem, err);
		if (rc != 0)
			return rc;
	}
	return rc;
}

static int check_origin(const struct catalog_check *check, int fd,
			const struct larder_manifest_head *head, uint64_t *problems,
			struct larder_error *err)
{
	struct manifest_reader *reader = NULL;
	auto_fd int origin = -1;
	int rc;

	if (head->origins[0][0] != '/')
		return larder_error_set(err, EOPNOTSUPP,
					"the origin %s is no path; only paths can be "
					"compared",
					head->origins[0]);
	origin = open(head->origins[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (origin < 0)
		return larder_error_set(err, errno, "open the origin %s: %s", head->origins[0],
					strerror(errno));
	rc = manifest_reader_open(fd, &reader, err);
	if (rc == 0)
		rc = check_shards(check, reader, origin, problems, err);
	manifest_reader_close(reader);
	return rc;
}

int catalog_check_version(const struct catalog_check *check, uint64_t *problems,
			  struct larder_error *err)
{
	struct larder_manifest_head head = {0};
	auto_fd int dir = -1;
	auto_fd int fd = -1;
	int rc = catalog_file_dir(check->catalog, check->name, false, &dir, err);

	if (rc == 0)
		rc = catalog_file_open(dir, check->version, &fd, &head, err);
	if (rc == 0)
		rc = manifest_check(fd, err);
	if (rc == 0 && check->against_origin)
		rc = check_origin(check, fd, &head, problems, err);
	larder_manifest_head_fini(&head);
	return rc;
}
