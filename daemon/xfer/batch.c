/*
 * Owns: small shards that a thread takes together: all are opened, their reads go out at once, and
 * then each is digested, written and given to the sink.
 * Must not: decide about a failure: what did not come whole is read again by itself (shard.c).
 * Called by: transfer.c.
 *
 * A shard of a batch that must be read again (it had not come whole, or was damaged) needs the
 * thread's memory: then the rest of the batch is read again, too.
 */
#include "xfer/internal.h"

static unsigned int lay_out(struct lane *lane, struct item *const *batch, unsigned int n,
			    struct engine_whole *wholes, struct item **whose)
{
	unsigned char *into = lane->memory.base;
	unsigned int count = 0;

	for (unsigned int i = 0; i < n; i++) {
		if (batch[i]->in < 0)
			continue; /* it fails, or has no descriptor, in a turn of its own */
		wholes[count] = engine_whole_of(batch[i]->in, batch[i]->shard.size, &into);
		whose[count++] = batch[i];
	}
	return count;
}

/* Past the page cache what is not in it; other file systems know better how to read ahead. */
static void read_all(struct lane *lane, struct item *const *batch, unsigned int n)
{
	struct engine_whole wholes[BATCH_MAX];
	struct item *whose[BATCH_MAX];
	unsigned int count = lay_out(lane, batch, n, wholes, whose);
	bool deep = count && engine_on_block_device(wholes[0].in);
	struct larder_error ignored;
	struct engine *engine;

	if (!count || lane_engine(lane, deep, &engine, &ignored))
		return;
	if (deep && engine->ops == &engine_uring)
		engine_read_past(engine, wholes, count);
	else
		engine->ops->read_wholes(engine, wholes, count);
	lane->spoilt = false;
	for (unsigned int i = 0; i < count; i++)
		if (wholes[i].got == (ssize_t)wholes[i].size)
			whose[i]->data = wholes[i].into;
}

void batch_run(struct transfer *transfer, struct lane *lane, struct item *item)
{
	struct item *batch[BATCH_MAX] = {item};
	unsigned int n = transfer_take_more(transfer, batch, lane->memory.block * lane->memory.n);

	for (unsigned int i = 0; n > 1 && i < n && !atomic_load(&transfer->halt); i++)
		item_begin(transfer, batch[i]);
	if (n > 1 && !atomic_load(&transfer->halt))
		read_all(lane, batch, n);
	for (unsigned int i = 0; i < n; i++) {
		if (lane->spoilt)
			batch[i]->data = NULL;
		if (i > 0 && atomic_load(&transfer->halt))
			transfer_drop_one(transfer, batch[i]);
		else
			transfer_run_one(transfer, lane, batch[i]);
	}
}
