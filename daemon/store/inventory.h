/*
 * The inventory: what this node holds and who holds it back. The only SQL of the project is in
 * inventory*.c. Used by the control thread alone, except where a comment says otherwise.
 *
 * SQLite, WAL, synchronous NORMAL, no automatic checkpoint. What must be durable before the next
 * step asks for a barrier: a thread syncs the write-ahead log and then tells, so that no fsync ever
 * runs on the control thread. Checkpoints (PASSIVE) run on that thread too, on a connection of its
 * own. No row per shard: a tree that is not READY has a bitmap by manifest index, in pages.
 *
 * All functions: 0 or -errno with a sentence; -ENOENT when there is no such row.
 */
#ifndef STORE_INVENTORY_H
#define STORE_INVENTORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "larder/error.h"
#include "larder/manifest.h"
#include "larder/spec.h"
#include "larder/wire.h"

struct inventory;

#define INV_OWNER_SITE	     UINT32_MAX /* owner of a catalog's tree */
#define INV_DOMAIN_MAX	     63
#define INV_BITMAP_PAGE_BITS 16384

struct inv_tree {
	uint64_t id;			 /* 0 before insert */
	char tier[64];			 /* its name in the configuration */
	char domain[INV_DOMAIN_MAX + 1]; /* bytes are shared only inside one */
	char name[LARDER_NAME_MAX + 1];
	char version[LARDER_VERSION_MAX + 1];
	char digest[LARDER_DIGEST_HEX + 1];
	enum larder_tree_state state;
	uint32_t owner;	    /* uid of a user's own dataset; INV_OWNER_SITE for the catalog's */
	uint32_t publisher; /* uid */
	char access[1100];  /* as larder_access_format writes it */
	char origin[4096];  /* the first; "" when unknown */
	uint64_t shards, bytes;
	uint64_t present_shards, present_bytes;
	double uses;   /* decayed to last_use_s */
	uint32_t hits; /* since admission */
	double base;   /* gdsf's L at the last use */
	uint64_t last_seq, admitted_seq;
	int64_t last_use_s, admitted_s, last_lease_end_s;
	int64_t stage_ms; /* 0: not known */
	bool once;
	bool first_use;		      /* files without a digest in the manifest */
	char error[LARDER_ERROR_MAX]; /* FAILED: why */
};

struct inv_lease {
	uint64_t tree;
	uint32_t job_id, run, uid;
	int64_t since_s;
	char subset[1024]; /* "": all */
	char boot_id[64];
};

struct inv_job {
	uint32_t job_id, run, uid, gid;
	char specs[LARDER_SPEC_TEXT_MAX + 1];
	enum larder_outcome outcome;
	uint32_t mode, on_fail;
	int64_t wait_ms;
	int64_t since_s;
	char boot_id[64];
	char text[LARDER_ERROR_MAX]; /* the sentence */
	char views[16384]; /* a line a dataset, the server's own: what tasks are given after a
			      restart */
};

struct inv_pin {
	uint64_t tree;
	uint32_t uid;
	int64_t until_s; /* 0: for ever */
	char reason[256];
};

/* Bytes of a tree that came from one origin. */
struct inv_source {
	uint64_t tree;
	char origin[4096];
	uint64_t bytes, shards;
	int64_t busy_ms; /* that the shards took, each by itself: sums over what ran at once */
};

/* A tree whose origins gave wrong bytes. */
struct inv_quarantine {
	int64_t since_s;
	char shard[4097]; /* its path */
	char why[LARDER_ERROR_MAX];
};

struct inv_event {
	uint64_t seq;
	int64_t at_s;
	char what[64];	 /* "stage.done" */
	char text[2048]; /* pairs */
};

/*
 * Opens or makes STATE/inventory.db (and STATE, 0700); migrates an older schema; refuses a newer
 * one
 * (-ENOTSUP), tmpfs (-EINVAL; allow_tmpfs for tests) and a STATE that another process uses
 * (-EBUSY). A damaged file is moved aside (inventory.db.damaged-N) and -EUCLEAN is returned once
 * with a fresh inventory open. Starts a thread; may block, and syncs.
 */
int inventory_open(const char *state_dir, bool allow_tmpfs, struct inventory **inv,
		   struct larder_error *err);
/* Rolls back what is open, waits for the syncs asked for, ends the thread. Callbacks of barriers
 * that were not dispatched are not called any more. NULL is fine. */
