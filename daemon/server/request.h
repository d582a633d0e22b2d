/*
 * What a job asked for on this node, from ACQUIRE to RELEASE: its datasets, what became of each,
 * and one outcome. Kept in the inventory too, so that a restart of the daemon changes nothing.
 */
#ifndef SERVER_REQUEST_H
#define SERVER_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "larder/spec.h"
#include "server/access.h"
#include "server/hash.h"
#include "server/larderd.h"
#include "server/stage.h"

enum want_state {
	WANT_CHECKING, /* catalog and rights */
	WANT_RESOLVED, /* known and allowed; not admitted yet */
	WANT_STAGING,
	WANT_READY,
	WANT_BYPASS,
	WANT_FAILED,
};

/* One dataset of a request. */
struct want {
	struct request *request;
	struct larder_spec spec; /* owned */
	enum want_state state;
	struct access_ask *ask;
	bool here;	      /* READY and on the disk, as was just seen */
	bool described;	      /* tree says what it is: name, version, digest, origin, sizes */
	struct inv_tree tree; /* id 0: none on this node (yet) */
	int manifest_fd;      /* of the check; -1 */
	struct interest interest;
	uint64_t hit_bytes; /* that were here already */
	const char *found;  /* static: hit, join or miss; NULL before it is admitted */
	struct larder_error err;
};

struct request_key {
	uint32_t job_id, run;
};

struct awaiter;

struct request {
	UT_hash_handle hh;
	struct request_key key;
	struct larderd *d;
	uint32_t uid, gid;
	enum larder_mode mode;
	int64_t wait_ms;
	bool bypass_on_fail;
	enum larder_outcome outcome;
	bool counted;	  /* among the acquires: with its first row */
	bool ready_saved; /* its row says READY already */
	bool starting;	  /* its log line waits until who asked was answered */
	char text[LARDER_ERROR_MAX];
	int64_t since_s, since_ms;
	int64_t deadline_ms;	  /* monotonic */
	const char *deadline_why; /* static: which bound it is */
	sd_event_source *timer, *poll;
	bool asking_slurm;
	char *specs; /* canonical, as fixed */
	struct want *wants;
	unsigned int n_wants;
	unsigned int checking;
	struct awaiter *awaiters;
};

struct request_params {
	uint32_t job_id, run, uid, gid;
	const char *specs; /* the user's text */
	const char *fixed; /* what submission resolved: the user's word too; only narrows */
	enum larder_mode mode;
	int64_t wait_ms;
	enum larder_on_fail on_fail;
	int64_t since_s; /* 0: now */
};

/* Starts one; a run of the job that is known already is given back as it stands (and an earlier run
 * released). */
int request_start(struct larderd *d, const struct request_params *params, struct request **out,
		  struct larder_error *err);
/* After who asked was answered: logs an outcome that was there at once, which no answer waits for,
 * nor for the rows of what was granted. */
void request_started(struct request *request);
struct request *request_get(struct larderd *d, uint32_t job_id, uint32_t run);
/* The latest run of the job. */
struct request *request_latest(struct larderd *d, uint32_t job_id);
/* Leases, interests, rows: everything of this job up to that run. Idempotent. */
int request_release(struct larderd *d, uint32_t job_id, uint32_t run_max, uint32_t *released,
		    struct larder_error *err);
/* What the wants add up to: PENDING while one of them is under way. *failed: the first that failed,
 * or NULL. */
enum larder_outcome request_add_up(const struct request *request, const struct want **failed);
/* An outcome is final once it is not PENDING. */
void request_settle(struct request *request, enum larder_outcome outcome, const char *text);
/* From the inventory, at start. */
int requests_restore(struct larderd *d, struct larder_error *err);
void requests_close(struct larderd *d);

/* --- request_wait.c: deadline, cancellation, who waits */
void request_deadline(struct request *request);
void request_wait_begin(struct request *request);
void request_wait_end(struct request *request);
/* Answers with an OUTCOME row now if it is final, else when it is or when timeout_ms has passed. */
struct session;
void request_await(struct request *request, struct session *session, int64_t timeout_ms);
void request_outcome_row(const struct request *request, struct larder_msg_OUTCOME *row);
/* Every AWAIT of it is answered with what it is now. */
void request_wake(struct request *request);

/* --- request_row.c: a request as a row and back */
int request_save(struct request *request, enum larder_outcome outcome, struct larder_error *err);
/* Fills its row, of which only what it has is written. -E2BIG. */
int request_describe(const struct request *request, enum larder_outcome outcome,
		     struct inv_job *job, struct larder_error *err);
/* Its outcome, as an event. */
void request_log(const struct request *request);
int want_parse(struct want *want, const char *line, struct larder_error *err);
/* "imagenet:v3 ready at /datasets/imagenet/v3 (138 GiB, 1281167 files; 100 % from cache)"; the
 * plugin puts "larder: " before it. */
void want_line(const struct want *want, char *buf, size_t len);
/* What became of it, as an event has it: trace.c of the CLI reads these pairs. */
#define WANT_PAIRS_MAX 300 /* two names, the rest numbers */
void want_pairs(const struct want *want, char buf[WANT_PAIRS_MAX]);
/* "ready", "partial", "bypass": DATASET_<NAME>_STATE. */
const char *want_word(const struct want *want);
bool want_bypassable(const struct want *want);

#endif
