/*
 * Grants: what a job gets at once because all of it is here. A record is written to a file of its
 * own first, the job is answered, and the rows follow before anything to which they matter.
 * Must not: decide who gets what; leave a lease unseen by whoever asks for leases.
 * Called by the control thread; by inventory_job.c and inventory_sql.c before they look or begin.
 *
 * The record outlives a kill, as a commit with synchronous NORMAL does, for one write instead of a
 * transaction. While it is owed, every transaction and every look at leases and jobs first makes
 * its rows, or fails: so nobody can evict a tree whose lease is still to be written. The next start
 * makes the rows of a record that it finds; one that was cut short was answered to nobody.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/digest.h"
#include "larder/cleanup.h"
#include "store/inventory_sql.h"

#define GRANT_NAME  "inventory.grant"
#define GRANT_MAGIC UINT64_C(0x32544e415247444c) /* "LDGRANT2" */
#define GRANT_ROOM  ((size_t)32 << 10)		 /* a larger one takes the slow way */

struct head {
	uint64_t magic, len; /* of the bytes behind the head */
	uint64_t hi, lo;     /* their digest */
};

struct inv_owed {
	int fd;
	size_t len;		 /* of the record behind its head; 0: nothing is owed */
	bool before;		 /* an earlier larderd wrote it: its rows may be there */
	struct larder_error why; /* they could not be made, when it was tried last */
	uint8_t bytes[GRANT_ROOM];
};

/* --- the record: numbers of 8 bytes, texts with their NUL; read on the machine that wrote it */

struct writer {
	uint8_t *at, *end; /* at NULL: it did not fit */
};

static void put_bytes(struct writer *w, const void *data, size_t len)
{
	if (!w->at || (size_t)(w->end - w->at) < len) {
		w->at = NULL;
		return;
	}
	memcpy(w->at, data, len);
	w->at += len;
}

static void put_u64(struct writer *w, uint64_t value)
{
	put_bytes(w, &value, sizeof(value));
}

static void put_text(struct writer *w, const char *text)
{
	put_bytes(w, text, strlen(text) + 1);
}

struct reader {
	const uint8_t *at, *end; /* at NULL: it ended too early */
};

static uint64_t get_u64(struct reader *r)
{
	uint64_t value = 0;

	if (!r->at || (size_t)(r->end - r->at) < sizeof(value)) {
		r->at = NULL;
		return 0;
	}
	memcpy(&value, r->at, sizeof(value));
	r->at += sizeof(value);
	return value;
}

/* Borrowed from the record; "" when there is none. */
static const char *get_text(struct reader *r)
{
	const char *text = (const char *)r->at;
	const uint8_t *nul = r->at ? memchr(r->at, 0, (size_t)(r->end - r->at)) : NULL;

	r->at = nul ? nul + 1 : NULL;
	return nul ? text : "";
}

static void get_copy(struct reader *r, char *out, size_t room)
{
	const char *text = get_text(r);
	size_t len = strlen(text);

	if (len >= room)
		r->at = NULL;
	else
		memcpy(out, text, len + 1);
}

/* seq: the last number of access that was given out, so that its rows are known by theirs. */
static void write_record(struct writer *w, uint64_t seq, const struct inv_grant *grant)
{
	const struct inv_job *job = grant->job;
	uint64_t inflation;

	memcpy(&inflation, &grant->inflation, sizeof(inflation));
	put_u64(w, seq);
	put_u64(w, job->job_id);
	put_u64(w, job->run);
	put_u64(w, job->uid);
	put_u64(w, job->gid);
	put_u64(w, job->outcome);
	put_u64(w, job->mode);
	put_u64(w, job->on_fail);
	put_u64(w, (uint64_t)job->wait_ms);
	put_u64(w, (uint64_t)job->since_s);
	put_text(w, job->specs);
	put_text(w, job->boot_id);
	put_text(w, job->text);
	put_text(w, job->views);
	put_u64(w, (uint64_t)grant->now_s);
	put_u64(w, (uint64_t)grant->half_life_s);
	put_u64(w, inflation);
	put_u64(w, grant->n);
	for (size_t i = 0; i < grant->n; i++) {
		put_u64(w, grant->leases[i].tree);
		put_u64(w, grant->leases[i].hit_bytes);
		put_text(w, grant->leases[i].subset);
		put_text(w, grant->leases[i].event);
	}
}

