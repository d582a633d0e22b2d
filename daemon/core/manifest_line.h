/*
 * Between the manifest's reader and writer: one line, and the rules that hold from line to line.
 * Nobody else includes it.
 */
#ifndef CORE_MANIFEST_LINE_H
#define CORE_MANIFEST_LINE_H

#include "core/manifest.h"

/* The longest line that can be: type, digest, size, time, mode, path and target all encoded. */
#define MANIFEST_LINE_MAX (2 + 33 + 21 + 21 + 5 + 2 * (3 * LARDER_PATH_BYTES + 1) + 1)
#define MANIFEST_MODE_MAX 07777u

/* What has passed so far. */
struct manifest_rules {
	bool first_use; /* the head says so */
	uint64_t shards, bytes;
	size_t last_len;
	char last[LARDER_PATH_BYTES + 1]; /* the path before */
};

void manifest_rules_init(struct manifest_rules *rules, bool first_use);
/*
 * Takes the next shard, whose path is valid already. 0, or -EINVAL: order, duplicate, both file
 * and directory, sizes that overflow, a symlink that leaves the tree, values that cannot be.
 */
int manifest_rules_take(struct manifest_rules *rules, const struct shard *shard,
			struct larder_error *err);

/*
 * `line` of `len` bytes, a newline behind them. Decodes into path and target (each of
 * LARDER_PATH_BYTES + 1), to which the shard then points. 0 or -EINVAL.
 */
int manifest_line_parse(const char *line, size_t len, struct shard *shard, char *path, char *target,
			struct larder_error *err);
/* The line with its newline into `out`, room for MANIFEST_LINE_MAX. Its length. */
size_t manifest_line_format(const struct shard *shard, char *out);

#endif
