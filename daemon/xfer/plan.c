/*
 * Owns: adding up what a transfer would do and what room it needs.
 * Must not: look at the tier; the sums are of manifests alone.
 * Called by: the server's workers, before they reserve.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "larder/text.h"
#include "xfer/transfer.h"
#include "xfer/want.h"

#define STOP_EVERY     1024 /* shards between two looks at *stop */
#define TREE_DIRS      4    /* domain, name, version, data */
#define INLINE_SYMLINK 59   /* longer targets take a block (ext4's i_block) */

struct planning {
	struct transfer_plan *plan;
	uint32_t block;
	uint64_t name_bytes; /* of directory entries */
	uint64_t lines;	     /* of the manifest */
	bool overflow;
	char last[LARDER_PATH_BYTES + 1]; /* path before, to count directories once */
};

static void add(struct planning *p, uint64_t *sum, uint64_t more)
{
	if (__builtin_add_overflow(*sum, more, sum))
		p->overflow = true;
}

static void add_blocks(struct planning *p, uint64_t bytes)
{
	uint64_t up;

	if (__builtin_add_overflow(bytes, p->block - 1, &up))
		p->overflow = true;
	else
		add(p, &p->plan->disk_bytes, up / p->block * p->block);
}

/* Manifest order keeps a directory's shards together: new ones are those after the common part. */
static uint64_t new_dirs(const char *last, const char *path)
{
	uint64_t dirs = 0;
	size_t same = 0;

	while (path[same] && path[same] == last[same])
		same++;
	/* back to the last slash that both have */
	while (same && path[same - 1] != '/')
		same--;
	for (const char *at = strchr(path + same, '/'); at; at = strchr(at + 1, '/'))
		dirs++;
	return dirs;
}

static void add_name(struct planning *p, const struct shard *shard)
{
	uint64_t dirs = new_dirs(p->last, shard->path);
	const char *name = strrchr(shard->path, '/');

	/* an entry is name, head and padding; directories are about half full */
	add(p, &p->name_bytes, 2 * (strlen(name ? name + 1 : shard->path) + 16));
	add(p, &p->plan->inodes, dirs);
	for (uint64_t i = 0; i < dirs; i++)
		add_blocks(p, p->block);
	strcpy(p->last, shard->path); /* NOLINT: both hold LARDER_PATH_BYTES */
}

static void add_made(struct planning *p, const struct shard *shard)
{
	add(p, &p->plan->inodes, 1);
	if (shard->type == SHARD_DIR || (shard->target && strlen(shard->target) > INLINE_SYMLINK))
		add_blocks(p, p->block);
}

static void add_shard(struct planning *p, const struct shard *shard, enum want_kind kind)
{
	struct transfer_plan *plan = p->plan;

	if (kind == WANT_SKIP)
		return;
	plan->shards++;
	add(p, &plan->bytes, shard->size);
	if (kind == WANT_PRESENT) {
		plan->present_shards++;
		add(p, &plan->present_bytes, shard->size);
		return;
	}
	add_name(p, shard);
	if (kind == WANT_LINK) {
		plan->link_shards++;
		add(p, &plan->link_bytes, shard->size);
	} else if (kind == WANT_FETCH) {
		plan->fetch_shards++;
		add(p, &plan->fetch_bytes, shard->size);
		add(p, &plan->inodes, 1);
		add_blocks(p, shard->size);
	} else {
		add_made(p, shard);
	}
}

static int add_all(struct planning *p, struct want_stream *stream, const _Atomic bool *stop,
		   struct larder_error *err)
{
	enum want_kind kind;
	struct shard shard;
	int rc;

	while ((rc = want_next(stream, &shard, &kind, err)) == 1) {
		add_shard(p, &shard, kind);
		p->lines = shard.index + 1;
		if (shard.index % STOP_EVERY == 0 && stop && *stop)
			return larder_error_set(err, ECANCELED, "planning was cancelled");
	}
	return rc;
}

/* What a tree has besides its shards: the manifest and its own directories. */
static int add_tree(struct planning *p, const struct transfer_want *want, struct larder_error *err)
{
	struct stat st;

	if (fstat(want->manifest_fd, &st) < 0)
		return larder_error_set(err, errno, "stat the manifest: %s", strerror(errno));
	add_blocks(p, (uint64_t)st.st_size);
	add_blocks(p, p->name_bytes);
	if (want->digests_fd > 0) { /* a record for each line of the manifest */
		add_blocks(p, p->lines * MANIFEST_RECORD);
		add(p, &p->plan->inodes, 1);
	}
	add(p, &p->plan->inodes, 1 + TREE_DIRS);
	add(p, &p->plan->disk_bytes, (uint64_t)TREE_DIRS * p->block);
	return 0;
}

int transfer_plan(const struct transfer_want *want, uint32_t block, const _Atomic bool *stop,
		  struct transfer_plan *plan, struct larder_error *err)
{
	struct planning p = {.plan = plan, .block = block ? block : 4096};
	struct want_stream *stream = NULL;
	int rc = want_open(want, &stream, err);

	if (rc)
		return rc;
	*plan = (struct transfer_plan){0};
	rc = add_all(&p, stream, stop, err);
	want_close(stream);
	if (!rc)
		rc = add_tree(&p, want, err);
	if (!rc && p.overflow)
		rc = larder_error_set(err, EOVERFLOW, "the manifest's sizes overflow");
	return rc;
}
