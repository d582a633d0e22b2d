/*
 * A tree being filled: the sink that transfers write into. Unnamed files go to the tier's
 * committer; links, symlinks, empty files and directories get their names at once and wait for its
 * next sync. Must not read origins or digest. Called on transfer threads, many at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "store/inside.h"

#define RESERVE_FROM (1024 * 1024) /* bytes; smaller files are not worth a fallocate */

struct tree_sink {
	struct sink sink; /* first: a sink is cast to this */
	struct commit_client client;
	struct tier *tier;
	int data;
	int base;    /* -1: none */
	int digests; /* what a first use finds; -1: the manifest has them */
	struct cursors cursors;
};

static struct tree_sink *of_sink(struct sink *sink)
{
	return (struct tree_sink *)sink;
}

/* A path may hold any byte; a sentence may not. */
static int say(struct tree_sink *ts, struct larder_error *err, int code, const char *what,
	       const char *path)
{
	int rc = larder_error_set(err, code, "tier %s: %s %s: %s", ts->tier->path, what, path,
				  strerror(code < 0 ? -code : code));

	if (err)
		larder_text_printable(err->text);
	return rc;
}

/* --- names --- */

static int name_at(struct tree_sink *ts, struct cursor *cursor, const char *path,
		   const struct naming *naming)
{
	const char *name;
	int dir = place_at(&cursor->tree, path, true, &name);

	if (dir < 0)
		return dir == -ENOENT ? -ESTALE : dir; /* the tree itself went away */
	return naming_put(ts->tier, dir, name, naming);
}

static int name_it(struct tree_sink *ts, const char *path, const struct naming *naming)
{
	struct cursor *cursor = cursor_take(&ts->cursors, path);
	int rc = name_at(ts, cursor, path, naming);

	cursor_give(&ts->cursors, cursor);
	return rc;
}

/* --- create and commit --- */

static int open_unnamed(int dir, bool direct)
{
	const int flags = O_TMPFILE | O_RDWR;
	int fd = below_open(dir, ".", flags | (direct ? O_DIRECT : 0), 0444); /* as most will be */

	return fd == -EINVAL && direct ? below_open(dir, ".", flags, 0444) : fd;
}

/* All or nothing: running out of room shows here and not in the middle of the bytes. */
static int reserve_blocks(int fd, uint64_t size)
{
	int rc;

	if (size < RESERVE_FROM)
		return 0;
	do
		rc = fallocate(fd, 0, 0, (off_t)size) < 0 ? -errno : 0;
	while (rc == -EINTR);
	return rc == -EOPNOTSUPP ? 0 : rc;
}

static int sink_create(struct sink *sink, uint64_t size, bool direct, int *out,
		       struct larder_error *err)
{
	struct tree_sink *ts = of_sink(sink);
	auto_fd int fd = -1;
	int rc = committer_check(ts->tier->committer, &ts->client, err);

	if (rc)
		return rc;
	if (size > INT64_MAX)
		return larder_error_set(err, EFBIG, "a shard of %llu bytes is too large",
					(unsigned long long)size);
	fd = open_unnamed(ts->data, direct);
	rc = fd < 0 ? fd : reserve_blocks(fd, size);
	if (rc)
		return larder_error_set(err, rc, "tier %s: make a file of %llu bytes: %s",
					ts->tier->path, (unsigned long long)size, strerror(-rc));
	rc = committer_note(ts->tier->committer, fd, err);
	if (rc)
		return rc;
	*out = take_fd(&fd);
	return 0;
}

static int check_file(struct tree_sink *ts, const struct shard *shard, int fd, uint32_t epoch,
		      mode_t *mode, struct larder_error *err)
{
	struct stat st;

	if (epoch == 0)
		return larder_error_set(err, EINVAL, "this file was not made by the sink");
	if (shard->type != SHARD_FILE || larder_path_check(shard->path, err))
		return -EINVAL;
	if (fstat(fd, &st) < 0)
		return say(ts, err, errno, "stat", shard->path);
	*mode = st.st_mode & 07777;
	if ((uint64_t)st.st_size == shard->size)
		return 0;
	return larder_error_set(err, EINVAL, "tier %s: a shard of %llu bytes came as %llu",
				ts->tier->path, (unsigned long long)shard->size,
				(unsigned long long)st.st_size);
}

