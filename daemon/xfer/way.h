/*
 * How a shard's bytes go, by what source and destination are. Where that does not settle it a short
 * probe does, and its outcome is remembered for the pair of devices.
 */
#ifndef XFER_WAY_H
#define XFER_WAY_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum way_place {
	PLACE_UNKNOWN,
	PLACE_SAME,    /* source and tier on one device */
	PLACE_OTHER,   /* on two */
	PLACE_MEMORY,  /* a source without a device */
	PLACE_NETWORK, /* a source on another machine */
	PLACE_STREAM,  /* a source without descriptors */
};
#define PLACES (PLACE_STREAM + 1)

enum way {
	WAY_BUFFERED, /* through the page cache, by blocking calls, some files at once */
	WAY_DIRECT,   /* past it on the tier's side, many blocks in flight */
	WAY_PAST,     /* past it on both sides */
};
#define WAYS (WAY_PAST + 1)

struct way_choice {
	enum way_place place;
	enum way way;
	bool probing; /* tell how long it took: ways_tell */
};

struct way_pair {
	dev_t source, tier;
};

/* What is known of one pair, or of none (devices 0). */
struct way_known {
	struct way_pair pair;
	bool decided;
	enum way way;
	unsigned int begun[WAYS];
	unsigned int since; /* shards since it was decided for the way that costs more */
	uint64_t bytes[WAYS];
	int64_t ns[WAYS];
};

#define WAYS_KNOWN 8 /* pairs; the oldest is forgotten */
struct ways {
	pthread_mutex_t lock;
	struct way_known known[WAYS_KNOWN]; /* (lock) */
	unsigned int next;		    /* (lock) */
	bool deep;
};

/* deep: there is an engine that keeps many blocks in flight, without which WAY_PAST is none. */
void ways_init(struct ways *ways, bool deep);
void ways_fini(struct ways *ways);
/* source_type: f_type of statfs(2). */
enum way_place way_place(dev_t source, dev_t tier, long source_type);
struct way_choice ways_choose(struct ways *ways, enum way_place place, struct way_pair pair);
/* A probe's shard: so many bytes were on the disk after so many nanoseconds. */
void ways_tell(struct ways *ways, struct way_pair pair, const struct way_choice *choice,
	       uint64_t bytes, int64_t ns);
/* "same device", …: static. */
const char *way_place_word(enum way_place place);

#endif
