/*
 * Which trees go when room is needed: pure, so that a test or a simulator can ask the same
 * questions. No clock, no disk, no allocation beyond the caller's arrays; ties are broken by id.
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
	EVICT_STAGING, /* being filled, or the base that another is linked from */
	EVICT_ONLY_COPY, /* its origin is unknown */
};

struct evict_candidate {
	uint64_t id;
	enum evict_hold hold;
	bool failed;     /* FAILED, or its own dataset's user is gone: first to go */
	bool superseded; /* a newer version of the same dataset is here and this one is idle */
	bool once;       /* asked to be kept for one job only */
	uint64_t bytes;  /* what unlinking it would free */
	uint64_t inodes;
	uint64_t present_shards;
	int64_t stage_ms; /* measured time to bring it here; 0 when not known */
	double uses;      /* decayed, history of evicted times kept */
	uint64_t last_seq;     /* sequence number of the last access; larger is later */
	uint64_t admitted_seq; /* of the admission */
	uint32_t hits;         /* since the admission (s3fifo) */
	double base;           /* gdsf: L when it was last used */
	int64_t admitted_s, last_lease_end_s; /* Unix time, 0: never */
};

struct evict_params {
	enum evict_policy policy;
	uint64_t need_bytes, need_inodes;
	int64_t now_s;
	int64_t grace_s;   /* after admission and after the last lease; broken only when nothing else is left */
	double inflation;  /* gdsf's L */
};

struct evict_victim {
	uint64_t id;
	uint64_t bytes; /* that it gives */
	uint64_t inodes;
	bool whole;     /* false: drop shards from its tail until `bytes` are free */
	const char *why; /* static: "failed", "superseded", "score", "grace" */
};

struct evict_plan {
	size_t n_victims;
	uint64_t bytes, inodes; /* that all victims give */
	bool enough;
	double inflation; /* L afterwards */
	/* what could not be touched, for the sentence */
	uint64_t leased_bytes, pinned_bytes, staging_bytes, kept_bytes;
};

/* victims: room for n. Fills the plan; an insufficient one lists all that may go. */
void evict_choose(const struct evict_params *params, const struct evict_candidate *candidates,
		  size_t n, struct evict_victim *victims, struct evict_plan *plan);

/* gdsf: L + uses x seconds to stage again / bytes. For `explain` and metrics too. */
double evict_score(const struct evict_candidate *candidate, double inflation);
/* Uses halve every half_life_s. */
double evict_decay(double uses, int64_t since_s, int64_t half_life_s);
/* "gdsf", "s3fifo", "lru". -EINVAL otherwise. */
int evict_policy_parse(const char *word);

#endif
