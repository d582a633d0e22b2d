/*
 * See disk.h. Must not be needed to clean up after: the namespace and the loop devices end with the
 * process. Called by the tests of the store.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "disk.h"
#include "larder/cleanup.h"
#include "larder/text.h"

const char *disk_unable(void)
{
	if (geteuid() != 0)
		return "needs root, to mount file systems";
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return "needs a mount namespace of its own";
	if (access("/dev/loop-control", R_OK) < 0)
		return "needs loop devices";
	return NULL;
}

void disk_run(const char *fmt, ...)
{
	char command[1024];
	va_list args;
	int status;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	status = system(command);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("%s: status %d", command, status);
}

static void make_image(struct disk *disk, unsigned int mib, const char *options)
{
	const char *force = strcmp(disk->fs, "ext4") == 0 ? "-F -m 0" : "-f";

	disk_run("truncate -s %uM %s/image && mkfs.%s -q %s %s %s/image >%s/mkfs.log 2>&1", mib,
		 disk->dir, disk->fs, force, options ? options : "", disk->dir, disk->dir);
	/* another program may take the loop device between mount's choosing and its opening of it
	 */
	disk_run(
		"for i in 1 2 3 4 5 6 7 8; do mount -o loop %s/image %s 2>%s/mount.log && exit; sleep 0.0$i; done; cat %s/mount.log; exit 1",
		disk->dir, disk->path, disk->dir, disk->dir);
}

void disk_make(struct disk *disk, const char *fs, unsigned int mib, const char *options)
{
	char size[32];

	*disk = (struct disk){.fs = fs};
	strcpy(disk->dir, "/tmp/larder-disk.XXXXXX");
	assert_non_null(mkdtemp(disk->dir));
	snprintf(disk->path, sizeof(disk->path), "%s/mnt", disk->dir);
	assert_int_equal(mkdir(disk->path, 0755), 0);
	snprintf(size, sizeof(size), "size=%uM", mib);
	if (strcmp(fs, "tmpfs") == 0)
		assert_int_equal(mount("none", disk->path, "tmpfs", 0, size), 0);
	else
		make_image(disk, mib, options);
}

void disk_free(struct disk *disk)
{
	if (!disk->dir[0])
		return;
	umount2(disk->path, MNT_DETACH);
	disk_run("rm -rf --one-file-system %s", disk->dir);
	disk->dir[0] = '\0';
}

void disk_tier(struct disk *disk, char out[160])
{
	snprintf(out, 160, "%s/tier%u", disk->path, disk->next++);
	assert_int_equal(mkdir(out, 0755), 0);
}

/* --- content --- */

unsigned char *piece_bytes(const struct piece *piece)
{
	unsigned char *bytes = malloc(piece->size + 8);
	uint64_t x = piece->seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	size_t i;

	assert_non_null(bytes);
	if (piece->seed == 0)
		memset(bytes, 0, piece->size + 8); /* a hole */
	for (i = 0; piece->seed && i < piece->size; i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(bytes + i, &x, 8);
	}
	return bytes;
}

static int by_path(const void *a, const void *b)
{
	return larder_path_compare(((const struct piece *)a)->path,
				   ((const struct piece *)b)->path);
}

static struct shard shard_of(const struct piece *piece, size_t index)
{
	struct shard shard = {
		.index = index,
		.type = (enum shard_type)piece->type,
		.size = piece->size,
		.mtime_ns = piece->mtime_ns,
		.mode = piece->mode,
		.path = piece->path,
		.target = piece->target,
	};

	if (piece->type == 'f') {
		auto_free unsigned char *bytes = piece_bytes(piece);

		shard.digest = digest_of(bytes, piece->size);
	}
	return shard;
}

static void copy_piece(struct piece *to, const struct piece *from)
{
	*to = *from;
	to->path = strdup(from->path);
	to->target = from->target ? strdup(from->target) : NULL;
	if (!to->mtime_ns)
		to->mtime_ns = INT64_C(1700000000123456789);
	if (!to->mode)
		to->mode = 0644;
}

void fake_make(struct fake *set, const char *version, const struct piece *pieces, size_t n)
{
	struct larder_manifest_head head = {.name = "set", .n_origins = 1, .created_s = 1};
	struct larder_manifest_head done = {0};
	struct manifest_writer *writer = NULL;
	struct larder_error err = {0};
	char origin[] = "/origin";
	size_t i;

	head.origins[0] = origin;
	snprintf(head.version, sizeof(head.version), "%s", version);
	set->n = n;
	set->pieces = calloc(n, sizeof(*set->pieces));
	set->shards = calloc(n, sizeof(*set->shards));
	for (i = 0; i < n; i++)
		copy_piece(&set->pieces[i], &pieces[i]);
	qsort(set->pieces, n, sizeof(*set->pieces), by_path);
	set->fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	assert_true(set->fd >= 0);
	assert_ok(manifest_writer_create(set->fd, &head, &writer, &err), &err);
	for (i = 0; i < n; i++) {
		set->shards[i] = shard_of(&set->pieces[i], i);
		assert_ok(manifest_writer_add(writer, &set->shards[i], &err), &err);
	}
	assert_ok(manifest_writer_finish(writer, &done, &err), &err);
	manifest_writer_destroy(writer);
	memcpy(set->digest, done.digest, sizeof(set->digest));
	larder_manifest_head_fini(&done);
	snprintf(set->version, sizeof(set->version), "%s", version);
	set->key = (struct tree_key){"site", "set", set->version, set->digest};
}

