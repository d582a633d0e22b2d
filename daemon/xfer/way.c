/*
 * Owns the choice of a way, and what probes have shown. Must not touch a file or know a clock.
 * Called by pair.c.
 *
 * Direct writes won by 1.1 to 1.3 in wall time when the source is memory or far away, at a third
 * of the processor time. Reading past the page cache as well costs a quarter of that, or a tenth
 * where the page cache must take its memory from somebody; whether it is as fast depends on the
 * devices. So most shards go that way from the first on, and every fourth the other, until each
 * has brought enough. The other one must be faster by far to be chosen, and is asked again now and
 * then: a few shards into warm memory are fast, and the hundredth is not.
 */
#include <linux/magic.h>
#include <stddef.h>

#include "xfer/way.h"

#define PROBE_BYTES (UINT64_C(128) << 20) /* of each way, before it is judged */
#define ENOUGH	    0.5 /* of the other's rate: the frugal way leaves the processor to jobs */
#define AGAIN	    8u	/* shards, after which a decision for the lavish way is looked at anew */

#ifndef NFS_SUPER_MAGIC
#define NFS_SUPER_MAGIC 0x6969
#endif

void ways_init(struct ways *ways, bool deep)
{
	*ways = (struct ways){.deep = deep};
	pthread_mutex_init(&ways->lock, NULL);
}

void ways_fini(struct ways *ways)
{
	pthread_mutex_destroy(&ways->lock);
}

/* Those whose numbers linux/magic.h does not have are in their own sources. */
static bool is_network(long type)
{
	static const long types[] = {
		NFS_SUPER_MAGIC,
		0x517b /* smb */,
		0xfe534d42 /* smb2 */,
		0xff534d42 /* cifs */,
		0x0bd00bd0 /* lustre */,
		0x00c36400 /* ceph */,
		0x47504653 /* gpfs */,
		0x19830326 /* beegfs */,
		0x01021997 /* 9p */,
		0x5346414f /* afs */,
		0x65735546 /* fuse: most are remote */,
		0x6b414653 /* kafs */,
		0x7461636f /* ocfs2 */,
		0xaad7aaea /* panfs */,
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (types[i] == type)
			return true;
	return false;
}

enum way_place way_place(dev_t source, dev_t tier, long source_type)
{
	if (source == tier)
		return PLACE_SAME;
	if (source_type == TMPFS_MAGIC || source_type == RAMFS_MAGIC)
		return PLACE_MEMORY;
	return is_network(source_type) ? PLACE_NETWORK : PLACE_OTHER;
}

static struct way_known *known_of(struct ways *ways, struct way_pair pair)
{
	struct way_known *new;

	for (unsigned int i = 0; i < WAYS_KNOWN; i++)
		if (ways->known[i].pair.source == pair.source &&
		    ways->known[i].pair.tier == pair.tier)
			return &ways->known[i];
	new = &ways->known[ways->next++ % WAYS_KNOWN];
	*new = (struct way_known){.pair = pair};
	return new;
}

/* The two that a probe compares: the one that costs less processor, and the other. */
static enum way frugal(const struct ways *ways)
{
	return ways->deep ? WAY_PAST : WAY_DIRECT;
}

static enum way lavish(enum way_place place)
{
	return place == PLACE_SAME ? WAY_BUFFERED : WAY_DIRECT;
}

/* Of four shards of a probe three go the frugal way. */
static enum way probe_turn(const struct way_known *known, enum way one, enum way two)
{
	return 3 * known->begun[one] < known->begun[two] ? one : two;
}

/* Both ways once in AGAIN shards, one after the other, so that they are told of the same load. */
static struct way_choice decided(struct way_known *known, enum way_place place, enum way one,
				 enum way two)
{
	struct way_choice choice = {.place = place, .way = known->way};
	unsigned int turn;

	if (known->way != one)
		return choice;
	turn = ++known->since % AGAIN;
	choice.probing = turn < 2;
	if (turn == 0)
		choice.way = two;
	return choice;
}

struct way_choice ways_choose(struct ways *ways, enum way_place place, struct way_pair pair)
{
	struct way_choice choice = {.place = place, .way = WAY_DIRECT};
	enum way one = lavish(place), two = frugal(ways);
	struct way_known *known;

	if ((place != PLACE_SAME && place != PLACE_OTHER) || one == two)
		return choice;
	pthread_mutex_lock(&ways->lock);
	known = known_of(ways, pair);
	if (known->decided) {
		choice = decided(known, place, one, two);
	} else {
		choice.probing = true;
		choice.way = probe_turn(known, one, two);
		known->begun[choice.way]++;
	}
	pthread_mutex_unlock(&ways->lock);
	return choice;
}

static double rate_of(const struct way_known *known, enum way way)
{
	return (double)known->bytes[way] / (double)(known->ns[way] > 0 ? known->ns[way] : 1);
}

/* What is old counts less and less. */
static void add(struct way_known *known, enum way way, uint64_t bytes, int64_t ns)
{
	if (known->bytes[way] >= PROBE_BYTES) {
		known->bytes[way] /= 2;
		known->ns[way] /= 2;
	}
	known->bytes[way] += bytes;
	known->ns[way] += ns;
}

void ways_tell(struct ways *ways, struct way_pair pair, const struct way_choice *choice,
	       uint64_t bytes, int64_t ns)
{
	enum way one = lavish(choice->place), two = frugal(ways);
	struct way_known *known;

	pthread_mutex_lock(&ways->lock);
	known = known_of(ways, pair);
	add(known, choice->way, bytes, ns);
	known->decided |= known->bytes[one] >= PROBE_BYTES && known->bytes[two] >= PROBE_BYTES;
	if (known->decided)
		known->way = rate_of(known, two) >= ENOUGH * rate_of(known, one) ? two : one;
	pthread_mutex_unlock(&ways->lock);
}

const char *way_place_word(enum way_place place)
{
	static const char *const words[PLACES] = {
		[PLACE_UNKNOWN] = "",		[PLACE_SAME] = "same device",
		[PLACE_OTHER] = "other device", [PLACE_MEMORY] = "memory",
		[PLACE_NETWORK] = "network",	[PLACE_STREAM] = "stream",
	};

	return words[place];
}
