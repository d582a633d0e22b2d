/*
 * Leases, jobs and pins: who holds what back.
 * Must not: decide whether a holder is alive; touch files.
 * Called by the control thread.
 */
#include <errno.h>

#include "core/state.h"
#include "store/inventory_sql.h"

int inventory_lease_put(struct inventory *inv, const struct inv_lease *lease,
			struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_LEASE_PUT);
	int rc = inv_owe_nothing(inv, err);

	if (rc)
		return rc;
	inv_touched(inv, lease->tree);
	inv_bind_u64(st, 1, lease->tree);
	inv_bind_i64(st, 2, lease->job_id);
	inv_bind_i64(st, 3, lease->run);
	inv_bind_i64(st, 4, lease->uid);
	inv_bind_i64(st, 5, lease->since_s);
	inv_bind_text(st, 6, lease->subset);
	inv_bind_text(st, 7, lease->boot_id);
	rc = inv_run(inv, st, err);
	if (rc == -ENOENT)
		return larder_error_set(err, ENOENT,
					"a lease of job %u on a tree that is not there",
					lease->job_id);
	return rc;
}

static int release_in_tx(struct inventory *inv, uint32_t job_id, uint32_t run_max, int64_t now_s,
			 uint32_t *released, struct larder_error *err)
{
	auto_stmt stamp = inv_stmt(inv, INV_LEASE_STAMP);
	auto_stmt st = inv_stmt(inv, INV_LEASE_RELEASE);
	int rc;

	inv_bind_i64(stamp, 1, job_id);
	inv_bind_i64(stamp, 2, run_max);
	inv_bind_i64(stamp, 3, now_s);
	rc = inv_run(inv, stamp, err);
	if (rc)
		return rc;
	inv_bind_i64(st, 1, job_id);
	inv_bind_i64(st, 2, run_max);
	rc = inv_run(inv, st, err);
	if (!rc)
		*released = (uint32_t)sqlite3_changes(inv->db);
	return rc;
}

int inventory_lease_release(struct inventory *inv, uint32_t job_id, uint32_t run_max, int64_t now_s,
			    uint32_t *released, struct larder_error *err)
{
	uint32_t count = 0;
	bool own;
	int rc = inv_enter(inv, &own, err);

	if (rc)
		return rc;
	rc = inv_leave(inv, own, release_in_tx(inv, job_id, run_max, now_s, &count, err), err);
	if (released)
		*released = rc ? 0 : count;
	return rc;
}

int inventory_lease_drop(struct inventory *inv, uint64_t tree, struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_LEASE_DROP);
	int rc = inv_owe_nothing(inv, err);

	if (rc)
		return rc;
	inv_touched(inv, tree);
	inv_bind_u64(st, 1, tree);
	return inv_run(inv, st, err);
}

/* A statement with one parameter that answers one number. */
static int count_of(struct inventory *inv, enum inv_sql which, uint64_t id, uint32_t *n,
		    struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, which);
	struct inv_row row = {.st = st};
	int rc;

	inv_bind_u64(st, 1, id);
	rc = inv_step(inv, st, err);
	if (rc == 1)
		*n = inv_read_u32(&row);
	return rc < 0 ? rc : 0;
}

int inventory_lease_count(struct inventory *inv, uint64_t tree, uint32_t *n,
			  struct larder_error *err)
{
	int rc = inv_owe_nothing(inv, err);

	return rc ? rc : count_of(inv, INV_LEASE_COUNT, tree, n, err);
}

static int lease_read(sqlite3_stmt *st, struct inv_lease *lease, struct larder_error *err)
{
	struct inv_row row = {.st = st};

	lease->tree = inv_read_u64(&row);
	lease->job_id = inv_read_u32(&row);
	lease->run = inv_read_u32(&row);
	lease->uid = inv_read_u32(&row);
	lease->since_s = inv_read_i64(&row);
	inv_read_text(&row, lease->subset, sizeof(lease->subset));
	inv_read_text(&row, lease->boot_id, sizeof(lease->boot_id));
	return inv_read_end(&row, "lease", err);
}

static sqlite3_stmt *lease_walk(struct inventory *inv, uint64_t tree, uint32_t job_id)
{
	sqlite3_stmt *st;

	if (job_id) {
		st = inv_stmt(inv, INV_LEASE_EACH_JOB);
		inv_bind_i64(st, 1, job_id);
		inv_bind_u64(st, 2, tree);
	} else if (tree) {
		st = inv_stmt(inv, INV_LEASE_EACH_TREE);
		inv_bind_u64(st, 1, tree);
	} else {
		st = inv_stmt(inv, INV_LEASE_EACH);
	}
	return st;
}

int inventory_lease_each(struct inventory *inv, uint64_t tree, uint32_t job_id,
			 inventory_lease_fn fn, void *arg, struct larder_error *err)
{
	int rc = inv_owe_nothing(inv, err);
	auto_stmt st = lease_walk(inv, tree, job_id);
	struct inv_lease lease;

	if (rc)
		return rc;
	while ((rc = inv_step(inv, st, err)) == 1) {
		rc = lease_read(st, &lease, err);
		if (rc)
			return rc;
		inv->walking++;
		rc = fn(&lease, arg);
		inv->walking--;
		if (rc)
			return rc;
	}
	return rc;
}

