/*
 * What is on the disk: every tree of a tier, and which shards of a tree's manifest are there by
 * name, type and size. Reads no bytes of shards and changes nothing. Called by recovery and gc, on
 * workers.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "store/inside.h"

static bool looks_right(const struct shard *shard, const struct stat *st)
{
	switch (shard->type) {
	case SHARD_FILE: return S_ISREG(st->st_mode) && (uint64_t)st->st_size == shard->size;
	case SHARD_SYMLINK: return S_ISLNK(st->st_mode);
	case SHARD_DIR: return S_ISDIR(st->st_mode);
	}
	return false;
}

/* 1 there, 0 not, -errno when it cannot be told. */
static int is_there(struct place *place, const struct shard *shard)
{
	const char *name;
	struct stat st;
	int dir = place_at(place, shard->path, false, &name);

	if (dir >= 0 && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		dir = -errno;
	if (dir == -ENOENT || dir == -ENOTDIR || dir == -ELOOP)
		return 0;
	return dir < 0 ? dir : looks_right(shard, &st);
}

static int survey(struct tree_open *tree, uint8_t *bits, uint64_t limit, uint64_t *shards,
		  uint64_t *bytes, struct larder_error *err)
{
	struct shard shard;
	int rc;

	while ((rc = manifest_reader_next(tree->reader, &shard, err)) == 1) {
		if (shard.index >= limit)
			return larder_error_set(err, EINVAL,
						"the manifest has more lines than it says");
		rc = is_there(&tree->place, &shard);
		if (rc < 0)
			return larder_error_set(err, rc, "look for a shard: %s", strerror(-rc));
		if (!rc)
			continue;
		bits[shard.index / 8] |= (uint8_t)(1u << (shard.index % 8));
		*shards += 1;
		*bytes += shard.type == SHARD_FILE ? shard.size : 0;
	}
	return rc;
}

int tree_survey(struct tier *tier, const struct tree_key *key, uint8_t **out, uint64_t *shards,
		uint64_t *bytes, struct larder_error *err)
{
	struct tree_open tree = TREE_OPEN_NONE;
	auto_free uint8_t *bits = NULL;
	uint64_t n;
	int rc = tree_open(tier, key, &tree, err);

	*shards = *bytes = 0;
	if (rc == 0) {
		n = manifest_reader_head(tree.reader)->shards;
		bits = calloc(1, n / 8 + 1);
		rc = bits ? survey(&tree, bits, n, shards, bytes, err)
			  : larder_error_set(err, ENOMEM, "out of memory");
	}
	tree_open_fini(&tree);
	if (rc == 0)
		*out = take_ptr(&bits);
	return rc;
}

/* --- all trees of a tier --- */

struct finder {
	struct tier *tier;
	int (*fn)(const struct tree_key *key, const struct larder_manifest_head *head, void *arg);
	void *arg;
	const char *parts[3]; /* domain, name, version@digest */
	int depth;
};

static int tell(struct finder *finder, const struct tree_key *key)
{
	struct larder_manifest_head head = {0};
	auto_fd int fd = -1;
	bool sound;
	int rc;

	sound = tree_open_manifest(finder->tier, key, &fd, NULL) == 0 &&
		larder_manifest_head_read(fd, &head, NULL) == 0;
	rc = finder->fn(key, sound && strcmp(head.digest, key->digest) == 0 ? &head : NULL,
			finder->arg);
	if (sound)
		larder_manifest_head_fini(&head);
	return rc;
}

/* Directories whose names are no key are not ours to tell. */
static int found(struct finder *finder)
{
	char path[STORE_KEY_PATH_MAX];
	auto_free char *last = strdup(finder->parts[2]);
	char *at = last ? strrchr(last, '@') : NULL;
	struct tree_key key = {.domain = finder->parts[0], .name = finder->parts[1]};

	if (!last)
		return -ENOMEM;
	if (!at)
		return 0;
	*at = '\0';
	key.version = last;
	key.digest = at + 1;
	return tree_key_path(&key, "", path, NULL) ? 0 : tell(finder, &key);
}

/* Takes fd: trees/, then a domain, then a name. Three levels, no more. */
static int find_below(struct finder *finder, int fd)
{
	auto_close_dir DIR *stream = fdopendir(fd);
	struct dirent *entry;
	int rc = 0;

	if (!stream) {
		close(fd);
		return -ENOMEM;
	}
	while (rc == 0 && (errno = 0, entry = readdir(stream)) != NULL) {
		int next;

		if (entry->d_name[0] == '.')
			continue;
		finder->parts[finder->depth] = entry->d_name;
		next = below_open(dirfd(stream), entry->d_name, O_RDONLY | O_DIRECTORY, 0);
		if (next == -ENOENT || next == -ENOTDIR || next == -ELOOP)
			continue;
		if (next < 0)
			return next;
		if (finder->depth == 2) {
			close(next);
			rc = found(finder);
			continue;
		}
		finder->depth++;
		rc = find_below(finder, next);
		finder->depth--;
	}
	return rc ? rc : -errno;
}

int tier_each_tree(struct tier *tier,
		   int (*fn)(const struct tree_key *key, const struct larder_manifest_head *head,
			     void *arg),
		   void *arg, struct larder_error *err)
{
	struct finder finder = {.tier = tier, .fn = fn, .arg = arg};
	int fd = below_open(tier->trees_fd, ".", O_RDONLY | O_DIRECTORY, 0);
	int rc = fd < 0 ? fd : find_below(&finder, fd);

	if (rc < 0)
		return larder_error_set(err, rc, "read the trees of tier %s: %s", tier->path,
					strerror(-rc));
	return rc;
}
