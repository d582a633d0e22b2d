/*
 * File systems of their own for tests: an image on a loop device, mounted below a temporary
 * directory in a mount namespace of this process, so that nothing stays mounted whatever becomes of
 * the test. And trees to put there.
 */
#ifndef TESTS_DISK_H
#define TESTS_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/manifest.h"
#include "core/sink.h"
#include "store/tree.h"

struct disk {
	char dir[64];  /* temporary, ours */
	char path[96]; /* where the file system is */
	const char *fs;
	unsigned int next; /* of disk_tier */
};

/* NULL, or why such tests cannot run here ("needs root"). Enters the namespace. */
const char *disk_unable(void);
/* fs "ext4", "xfs", "btrfs", "tmpfs". options: more words for mkfs, or NULL. Asserts that it works.
 */
void disk_make(struct disk *disk, const char *fs, unsigned int mib, const char *options);
void disk_free(struct disk *disk);
/* A command of the shell; asserts that it succeeds. */
void disk_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A new empty directory on the disk, to be a tier. Writes its path. */
void disk_tier(struct disk *disk, char out[160]);

/* A shard as a test thinks of it: content grows from the seed. */
struct piece {
	const char *path;
	char type; /* 'f', 'l', 'd' */
	uint64_t size;
	uint32_t mode;
	const char *target;
	uint64_t seed;
	int64_t mtime_ns;
};

/* A dataset: its manifest in a file, and its shards as they stand there. */
struct fake {
	struct piece *pieces; /* sorted as the manifest is */
	struct shard *shards;
	size_t n;
	int fd; /* the manifest's */
	char digest[33];
	char version[32];
	struct tree_key key;
};

void fake_make(struct fake *set, const char *version, const struct piece *pieces, size_t n);
/* n files of `size` bytes: d0/f0, … */
void fake_many(struct fake *set, const char *version, size_t n, uint64_t size);
void fake_free(struct fake *set);
unsigned char *piece_bytes(const struct piece *piece);
/* Creates, writes and commits (or makes) one. The sink's answer. */
int piece_put(struct sink *sink, const struct fake *set, size_t i, bool direct,
	      struct larder_error *err);
/* The same for all of them; asserts. */
void fake_put(struct sink *sink, const struct fake *set);
/* Is the shard in `data` exactly what the piece says: type, bytes, mode, mtime, owner? NULL or what
 * is wrong. */
const char *piece_wrong(const char *data, const struct fake *set, size_t i);

/* What a sink's durable callback saw. */
struct told {
	uint64_t n, bytes;
	uint8_t *bits;
	uint64_t limit;
	bool twice; /* an index came twice, or was none */
};
void told_init(struct told *told, uint64_t limit);
void told_fini(struct told *told);
void told_durable(const uint64_t *indices, size_t n, uint64_t bytes, void *told);

/* A tree for the set and a sink that fills it. */
struct sink *set_sink(struct tier *tier, const struct fake *set, const struct fake *base,
		      struct told *told);

/* assert with the sentence of err in the message */
#define assert_ok(rc, err)                                                                         \
	do {                                                                                       \
		int rc_ = (rc);                                                                    \
		if (rc_ != 0)                                                                      \
			fail_msg("%s = %d: %s", #rc, rc_, (err)->text);                            \
	} while (0)

#endif
