/*
 * Owns: reading a manifest and, in step, the one to link from.
 * Must not: touch trees or origins.
 * Called by: plan.c, transfer.c.
 */
#include <errno.h>
#include <stdlib.h>

#include "larder/spec.h"
#include "larder/text.h"
#include "xfer/want.h"

struct want_stream {
	struct transfer_want want;
	struct manifest_reader *now, *base;
	struct shard base_shard;
	bool base_held; /* base_shard is read and not passed yet */
};

int want_open(const struct transfer_want *want, struct want_stream **out, struct larder_error *err)
{
	struct want_stream *stream = calloc(1, sizeof(*stream));
	int rc;

	if (!stream)
		return larder_error_set(err, ENOMEM, "no memory to read a manifest");
	stream->want = *want;
	rc = manifest_reader_open(want->manifest_fd, &stream->now, err);
	if (!rc)
		manifest_reader_digests(stream->now, want->digests_fd);
	if (!rc && want->base_manifest_fd >= 0) {
		rc = manifest_reader_open(want->base_manifest_fd, &stream->base, err);
		if (!rc)
			manifest_reader_digests(stream->base, want->base_digests_fd);
		if (rc)
			rc = larder_error_prefix(err, "the manifest to link from");
	}
	if (rc) {
		want_close(stream);
		return rc;
	}
	*out = stream;
	return 0;
}

void want_close(struct want_stream *stream)
{
	if (!stream)
		return;
	if (stream->now)
		manifest_reader_close(stream->now);
	if (stream->base)
		manifest_reader_close(stream->base);
	free(stream);
}

static bool in_subsets(const struct transfer_want *want, const char *path)
{
	for (unsigned int i = 0; i < want->n_subsets; i++) {
		if (larder_subset_match(want->subsets[i], path))
			return true;
	}
	return want->n_subsets == 0;
}

static bool is_present(const struct transfer_want *want, uint64_t index)
{
	return want->present && (want->present[index / 8] >> (index % 8) & 1);
}

/*
 * Moves the base on to `path`. A base that is damaged gives nothing to link from and no error: all
 * can still be fetched.
 */
static bool base_has(struct want_stream *stream, const struct shard *shard)
{
	int order;

	while (stream->base) {
		if (!stream->base_held &&
		    manifest_reader_next(stream->base, &stream->base_shard, NULL) != 1) {
			manifest_reader_close(stream->base);
			stream->base = NULL;
			return false;
		}
		stream->base_held = true;
		order = larder_path_compare(stream->base_shard.path, shard->path);
		if (order > 0)
			return false;
		if (order == 0)
			return shard_same(shard, &stream->base_shard);
		stream->base_held = false;
	}
	return false;
}

static enum want_kind kind_of(struct want_stream *stream, const struct shard *shard)
{
	if (!in_subsets(&stream->want, shard->path))
		return WANT_SKIP;
	if (is_present(&stream->want, shard->index))
		return WANT_PRESENT;
	if (shard->type != SHARD_FILE || shard->size == 0)
		return WANT_MAKE;
	return base_has(stream, shard) ? WANT_LINK : WANT_FETCH;
}

int want_next(struct want_stream *stream, struct shard *shard, enum want_kind *kind,
	      struct larder_error *err)
{
	int rc = manifest_reader_next(stream->now, shard, err);

	if (rc == 1)
		*kind = kind_of(stream, shard);
	return rc;
}
