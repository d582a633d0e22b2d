/*
 * Which trees go when room is needed: pure, so that a test or a simulator can ask the same
 * questions. No clock, no disk, no allocation beyond the caller's arrays; ties are broken by id.
 * The same candidates in another order give the same victims.
 */
#ifndef CORE_EVICT_H
#define CORE_EVICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum evict_policy { EVICT_GDSF, EVICT_S3FIFO, EVICT_LRU };

/* Why a tree may not go. EVICT_FREE: it may. */
enum evict_hold {
	EVICT_FREE,
	EVICT_LEASED,
	EVICT_PINNED,
	EVICT_STAGING,	 /* being filled, or the base that another is linked from */
	EVICT_ONLY_COPY, /* its origin is unknown */
};

struct evict_candidate {
	uint64_t id;
	enum evict_hold hold;
	bool failed;	 /* FAILED, or its own dataset's user is gone: first to go */
	bool superseded; /* a newer version of the same dataset is here and this one is idle */
	bool ahead;	 /* brought for a job that has not come yet */
	bool planned;	 /* and it is still expected */
	uint32_t copies; /* in the fleet, this one included; 0: not known */
	bool once;	 /* asked to be kept for one job only */
	uint64_t bytes;	 /* what unlinking it would free */
	uint64_t inodes;
	uint64_t present_shards;
	int64_t stage_ms;      /* measured time to bring it here; 0 when not known */
	double uses;	       /* decayed, history of evicted times kept */
	uint64_t last_seq;     /* sequence number of the last access; larger is later */
	uint64_t admitted_seq; /* of the admission */
	uint32_t hits;	       /* since the admission (s3fifo) */
	double base;	       /* gdsf: L when it was last used */
	int64_t admitted_s, last_lease_end_s; /* Unix time, 0: never */
};

struct evict_params {
	enum evict_policy policy;
	uint64_t need_bytes, need_inodes;
	int64_t now_s;
	int64_t grace_s;  /* after admission and after the last lease; broken only when nothing else
			     is left */
	double inflation; /* gdsf's L */
	double below; /* not EVICT_ANY: only what scores less, is past its grace and not planned */
};
#define EVICT_ANY 0.0

struct evict_victim {
	uint64_t id;
	size_t candidate; /* its index in the candidates */
	size_t rank;	  /* its place in the order, 0 goes first */
	uint64_t bytes;	  /* that it gives */
	uint64_t inodes;
	bool whole;	 /* false: drop shards from its tail until `bytes` are free */
	const char *why; /* static: "failed", "ahead", "superseded", "once", "score", "grace" */
};

struct evict_plan {
	size_t n_victims;
	uint64_t bytes, inodes; /* that all victims give */
	bool enough;
	double inflation; /* L afterwards */
	/* what could not be touched, for the sentence */
	uint64_t leased_bytes, pinned_bytes, staging_bytes, kept_bytes;
};

/*
 * victims: room for n (all of it is scratch). Fills the plan; an insufficient one lists all that
 * may go. Order: failed, ahead, superseded, once, the rest by score, and last whatever enjoys its
 * grace. A tree that gives nothing of what is still missing is passed over while the others
 * suffice.
 *
 * The last victim, when larger than the need, is trimmed (whole = false) unless it failed or was
 * asked for once, has a single shard, would keep under 10 % of its bytes, or inodes are wanted of
 * it.
 *
 * s3fifo without a state of its own: its queues are read off the candidates.
 *   main   used again since its admission (hits > 1), or remembered from an earlier stay, which
 *          plays the ghost queue: uses > hits can only come from history, and fades as it does;
 *   small  everything else, first in first out by admitted_seq;
 *   small gives while it has over a tenth of the bytes in the tier, or main is empty; main gives
 *   by the counter of its uses (at most 3), then by the last use. That is the order in which a
 *   clock hand that takes one count off each tree it passes would let them go; what is lost is that
 *   counts taken off are not remembered from one choice to the next.
 */
void evict_choose(const struct evict_params *params, const struct evict_candidate *candidates,
		  size_t n, struct evict_victim *victims, struct evict_plan *plan);

/*
 * gdsf: base + uses x seconds to stage again / bytes, base no more than `inflation` (L never falls,
 * so a larger one is an older inventory's). The fleet's last copy counts double, and enjoys twice
 * the grace; of more than two, each counts as its share of two, a quarter at least. A time that is
 * not known is guessed from the bytes. For `explain` and metrics too.
 */
double evict_score(const struct evict_candidate *candidate, double inflation);
/* Uses halve every half_life_s; not at all when that is 0, nor for a clock that went back. */
double evict_decay(double uses, int64_t since_s, int64_t half_life_s);
/* "gdsf", "s3fifo", "lru" as enum evict_policy. -EINVAL otherwise. */
int evict_policy_parse(const char *word);

#endif