void inventory_close(struct inventory *inv);
/*
 * Has nobody yet recovered this inventory from the trees? True for one that was just made (a first
 * start, a lost or damaged file), also after a restart, until inventory_set_recovered.
 */
bool inventory_needs_recovery(struct inventory *inv);
int inventory_set_recovered(struct inventory *inv, struct larder_error *err);

/*
 * One transaction; begin while one is open is a bug (assert). rollback may follow any failure, that
 * of commit too. A function below that fails has changed nothing, inside a transaction as well.
 */
int inventory_begin(struct inventory *inv, struct larder_error *err);
int inventory_commit(struct inventory *inv, struct larder_error *err);
void inventory_rollback(struct inventory *inv);
/* Is a transaction open? Then functions below join it; else each is one of its own. */
bool inventory_in_tx(const struct inventory *inv);

/*
 * Everything committed before this call is on stable storage when fn is called, from
 * inventory_dispatch, in the order of the calls; rc is 0 or -errno of the sync (then nothing may
 * rest on it). A failure sticks: an I/O error is reported once, so every later barrier fails too,
 * and only a restart reads again what the disk really has. Not inside a transaction (assert). Many
 * calls share a sync. 0 or -ENOMEM: then fn is not called.
 */
typedef void (*inventory_barrier_fn)(int rc, void *arg);
int inventory_barrier(struct inventory *inv, inventory_barrier_fn fn, void *arg)
	__attribute__((warn_unused_result));
/* The failure that stuck, -errno; 0 while all is well. For status and log. */
int inventory_stuck(const struct inventory *inv);
/* Becomes readable when barriers are done: poll it, then call inventory_dispatch. */
int inventory_fd(const struct inventory *inv);
void inventory_dispatch(struct inventory *inv);

/* The sequence number of accesses: strictly growing, across restarts too. Takes the next one. */
int inventory_next_seq(struct inventory *inv, uint64_t *seq, struct larder_error *err);
/* Small named values (gdsf's inflation "L", "drained", …). get: -ENOENT. */
int inventory_meta_get(struct inventory *inv, const char *key, char *value, size_t len,
		       struct larder_error *err);
int inventory_meta_set(struct inventory *inv, const char *key, const char *value,
		       struct larder_error *err);

/* --- tiers: a tier's name and the id found in its larder-tier file. A name that is new is noted.
 * -ESTALE: another id was known. */
int inventory_tier_check(struct inventory *inv, const char *name, const char *id,
			 struct larder_error *err);
int inventory_tier_replace(struct inventory *inv, const char *name, const char *id,
			   struct larder_error *err);

/*
 * --- trees. A callback's non-zero answer ends the walk and is returned. Callbacks must not write,
 * nor begin the same walk again (asserts); asking for other things is fine.
 */
typedef int (*inventory_tree_fn)(const struct inv_tree *tree, void *arg);
/*
 * Gives it an id, and a sequence number for those of last_seq and admitted_seq that are 0. When
 * uses is 0, the history of (domain, name, version) comes back: uses with the last_use_s up to
 * which they are decayed, so that the next access decays them over the whole time. -EEXIST: is
 * there already.
 */
int inventory_tree_insert(struct inventory *inv, struct inv_tree *tree, struct larder_error *err);
int inventory_tree_get(struct inventory *inv, uint64_t id, struct inv_tree *tree,
		       struct larder_error *err);
/* The tree of that digest ("" any: then the most recently used). */
int inventory_tree_find(struct inventory *inv, const char *domain, const char *name,
			const char *version, const char *digest, struct inv_tree *tree,
			struct larder_error *err);
/* The READY tree of (tier, domain, name) used last, other than `except`: what to link from. */
int inventory_tree_base(struct inventory *inv, const char *tier, const char *domain,
			const char *name, uint64_t except, struct inv_tree *tree,
			struct larder_error *err);
/* name NULL: all. Ordered by name, version. */
int inventory_tree_each(struct inventory *inv, const char *name, inventory_tree_fn fn, void *arg,
			struct larder_error *err);
/* Checks the edge against state.def (-EINVAL: a bug). READY also sets present = all and drops the
 * bitmap. error NULL: "". */
int inventory_tree_state(struct inventory *inv, uint64_t id, enum larder_tree_state state,
			 const char *error, struct larder_error *err);
int inventory_tree_present(struct inventory *inv, uint64_t id, uint64_t shards, uint64_t bytes,
			   struct larder_error *err);
int inventory_tree_staged(struct inventory *inv, uint64_t id, int64_t stage_ms,
			  struct larder_error *err);
