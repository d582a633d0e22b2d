/*
 * Owns: the origins of a transfer: which kind, opened when first used, which is tried next.
 * Must not: read shards.
 * Called by: transfer.c, shard.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/clock.h"
#include "xfer/internal.h"

static const struct source_ops *kind_of(const struct source_ops *const *ops, const char *url)
{
	for (; *ops; ops++) {
		if ((*ops)->owns(url))
			return *ops;
	}
	return NULL;
}

int sources_init(struct transfer *transfer, const struct source_ops *const *ops,
		 struct larder_error *err)
{
	unsigned int known = 0;

	transfer->n_origins = transfer->params.n_origins;
	transfer->origins = calloc(transfer->n_origins, sizeof(*transfer->origins));
	if (!transfer->origins)
		return larder_error_set(err, ENOMEM, "no memory for a transfer");
	for (unsigned int i = 0; i < transfer->n_origins; i++) {
		struct origin_slot *slot = &transfer->origins[i];

		slot->url = transfer->urls[i];
		slot->ops = kind_of(ops, slot->url);
		slot->record.usable = slot->ops != NULL;
		if (slot->ops)
			known++;
		else
			slot->rc =
				larder_error_set(&slot->err, EOPNOTSUPP,
						 "this larderd knows no origin like %s", slot->url);
	}
	if (!known)
		return larder_error_set(err, EOPNOTSUPP, "this larderd knows no origin like %s",
					transfer->urls[0]);
	transfer->streams = transfer->origins[sources_choose(transfer, NULL)].ops->fetch_many;
	return 0;
}

static void give_up(struct transfer *transfer, struct origin_slot *slot)
{
	pthread_mutex_lock(&transfer->mirror_lock);
	slot->record.usable = false;
	pthread_mutex_unlock(&transfer->mirror_lock);
}

int sources_get(struct transfer *transfer, unsigned int origin, struct source **source,
		struct larder_error *err)
{
	struct origin_slot *slot = &transfer->origins[origin];
	int rc;

	pthread_mutex_lock(&transfer->origin_lock);
	if (!slot->source && !slot->rc)
		slot->rc = slot->ops->open(slot->url, &transfer->params.as,
					   transfer->params.options ? transfer->params.options
								    : pool_options(transfer->pool),
					   &slot->source, &slot->err);
	rc = slot->rc;
	if (rc)
		give_up(transfer, slot);
	if (rc && err)
		*err = slot->err;
	*source = slot->source;
	pthread_mutex_unlock(&transfer->origin_lock);
	return rc;
}

void sources_close(struct transfer *transfer)
{
	for (unsigned int i = 0; transfer->origins && i < transfer->n_origins; i++) {
		struct origin_slot *slot = &transfer->origins[i];

		if (slot->source)
			slot->ops->close(slot->source);
		slot->source = NULL;
	}
}

/* --- which one, and how they do */

static void copy_mirrors(struct transfer *transfer, struct mirror *mirrors)
{
	pthread_mutex_lock(&transfer->mirror_lock);
	for (unsigned int i = 0; i < transfer->n_origins; i++)
		mirrors[i] = transfer->origins[i].record;
	pthread_mutex_unlock(&transfer->mirror_lock);
}

static unsigned int choose(struct transfer *transfer)
{
	struct mirror mirrors[LARDER_ORIGINS_MAX];
	unsigned int i;

	if (transfer->n_origins == 1)
		return 0;
	copy_mirrors(transfer, mirrors);
	i = mirror_choose(mirrors, transfer->n_origins);
	while (!transfer->origins[i].ops) /* none can be had: the sentence is any known kind's */
		i = (i + 1) % transfer->n_origins;
	return i;
}

unsigned int sources_choose(struct transfer *transfer, const struct item *item)
{
	return item && (item->tried || item->retried || item->rescued) ? item->origin
								       : choose(transfer);
}

void sources_begin(struct transfer *transfer, struct item *item)
{
	if (item->chosen)
		return;
	item->chosen = true;
	item->began_ms = clock_mono_ms();
	pthread_mutex_lock(&transfer->mirror_lock);
	transfer->origins[item->origin].record.running++;
	pthread_mutex_unlock(&transfer->mirror_lock);
}

void sources_end(struct transfer *transfer, struct item *item, int rc)
{
	struct origin_slot *slot = &transfer->origins[item->origin];
	struct mirror *mirror = &slot->record;
	uint64_t ms = (uint64_t)(clock_mono_ms() - item->began_ms);

	if (!item->chosen)
		return;
	item->chosen = false;
	pthread_mutex_lock(&transfer->mirror_lock);
	mirror->running--;
	if (!rc) {
		mirror->bytes += item->shard.size;
		mirror->shards++;
		mirror->busy_ms += ms;
		mirror->failed = 0;
		slot->kept_bytes += item->shard.size;
		slot->kept_shards++;
		slot->kept_ms += ms;
	} else if (rc == -EREMCHG) { /* slow, which is proved now */
		mirror->bytes += item->paced_bytes;
		mirror->shards += MIRROR_PROVED_SHARDS;
		mirror->busy_ms += ms;
	} else if (rc != -ECANCELED && item->side == ENGINE_SOURCE) {
		mirror->failed++;
	}
	pthread_mutex_unlock(&transfer->mirror_lock);
}

int sources_pace(struct transfer *transfer, struct item *item, uint64_t bytes)
{
	struct mirror mirrors[LARDER_ORIGINS_MAX];
	unsigned int n = transfer->n_origins, other;

	if (n == 1 || item->rescued)
		return 0;
	copy_mirrors(transfer, mirrors);
	for (unsigned int i = 0; i < n; i++)
		if (item->tried >> i & 1)
			mirrors[i].usable = false;
	other = mirror_rescue(mirrors, n, item->origin, bytes, item->shard.size,
			      (uint64_t)(clock_mono_ms() - item->began_ms));
	if (other == n)
		return 0;
	item->rescued = true;
	item->next_origin = other;
	item->paced_bytes = bytes;
	return -EREMCHG;
}

bool transfer_source_get(struct transfer *transfer, unsigned int n, struct transfer_source *source)
{
	const struct origin_slot *slot;

	if (n >= transfer->n_origins)
		return false;
	slot = &transfer->origins[n];
	pthread_mutex_lock(&transfer->mirror_lock);
	*source = (struct transfer_source){.origin = slot->url,
					   .bytes = slot->kept_bytes,
					   .shards = slot->kept_shards,
					   .busy_ms = slot->kept_ms};
	pthread_mutex_unlock(&transfer->mirror_lock);
	return true;
}

/* --- after a failure */

static void remember_first(struct item *item, const struct larder_error *err)
{
	if (item->first || !err)
		return;
	item->first = malloc(sizeof(*item->first));
	if (item->first)
		*item->first = *err;
}

bool sources_next(struct transfer *transfer, struct item *item, int *rc, struct larder_error *err)
{
	item->tried |= 1u << item->origin;
	remember_first(item, err);
	for (unsigned int i = 0; i < transfer->n_origins; i++) {
		if (item->tried >> i & 1 || !transfer->origins[i].ops)
			continue;
		item->origin = i;
		item->retried = *rc == -EBADMSG;
		return true;
	}
	if (item->first && transfer->n_origins > 1) {
		size_t len = strlen(item->first->text);

		*err = *item->first;
		*rc = -err->code;
		snprintf(err->text + len, sizeof(err->text) - len,
			 " (the other origins failed, too)");
	}
	return false;
}