int inventory_job_put(struct inventory *inv, const struct inv_job *job, struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_JOB_PUT);
	int rc = inv_owe_nothing(inv, err);

	if (rc)
		return rc;
	inv_bind_i64(st, 1, job->job_id);
	inv_bind_i64(st, 2, job->run);
	inv_bind_i64(st, 3, job->uid);
	inv_bind_i64(st, 4, job->gid);
	inv_bind_text(st, 5, job->specs);
	inv_bind_text(st, 6, larder_outcome_word(job->outcome));
	inv_bind_i64(st, 7, job->mode);
	inv_bind_i64(st, 8, job->on_fail);
	inv_bind_i64(st, 9, job->wait_ms);
	inv_bind_i64(st, 10, job->since_s);
	inv_bind_text(st, 11, job->boot_id);
	inv_bind_text(st, 12, job->text);
	inv_bind_text(st, 13, job->views);
	return inv_run(inv, st, err);
}

/* In the order of INVENTORY_JOB_COLUMNS. */
static int job_read(sqlite3_stmt *st, struct inv_job *job, struct larder_error *err)
{
	struct inv_row row = {.st = st};
	char word[64];
	int outcome;

	job->job_id = inv_read_u32(&row);
	job->run = inv_read_u32(&row);
	job->uid = inv_read_u32(&row);
	job->gid = inv_read_u32(&row);
	inv_read_text(&row, job->specs, sizeof(job->specs));
	inv_read_text(&row, word, sizeof(word));
	outcome = state_outcome_parse(word);
	if (outcome < 0)
		row.rc = -EUCLEAN;
	job->outcome = outcome < 0 ? LARDER_OUTCOME_FAILED : (enum larder_outcome)outcome;
	job->mode = inv_read_u32(&row);
	job->on_fail = inv_read_u32(&row);
	job->wait_ms = inv_read_i64(&row);
	job->since_s = inv_read_i64(&row);
	inv_read_text(&row, job->boot_id, sizeof(job->boot_id));
	inv_read_text(&row, job->text, sizeof(job->text));
	inv_read_text(&row, job->views, sizeof(job->views));
	return inv_read_end(&row, "job", err);
}

int inventory_job_get(struct inventory *inv, uint32_t job_id, struct inv_job *job,
		      struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_JOB_GET);
	int rc = inv_owe_nothing(inv, err);

	if (rc)
		return rc;
	inv_bind_i64(st, 1, job_id);
	rc = inv_step(inv, st, err);
	if (rc < 0)
		return rc;
	return rc ? job_read(st, job, err)
		  : larder_error_set(err, ENOENT, "job %u is not known here", job_id);
}

int inventory_job_each(struct inventory *inv, inventory_job_fn fn, void *arg,
		       struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_JOB_EACH);
	struct inv_job job;
	int rc = inv_owe_nothing(inv, err);

	if (rc)
		return rc;
	while ((rc = inv_step(inv, st, err)) == 1) {
		rc = job_read(st, &job, err);
		if (rc)
			return rc;
		inv->walking++;
		rc = fn(&job, arg);
		inv->walking--;
		if (rc)
			return rc;
	}
	return rc;
}

int inventory_job_delete(struct inventory *inv, uint32_t job_id, uint32_t run_max,
			 struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_JOB_DELETE);
	int rc = inv_owe_nothing(inv, err);

	if (rc)
		return rc;
	inv_bind_i64(st, 1, job_id);
	inv_bind_i64(st, 2, run_max);
	return inv_run(inv, st, err);
}

int inventory_pin_put(struct inventory *inv, const struct inv_pin *pin, struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_PIN_PUT);
	int rc;

	inv_touched(inv, pin->tree);
	inv_bind_u64(st, 1, pin->tree);
	inv_bind_i64(st, 2, pin->uid);
	inv_bind_i64(st, 3, pin->until_s);
	inv_bind_text(st, 4, pin->reason);
	rc = inv_run(inv, st, err);
	return rc == -ENOENT ? larder_error_set(err, ENOENT, "there is no such tree to pin") : rc;
}

int inventory_pin_delete(struct inventory *inv, uint64_t tree, uint32_t uid,
			 struct larder_error *err)
{
	bool everybody = uid == UINT32_MAX;
	auto_stmt st = inv_stmt(inv, everybody ? INV_PIN_DELETE_ALL : INV_PIN_DELETE);

	inv_touched(inv, tree);
	inv_bind_u64(st, 1, tree);
	if (!everybody)
		inv_bind_i64(st, 2, uid);
	return inv_change(inv, st, "there is no such pin", err);
}

int inventory_pin_expire(struct inventory *inv, int64_t now_s, uint32_t *expired,
			 struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_PIN_EXPIRE);
	uint32_t n = 0;
	int rc;

	inv_bind_i64(st, 1, now_s);
	while ((rc = inv_step(inv, st, err)) == 1) {
		struct inv_row row = {.st = st};

		inv_touched(inv, inv_read_u64(&row));
		n++;
	}
	if (expired)
		*expired = rc ? 0 : n;
	return rc;
}

int inventory_pin_each(struct inventory *inv, uint64_t tree, inventory_pin_fn fn, void *arg,
		       struct larder_error *err)
{
	auto_stmt st = inv_stmt(inv, INV_PIN_EACH);
	struct inv_pin pin;
	int rc;

	inv_bind_u64(st, 1, tree);
	while ((rc = inv_step(inv, st, err)) == 1) {
		struct inv_row row = {.st = st};

		pin.tree = inv_read_u64(&row);
		pin.uid = inv_read_u32(&row);
		pin.until_s = inv_read_i64(&row);
		inv_read_text(&row, pin.reason, sizeof(pin.reason));
		rc = inv_read_end(&row, "pin", err);
		if (rc)
			return rc;
		inv->walking++;
		rc = fn(&pin, arg);
		inv->walking--;
		if (rc)
			return rc;
	}
	return rc;
}

int inventory_pin_count(struct inventory *inv, uint64_t tree, uint32_t *n, struct larder_error *err)
{
	return count_of(inv, INV_PIN_COUNT, tree, n, err);
}
