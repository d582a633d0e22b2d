/*
 * Owns reading a manifest's body as a stream through a fixed buffer; everything is checked.
 * Must not hold more than one line's worth of it, and must not believe it.
 * Called by transfers, recovery, listings, scrub and the CLI, off the control thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/manifest_line.h"
#include "larder/cleanup.h"

#define BUFFER_BYTES (256u * 1024)
_Static_assert(BUFFER_BYTES > 2 * MANIFEST_LINE_MAX, "a line must fit with room to spare");

#define RECORDS 256 /* that are read at once */

struct manifest_reader {
	int fd;
	int records_fd; /* digests of the first use; -1: none */
	size_t n_records;
	uint64_t first_record; /* index of the first one in the buffer */
	unsigned char records[RECORDS][MANIFEST_RECORD];
	int ended;	/* 1 while there is more; then what every further call answers */
	off_t offset;	/* of the next pread */
	size_t at, end; /* what is unread in the buffer */
	uint64_t head_lines;
	struct larder_manifest_head head;
	struct digest_state digest; /* of all that was read so far */
	struct manifest_rules rules;
	char path[LARDER_PATH_BYTES + 1];
	char target[LARDER_PATH_BYTES + 1];
	char buffer[BUFFER_BYTES];
};

int manifest_reader_open(int fd, struct manifest_reader **reader, struct larder_error *err)
{
	struct manifest_reader *r = malloc(sizeof(*r));
	int rc;

	if (!r)
		return larder_error_set(err, ENOMEM, "out of memory");
	rc = larder_manifest_head_read(fd, &r->head, err);
	if (rc) {
		free(r);
		return rc;
	}
	r->fd = fd;
	r->ended = 1;
	r->offset = (off_t)r->head.body_offset;
	r->at = r->end = 0;
	r->head_lines = 9 + r->head.n_origins + r->head.first_use;
	digest_init(&r->digest);
	manifest_rules_init(&r->rules, r->head.first_use);
	r->records_fd = -1;
	*reader = r;
	return 0;
}

const struct larder_manifest_head *manifest_reader_head(const struct manifest_reader *reader)
{
	return &reader->head;
}

void manifest_reader_close(struct manifest_reader *reader)
{
	if (!reader)
		return;
	larder_manifest_head_fini(&reader->head);
	free(reader);
}

/* Moves what is unread to the front and reads behind it. 1, 0 at the file's end, -errno. */
static int refill(struct manifest_reader *r, struct larder_error *err)
{
	ssize_t n;

	memmove(r->buffer, r->buffer + r->at, r->end - r->at);
	r->end -= r->at;
	r->at = 0;
	do
		n = pread(r->fd, r->buffer + r->end, sizeof(r->buffer) - r->end, r->offset);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return larder_error_set(err, errno, "read the manifest: %m");
	digest_update(&r->digest, r->buffer + r->end, (size_t)n);
	r->end += (size_t)n;
	r->offset += n;
	return n > 0;
}

/* The next line, its newline not counted. 1, 0 at the end, -EINVAL, -EBADMSG or -errno. */
static int next_line(struct manifest_reader *r, const char **line, size_t *len,
		     struct larder_error *err)
{
	size_t seen = 0; /* bytes that have no newline, as an earlier look found */

	for (;;) {
		const char *from = r->buffer + r->at;
		const char *end = memchr(from + seen, '\n', r->end - r->at - seen);
		int rc;

		if (end) {
			*line = from;
			*len = (size_t)(end - from);
			r->at += *len + 1;
			return 1;
		}
		seen = r->end - r->at;
		if (seen > MANIFEST_LINE_MAX)
			return larder_error_set(err, EINVAL, "it is longer than any line can be");
		rc = refill(r, err);
		if (rc < 0)
			return rc;
		if (rc == 0 && seen)
			return larder_error_set(err, EBADMSG, "the file ends in the middle of it");
		if (rc == 0)
			return 0;
	}
}

