/*
 * Admission arithmetic of a tier: room, need, pressure.
 * Must not: ask the file system, choose victims, wait.
 * Called by the server before a reservation, at ENOSPC and by its background eviction.
 */
#include "core/quota.h"

/* One resource, bytes or inodes: the same rules hold for both. */
struct measure {
	uint64_t capacity, floor, free;
	uint64_t trees, trash, reserved;
};

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * Our sums may be wrong (hard links counted twice, a row older than the disk): together they are
 * never more than what statvfs shows as used. The trash is trusted first, it was just measured.
 */
static struct measure measure_clamp(struct measure m, uint64_t size)
{
	uint64_t used;

	m.free = min_u64(m.free, size);
	m.capacity = min_u64(m.capacity, size);
	used = size - m.free;
	m.trash = min_u64(m.trash, used);
	m.trees = min_u64(m.trees, used - m.trash);
	return m;
}

static struct measure measure_bytes(const struct quota_tier *tier)
{
	return measure_clamp(
		(struct measure){
			.capacity = tier->capacity_bytes,
			.floor = tier->floor_bytes,
			.free = tier->free_bytes,
			.trees = tier->tree_bytes,
			.trash = tier->trash_bytes,
			.reserved = tier->reserved_bytes,
		},
		tier->size_bytes);
}

static struct measure measure_inodes(const struct quota_tier *tier)
{
	return measure_clamp(
		(struct measure){
			.capacity = tier->inodes,
			.floor = tier->floor_inodes,
			.free = tier->inodes_free,
			.trees = tier->tree_inodes,
			.trash = tier->trash_inodes,
			.reserved = tier->reserved_inodes,
		},
		tier->inodes);
}

/* What may be promised when `gone` of ours has been unlinked. */
static uint64_t measure_room(const struct measure *m, uint64_t gone)
{
	uint64_t ours = quota_sub(m->trees + m->trash, gone);
	uint64_t below_capacity = quota_sub(m->capacity, quota_add(ours, m->reserved));
	uint64_t above_floor =
		quota_sub(quota_add(m->free, gone), quota_add(m->floor, m->reserved));

	return min_u64(below_capacity, above_floor);
}

static uint64_t measure_max(const struct measure *m)
{
	return measure_room(m, m->trees + m->trash);
}

void quota_room(const struct quota_tier *tier, struct quota_room *room)
{
	struct measure bytes = measure_bytes(tier);
	struct measure inodes = measure_inodes(tier);

	room->bytes = measure_room(&bytes, 0);
	room->max_bytes = measure_max(&bytes);
	room->inodes = tier->inodes ? measure_room(&inodes, 0) : QUOTA_NO_LIMIT;
	room->max_inodes = tier->inodes ? measure_max(&inodes) : QUOTA_NO_LIMIT;
}

/*
 * The least that has to be unlinked so that there is room for `need`, which is no more than
 * measure_max: then no sum here overflows. Both limits rise by one with each byte that goes, so the
 * shortfall of the tighter one counts, not that of the clipped room.
 */
static uint64_t measure_short(const struct measure *m, uint64_t need)
{
	uint64_t want = need + m->reserved;
	uint64_t over_capacity = quota_sub(m->trees + m->trash, m->capacity - want);
	uint64_t into_floor = quota_sub(m->floor + want, m->free);

	return over_capacity > into_floor ? over_capacity : into_floor;
}

static enum quota_verdict measure_admit(const struct measure *m, uint64_t need, uint64_t *trash,
					uint64_t *evict)
{
	uint64_t missing;

	*trash = 0;
	*evict = 0;
	if (need == 0)
		return QUOTA_FITS;
	if (need > measure_max(m))
		return QUOTA_NEVER;
	missing = measure_short(m, need);
	*trash = min_u64(missing, m->trash);
	*evict = missing - *trash;
	if (missing == 0)
		return QUOTA_FITS;
	return *evict ? QUOTA_EVICT : QUOTA_TRASH;
}

void quota_admit(const struct quota_tier *tier, uint64_t need_bytes, uint64_t need_inodes,
		 struct quota_answer *answer)
{
	struct measure bytes = measure_bytes(tier);
	struct measure inodes = measure_inodes(tier);
	enum quota_verdict by_inodes = QUOTA_FITS;

	*answer = (struct quota_answer){.verdict = QUOTA_NEVER};
	quota_room(tier, &answer->room);
	answer->verdict =
		measure_admit(&bytes, need_bytes, &answer->trash_bytes, &answer->evict_bytes);
	if (tier->inodes)
		by_inodes = measure_admit(&inodes, need_inodes, &answer->trash_inodes,
					  &answer->evict_inodes);
	/* The enum grows from good to bad: the worse of the two counts. */
	if (by_inodes > answer->verdict)
		answer->verdict = by_inodes;
}

bool quota_pressure(const struct quota_tier *tier, uint64_t evict_above_bytes,
		    uint64_t evict_down_to_bytes, uint64_t *bytes, uint64_t *inodes)
{
	struct measure b = measure_bytes(tier);
	struct measure i = measure_inodes(tier);
	uint64_t above = min_u64(evict_above_bytes, b.capacity);
	uint64_t down_to = min_u64(evict_down_to_bytes, above);
	uint64_t will_hold = quota_add(b.trees, b.reserved);
	uint64_t into_floor = quota_sub(quota_add(b.floor, b.reserved), quota_add(b.free, b.trash));

	*bytes = will_hold > above ? will_hold - down_to : 0;
	if (into_floor > *bytes)
		*bytes = into_floor;
	*bytes = min_u64(*bytes, b.trees);
	*inodes = 0;
	if (tier->inodes)
		*inodes = min_u64(i.trees, quota_sub(quota_add(i.floor, i.reserved),
						     quota_add(i.free, i.trash)));
	return *bytes || *inodes;
}

uint64_t quota_footprint(uint64_t bytes, uint64_t files, uint32_t block_bytes)
{
	uint64_t blocks = quota_add(files, files / 16 + 1);
	uint64_t tails;

	if (__builtin_mul_overflow(blocks, (uint64_t)block_bytes, &tails))
		return QUOTA_NO_LIMIT;
	return quota_add(bytes, tails);
}
