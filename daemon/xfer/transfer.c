/*
 * Owns: a transfer from start to done(): its turns and its end; queue.c has what waits.
 * Must not: know threads; pool.c says whose turn it is.
 * Called by: the server (start, cancel, progress, destroy) and the pool's threads.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xfer/internal.h"

static void free_list(char **list, unsigned int n)
{
	for (unsigned int i = 0; list && i < n; i++)
		free(list[i]);
	free(list);
}

static char **copy_list(const char *const *list, unsigned int n)
{
	char **copy = calloc(n + 1, sizeof(*copy));

	for (unsigned int i = 0; copy && i < n; i++) {
		copy[i] = strdup(list[i]);
		if (!copy[i]) {
			free_list(copy, n);
			return NULL;
		}
	}
	return copy;
}

/* What a thread may still look at when the caller's own copy is gone. */
static int copy_params(struct transfer *transfer, const struct transfer_params *params)
{
	size_t groups = params->as.n_groups * sizeof(gid_t);

	transfer->params = *params;
	transfer->urls = copy_list(params->origins, params->n_origins);
	transfer->subsets = copy_list(params->want.subsets, params->want.n_subsets);
	transfer->groups = malloc(groups ? groups : 1);
	if (!transfer->urls || !transfer->subsets || !transfer->groups)
		return -ENOMEM;
	if (groups)
		memcpy(transfer->groups, params->as.groups, groups);
	transfer->params.as.groups = transfer->groups;
	transfer->params.origins = NULL; /* urls */
	transfer->params.want.subsets = (const char *const *)transfer->subsets;
	return 0;
}

int transfer_start(struct xfer_pool *pool, const struct source_ops *const *ops,
		   const struct transfer_params *params, struct transfer **out,
		   struct larder_error *err)
{
	struct transfer *transfer;
	int rc;

	if (!params->n_origins || params->n_origins > LARDER_ORIGINS_MAX)
		return larder_error_set(err, EINVAL, "a transfer needs 1 to %d origins, not %u",
					LARDER_ORIGINS_MAX, params->n_origins);
	transfer = calloc(1, sizeof(*transfer));
	if (!transfer)
		return larder_error_set(err, ENOMEM, "no memory for a transfer");
	transfer->pool = pool;
	pthread_mutex_init(&transfer->origin_lock, NULL);
	pthread_mutex_init(&transfer->mirror_lock, NULL);
	rc = copy_params(transfer, params);
	if (rc)
		larder_error_set(err, rc, "no memory for a transfer");
	if (!rc)
		rc = sources_init(transfer, ops, err);
	atomic_store(&transfer->engine, "");
	if (!rc) {
		*out = transfer; /* before a thread can call done() */
		rc = pool_add(pool, transfer);
		if (rc)
			larder_error_set(err, rc, "the daemon is going down");
	}
	if (rc) {
		*out = NULL;
		transfer_destroy(transfer);
	}
	return rc;
}

void transfer_destroy(struct transfer *transfer)
{
	if (!transfer)
		return;
	sources_close(transfer);
	want_close(transfer->stream);
	free(transfer->origins);
	free_list(transfer->urls, transfer->params.n_origins);
	free_list(transfer->subsets, transfer->params.want.n_subsets);
	free(transfer->groups);
	free(transfer->bad);
	pthread_mutex_destroy(&transfer->origin_lock);
	pthread_mutex_destroy(&transfer->mirror_lock);
	free(transfer);
}

void transfer_cancel(struct transfer *transfer)
{
	atomic_store(&transfer->halt, true);
	pool_wake(transfer->pool);
}

void transfer_progress_get(const struct transfer *transfer, struct transfer_progress *progress)
{
	static const char *const phases[] = {
		[PHASE_COPYING] = "copying",
		[PHASE_SYNCING] = "syncing",
		[PHASE_DONE] = "done",
	};

	*progress = (struct transfer_progress){
		.done_shards = atomic_load(&transfer->done_shards),
		.done_bytes = atomic_load(&transfer->done_bytes),
		.origin_bytes = atomic_load(&transfer->origin_bytes),
		.linked_bytes = atomic_load(&transfer->linked_bytes),
		.digest_mismatches = atomic_load(&transfer->digest_mismatches),
		.origin_errors = atomic_load(&transfer->origin_errors),
		.phase = phases[atomic_load(&transfer->phase)],
	};
	pair_say(transfer, progress->engine, sizeof(progress->engine));
}