/* The sync that comes before the name makes the record durable, too: it is on the same tier. */
static int note_digest(struct tree_sink *ts, const struct shard *shard, struct larder_error *err)
{
	unsigned char record[MANIFEST_RECORD];
	ssize_t n;

	if (ts->digests < 0)
		return 0;
	manifest_record_put(shard->digest, record);
	n = pwrite(ts->digests, record, sizeof(record), (off_t)(shard->index * MANIFEST_RECORD));
	if (n == (ssize_t)sizeof(record))
		return 0;
	return say(ts, err, n < 0 ? errno : ENOSPC, "note the digest of", shard->path);
}

static int sink_commit(struct sink *sink, const struct shard *shard, int fd,
		       struct larder_error *err)
{
	struct tree_sink *ts = of_sink(sink);
	auto_fd int own = fd;
	struct commit_file file = {
		.client = &ts->client,
		.index = shard->index,
		.size = shard->size,
		.mode = shard_store_mode(shard->mode),
		.epoch = committer_forget(ts->tier->committer, fd),
	};
	mode_t now = 0;
	int rc = check_file(ts, shard, fd, file.epoch, &now, err);

	if (rc)
		return rc;
	rc = note_digest(ts, shard, err);
	if (rc)
		return rc;
	rc = naming_stamp(fd, now, file.mode, shard->mtime_ns);
	if (rc)
		return say(ts, err, rc, "set mode and time of", shard->path);
	/* write-back starts now, so that the batch's sync finds little left; its errors show there
	 */
	sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	file.path = strdup(shard->path);
	if (!file.path)
		return larder_error_set(err, ENOMEM, "out of memory");
	file.fd = take_fd(&own);
	return committer_add_file(ts->tier->committer, &file, err);
}

/* The committer's call, once the bytes are on the disk without an error. */
static int sink_name(struct commit_client *client, const char *path, int fd, uint64_t size,
		     mode_t mode, struct larder_error *err)
{
	struct tree_sink *ts = client->owner;
	const struct naming naming = {.kind = NAMING_FD, .fd = fd, .mode = mode, .size = size};
	int rc = name_it(ts, path, &naming);

	return rc ? say(ts, err, rc, "give its name to", path) : 0;
}

/* --- link --- */

/* The base's file, if it looks as it must; -ENOENT otherwise: then the caller copies. */
static int base_find(struct tree_sink *ts, struct cursor *cursor, const struct shard *shard,
		     struct naming *naming)
{
	const char *name;
	struct stat st;
	int dir;

	if (ts->base < 0)
		return -ENOENT;
	dir = place_at(&cursor->base, shard->path, false, &name);
	if (dir < 0)
		return dir == -ENOTDIR || dir == -ELOOP ? -ENOENT : dir;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != shard->size ||
	    (st.st_mode & 07777) != naming->mode)
		return -ENOENT;
	naming->from = dir;
	return 0;
}

static int sink_link(struct sink *sink, const struct shard *shard, struct larder_error *err)
{
	struct tree_sink *ts = of_sink(sink);
	uint32_t epoch = committer_epoch(ts->tier->committer);
	struct naming naming = {
		.kind = NAMING_LINK,
		.mode = shard_store_mode(shard->mode),
		.size = shard->size,
	};
	struct cursor *cursor;
	int rc;

	if (shard->type != SHARD_FILE || larder_path_check(shard->path, err))
		return -EINVAL;
	cursor = cursor_take(&ts->cursors, shard->path);
	rc = base_find(ts, cursor, shard, &naming);
	if (rc == 0)
		rc = name_at(ts, cursor, shard->path, &naming);
	cursor_give(&ts->cursors, cursor);
	if (rc)
		return say(ts, err, rc, "link", shard->path);
	return committer_add_name(ts->tier->committer, &ts->client, shard->index, shard->size,
				  epoch, err);
}

/* --- make --- */

static int make_dir(struct tree_sink *ts, const struct shard *shard)
{
	struct timespec times[2] = {naming_time(shard->mtime_ns), naming_time(shard->mtime_ns)};
	struct cursor *cursor = cursor_take(&ts->cursors, shard->path);
	const char *name;
	int fd = -1;
	int rc = place_at(&cursor->tree, shard->path, true, &name);

	if (rc >= 0)
		rc = fd = below_make_dir(rc, name, 0555);
	if (rc >= 0)
		rc = futimens(fd, times) < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	cursor_give(&ts->cursors, cursor);
	return rc;
}

