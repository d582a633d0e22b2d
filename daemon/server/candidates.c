/*
 * Owns the list of what could be evicted from a tier, as core/evict.h wants it: one walk over the
 * trees, with who holds them and which versions are superseded found beside it.
 * Chooses nothing and changes nothing. Called by evictor.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "larder/clock.h"
#include "server/advice.h"
#include "server/ahead.h"
#include "server/dataset.h"
#include "server/evictor.h"
#include "server/stage.h"

/* A candidate among those of its name. */
struct sibling {
	size_t at; /* in items */
	char domain[INV_DOMAIN_MAX + 1];
	bool ready;
	uint64_t id, last_seq, admitted_seq;
};

struct collect {
	struct larderd *d;
	const struct node_tier *tier;
	struct inv_hold *holds;
	size_t n_holds;
	struct evict_candidate *items;
	size_t n, room;
	struct sibling *siblings;
	size_t n_siblings, sibling_room;
	char name[LARDER_NAME_MAX + 1]; /* theirs */
};

enum evict_hold evictor_hold(struct larderd *d, const struct inv_tree *tree,
			     const struct inv_hold *hold)
{
	if (hold->leases)
		return EVICT_LEASED;
	if (hold->pins)
		return EVICT_PINNED;
	if (stage_uses(d, tree->id) || tree->state == LARDER_TREE_STAGING ||
	    evictor_trimming(d, tree->id))
		return EVICT_STAGING;
	return tree->origin[0] ? EVICT_FREE : EVICT_ONLY_COPY;
}

/* --- superseded: the site has a newer version of the same dataset here, admitted later */

/* The READY ones of a domain first, and of these the one used last. */
static int by_use(const void *a, const void *b)
{
	const struct sibling *x = a, *y = b;
	int domains = strcmp(x->domain, y->domain);

	if (domains)
		return domains;
	if (x->ready != y->ready)
		return x->ready ? -1 : 1;
	if (x->last_seq != y->last_seq)
		return x->last_seq > y->last_seq ? -1 : 1;
	return x->id > y->id ? -1 : x->id < y->id;
}

/* `first` and those behind it are of one domain: all but the first are compared with the first,
 * which is compared with the second. */
static size_t mark_domain(struct collect *c, size_t first)
{
	const struct sibling *all = c->siblings;
	size_t next = first;

	for (; next < c->n_siblings && !strcmp(all[next].domain, all[first].domain); next++) {
		size_t base = next == first ? first + 1 : first;

		if (base >= c->n_siblings || !all[base].ready ||
		    strcmp(all[base].domain, all[first].domain) != 0)
			continue;
		c->items[all[next].at].superseded =
			all[base].admitted_seq > all[next].admitted_seq &&
			all[base].last_seq > all[next].last_seq;
	}
	return next;
}

static void mark_superseded(struct collect *c)
{
	if (c->n_siblings > 1) {
		qsort(c->siblings, c->n_siblings, sizeof(*c->siblings), by_use);
		for (size_t first = 0; first < c->n_siblings;)
			first = mark_domain(c, first);
	}
	c->n_siblings = 0;
}

/* --- the walk, in the order of names */

static void *grown(void *items, size_t n, size_t *room, size_t size)
{
	void *more;

	if (n < *room)
		return items;
	more = reallocarray(items, *room ? *room * 2 : 64, size);
	if (more)
		*room = *room ? *room * 2 : 64;
	return more;
}

static int make_room(struct collect *c)
{
	void *items = grown(c->items, c->n, &c->room, sizeof(*c->items));
	void *siblings =
		items ? grown(c->siblings, c->n_siblings, &c->sibling_room, sizeof(*c->siblings))
		      : NULL;

	c->items = items ? items : c->items;
	c->siblings = siblings ? siblings : c->siblings;
	return siblings ? 0 : -ENOMEM;
}

static void add_sibling(struct collect *c, const struct inv_tree *tree)
{
	struct sibling *to = &c->siblings[c->n_siblings++];

	to->at = c->n;
	to->ready = tree->state == LARDER_TREE_READY;
	to->id = tree->id;
	to->last_seq = tree->last_seq;
	to->admitted_seq = tree->admitted_seq;
	memcpy(to->domain, tree->domain, sizeof(to->domain));
	memcpy(c->name, tree->name, sizeof(c->name));
}

static int collect_one(const struct inv_tree *tree, void *arg)
{
	struct collect *c = arg;
	struct evict_candidate *to;
	struct inv_hold hold;

	if (strcmp(tree->tier, c->tier->config->name) != 0 || tree->state == LARDER_TREE_EVICTING)
		return 0;
	if (c->n_siblings && strcmp(tree->name, c->name) != 0)
		mark_superseded(c);
	if (make_room(c))
		return -ENOMEM;
	add_sibling(c, tree);
	hold = inventory_hold_of(c->holds, c->n_holds, tree->id);
	to = &c->items[c->n++];
	*to = (struct evict_candidate){
		.id = tree->id,
		.hold = evictor_hold(c->d, tree, &hold),
		.failed = tree->state == LARDER_TREE_FAILED,
		.once = tree->once,
		.bytes = dataset_footprint(tree),
		.inodes = tree->present_shards,
		.present_shards = tree->present_shards,
		.stage_ms = tree->stage_ms,
		.uses = evict_decay(tree->uses, clock_s() - tree->last_use_s,
				    c->d->config.use_half_life / 1000),
		.last_seq = tree->last_seq,
		.admitted_seq = tree->admitted_seq,
		.hits = tree->hits,
		.base = tree->base,
		.admitted_s = tree->admitted_s,
		.last_lease_end_s = tree->last_lease_end_s,
		.copies = advice_copies(c->d, tree->id),
	};
	to->ahead = ahead_spare(c->d, tree, &to->planned);
	return 0;
}

int evictor_candidates(struct larderd *d, const struct node_tier *tier,
		       struct evict_candidate **out, size_t *n, struct larder_error *err)
{
	struct collect c = {.d = d, .tier = tier};
	int rc = inventory_holds(d->inv, &c.holds, &c.n_holds, err);

	if (!rc)
		rc = inventory_tree_each(d->inv, NULL, collect_one, &c, err);
	mark_superseded(&c);
	free(c.holds);
	free(c.siblings);
	if (rc) {
		free(c.items);
		return rc;
	}
	*out = c.items;
	*n = c.n;
	return 0;
}