const char *transfer_bad_shard(const struct transfer *transfer)
{
	return transfer->bad ? transfer->bad : "";
}

void transfer_fail(struct transfer *transfer, const struct item *item, int rc,
		   const struct larder_error *err)
{
	pool_lock(transfer->pool);
	transfer->dropped = true;
	if (!transfer->rc) {
		transfer->rc = rc;
		transfer->err = *err;
		if (item && rc == -EBADMSG)
			transfer->bad = strdup(item->shard.path);
	}
	pool_unlock(transfer->pool);
	atomic_store(&transfer->halt, true);
}

void transfer_arrived(struct transfer *transfer, struct item *item, int rc,
		      const unsigned char *data, struct larder_error *err)
{
	rc = item_arrived(transfer, item, rc, data, err);
	if (rc == 1) {
		transfer_put_back(transfer, item);
		return;
	}
	if (rc < 0)
		transfer_fail(transfer, item, rc, err);
	item_free(item);
}

/* Many small ones on this thread, where their origin can. 1: it is not for a flow. */
static int try_flow(struct transfer *transfer, struct lane *lane, struct item *item)
{
	struct larder_error ignored = {0};
	struct source *source;

	if (!item->flows)
		return 1;
	item->origin = sources_choose(transfer, item);
	if (sources_get(transfer, item->origin, &source, &ignored) || !source->ops->fetch_many)
		return 1;
	return flow_run(lane, transfer, item, source) ? 1 : 0;
}

void transfer_run_one(struct transfer *transfer, struct lane *lane, struct item *item)
{
	struct larder_error err = {0};
	int rc = item_run(lane, transfer, item, &err);

	if (rc < 0)
		transfer_fail(transfer, item, rc, &err);
	if (rc == 1)
		transfer_put_back(transfer, item);
	else
		item_free(item);
}

void transfer_drop_one(struct transfer *transfer, struct item *item)
{
	item_free(item);
	pool_lock(transfer->pool);
	transfer->dropped = true;
	pool_unlock(transfer->pool);
}

void transfer_run(struct transfer *transfer, struct lane *lane, struct item *item)
{
	bool large = item->large, flows = item->flows;

	if (try_flow(transfer, lane, item) == 1)
		batch_run(transfer, lane, item);
	pool_lock(transfer->pool);
	transfer->running--;
	if (large)
		transfer->large_running--;
	if (flows)
		transfer->flows--;
	pool_unlock(transfer->pool);
}

void transfer_drop(struct transfer *transfer, struct item *list)
{
	struct xfer_pool *pool = transfer->pool;

	while (list) {
		struct item *item = list;

		list = item->next;
		item_free(item);
	}
	pool_lock(pool);
	transfer->running--;
	pool_unlock(pool);
}

/* Whatever was given to the sink shall become durable, also after a failure; not when nobody
 * wants it any more and is waiting for us to stop. */
static int flush(struct transfer *transfer, int rc, struct larder_error *err)
{
	struct sink *sink = transfer->params.sink;
	struct larder_error why = {0};
	int flushed;

	if (rc == -ECANCELED)
		return rc;
	atomic_store(&transfer->phase, PHASE_SYNCING);
	flushed = sink->ops->flush(sink, &why);
	if (!rc && flushed)
		*err = why;
	return rc ? rc : flushed;
}

void transfer_finish(struct transfer *transfer)
{
	void (*done)(int rc, const struct larder_error *err, void *arg) = transfer->params.done;
	void *arg = transfer->params.arg;
	struct larder_error err;
	int rc;

	pool_lock(transfer->pool);
	rc = transfer->rc;
	err = transfer->err;
	if (!rc && (transfer->dropped || !transfer->fed))
		rc = larder_error_set(&err, ECANCELED, "the transfer was cancelled");
	pool_unlock(transfer->pool);
	rc = flush(transfer, rc, &err);
	sources_close(transfer);
	want_close(transfer->stream);
	transfer->stream = NULL;
	atomic_store(&transfer->phase, PHASE_DONE);
	pool_remove(transfer->pool, transfer);
	done(rc, &err, arg); /* it may destroy the transfer */
}
