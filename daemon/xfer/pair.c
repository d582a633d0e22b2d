/*
 * Owns: how the bytes of one pair of descriptors go: where the two are, past the page cache or
 * through it, and how long that took when it was a probe.
 * Must not: move bytes.
 * Called by: large.c, shard.c, and transfer.c for whoever looks on.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "larder/clock.h"
#include "xfer/internal.h"

enum way_place pair_place(struct transfer *transfer, int in, int out, struct way_pair *pair)
{
	struct stat source, sink;
	struct statfs fs;
	enum way_place place = PLACE_UNKNOWN;

	if (fstat(in, &source) == 0 && fstat(out, &sink) == 0 && fstatfs(in, &fs) == 0) {
		place = way_place(source.st_dev, sink.st_dev, (long)fs.f_type);
		*pair = (struct way_pair){.source = source.st_dev, .tier = sink.st_dev};
	}
	atomic_store(&transfer->place, place);
	return place;
}

void pair_say(const struct transfer *transfer, char *out, size_t len)
{
	const char *place = way_place_word((enum way_place)atomic_load(&transfer->place));
	const char *large = atomic_load(&transfer->engine);
	bool small = atomic_load(&transfer->small);

	snprintf(out, len, "%s%s%s%s%s", place, *place && (*large || small) ? ": " : "", large,
		 *large && small ? ", " : "", small ? "small whole" : "");
}

void pair_choose(struct lane *lane, struct transfer *transfer, struct item *item)
{
	enum way_place place = pair_place(transfer, item->in, item->out, &item->pair);
	struct way_choice *choice = &item->way;

	*choice = ways_choose(pool_ways(lane->pool), place, item->pair);
	item->began_ns = clock_mono_ns();
	if ((choice->probing || choice->way == WAY_PAST) &&
	    engine_is_cached(item->in, item->shard.size)) {
		if (choice->way == WAY_PAST)
			choice->way = WAY_DIRECT;
		choice->probing = false; /* what memory gives says nothing of the disk */
	}
	engine_set_direct(item->out, choice->way != WAY_BUFFERED);
	engine_set_direct(item->in, choice->way == WAY_PAST);
}

void pair_read_plain(struct item *item)
{
	engine_set_direct(item->in, false);
}

void pair_tell(struct lane *lane, struct item *item)
{
	pair_read_plain(item); /* for who looks beyond its end */
	if (!item->way.probing || item->rested)
		return;
	sync_file_range(item->out, 0, 0,
			SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
				SYNC_FILE_RANGE_WAIT_AFTER);
	ways_tell(pool_ways(lane->pool), item->pair, &item->way, item->shard.size,
		  clock_mono_ns() - item->began_ns);
}

const char *pair_engine(const struct item *item, bool uring)
{
	static const char *const words[2][WAYS] = {
		{"sync buffered", "sync direct", "sync direct"},
		{"uring buffered", "uring direct", "uring direct both sides"},
	};
	enum way way = !engine_is_direct(item->out)		     ? WAY_BUFFERED
		       : item->in >= 0 && engine_is_direct(item->in) ? WAY_PAST
								     : WAY_DIRECT;

	return words[uring][way];
}
