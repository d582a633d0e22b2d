/*
 * How a shard's bytes go, by what source and destination are. Where that does not settle it (both
 * on one device) a short probe does, and its outcome is remembered for the device.
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
};
#define WAYS (WAY_DIRECT + 1)

struct way_choice {
	enum way_place place;
	enum way way;
	bool probing; /* tell how long it took: ways_tell */
};

/* What is known of one device, or of none (device 0). */
struct way_known {
	dev_t device;
	bool decided;
	enum way way;
	unsigned int begun[WAYS];
	uint64_t bytes[WAYS];
	int64_t ns[WAYS];
};

#define WAYS_KNOWN 8 /* devices; the oldest is forgotten */
struct ways {
	pthread_mutex_t lock;
	struct way_known known[WAYS_KNOWN]; /* (lock) */
	unsigned int next;		    /* (lock) */
};

void ways_init(struct ways *ways);
void ways_fini(struct ways *ways);
/* source_type: f_type of statfs(2). */
enum way_place way_place(dev_t source, dev_t tier, long source_type);
struct way_choice ways_choose(struct ways *ways, enum way_place place, dev_t tier);
/* A probe's shard: so many bytes were on the disk after so many nanoseconds. */
void ways_tell(struct ways *ways, dev_t tier, enum way way, uint64_t bytes, int64_t ns);
/* "same device", …: static. */
const char *way_place_word(enum way_place place);

#endif