/* An access: uses, hits, seq, base, last_use. half_life_s decays uses first. */
int inventory_tree_use(struct inventory *inv, uint64_t id, int64_t now_s, int64_t half_life_s,
		       double inflation, struct larder_error *err);
/*
 * The row, its bitmap and pins; uses are kept as history under (domain, name, version) and come
 * back with insert. -EBUSY: a lease is on it (the schema enforces that).
 */
int inventory_tree_delete(struct inventory *inv, uint64_t id, struct larder_error *err);
/* Forgets the history of what was last used before that time. *trimmed may be NULL. */
int inventory_history_trim(struct inventory *inv, int64_t before_s, uint32_t *trimmed,
			   struct larder_error *err);
/* What is there of each tree of a tier that is not being evicted; in no order. For sums: it reads
 * no more of a row. fn may not write. */
typedef void (*inventory_size_fn)(uint64_t present_bytes, uint64_t present_shards, void *arg);
int inventory_tree_sizes(struct inventory *inv, const char *tier, inventory_size_fn fn, void *arg,
			 struct larder_error *err);
/* How many trees there are in each state: counts has LARDER_TREE_STATES, added to. */
int inventory_tree_states(struct inventory *inv, uint64_t *counts, struct larder_error *err);
/* Bytes there of a tier's trees that have leases, and of those that have pins. */
int inventory_tree_held(struct inventory *inv, const char *tier, uint64_t *leased, uint64_t *pinned,
			struct larder_error *err);
int inventory_tree_count(struct inventory *inv, uint64_t *n, struct larder_error *err);

/* How many leases and pins each tree has that has any, for who asks about many: *holds is the
 * caller's to free, in the order of trees. */
struct inv_hold {
	uint64_t tree;
	uint32_t leases, pins;
};
int inventory_holds(struct inventory *inv, struct inv_hold **holds, size_t *n,
		    struct larder_error *err);
/* That tree's; zeros when it is not among them. */
struct inv_hold inventory_hold_of(const struct inv_hold *holds, size_t n, uint64_t tree);

/*
 * fn is called with a tree's id whenever its row, a lease or a pin of it is written, also when the
 * transaction is rolled back later. It must not call the inventory, only take note. NULL: no more.
 */
typedef void (*inventory_watch_fn)(uint64_t tree, void *arg);
void inventory_watch(struct inventory *inv, inventory_watch_fn fn, void *arg);

/* --- bitmaps: which shards of a tree that is not READY are there (durable, verified). */
int inventory_bitmap_set(struct inventory *inv, uint64_t tree, const uint64_t *indices, size_t n,
			 struct larder_error *err);
/* bits: (shards + 7) / 8 bytes, zeroed and filled here; bit i of byte i/8 is shard i. A READY tree
 * has all bits set. */
int inventory_bitmap_load(struct inventory *inv, uint64_t tree, uint8_t *bits, uint64_t shards,
			  struct larder_error *err);
int inventory_bitmap_store(struct inventory *inv, uint64_t tree, const uint8_t *bits,
			   uint64_t shards, struct larder_error *err);

/* --- leases */
typedef int (*inventory_lease_fn)(const struct inv_lease *lease, void *arg);
/* Idempotent: again for the same (job_id, run, tree) keeps since_s. -ENOENT: no such tree. */
int inventory_lease_put(struct inventory *inv, const struct inv_lease *lease,
			struct larder_error *err);
/* All leases of the job with run <= run_max. *released (may be NULL) counts them. Also stamps
 * last_lease_end_s. Idempotent. */
int inventory_lease_release(struct inventory *inv, uint32_t job_id, uint32_t run_max, int64_t now_s,
			    uint32_t *released, struct larder_error *err);
/* All leases of a tree: an admin overruled them. Idempotent. */
int inventory_lease_drop(struct inventory *inv, uint64_t tree, struct larder_error *err);
int inventory_lease_count(struct inventory *inv, uint64_t tree, uint32_t *n,
			  struct larder_error *err);
/* tree 0: all; job_id 0: all. */
int inventory_lease_each(struct inventory *inv, uint64_t tree, uint32_t job_id,
			 inventory_lease_fn fn, void *arg, struct larder_error *err);

/* --- jobs: request and outcome, kept from ACQUIRE to RELEASE */
typedef int (*inventory_job_fn)(const struct inv_job *job, void *arg);
int inventory_job_put(struct inventory *inv, const struct inv_job *job, struct larder_error *err);
/* The job's latest run. */
int inventory_job_get(struct inventory *inv, uint32_t job_id, struct inv_job *job,
		      struct larder_error *err);
