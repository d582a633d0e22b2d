/*
 * Owns the emptying of each tier's trash: one worker's job at a time, slow while nobody waits.
 * Unlinks nothing itself (store/ does). Started by the evictor, at start and by `larder gc`.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log/log.h"
#include "server/dataset.h"
#include "server/evictor.h"
#include "server/space.h"
#include "server/trimmer.h"

struct trash_job {
	struct work work;
	struct larderd *d;
	struct node_tier *tier;
	uint64_t leaving_bytes, leaving_inodes; /* that were on their way when it began */
	uint64_t freed;
	int rc;
	struct larder_error err;
};

static void trash_run(struct work *work)
{
	struct trash_job *job = (struct trash_job *)work;

	job->rc = trash_empty(job->tier->tier, &job->tier->trash_rate, &job->tier->trash_stop,
			      &job->freed, &job->err);
}

struct claimed {
	const struct node_tier *tier;
	uint64_t bytes;
};

static int add_claimed(const struct inv_tree *tree, void *arg)
{
	struct claimed *claimed = arg;

	if (tree->state == LARDER_TREE_EVICTING && !strcmp(tree->tier, claimed->tier->config->name))
		claimed->bytes += dataset_footprint(tree);
	return 0;
}

uint64_t evictor_claimed_bytes(struct larderd *d, const struct node_tier *tier)
{
	struct claimed claimed = {.tier = tier, .bytes = trimmer_bytes(d, tier)};
	struct larder_error ignored;

	inventory_tree_each(d->inv, NULL, add_claimed, &claimed, &ignored);
	return claimed.bytes;
}

static void trash_done(struct work *work)
{
	struct trash_job *job = (struct trash_job *)work;
	struct node_tier *tier = job->tier;
	struct larderd *d = job->d;
	int rc = job->rc;

	tier->trash = NULL;
	inventory_count(d->inv, INV_COUNTER_freed_bytes, job->freed);
	if (rc)
		log_event(LOG_LEVEL_ERR, "trash.failed", "tier=%s error=\"%s\"", tier->config->name,
			  job->err.text);
	else
		log_event(LOG_LEVEL_INFO, "trash.emptied", "tier=%s freed_bytes=%llu",
			  tier->config->name, (unsigned long long)job->freed);
	free(job);
	if (tier->trash_stop)
		return;
	if (!rc && !trash_is_empty(tier->tier)) {
		evictor_empty_trash(d, tier, false);
		return;
	}
	tier->leaving_bytes = evictor_claimed_bytes(d, tier);
	tier->leaving_inodes = 0;
	space_changed(d, tier);
}

void evictor_empty_trash(struct larderd *d, struct node_tier *tier, bool hurry)
{
	struct trash_job *job;

	if (hurry || !tier->trash)
		tier->trash_rate = hurry ? 0 : d->config.trash_files_per_s;
	if (tier->trash || tier->trash_stop || trash_is_empty(tier->tier))
		return;
	job = calloc(1, sizeof(*job));
	if (!job)
		return; /* the timer comes again */
	*job = (struct trash_job){
		.d = d, .tier = tier, .work = {.run = trash_run, .done = trash_done}};
	tier->trash = job;
	worker_run(d->slow, &job->work);
}

void evictor_close(struct larderd *d)
{
	for (unsigned int i = 0; d->tiers && i < d->config.n_tiers; i++)
		d->tiers[i].trash_stop = true;
}
