/*
 * Owns: the recipe of a scan: list, digest, sort, write the manifest.
 * Must not: print, change ids, write anything but the descriptor it was given.
 * Called by: `larder publish`, and the daemon's check helper for a user's own dataset.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/manifest.h"
#include "larder/text.h"
#include "origin/origins.h"
#include "scan/paths.h"
#include "scan/reader.h"
#include "scan/records.h"
#include "scan/rights.h"
#include "scan/scan.h"
#include "xfer/engine.h"

#define LISTERS_MAX 16u /* threads that list: stat calls, not bytes */

/* On a local disk a thread has many reads in flight, where this kernel has rings. */
static bool on_local_disk(const struct scan_params *params)
{
	const struct source_ops *kind = origin_kind(params->origin);
	struct stat st;

	return kind && kind->open_shard && stat(params->origin, &st) == 0 &&
	       engine_is_block_device(st.st_dev) && engine_uring.probe(NULL) == 0;
}

static unsigned int thread_count(const struct scan_params *params, bool local)
{
	long least = local ? 8 : 32;
	long n =
		params->threads ? (long)params->threads : least / 4 * sysconf(_SC_NPROCESSORS_ONLN);

	if (!params->threads && n < least)
		n = least;
	return n > READERS_MAX ? READERS_MAX : (unsigned int)n;
}

/* Large files at once. */
static unsigned int large_count(void)
{
	long n = 2 * sysconf(_SC_NPROCESSORS_ONLN);

	return n < 8 ? 8 : (unsigned int)n;
}

static int open_origin(const struct scan_params *params, const struct source_options *options,
		       struct source **source, struct larder_error *err)
{
	const struct source_ops *kind = origin_kind(params->origin);
	const struct source_as self = {0}; /* as whoever runs this */

	if (kind && params->paths && !kind->look)
		return larder_error_set(err, EINVAL, "origins like %s take no list of files",
					params->origin);
	if (!kind || (!kind->list && !params->paths))
		return larder_error_set(
			err, EOPNOTSUPP,
			"%s cannot be scanned: only directories can (an absolute path)",
			params->origin);
	return kind->open(params->origin, &self, options, source, err);
}

/* Lists. The readers' own failure, which stops the listing, is the one that is told. */
static int list_origin(struct readers *readers, unsigned int threads, struct larder_error *err)
{
	struct source *source = readers->source;
	struct larder_error why = {0};
	unsigned int listers = threads < LISTERS_MAX ? threads : LISTERS_MAX;
	int rc;

	if (readers->params->paths)
		rc = scan_paths_look(source, readers->params->paths, listers, readers_found_listed,
				     readers, &why);
	else
		rc = source->ops->list(source, listers, readers_found, readers, &why);
	if (rc && readers_stopped(readers, err))
		return -ECANCELED;
	if (rc) {
		readers_fail(readers, rc, &why);
		return rc;
	}
	if (readers->params->progress)
		readers->params->progress->walked = true;
	return 0;
}

/* timeless: a time of 0 means that the server told none. */
static bool same_file(const struct record *record, const struct shard *old, bool timeless)
{
	return record->type == SHARD_FILE && old->type == SHARD_FILE && record->size == old->size &&
	       record->mtime_ns == old->mtime_ns && (record->mtime_ns || !timeless);
}

/* Both are in order: one pass. */
static int take_over_from(struct readers *readers, struct manifest_reader *earlier,
			  struct larder_error *err)
{
	struct records *records = &readers->records;
	struct shard old;
	size_t at = 0;
	int rc;

	while ((rc = manifest_reader_next(earlier, &old, err)) == 1) {
		while (at < records->count &&
		       larder_path_compare(records->items[at]->path, old.path) < 0)
			at++;
		if (at == records->count || strcmp(records->items[at]->path, old.path) != 0 ||
		    !same_file(records->items[at], &old, readers->params->paths))
			continue;
		if (records->items[at]->digested)
			continue; /* a list's claim is newer */
		if (old.undigested)
			continue;
		records->items[at]->digest = old.digest;
		records->items[at]->digested = 1;
		if (readers->params->progress)
			readers->params->progress->done_bytes += old.size;
	}
	return rc;
}