int inventory_job_each(struct inventory *inv, inventory_job_fn fn, void *arg,
		       struct larder_error *err);
int inventory_job_delete(struct inventory *inv, uint32_t job_id, uint32_t run_max,
			 struct larder_error *err);

/*
 * --- grants: a job's leases, uses, counts, events and row at once, when all of it is here and
 * READY (outcome READY in its row). inventory_grant writes a record that outlives a kill, which is
 * much less work than a transaction: the job may be told then. The rows are made by
 * inventory_settle, to be called soon after; whatever begins a transaction or asks for
 * leases and jobs makes them first, and fails while they cannot be made. Not inside a transaction
 * (assert). On failure nothing is granted (-E2BIG: more than a record holds): a transaction may do
 * instead.
 */
struct inv_grant_lease {
	uint64_t tree, hit_bytes;
	const char *subset; /* "": all */
	const char *event;  /* pairs, for "acquire" */
};
struct inv_grant {
	const struct inv_job *job;
	const struct inv_grant_lease *leases;
	size_t n;
	int64_t now_s, half_life_s; /* and inflation: as inventory_tree_use has them */
	double inflation;
};
int inventory_grant(struct inventory *inv, const struct inv_grant *grant, struct larder_error *err);
/* Nothing to do is 0. */
int inventory_settle(struct inventory *inv, struct larder_error *err);
/* Are there rows still to be made? */
bool inventory_owes(const struct inventory *inv);

/* --- pins */
typedef int (*inventory_pin_fn)(const struct inv_pin *pin, void *arg);
int inventory_pin_put(struct inventory *inv, const struct inv_pin *pin, struct larder_error *err);
/* uid UINT32_MAX: everybody's. -ENOENT when there was none. */
int inventory_pin_delete(struct inventory *inv, uint64_t tree, uint32_t uid,
			 struct larder_error *err);
int inventory_pin_expire(struct inventory *inv, int64_t now_s, uint32_t *expired,
			 struct larder_error *err);
/* tree 0: all. */
int inventory_pin_each(struct inventory *inv, uint64_t tree, inventory_pin_fn fn, void *arg,
		       struct larder_error *err);
int inventory_pin_count(struct inventory *inv, uint64_t tree, uint32_t *n,
			struct larder_error *err);

/* --- where bytes came from, and quarantine */
typedef int (*inventory_source_fn)(const struct inv_source *source, void *arg);
/* Added to what is known of that tree and origin. */
int inventory_source_add(struct inventory *inv, const struct inv_source *source,
			 struct larder_error *err);
int inventory_source_each(struct inventory *inv, uint64_t tree, inventory_source_fn fn, void *arg,
			  struct larder_error *err);
/* One that is there keeps its time. */
int inventory_quarantine_put(struct inventory *inv, uint64_t tree, const struct inv_quarantine *q,
			     struct larder_error *err);
/* 1: it is in quarantine, 0: it is not. */
int inventory_quarantine_get(struct inventory *inv, uint64_t tree, struct inv_quarantine *out,
			     struct larder_error *err);
int inventory_quarantine_clear(struct inventory *inv, uint64_t tree, struct larder_error *err);

/* --- the audit log */
typedef int (*inventory_event_fn)(const struct inv_event *event, void *arg);
int inventory_event_add(struct inventory *inv, int64_t now_s, const char *what, const char *fmt,
			...) __attribute__((format(printf, 4, 5)));
/* The newest `limit` with seq > after and, when what is not "", that prefix; oldest first. */
int inventory_event_each(struct inventory *inv, uint64_t after, uint32_t limit, const char *what,
			 inventory_event_fn fn, void *arg, struct larder_error *err);
/* Keeps the newest `keep`. */
int inventory_event_trim(struct inventory *inv, uint64_t keep, struct larder_error *err);

/* --- counters (counter.def) */
enum inv_counter {
#define LARDER_COUNTER(name, unit, help) INV_COUNTER_##name,
#include "larder/counter.def"
#undef LARDER_COUNTER
	INV_COUNTERS
};
int inventory_count(struct inventory *inv, enum inv_counter counter, uint64_t delta);
int inventory_counter_each(struct inventory *inv,
			   int (*fn)(enum inv_counter counter, const char *name, const char *unit,
				     const char *help, uint64_t value, void *arg),
			   void *arg, struct larder_error *err);

#endif
