/*
 * Owns one question of a scan: can who may read this origin be told by trying one file of each mode
 * in each directory, as access=origin does at every use? Not where files of one mode, closed to
 * others, belong to different owners or groups. Reads nothing. Called by scan.c when everything is
 * sorted.
 */
#include "scan/rights.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/text.h"

/* Different modes in one directory; more are refused like different owners. */
#define MODES_MAX 32

/* One run of files in one directory, as the check sees it. */
struct run {
	const char *path;
	size_t dir_len;
	const struct record *first[MODES_MAX]; /* of each mode */
	unsigned int n;
};

static size_t dir_length(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

static bool same_dir(const struct run *run, const char *path)
{
	return run->path && dir_length(path) == run->dir_len &&
	       !memcmp(run->path, path, run->dir_len);
}

/* The first file of that mode in the run, or this one if it is; NULL: too many modes. */
static const struct record *first_of_mode(struct run *run, const struct record *record)
{
	for (unsigned int i = 0; i < run->n; i++)
		if (run->first[i]->mode == record->mode)
			return run->first[i];
	if (run->n == MODES_MAX)
		return NULL;
	run->first[run->n++] = record;
	return record;
}

int rights_can_be_told(const struct records *records, struct larder_error *err)
{
	struct run run = {0};

	for (size_t i = 0; i < records->count; i++) {
		const struct record *record = records->items[i], *first;

		if (!same_dir(&run, record->path))
			run = (struct run){.path = record->path,
					   .dir_len = dir_length(record->path)};
		if (record->type != SHARD_FILE || record->mode & 0004)
			continue;
		first = first_of_mode(&run, record);
		if (first && first->uid == record->uid && first->gid == record->gid)
			continue;
		auto_free char *shown = larder_path_encode(record->path);

		return larder_error_set(
			err, EPERM,
			"%s is closed to others and differs in owner, group or mode from its neighbours, so "
			"who may read this origin cannot be told by trying; say --access public, "
			"users=… or groups=…, or make them alike",
			shown ? shown : "a file");
	}
	return 0;
}
