/*
 * Owns: reading and digesting an origin's files with several threads, each one or a few at a time.
 * Must not: write anything; take a digest of a file that changed meanwhile.
 * Called by: scan.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "scan/reading.h"

int readers_stopped(const struct readers *readers, struct larder_error *err)
{
	if (readers->params->stop && atomic_load(readers->params->stop))
		return larder_error_set(err, ECANCELED, "the scan was stopped");
	return 0;
}

/* A claim, as every digest in a manifest is: who stages the file compares. */
static void take_claim(struct readers *readers, struct record *record)
{
	struct scan_progress *progress = readers->params->progress;

	record->digest = sum_digest(scan_path_sum(record->listed));
	record->digested = 1;
	if (!progress)
		return;
	progress->done_bytes += record->size;
	progress->claimed_bytes += record->size;
	progress->claimed_shards++;
}

int readers_found(const struct source_entry *entry, void *arg)
{
	return readers_found_listed(entry, NULL, arg);
}

int readers_found_listed(const struct source_entry *entry, const struct scan_path *listed,
			 void *arg)
{
	struct readers *readers = arg;
	struct scan_progress *progress = readers->params->progress;
	int rc;

	pthread_mutex_lock(&readers->lock);
	rc = readers->rc ? readers->rc : readers_stopped(readers, NULL);
	if (!rc)
		rc = records_add(&readers->records, entry, listed);
	if (!rc && listed && listed->sum == SUM_XXH128)
		take_claim(readers, readers->records.items[readers->records.count - 1]);
	if (!rc && readers->open)
		pthread_cond_signal(&readers->change);
	pthread_mutex_unlock(&readers->lock);
	if (!rc && progress) {
		progress->found_shards++;
		progress->found_bytes += entry->size;
	}
	return rc;
}

static int changed(const struct reading *r, struct larder_error *err)
{
	auto_free char *shown = larder_path_encode(r->record->path);

	return larder_error_set(
		err, ESTALE, "%s at %s changed while it was read; publish when nobody writes there",
		shown ? shown : "?", r->readers->params->origin);
}

static int take_bytes(struct reading *r, const void *data, size_t len, struct larder_error *err)
{
	struct scan_progress *progress = r->readers->params->progress;

	r->got += len;
	if (r->got > r->record->size)
		return changed(r, err);
	digest_update(&r->digest, data, len);
	sum_update(&r->sum, data, len);
	if (progress)
		progress->done_bytes += len;
	return readers_stopped(r->readers, err);
}

static bool is_large(const struct shard *shard)
{
	return shard->size > READ_BYTES;
}

/* As much of a large file as comes past the page cache; the rest is read_all's. */
static int read_past(struct reading *r, int fd, struct larder_error *err)
{
	const uint64_t size = r->record->size;
	size_t len;
	int rc = 0;

	if (size <= READ_BYTES || !batch_begins_past(&r->batch, fd, size))
		return 0;
	while (!rc && r->got < size && (len = batch_read_pieces(&r->batch, fd, r->got, size)) > 0)
		rc = take_bytes(r, r->batch.memory.base, len, err);
	engine_set_direct(fd, false);
	return rc;
}

/* Reads as much as the listing said there is; that it is the end the caller sees by fstat. */
static int read_all(struct reading *r, int fd, struct larder_error *err)
{
	ssize_t len;
	int rc = read_past(r, fd, err);

	if (rc)
		return rc;
	while (r->got < r->record->size &&
	       (len = pread(fd, r->buffer, READ_BYTES, (off_t)r->got)) != 0) {
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return larder_error_set(err, errno, "read %s at %s, byte %llu: %s",
						r->record->path, r->readers->params->origin,
						(unsigned long long)r->got, strerror(errno));
		rc = take_bytes(r, r->buffer, (size_t)len, err);
		if (rc)
			return rc;
	}
	return 0;
}

/* Of large files few at once: their readahead fills the disk's queue, and more streams only seek.
 */
