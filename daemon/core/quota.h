/*
 * How much of a tier may be used, and how much has to go first: arithmetic on numbers that others
 * measured. Pure; no sum overflows, and none is trusted beyond what statvfs shows.
 *
 *   file system   |<------------------ size ------------------>|
 *                 | others | trees | trash |        free        |
 *   room          |                        | reserved |room|floor|
 *
 * Two limits hold at once and the smaller room counts: the capacity (trees + trash + reserved stay
 * below it) and the floor (free - reserved stays above it). What lies in the trash is used until it
 * is unlinked, and then comes back without an eviction.
 */
#ifndef CORE_QUOTA_H
#define CORE_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#define QUOTA_NO_LIMIT UINT64_MAX

struct quota_tier {
	/* configured; a share of the file system is already turned into bytes */
	uint64_t capacity_bytes; /* more than the file system has counts as all of it */
	uint64_t floor_bytes;	 /* always left free; wins over the capacity */
	uint64_t floor_inodes;
	/* statvfs */
	uint64_t size_bytes, free_bytes;
	uint64_t inodes, inodes_free; /* inodes 0: the file system has no such limit */
	/* ours */
	uint64_t tree_bytes, tree_inodes;	  /* what unlinking all trees would free */
	uint64_t trash_bytes, trash_inodes;	  /* moved aside, not unlinked yet */
	uint64_t reserved_bytes, reserved_inodes; /* promised to transfers, not written yet */
};

struct quota_room {
	uint64_t bytes;	     /* may be promised now */
	uint64_t inodes;     /* QUOTA_NO_LIMIT: no limit */
	uint64_t max_bytes;  /* could be promised if all trees and all trash were gone */
	uint64_t max_inodes; /* the same for inodes */
};

enum quota_verdict {
	QUOTA_FITS,
	QUOTA_TRASH, /* fits as soon as the trash is emptied */
	QUOTA_EVICT, /* fits when evict_bytes and evict_inodes have gone (and the trash) */
	QUOTA_NEVER, /* more than this tier can hold besides what is reserved */
};

struct quota_answer {
	enum quota_verdict verdict;
	uint64_t trash_bytes, trash_inodes; /* to be waited for from the trash */
	uint64_t evict_bytes, evict_inodes; /* to be evicted besides */
	struct quota_room room;		    /* for the sentence: need, have */
};

void quota_room(const struct quota_tier *tier, struct quota_room *room);

/* May a transfer that needs that much start? Bytes and inodes both. */
void quota_admit(const struct quota_tier *tier, uint64_t need_bytes, uint64_t need_inodes,
		 struct quota_answer *answer);

/*
 * Above the mark, or into the floor? Then *bytes and *inodes are to be evicted to come down to
 * evict_down_to and out of the floor; 0 otherwise. What the trash will give is taken off, so that
 * a slow trash does not empty the cache. A down_to above `above` counts as `above`.
 */
bool quota_pressure(const struct quota_tier *tier, uint64_t evict_above_bytes,
		    uint64_t evict_down_to_bytes, uint64_t *bytes, uint64_t *inodes);

/* What that many files take at most on a file system of that block size: every tail rounded up, a
 * block of metadata for each 16 files. QUOTA_NO_LIMIT when the sum overflows. */
uint64_t quota_footprint(uint64_t bytes, uint64_t files, uint32_t block_bytes);

/* a + b and a - b that stop at UINT64_MAX and at 0. */
static inline uint64_t quota_add(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static inline uint64_t quota_sub(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

#endif
