/*
 * Owns: the origins of a transfer: which kind, opened when first used, which is tried next.
 * Must not: read shards.
 * Called by: transfer.c, shard.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	/* the first that is of a known kind */
	while (!transfer->origins[transfer->preferred].ops)
		transfer->preferred++;
	return 0;
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
		item->retried = false;
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

void sources_worked(struct transfer *transfer, unsigned int origin)
{
	pthread_mutex_lock(&transfer->origin_lock);
	if (transfer->origins[transfer->preferred].rc)
		atomic_store(&transfer->preferred, origin);
	pthread_mutex_unlock(&transfer->origin_lock);
}
