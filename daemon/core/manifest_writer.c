/*
 * Owns writing a manifest as a stream. What it writes, the reader takes.
 * Must not sort (shards come in order), sync or rename: that is the publisher's.
 * Called by publish and by the scan of a user's own dataset.
 *
 * The head stands first but is known last. Its length is known from the start, for totals and
 * digest have a fixed width (manifest_head.c): so the body begins behind a gap of that length, and
 * the head goes into the gap at the end. Until then the file begins with NULs and is no manifest.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/manifest_line.h"
#include "larder/cleanup.h"

#define BUFFER_BYTES (256u * 1024)

struct manifest_writer {
	int fd;
	int failed;   /* 0, or what every further call answers */
	off_t offset; /* in the file, of the buffer's first byte */
	size_t used;
	struct larder_manifest_head head; /* owned; totals and digest zero until the end */
	struct digest_state digest;
	struct manifest_rules rules;
	char buffer[BUFFER_BYTES];
};

/* Takes the head through its own text: a copy that is valid and owns its strings. */
static int copy_head(const struct larder_manifest_head *from, struct larder_manifest_head *to,
		     char **text, struct larder_error *err)
{
	struct larder_manifest_head plain = *from;

	if (from->created_s < 0)
		return larder_error_set(err, EINVAL, "a manifest from before 1970");
	*text = larder_manifest_head_format(&plain);
	if (!*text)
		return larder_error_set(err, ENOMEM, "out of memory");
	if (strlen(*text) > LARDER_MANIFEST_HEAD_MAX)
		return larder_error_set(err, EINVAL, "the manifest's head would be over %d bytes",
					LARDER_MANIFEST_HEAD_MAX);
	return larder_manifest_head_parse(*text, strlen(*text), to, err);
}

static int check_file(int fd, struct larder_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return larder_error_set(err, errno, "look at the manifest's file: %m");
	if (!S_ISREG(st.st_mode) || st.st_size != 0)
		return larder_error_set(err, EINVAL,
					"a manifest is written to an empty regular file");
	return 0;
}

int manifest_writer_create(int fd, const struct larder_manifest_head *head,
			   struct manifest_writer **writer, struct larder_error *err)
{
	auto_free struct manifest_writer *w = malloc(sizeof(*w));
	struct larder_manifest_head blank = *head;
	auto_free char *text = NULL;
	int rc;

	if (!w)
		return larder_error_set(err, ENOMEM, "out of memory");
	rc = check_file(fd, err);
	if (rc)
		return rc;
	blank.shards = blank.bytes = 0;
	memset(blank.digest, '0', LARDER_DIGEST_HEX);
	blank.digest[LARDER_DIGEST_HEX] = '\0';
	rc = copy_head(&blank, &w->head, &text, err);
	if (rc)
		return rc;
	w->fd = fd;
	w->failed = 0;
	w->offset = (off_t)w->head.body_offset;
	w->used = 0;
	digest_init(&w->digest);
	manifest_rules_init(&w->rules, head->first_use);
	*writer = take_ptr(&w);
	return 0;
}

static int write_at(int fd, const char *data, size_t len, off_t offset, struct larder_error *err)
{
	while (len) {
		ssize_t n = pwrite(fd, data, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return larder_error_set(err, n ? errno : EIO, "write the manifest: %s",
						n ? strerror(errno) : "nothing was written");
		data += n;
		len -= (size_t)n;
		offset += n;
	}
	return 0;
}

static int flush_buffer(struct manifest_writer *w, struct larder_error *err)
{
	int rc = write_at(w->fd, w->buffer, w->used, w->offset, err);

	if (rc)
		return rc;
	digest_update(&w->digest, w->buffer, w->used);
	w->offset += (off_t)w->used;
	w->used = 0;
	return 0;
}

static int write_shard(struct manifest_writer *w, const struct shard *shard,
		       struct larder_error *err)
{
	int rc = larder_path_check(shard->path, err);

	if (rc == 0)
		rc = manifest_rules_take(&w->rules, shard, err);
	if (rc == 0 && sizeof(w->buffer) - w->used < MANIFEST_LINE_MAX)
		rc = flush_buffer(w, err);
	if (rc == 0)
		w->used += manifest_line_format(shard, w->buffer + w->used);
	return rc;
}

int manifest_writer_add(struct manifest_writer *writer, const struct shard *shard,
			struct larder_error *err)
{
	if (writer->failed)
		return larder_error_set(err, -writer->failed, "the manifest could not be written");
	writer->failed = write_shard(writer, shard, err);
	return writer->failed;
}

/* The head into the gap before the body. */
static int write_head(struct manifest_writer *w, struct larder_manifest_head *done,
		      struct larder_error *err)
{
	auto_free char *text = NULL;
	struct stat st;
	int rc;

	w->head.shards = w->rules.shards;
	w->head.bytes = w->rules.bytes;
	digest_format(digest_final(&w->digest), w->head.digest);
	if (fstat(w->fd, &st) < 0)
		return larder_error_set(err, errno, "look at the manifest's file: %m");
	rc = copy_head(&w->head, done, &text, err);
	if (rc)
		return rc;
	done->publisher = st.st_uid;
	if (done->body_offset == w->head.body_offset)
		rc = write_at(w->fd, text, done->body_offset, 0, err);
	else
		rc = larder_error_set(err, EINVAL, "the manifest's head changed its length");
	if (rc)
		larder_manifest_head_fini(done);
	return rc;
}

int manifest_writer_finish(struct manifest_writer *writer, struct larder_manifest_head *done,
			   struct larder_error *err)
{
	struct larder_manifest_head head = {0};
	int rc = writer->failed;

	if (done)
		memset(done, 0, sizeof(*done));
	if (rc)
		return larder_error_set(err, -rc, "the manifest could not be written");
	rc = flush_buffer(writer, err);
	if (rc == 0)
		rc = write_head(writer, &head, err);
	/* it is done, or will never be */
	writer->failed = rc ? rc : -EINVAL;
	if (rc == 0 && done)
		*done = head;
	else
		larder_manifest_head_fini(&head);
	return rc;
}

void manifest_writer_destroy(struct manifest_writer *writer)
{
	if (!writer)
		return;
	larder_manifest_head_fini(&writer->head);
	free(writer);
}
