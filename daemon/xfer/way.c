/*
 * Owns the choice of a way, and what probes have shown. Must not touch a file or know a clock.
 * Called by large.c and shard.c.
 *
 * From another device, direct writes won by 1.1 to 1.3 in wall time, at a third of the processor
 * time. On one device it depends: on a virtual disk buffered copying of some files at once is
 * faster, on an NVMe drive with many queues direct writes are. So there the first shards go in
 * turns, until each way has brought enough.
 */
#include <linux/magic.h>
#include <stddef.h>

#include "xfer/way.h"

#define PROBE_BYTES   (UINT64_C(128) << 20) /* of each way, before it is judged */
#define DIRECT_MARGIN 0.9 /* of the other's rate is enough: direct costs less processor */

#ifndef NFS_SUPER_MAGIC
#define NFS_SUPER_MAGIC 0x6969
#endif

void ways_init(struct ways *ways)
{
	*ways = (struct ways){0};
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

static struct way_known *known_of(struct ways *ways, dev_t device)
{
	struct way_known *new;

	for (unsigned int i = 0; i < WAYS_KNOWN; i++)
		if (ways->known[i].device == device)
			return &ways->known[i];
	new = &ways->known[ways->next++ % WAYS_KNOWN];
	*new = (struct way_known){.device = device};
	return new;
}

struct way_choice ways_choose(struct ways *ways, enum way_place place, dev_t tier)
{
	struct way_choice choice = {.place = place, .way = WAY_DIRECT};
	struct way_known *known;

	if (place != PLACE_SAME)
		return choice;
	pthread_mutex_lock(&ways->lock);
	known = known_of(ways, tier);
	choice.probing = !known->decided;
	if (known->decided)
		choice.way = known->way;
	else
		choice.way = known->begun[WAY_DIRECT] < known->begun[WAY_BUFFERED] ? WAY_DIRECT
										   : WAY_BUFFERED;
	if (choice.probing)
		known->begun[choice.way]++;
	pthread_mutex_unlock(&ways->lock);
	return choice;
}

static double rate_of(const struct way_known *known, enum way way)
{
	return (double)known->bytes[way] / (double)(known->ns[way] > 0 ? known->ns[way] : 1);
}

void ways_tell(struct ways *ways, dev_t tier, enum way way, uint64_t bytes, int64_t ns)
{
	struct way_known *known;

	pthread_mutex_lock(&ways->lock);
	known = known_of(ways, tier);
	known->bytes[way] += bytes;
	known->ns[way] += ns;
	if (!known->decided && known->bytes[WAY_BUFFERED] >= PROBE_BYTES &&
	    known->bytes[WAY_DIRECT] >= PROBE_BYTES) {
		known->decided = true;
		known->way =
			rate_of(known, WAY_DIRECT) >= DIRECT_MARGIN * rate_of(known, WAY_BUFFERED)
				? WAY_DIRECT
				: WAY_BUFFERED;
	}
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