static int take_over(struct readers *readers, struct larder_error *err)
{
	struct manifest_reader *earlier = NULL;
	int rc = manifest_reader_open(readers->params->earlier_manifest_fd, &earlier, err);

	if (rc)
		return larder_error_prefix(err, "the earlier manifest");
	records_sort(&readers->records);
	rc = take_over_from(readers, earlier, err);
	manifest_reader_close(earlier);
	return rc ? larder_error_prefix(err, "the earlier manifest") : 0;
}

/* What stays without a digest; empty files have the one of all of them. */
static void trust(struct readers *readers)
{
	struct scan_progress *progress = readers->params->progress;

	for (size_t i = 0; i < readers->records.count; i++) {
		struct record *record = readers->records.items[i];

		if (!record->digested && record->size == 0) {
			record->digest = digest_of("", 0);
			record->digested = 1;
		} else if (!record->digested && progress) {
			progress->trusted_shards++;
		}
	}
	if (progress) {
		progress->done_shards = (uint64_t)readers->records.count;
		progress->done_bytes = (uint64_t)progress->found_bytes;
	}
}

static bool any_undigested(const struct records *records)
{
	for (size_t i = 0; i < records->count; i++)
		if (!records->items[i]->digested)
			return true;
	return false;
}

/* Without an earlier manifest files are read while others are still being found. */
static int gather(struct readers *readers, struct larder_error *err)
{
	unsigned int threads = thread_count(readers->params, readers->local);
	bool again = readers->params->earlier_manifest_fd >= 0;
	struct larder_error why = {0};
	/* a first use reads nothing here */
	int rc = readers->params->first_use ? 0 : readers_start(readers, threads, err);

	if (rc)
		return rc;
	if (!again)
		readers_open(readers);
	rc = list_origin(readers, threads, &why);
	if (!rc && again)
		rc = take_over(readers, &why);
	if (!rc && readers->params->first_use)
		trust(readers);
	if (rc)
		readers_fail(readers, rc, &why);
	readers_open(readers);
	readers_complete(readers);
	return readers_join(readers, err);
}

static int write_manifest(struct readers *readers, int out_fd, struct larder_manifest_head *done,
			  struct larder_error *err)
{
	struct manifest_writer *writer = NULL;
	struct records *records = &readers->records;
	struct larder_manifest_head head = *readers->params->head;
	int rc;

	head.first_use = any_undigested(records);
	rc = manifest_writer_create(out_fd, &head, &writer, err);

	for (size_t i = 0; !rc && i < records->count; i++) {
		struct shard shard = record_shard(records->items[i]);

		rc = manifest_writer_add(writer, &shard, err);
	}
	if (!rc)
		rc = manifest_writer_finish(writer, done, err);
	manifest_writer_destroy(writer);
	return rc;
}

int scan_run(const struct scan_params *params, int out_fd, struct larder_manifest_head *done,
	     struct larder_error *err)
{
	struct readers readers = {
		.params = params,
		.local = on_local_disk(params),
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.change = PTHREAD_COND_INITIALIZER,
		.large_less = PTHREAD_COND_INITIALIZER,
		.large_max = large_count(),
	};
	struct source_options options = params->options ? *params->options : SOURCE_OPTIONS_DEFAULT;
	int rc;

	options.unverified = true; /* there is no digest yet to compare with */
	options.stop = params->stop;
	rc = open_origin(params, &options, &readers.source, err);
	if (rc)
		return rc;
	rc = gather(&readers, err);
	if (!rc) {
		records_sort(&readers.records);
		if (params->head->access.kind == LARDER_ACCESS_ORIGIN)
			rc = rights_can_be_told(&readers.records, err);
	}
	if (!rc)
		rc = write_manifest(&readers, out_fd, done, err);
	records_fini(&readers.records);
	readers.source->ops->close(readers.source);
	pthread_cond_destroy(&readers.change);
	pthread_cond_destroy(&readers.large_less);
	pthread_mutex_destroy(&readers.lock);
	return rc;
}