void fake_many(struct fake *set, const char *version, size_t n, uint64_t size)
{
	struct piece *pieces = calloc(n, sizeof(*pieces));
	size_t i;

	for (i = 0; i < n; i++) {
		char *path = NULL;

		assert_true(asprintf(&path, "d%zu/f%zu", i % 7, i) > 0);
		pieces[i] = (struct piece){.path = path, .type = 'f', .size = size, .seed = i + 1};
	}
	fake_make(set, version, pieces, n);
	for (i = 0; i < n; i++)
		free((void *)(uintptr_t)pieces[i].path);
	free(pieces);
}

void fake_free(struct fake *set)
{
	size_t i;

	for (i = 0; i < set->n; i++) {
		free((void *)(uintptr_t)set->pieces[i].path);
		free((void *)(uintptr_t)set->pieces[i].target);
	}
	free(set->pieces);
	free(set->shards);
	if (set->pieces)
		close(set->fd);
	*set = (struct fake){0};
}

/* --- filling a tree --- */

static int put_file(struct sink *sink, const struct fake *set, size_t i, bool direct,
		    struct larder_error *err)
{
	const struct piece *piece = &set->pieces[i];
	size_t whole = direct ? (piece->size + 4095) / 4096 * 4096 : piece->size;
	auto_free unsigned char *bytes = piece_bytes(piece);
	auto_free unsigned char *aligned = aligned_alloc(4096, (whole | 4095) + 1);
	ssize_t put = 0;
	int fd = -1;
	int rc = sink->ops->create(sink, piece->size, direct, &fd, err);

	if (rc)
		return rc;
	memset(aligned, 0, (whole | 4095) + 1);
	memcpy(aligned, bytes, piece->size);
	if (piece->seed)
		put = pwrite(fd, aligned, whole, 0);
	/* only where it is needed: XFS writes the bytes out for it, and no bug would show */
	if (put < 0 || ((size_t)put != piece->size && ftruncate(fd, (off_t)piece->size) < 0)) {
		rc = larder_error_set(err, errno, "write: %s", strerror(errno));
		close(fd);
		return rc;
	}
	return sink->ops->commit(sink, &set->shards[i], fd, err);
}

int piece_put(struct sink *sink, const struct fake *set, size_t i, bool direct,
	      struct larder_error *err)
{
	if (set->pieces[i].type == 'f' && set->pieces[i].size > 0)
		return put_file(sink, set, i, direct, err);
	return sink->ops->make(sink, &set->shards[i], err);
}

void fake_put(struct sink *sink, const struct fake *set)
{
	struct larder_error err = {0};
	size_t i;

	for (i = 0; i < set->n; i++)
		assert_ok(piece_put(sink, set, i, i % 2, &err), &err);
}

static bool bytes_match(const char *path, const struct piece *piece)
{
	auto_free unsigned char *want = piece_bytes(piece);
	auto_free unsigned char *got = malloc(piece->size + 1);
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && read(fd, got, piece->size + 1) == (ssize_t)piece->size &&
	       memcmp(want, got, piece->size) == 0;
}

const char *piece_wrong(const char *data, const struct fake *set, size_t i)
{
	const struct piece *piece = &set->pieces[i];
	auto_free char *path = NULL;
	char target[PATH_MAX] = "";
	struct stat st;

	if (asprintf(&path, "%s/%s", data, piece->path) < 0 || lstat(path, &st) < 0)
		return "not there";
	if (st.st_uid != geteuid())
		return "owner";
	if (st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec != piece->mtime_ns)
		return "mtime";
	if (piece->type == 'd')
		return S_ISDIR(st.st_mode) && (st.st_mode & 07777) == 0555 ? NULL : "directory";
	if (piece->type == 'l')
		return readlink(path, target, sizeof(target) - 1) > 0 &&
				       strcmp(target, piece->target) == 0
			       ? NULL
			       : "symlink";
	if (!S_ISREG(st.st_mode) || (st.st_mode & 07777) != (piece->mode & 0111 ? 0555u : 0444u))
		return "mode";
	if ((uint64_t)st.st_size != piece->size || !bytes_match(path, piece))
		return "bytes";
	return NULL;
}

/* --- what became durable --- */

void told_init(struct told *told, uint64_t limit)
{
	*told = (struct told){.limit = limit, .bits = calloc(1, limit / 8 + 1)};
}

void told_fini(struct told *told)
{
	free(told->bits);
}

void told_durable(const uint64_t *indices, size_t n, uint64_t bytes, void *arg)
{
	struct told *told = arg;
	size_t i;

	for (i = 0; i < n; i++) {
		uint8_t mask = (uint8_t)(1u << (indices[i] % 8));

		if (indices[i] >= told->limit || (told->bits[indices[i] / 8] & mask))
			told->twice = true;
		else
			told->bits[indices[i] / 8] |= mask;
	}
	told->n += n;
	told->bytes += bytes;
}

struct sink *set_sink(struct tier *tier, const struct fake *set, const struct fake *base,
		      struct told *told)
{
	struct tree_sink_params params = {
		.tier = tier,
		.key = set->key,
		.base = base ? &base->key : NULL,
		.durable = told_durable,
		.arg = told,
	};
	struct larder_error err = {0};
	struct sink *sink = NULL;

	assert_ok(tree_create(tier, &set->key, set->fd, &err), &err);
	assert_ok(tree_sink_create(&params, &sink, &err), &err);
	return sink;
}