/* All lines were read: do they make what the head promises? */
static int check_totals(struct manifest_reader *r, struct larder_error *err)
{
	char hex[LARDER_DIGEST_HEX + 1];

	if (r->rules.shards != r->head.shards)
		return larder_error_set(
			err, EBADMSG,
			"the manifest of %s:%s should have %llu shards and has %llu; "
			"it is cut short or damaged",
			r->head.name, r->head.version, (unsigned long long)r->head.shards,
			(unsigned long long)r->rules.shards);
	if (r->rules.bytes != r->head.bytes)
		return larder_error_set(
			err, EBADMSG,
			"the sizes in the manifest of %s:%s make %llu bytes, its head "
			"says %llu; it is damaged",
			r->head.name, r->head.version, (unsigned long long)r->rules.bytes,
			(unsigned long long)r->head.bytes);
	digest_format(digest_final(&r->digest), hex);
	if (strcmp(hex, r->head.digest) != 0)
		return larder_error_set(
			err, EBADMSG,
			"the manifest of %s:%s has the digest %s, its head says %s; "
			"it is damaged",
			r->head.name, r->head.version, hex, r->head.digest);
	return 0;
}

void manifest_reader_digests(struct manifest_reader *reader, int fd)
{
	reader->records_fd = fd > 0 ? fd : -1;
	reader->n_records = 0;
}

void manifest_record_put(struct digest digest, unsigned char record[MANIFEST_RECORD])
{
	for (unsigned int i = 0; i < 8; i++) {
		record[i] = (unsigned char)(digest.hi >> (56 - 8 * i));
		record[8 + i] = (unsigned char)(digest.lo >> (56 - 8 * i));
	}
}

static struct digest record_get(const unsigned char record[MANIFEST_RECORD])
{
	struct digest digest = {0, 0};

	for (unsigned int i = 0; i < 8; i++) {
		digest.hi = digest.hi << 8 | record[i];
		digest.lo = digest.lo << 8 | record[8 + i];
	}
	return digest;
}

/* What cannot be read is not known: the file is fetched again. */
static void look_up(struct manifest_reader *r, struct shard *shard)
{
	uint64_t at;

	if (r->records_fd < 0)
		return;
	if (shard->index < r->first_record || shard->index >= r->first_record + r->n_records) {
		ssize_t n = pread(r->records_fd, r->records, sizeof(r->records),
				  (off_t)(shard->index * MANIFEST_RECORD));

		r->first_record = shard->index;
		r->n_records = n < 0 ? 0 : (size_t)n / MANIFEST_RECORD;
	}
	at = shard->index - r->first_record;
	if (at >= r->n_records)
		return;
	shard->digest = record_get(r->records[at]);
	shard->undigested = !shard->digest.hi && !shard->digest.lo;
}

/* 1 and a shard, 0 at the end, negative. */
static int read_shard(struct manifest_reader *r, struct shard *shard, struct larder_error *err)
{
	const char *line = NULL;
	size_t len = 0;
	int rc = next_line(r, &line, &len, err);

	if (rc == 0)
		return check_totals(r, err);
	/* A manifest that goes on for ever is left at the first line too many. */
	if (rc > 0 && r->rules.shards == r->head.shards)
		rc = larder_error_set(err, EBADMSG, "there are more shards than the head says");
	if (rc > 0 && (manifest_line_parse(line, len, shard, r->path, r->target, err) ||
		       (shard->type != SHARD_FILE && shard->size &&
			larder_error_set(err, EINVAL, "only files have a size")) ||
		       manifest_rules_take(&r->rules, shard, err)))
		rc = -EINVAL;
	if (rc < 0) {
		larder_error_prefix(err, "manifest of %s:%s, line %llu", r->head.name,
				    r->head.version,
				    (unsigned long long)(r->head_lines + r->rules.shards + 1));
		return rc;
	}
	shard->index = r->rules.shards - 1;
	if (shard->undigested)
		look_up(r, shard);
	return 1;
}

int manifest_reader_next(struct manifest_reader *reader, struct shard *shard,
			 struct larder_error *err)
{
	if (reader->ended < 0)
		return larder_error_set(err, -reader->ended, "the manifest of %s:%s is not sound",
					reader->head.name, reader->head.version);
	if (reader->ended > 0)
		reader->ended = read_shard(reader, shard, err);
	return reader->ended;
}

int manifest_check(int fd, struct larder_error *err)
{
	struct manifest_reader *reader = NULL;
	struct shard shard;
	int rc = manifest_reader_open(fd, &reader, err);

	if (rc)
		return rc;
	while ((rc = manifest_reader_next(reader, &shard, err)) > 0)
		;
	manifest_reader_close(reader);
	return rc;
}