/* Stamped before it is named: a crash between the two must not leave a name with another mode. */
static int make_file(struct tree_sink *ts, const struct shard *shard)
{
	struct naming naming = {.kind = NAMING_FD, .mode = shard_store_mode(shard->mode)};
	auto_fd int fd = -1;
	int rc;

	if (shard->size != 0)
		return -EINVAL;
	if (!digest_equal(shard->digest, digest_of("", 0)))
		return -EBADMSG;
	naming.fd = fd = open_unnamed(ts->data, false);
	rc = fd < 0 ? fd : naming_stamp(fd, 0, naming.mode, shard->mtime_ns);
	return rc ? rc : name_it(ts, shard->path, &naming);
}

static int make_symlink(struct tree_sink *ts, const struct shard *shard)
{
	const struct naming naming = {
		.kind = NAMING_SYMLINK,
		.mtime_ns = shard->mtime_ns,
		.target = shard->target,
	};

	if (!shard->target || !larder_symlink_stays(shard->path, shard->target))
		return -EINVAL;
	return name_it(ts, shard->path, &naming);
}

static int sink_make(struct sink *sink, const struct shard *shard, struct larder_error *err)
{
	struct tree_sink *ts = of_sink(sink);
	uint32_t epoch = committer_epoch(ts->tier->committer);
	int rc = larder_path_check(shard->path, err);

	if (rc)
		return rc;
	switch (shard->type) {
	case SHARD_DIR: rc = make_dir(ts, shard); break;
	case SHARD_FILE: rc = make_file(ts, shard); break;
	case SHARD_SYMLINK: rc = make_symlink(ts, shard); break;
	}
	if (rc)
		return say(ts, err, rc, "make", shard->path);
	return committer_add_name(ts->tier->committer, &ts->client, shard->index, 0, epoch, err);
}

static int sink_flush(struct sink *sink, struct larder_error *err)
{
	struct tree_sink *ts = of_sink(sink);

	return committer_flush(ts->tier->committer, &ts->client, err);
}

/* --- life --- */

static const struct sink_ops OPS = {
	.create = sink_create,
	.commit = sink_commit,
	.link = sink_link,
	.make = sink_make,
	.flush = sink_flush,
};

static int open_data(struct tier *tier, const struct tree_key *key, int *fd,
		     struct larder_error *err)
{
	char path[STORE_KEY_PATH_MAX];
	int rc = tree_key_path(key, "/data", path, err);

	if (rc)
		return rc;
	*fd = below_open(tier->trees_fd, path, O_RDONLY | O_DIRECTORY, 0);
	return *fd < 0 ? larder_error_set(err, *fd, "open %s/trees/%s: %s", tier->path, path,
					  strerror(-*fd))
		       : 0;
}

static int open_digests(struct tree_sink *ts, const struct tree_key *key, struct larder_error *err)
{
	char path[STORE_KEY_PATH_MAX];
	int rc = tree_key_path(key, "/digests", path, err);
	int fd = rc ? rc : below_open(ts->tier->trees_fd, path, O_RDWR, 0);

	if (rc || fd == -ENOENT)
		return rc;
	if (fd < 0)
		return larder_error_set(err, fd, "open %s/trees/%s: %s", ts->tier->path, path,
					strerror(-fd));
	ts->digests = fd;
	return 0;
}

int tree_sink_create(const struct tree_sink_params *params, struct sink **out,
		     struct larder_error *err)
{
	struct tree_sink *ts = calloc(1, sizeof(*ts));
	int rc;

	if (!ts)
		return larder_error_set(err, ENOMEM, "out of memory");
	ts->sink.ops = &OPS;
	ts->tier = params->tier;
	ts->client.owner = ts;
	ts->client.name = sink_name;
	ts->client.durable = params->durable;
	ts->client.arg = params->arg;
	ts->data = ts->base = ts->digests = -1;
	rc = open_digests(ts, &params->key, err);
	if (rc == 0)
		rc = open_data(ts->tier, &params->key, &ts->data, err);
	if (rc == 0 && params->base)
		rc = open_data(ts->tier, params->base, &ts->base, err);
	cursors_init(&ts->cursors, ts->data, ts->base);
	if (rc)
		tree_sink_destroy(&ts->sink);
	else
		*out = &ts->sink;
	return rc;
}

void tree_sink_destroy(struct sink *sink)
{
	struct tree_sink *ts;

	if (!sink)
		return;
	ts = of_sink(sink);
	committer_leave(ts->tier->committer, &ts->client);
	cursors_fini(&ts->cursors);
	if (ts->base >= 0)
		close(ts->base);
	if (ts->data >= 0)
		close(ts->data);
	if (ts->digests >= 0)
		close(ts->digests);
	free(ts);
}