static void large_begin(struct readers *readers)
{
	pthread_mutex_lock(&readers->lock);
	while (readers->large == readers->large_max)
		pthread_cond_wait(&readers->large_less, &readers->lock);
	readers->large++;
	pthread_mutex_unlock(&readers->lock);
}

static void large_end(struct readers *readers)
{
	pthread_mutex_lock(&readers->lock);
	readers->large--;
	pthread_cond_signal(&readers->large_less);
	pthread_mutex_unlock(&readers->lock);
}

static int64_t mtime_of(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static int read_file(struct reading *r, const struct shard *shard, struct larder_error *err)
{
	struct source *source = r->readers->source;
	auto_fd int fd = take_fd(&r->batch.fds[r->at]);
	const unsigned char *whole = r->batch.data[r->at];
	struct stat st;
	int rc = fd < 0 ? source->ops->open_shard(source, shard, &fd, err) : 0;

	if (rc == -ESTALE) /* its sentence speaks of a manifest, which there is not yet */
		return changed(r, err);
	if (rc)
		return rc;
	if (is_large(shard)) {
		posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
		large_begin(r->readers);
	}
	rc = whole ? take_bytes(r, whole, (size_t)shard->size, err) : read_all(r, fd, err);
	if (is_large(shard))
		large_end(r->readers);
	if (rc)
		return rc;
	if (fstat(fd, &st) < 0)
		return larder_error_set(err, errno, "stat %s: %s", shard->path, strerror(errno));
	if ((uint64_t)st.st_size != shard->size || mtime_of(&st) != shard->mtime_ns)
		return changed(r, err);
	return 0;
}

struct fetching {
	struct reading *reading;
	struct larder_error *err;
	int rc; /* of the last put: then err has our sentence */
};

static int put(const void *data, size_t len, void *arg)
{
	struct fetching *f = arg;

	f->rc = take_bytes(f->reading, data, len, f->err);
	return f->rc;
}

static int read_stream(struct reading *r, const struct shard *shard, struct larder_error *err)
{
	struct source *source = r->readers->source;
	struct fetching f = {.reading = r, .err = err};

	auto_free char *shown = larder_path_encode(shard->path);
	struct larder_error why = {0};
	int rc = source->ops->fetch(source, shard, 0, put, &f, &why);

	if (!rc || f.rc)
		return f.rc;
	larder_error_prefix(&why, "%s from %s", shown ? shown : "?", r->readers->params->origin);
	if (err)
		*err = why;
	return rc;
}

/* The bytes are all there: are they those that the list was made of? */
static int compare_sum(struct reading *r, struct larder_error *err)
{
	const struct scan_path *listed = r->record->listed;
	auto_free char *shown = larder_path_encode(r->record->path);

	if (r->sum.kind == SUM_NONE || sum_matches(&r->sum, scan_path_sum(listed)))
		return 0;
	return larder_error_set(
		err, EBADMSG,
		"%s at %s does not match the list: its %s is another one (line or shard "
		"%u); the file or the list is damaged or old",
		shown ? shown : "?", r->readers->params->origin, sum_word(r->sum.kind),
		listed->line);
}

static int digest_record(struct reading *r, struct larder_error *err)
{
	struct shard shard = record_shard(r->record);
	int rc = readers_stopped(r->readers, err);

	if (!rc)
		rc = sum_begin(&r->sum, r->record->listed ? r->record->listed->sum : SUM_NONE, err);
	if (rc)
		return rc;
	r->got = 0;
	digest_init(&r->digest);
	rc = r->readers->source->ops->open_shard ? read_file(r, &shard, err)
						 : read_stream(r, &shard, err);
	if (!rc && r->got != shard.size)
		rc = changed(r, err);
	if (!rc)
		rc = compare_sum(r, err);
	sum_end(&r->sum);
	if (rc)
		return rc;
	r->record->digest = digest_final(&r->digest);
	r->record->digested = 1;
	return 0;
}

/* The next file without a digest that is there already; NULL: none. Under the lock. */
static struct record *peek_record(struct readers *readers)
{
	while (readers->next < readers->records.count) {
		struct record *record = readers->records.items[readers->next];

		if (!record->digested)
			return record;
		readers->next++;
		if (readers->params->progress)
			readers->params->progress->done_shards++;
	}
	return NULL;
}

/* Small ones that go along; no more than a thread's share of what is there. Under the lock. */
static void take_more(struct readers *readers, struct batch *batch)
{
	size_t share = 1 + (readers->records.count - readers->next) / readers->threads;
	struct record *record;

	while (batch->n < share && (record = peek_record(readers)) && batch_takes(batch, record)) {
		batch_add(batch, record);
		readers->next++;
	}
}

/* The next files; false when none is left or something failed. */
static bool next_batch(struct readers *readers, struct batch *batch)
{
	struct record *record = NULL;

	pthread_mutex_lock(&readers->lock);
	while (!readers->rc && !(readers->open && (record = peek_record(readers))) &&
	       !(readers->open && readers->complete))
		pthread_cond_wait(&readers->change, &readers->lock);
	if (record && !readers->rc) {
		bool small = batch_takes(batch, record);

		batch_add(batch, record);
		readers->next++;
		if (small)
			take_more(readers, batch);
	}
	pthread_mutex_unlock(&readers->lock);
	return batch->n > 0;
}

static int digest_batch(struct reading *r, struct larder_error *err)
{
	struct batch *batch = &r->batch;
	int rc = 0;

	batch_read(batch, r->readers->source);
	for (r->at = 0; !rc && r->at < batch->n; r->at++) {
		r->record = batch->records[r->at];
		rc = digest_record(r, err);
		if (!rc && r->readers->params->progress)
			r->readers->params->progress->done_shards++;
	}
	batch_close(batch);
	return rc;
}

static void *reader_thread(void *arg)
{
	struct readers *readers = arg;
	struct reading r = {.readers = readers, .buffer = malloc(READ_BYTES)};
	struct larder_error err = {0};
	int rc = 0;

	if (!r.buffer) {
		larder_error_set(&err, ENOMEM, "no memory to read the origin");
		readers_fail(readers, -ENOMEM, &err);
		return NULL;
	}
	batch_init(&r.batch, readers->local, readers->threads);
	while (!rc && next_batch(readers, &r.batch))
		rc = digest_batch(&r, &err);
	if (rc)
		readers_fail(readers, rc, &err);
	batch_fini(&r.batch);
	free(r.buffer);
	return NULL;
}

int readers_start(struct readers *readers, unsigned int threads, struct larder_error *err)
{
	int rc = 0;

	readers->threads = threads < READERS_MAX ? threads : READERS_MAX;
	for (readers->n = 0; readers->n < readers->threads; readers->n++) {
		rc = pthread_create(&readers->ids[readers->n], NULL, reader_thread, readers);
		if (rc)
			break;
	}
	return readers->n ? 0 : larder_error_set(err, rc, "start a thread: %s", strerror(rc));
}

static void tell(struct readers *readers, bool open, bool complete)
{
	pthread_mutex_lock(&readers->lock);
	readers->open |= open;
	readers->complete |= complete;
	pthread_cond_broadcast(&readers->change);
	pthread_mutex_unlock(&readers->lock);
}

void readers_open(struct readers *readers)
{
	tell(readers, true, false);
}

void readers_complete(struct readers *readers)
{
	tell(readers, false, true);
}

void readers_fail(struct readers *readers, int rc, const struct larder_error *err)
{
	pthread_mutex_lock(&readers->lock);
	if (!readers->rc) {
		readers->rc = rc;
		readers->err = *err;
	}
	pthread_cond_broadcast(&readers->change);
	pthread_mutex_unlock(&readers->lock);
}

int readers_join(struct readers *readers, struct larder_error *err)
{
	for (unsigned int i = 0; i < readers->n; i++)
		pthread_join(readers->ids[i], NULL);
	readers->n = 0;
	if (readers->rc && err)
		*err = readers->err;
	return readers->rc;
}