static void read_job(struct reader *r, struct inv_job *job)
{
	job->job_id = (uint32_t)get_u64(r);
	job->run = (uint32_t)get_u64(r);
	job->uid = (uint32_t)get_u64(r);
	job->gid = (uint32_t)get_u64(r);
	job->outcome = (enum larder_outcome)get_u64(r);
	job->mode = (uint32_t)get_u64(r);
	job->on_fail = (uint32_t)get_u64(r);
	job->wait_ms = (int64_t)get_u64(r);
	job->since_s = (int64_t)get_u64(r);
	get_copy(r, job->specs, sizeof(job->specs));
	get_copy(r, job->boot_id, sizeof(job->boot_id));
	get_copy(r, job->text, sizeof(job->text));
	get_copy(r, job->views, sizeof(job->views));
}

/* --- its rows */

/* What a lease of a grant brings with it besides its own row. */
struct circumstances {
	int64_t now_s, half_life_s;
	double inflation;
};

static int make_lease(struct inventory *inv, const struct inv_job *job,
		      const struct circumstances *when, struct reader *r, struct larder_error *err)
{
	struct inv_lease lease = {.tree = get_u64(r),
				  .job_id = job->job_id,
				  .run = job->run,
				  .uid = job->uid,
				  .since_s = job->since_s};
	uint64_t hit_bytes = get_u64(r);
	int rc;

	get_copy(r, lease.subset, sizeof(lease.subset));
	memcpy(lease.boot_id, job->boot_id, sizeof(lease.boot_id));
	rc = inventory_lease_put(inv, &lease, err);
	if (!rc)
		rc = inventory_tree_use(inv, lease.tree, when->now_s, when->half_life_s,
					when->inflation, err);
	if (!rc)
		rc = inventory_count(inv, INV_COUNTER_hits, 1);
	if (!rc)
		rc = inventory_count(inv, INV_COUNTER_hit_bytes, hit_bytes);
	return rc ? rc : inventory_event_add(inv, when->now_s, "acquire", "%s", get_text(r));
}

/*
 * Nothing that counts an access comes between a record and its rows. So when the first of its trees
 * has one of a later number, the rows were made: whatever became of them since. Numbers that only a
 * transaction knew which was rolled back are not given out again.
 */
static bool rows_were_made(struct inventory *inv, struct reader first_lease, uint64_t seq)
{
	struct larder_error ignored;
	struct inv_tree tree;

	if (inv->seq < seq)
		inv->seq = inv->seq_limit = seq;
	return inventory_tree_get(inv, get_u64(&first_lease), &tree, &ignored) == 0 &&
	       tree.last_seq > seq;
}

static int make_rows(struct inventory *inv, struct reader *r, bool before, struct larder_error *err)
{
	struct circumstances when;
	struct inv_job job;
	uint64_t n, inflation, seq = get_u64(r);
	int rc = 0;

	read_job(r, &job);
	when.now_s = (int64_t)get_u64(r);
	when.half_life_s = (int64_t)get_u64(r);
	inflation = get_u64(r);
	memcpy(&when.inflation, &inflation, sizeof(inflation));
	n = get_u64(r);
	if (before && rows_were_made(inv, *r, seq))
		return 0;
	for (uint64_t i = 0; i < n && r->at && !rc; i++)
		rc = make_lease(inv, &job, &when, r, err);
	if (!rc && !r->at)
		rc = larder_error_set(err, EUCLEAN, "inventory: a grant's record is damaged");
	if (!rc)
		rc = inventory_job_put(inv, &job, err);
	return rc ? rc : inventory_count(inv, INV_COUNTER_acquires, 1);
}

/* Trying again may help: the disk or SQLite's locks are to blame, not the record. */
static bool may_pass(int rc)
{
	return rc != -ENOENT && rc != -EINVAL && rc != -EEXIST && rc != -EUCLEAN;
}

static int write_all(int fd, const void *data, size_t len)
{
	ssize_t n = pwrite(fd, data, len, 0);

	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -ENOSPC;
}

