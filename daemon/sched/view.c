/*
 * Owns the copy of the fleet that an answer is made of. Must not keep the lock while rights are
 * looked into. Called by serve.c and explain.c, on the thread of a connection.
 */
#include "sched/view.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "sched/nodeset.h"

static void set_free(struct view_set *set)
{
	free(set->owner);
	free(set->name);
	free(set->label);
	free(set->digest);
	free(set->access);
	free(set->node);
	free(set->address);
	free(set->copies);
	free(set);
}

void fleet_view_fini(struct view *view)
{
	struct view_set *set, *tmp;

	HASH_ITER(hh, view->sets, set, tmp)
	{
		HASH_DEL(view->sets, set);
		set_free(set);
	}
}

static bool fits(const struct version *version, const char *pattern)
{
	char label[LARDER_NAME_MAX + LARDER_VERSION_MAX + 3];

	if (!*pattern)
		return true;
	snprintf(label, sizeof(label), "%s:%s", version->name, version->version);
	return fnmatch(pattern, version->name, 0) == 0 || fnmatch(pattern, label, 0) == 0;
}

static struct view_set *set_make(struct view *view, const struct version *version)
{
	struct view_set *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	set->owner = strdup(version->owner);
	set->name = strdup(version->name);
	set->digest = strdup(version->digest);
	set->access = strdup(version->access);
	if (asprintf(&set->label, "%s:%s", version->name, version->version) < 0)
		set->label = NULL;
	if (!set->owner || !set->name || !set->digest || !set->access || !set->label) {
		set_free(set);
		return NULL;
	}
	set->version = version;
	set->version_text = set->label + strlen(version->name) + 1;
	set->bytes = version->bytes;
	HASH_ADD_PTR(view->sets, version, set);
	return set;
}

static struct view_set *set_of(struct view *view, const struct version *version)
{
	struct view_set *set;

	HASH_FIND_PTR(view->sets, &version, set);
	return set ? set : set_make(view, version);
}

/* The node that is asked about rights: any that holds it and answers. */
static int note_node(struct view_set *set, const struct node *node)
{
	if (set->node || node->problem || !node->address)
		return 0;
	set->node = strdup(node->name);
	set->address = strdup(node->address);
	return set->node && set->address ? 0 : -ENOMEM;
}

static int add_copy(struct view_set *set, const struct node *node, const struct held *held)
{
	if (set->n == set->room) {
		unsigned int room = set->room ? set->room * 2 : 4;
		struct view_copy *copies = reallocarray(set->copies, room, sizeof(*copies));

		if (!copies)
			return -ENOMEM;
		set->copies = copies;
		set->room = room;
	}
	set->copies[set->n++] = (struct view_copy){.node = node,
						   .name = node->name,
						   .state = held->state,
						   .present_bytes = held->present_bytes,
						   .stage_ms = held->stage_ms,
						   .usable = node->usable,
						   .idle = node->idle};
	set->copies_bytes += held->present_bytes;
	set->leases += held->leases;
	set->ready += held->state == LARDER_TREE_READY;
	return note_node(set, node);
}

static int copy_node(const struct node *node, const char *pattern, struct view *view)
{
	for (unsigned int i = 0; i < node->n; i++) {
		const struct held *held = &node->held[i];
		struct view_set *set;

		if (!fits(held->version, pattern))
			continue;
		set = set_of(view, held->version);
		if (!set || add_copy(set, node, held))
			return -ENOMEM;
	}
	return 0;
}

static int by_text(const struct view_set *a, const struct view_set *b)
{
	int order = strcmp(a->name, b->name);

	if (!order)
		order = strcmp(a->label, b->label);
	if (!order)
		order = strcmp(a->owner, b->owner);
	return order ? order : strcmp(a->digest, b->digest);
}

static int drop_unseen(struct sched *sched, const struct viewer *viewer, struct view *view)
{
	auto_free struct sight *sights = calloc(HASH_COUNT(view->sets) + 1, sizeof(*sights));
	struct view_set *set, *tmp;
	size_t n = 0;

	if (!sights)
		return -ENOMEM;
	for (set = view->sets; set; set = set->hh.next)
		sights[n++] = (struct sight){.owner = set->owner,
					     .name = set->name,
					     .version = set->version_text,
					     .access = set->access,
					     .node = set->node,
					     .address = set->address};
	sights_look(sched, viewer, sights, n);
	n = 0;
	HASH_ITER(hh, view->sets, set, tmp)
	{
		if (sights[n++].visible)
			continue;
		HASH_DEL(view->sets, set);
		set_free(set);
	}
	return 0;
}

int fleet_view_make(struct sched *sched, const struct viewer *viewer, const char *pattern,
		    struct view *view)
{
	int rc = 0;

	*view = (struct view){0};
	sched_lock(sched);
	for (struct node *node = sched->model.nodes; node && !rc; node = node->hh.next)
		if (node->here)
			rc = copy_node(node, pattern, view);
	sched_unlock(sched);
	if (!rc)
		rc = drop_unseen(sched, viewer, view);
	if (rc)
		fleet_view_fini(view);
	else
		HASH_SORT(view->sets, by_text);
	return rc;
}

char *fleet_view_nodes(const struct view_set *set, bool ready_only)
{
	auto_free const char **names = calloc(set->n + 1, sizeof(*names));
	size_t n = 0;

	if (!names)
		return NULL;
	for (unsigned int i = 0; i < set->n; i++)
		if (!ready_only || set->copies[i].state == LARDER_TREE_READY)
			names[n++] = set->copies[i].name;
	return nodeset_fold(names, n);
}
