/*
 * Owns what must hold from line to line of a manifest's body, the same for reader and writer.
 * Must not do I/O; pure. Called once a shard: it does no more than it must.
 */
#include "core/manifest_line.h"

#include <errno.h>
#include <string.h>

static int fault(struct larder_error *err, const struct shard *shard, const char *what)
{
	char path[200];

	return larder_error_set(err, EINVAL, "\"%s\" %s",
				larder_text_quote(shard->path, SIZE_MAX, path, sizeof(path)), what);
}

void manifest_rules_init(struct manifest_rules *rules, bool first_use)
{
	rules->first_use = first_use;
	rules->shards = 0;
	rules->bytes = 0;
	rules->last_len = 0;
	rules->last[0] = '\0';
}

/* How many bytes a and b begin with alike, up to `max`: eight at a time, then one. */
static size_t common_prefix(const char *a, const char *b, size_t max)
{
	size_t n = 0;

	for (; n + 8 <= max; n += 8) {
		uint64_t x, y;

		memcpy(&x, a + n, sizeof(x));
		memcpy(&y, b + n, sizeof(y));
		if (x != y)
			break;
	}
	while (n < max && a[n] == b[n])
		n++;
	return n;
}

/*
 * `same`: bytes that this path and the one before begin with alike. A directory's files stand
 * together, '/' being before every other byte: so if anything lies below the path before, it is
 * this one.
 */
static int check_order(const struct manifest_rules *rules, const struct shard *shard, size_t same,
		       struct larder_error *err)
{
	int order = larder_path_compare(rules->last + same, shard->path + same);

	if (!rules->shards)
		return 0;
	if (order == 0)
		return fault(err, shard, "is there twice");
	if (order > 0)
		return fault(err, shard, "is not in order; it belongs further up");
	if (same == rules->last_len && shard->path[same] == '/')
		return fault(err, shard,
			     "lies below what the line before calls a file, a symlink "
			     "or an empty directory");
	return 0;
}

static int check_file(const struct manifest_rules *rules, const struct shard *shard,
		      struct larder_error *err)
{
	if (shard->undigested && !rules->first_use)
		return fault(err, shard,
			     "has no digest, and the head does not say \"trust first-use\"");
	if (shard->undigested && shard->size == 0)
		return fault(err, shard, "is empty, and what empty files' digest is is known");
	if (shard->size > INT64_MAX)
		return fault(err, shard, "is larger than a file can be");
	/* Empty files are made, never copied, so nobody else would compare this digest. */
	if (shard->size == 0 && !digest_equal(shard->digest, digest_of("", 0)))
		return fault(err, shard, "is empty but has another digest than empty files have");
	return 0;
}

static int check_symlink(const struct shard *shard, struct larder_error *err)
{
	if (!shard->target || !*shard->target)
		return fault(err, shard, "is a symlink without a target");
	if (strnlen(shard->target, LARDER_PATH_BYTES + 1) > LARDER_PATH_BYTES)
		return fault(err, shard, "is a symlink with a target over 4095 bytes");
	if (!larder_symlink_stays(shard->path, shard->target))
		return fault(err, shard, "is a symlink that leaves the dataset");
	return 0;
}

static int check_values(const struct manifest_rules *rules, const struct shard *shard,
			struct larder_error *err)
{
	if (shard->mode > MANIFEST_MODE_MAX)
		return fault(err, shard, "has a mode above 07777");
	if (shard->mtime_ns == INT64_MIN)
		return fault(err, shard, "has a time that cannot be");
	switch (shard->type) {
	case SHARD_FILE: return check_file(rules, shard, err);
	case SHARD_SYMLINK: return check_symlink(shard, err);
	case SHARD_DIR: return 0;
	}
	return fault(err, shard, "is neither file, symlink nor directory");
}

int manifest_rules_take(struct manifest_rules *rules, const struct shard *shard,
			struct larder_error *err)
{
	uint64_t bytes = shard->type == SHARD_FILE ? shard->size : 0;
	size_t len = strlen(shard->path);
	size_t same = common_prefix(rules->last, shard->path,
				    len < rules->last_len ? len : rules->last_len);

	if (check_values(rules, shard, err) || check_order(rules, shard, same, err))
		return -EINVAL;
	/* Sums stay below 2^63 too: they become off_t and SQLite integers. */
	if (__builtin_add_overflow(rules->bytes, bytes, &bytes) || bytes > INT64_MAX)
		return fault(err, shard, "takes the sum of sizes over 2^63");
	rules->bytes = bytes;
	rules->shards++;
	rules->last_len = len;
	memcpy(rules->last + same, shard->path + same, len - same + 1);
	return 0;
}