int inv_owe_nothing(struct inventory *inv, struct larder_error *err)
{
	static const struct head none;
	struct inv_owed *owed = inv->owed;
	struct reader r;
	size_t len;
	int rc;

	if (!owed || !owed->len)
		return 0;
	assert(!inv->in_tx); /* which would not have begun */
	if (inv->walking)
		return larder_error_set(err, owed->why.code, "%s", owed->why.text);
	len = owed->len;
	owed->len = 0; /* what makes the rows looks at leases, too */
	r = (struct reader){owed->bytes + sizeof(struct head),
			    owed->bytes + sizeof(struct head) + len};
	rc = inventory_begin(inv, err);
	if (!rc)
		rc = make_rows(inv, &r, owed->before, err);
	if (!rc)
		rc = inventory_commit(inv, err);
	if (rc)
		inventory_rollback(inv);
	if (rc && may_pass(rc)) {
		owed->len = len;
		if (err)
			owed->why = *err;
		return rc;
	}
	(void)write_all(owed->fd, &none, sizeof(none)); /* else its number says that it is done */
	return rc;
}

int inventory_grant(struct inventory *inv, const struct inv_grant *grant, struct larder_error *err)
{
	struct inv_owed *owed = inv->owed;
	struct writer w = {owed->bytes + sizeof(struct head), owed->bytes + GRANT_ROOM};
	struct head head = {.magic = GRANT_MAGIC};
	struct digest digest;
	int rc = inv_owe_nothing(inv, err);

	assert(!inv->in_tx);
	if (rc)
		return rc;
	write_record(&w, inv->seq, grant);
	if (!w.at)
		return larder_error_set(err, E2BIG, "inventory: a grant of %zu datasets", grant->n);
	head.len = (size_t)(w.at - owed->bytes) - sizeof(head);
	digest = digest_of(owed->bytes + sizeof(head), head.len);
	head.hi = digest.hi;
	head.lo = digest.lo;
	memcpy(owed->bytes, &head, sizeof(head));
	rc = write_all(owed->fd, owed->bytes, sizeof(head) + head.len);
	if (rc)
		return larder_error_set(err, -rc, "inventory: write " GRANT_NAME ": %s",
					strerror(-rc));
	owed->before = false;
	owed->len = head.len;
	larder_error_set(&owed->why, EAGAIN, "inventory: a job's lease is still to be written");
	return 0;
}

int inventory_settle(struct inventory *inv, struct larder_error *err)
{
	return inv_owe_nothing(inv, err);
}

bool inventory_owes(const struct inventory *inv)
{
	return inv->owed->len > 0;
}

/* --- the file */

/* Its blocks are there from now on, so that a full disk refuses no grant. No harm if it fails. */
static void fill(struct inv_owed *owed)
{
	(void)write_all(owed->fd, owed->bytes, GRANT_ROOM);
}

/* Where it is shorter than it should be, there was no room for it, and may have been for a record:
 * zeros are read behind its end. */
static void read_back(struct inv_owed *owed)
{
	ssize_t n = pread(owed->fd, owed->bytes, GRANT_ROOM, 0);
	struct digest digest;
	struct head head;

	if (n < (ssize_t)GRANT_ROOM)
		fill(owed);
	memcpy(&head, owed->bytes, sizeof(head));
	if (head.magic != GRANT_MAGIC || head.len > GRANT_ROOM - sizeof(head))
		return;
	digest = digest_of(owed->bytes + sizeof(head), head.len);
	if (digest.hi != head.hi || digest.lo != head.lo)
		return;
	owed->len = head.len;
	owed->before = true;
}

int inv_grant_open(struct inventory *inv, struct larder_error *err)
{
	struct inv_owed *owed = calloc(1, sizeof(*owed));
	struct larder_error ignored;

	if (!owed)
		return larder_error_set(err, ENOMEM, "open %s/" GRANT_NAME, inv->dir);
	inv->owed = owed;
	owed->fd = openat(inv->dir_fd, GRANT_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (owed->fd < 0)
		return larder_error_set(err, errno, "open %s/" GRANT_NAME ": %s", inv->dir,
					strerror(errno));
	read_back(owed);
	(void)inv_owe_nothing(inv, &ignored); /* or whoever comes next */
	return 0;
}

void inv_grant_close(struct inventory *inv)
{
	struct larder_error ignored;

	if (!inv->owed)
		return;
	if (inv->db)
		(void)inv_owe_nothing(inv, &ignored);
	larder_cleanup_fd(&inv->owed->fd);
	free(inv->owed);
	inv->owed = NULL;
}
