/*
 * Which of a dataset's origins the next shard is to come from: pure. In order of preference, unless
 * a later one has proved to be clearly faster; each is tried once, so that it can prove it.
 */
#ifndef CORE_MIRROR_H
#define CORE_MIRROR_H

#include <stdbool.h>
#include <stdint.h>

struct mirror {
	bool usable;	      /* of a kind that is known, and not given up */
	uint64_t bytes;	      /* that came from it in whole shards */
	uint64_t shards;      /* whose bytes those are */
	uint64_t busy_ms;     /* that these took, each by itself: sums over what ran at once */
	unsigned int running; /* shards under way from it */
	unsigned int failed;  /* in a row, up to now */
};

#define MIRROR_PROVED_BYTES  ((uint64_t)256 * 1024) /* or shards: enough to have a rate */
#define MIRROR_PROVED_SHARDS 8

/* Of n (at least 1, in order of preference): the index. Where none is usable: 0. */
unsigned int mirror_choose(const struct mirror *mirrors, unsigned int n);
/*
 * A shard that has come for `ms` from `now` and brought `bytes`: is it to be begun anew from
 * another one, which is so much faster that this pays? The index; n: it is not.
 */
unsigned int mirror_rescue(const struct mirror *mirrors, unsigned int n, unsigned int now,
			   uint64_t bytes, uint64_t size, uint64_t ms);

#endif
