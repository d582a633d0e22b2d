/*
 * Owns the merge: what a node is to have of ours, with what it has of the admin's. Pure.
 * Must never let a feature through that is not of our form, nor lose one that is not ours.
 * Called by publisher.c.
 */
#include "sched/wishes.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "sched/feature.h"
#include "sched/hash.h"

#define NODES_MAX	  65536
#define NODE_NAME_MAX	  255
#define FEATURES_TEXT_MAX (FEATURES_MAX * (FEATURE_MAX + 1))

struct wish {
	UT_hash_handle hh;
	char *ours;
	char node[];
};

struct wishes {
	struct wish *nodes;
	struct wish_group *groups;
	size_t n, room;
};

struct wishes *wishes_create(void)
{
	return calloc(1, sizeof(struct wishes));
}

void wishes_destroy(struct wishes *wishes)
{
	struct wish *wish, *tmp;

	if (!wishes)
		return;
	HASH_ITER(hh, wishes->nodes, wish, tmp)
	{
		HASH_DEL(wishes->nodes, wish);
		free(wish->ours);
		free(wish);
	}
	for (size_t i = 0; i < wishes->n; i++) {
		free(wishes->groups[i].features);
		free(wishes->groups[i].active);
		free(wishes->groups[i].nodes);
	}
	free(wishes->groups);
	free(wishes);
}

static bool is_node(const char *name)
{
	size_t len = strlen(name);

	if (!len || len > NODE_NAME_MAX || !isalnum((unsigned char)*name))
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("._-", *name))
			return false;
	return true;
}

static int check_features(const char *features, struct larder_error *err)
{
	unsigned int n = 0;

	if (strlen(features) > FEATURES_TEXT_MAX)
		return larder_error_set(err, E2BIG, "more than %d features for a node",
					FEATURES_MAX);
	for (const char *at = features; *at;) {
		size_t len = strcspn(at, ",");

		if (!feature_is_ours(at, len))
			return larder_error_set(err, EINVAL, "\"%.*s\" is no feature of ours",
						len < 200 ? (int)len : 200, at);
		if (++n > FEATURES_MAX)
			return larder_error_set(err, E2BIG, "more than %d features for a node",
						FEATURES_MAX);
		at += len;
		at += *at == ',';
	}
	return 0;
}

static int add_node(struct wishes *wishes, const char *node, const char *ours,
		    struct larder_error *err)
{
	struct wish *wish;
	char *copy = strdup(ours);

	HASH_FIND_STR(wishes->nodes, node, wish);
	if (!wish) {
		wish = copy && HASH_COUNT(wishes->nodes) < NODES_MAX
			       ? calloc(1, sizeof(*wish) + strlen(node) + 1)
			       : NULL;
		if (!wish) {
			free(copy);
			return larder_error_set(err, ENOMEM, "too many nodes");
		}
		strcpy(wish->node, node);
		HASH_ADD_STR(wishes->nodes, node, wish);
	}
	free(wish->ours);
	wish->ours = copy;
	return copy ? 0 : larder_error_set(err, ENOMEM, "out of memory");
}

static int check_nodes(char *nodes, struct larder_error *err)
{
	auto_free char *copy = strdup(nodes);
	char *rest = copy;

	if (!copy)
		return larder_error_set(err, ENOMEM, "out of memory");
	for (char *node; (node = strsep(&rest, ","));)
		if (!is_node(node))
			return larder_error_set(err, EINVAL, "\"%.200s\" is no name of a node",
						node);
	return 0;
}

int wishes_add(struct wishes *wishes, char *nodes, char *features, struct larder_error *err)
{
	int rc = check_features(features, err);

	if (!rc)
		rc = check_nodes(nodes, err);
	if (!rc && features_sort(features))
		rc = larder_error_set(err, ENOMEM, "out of memory");
	for (char *node; !rc && (node = strsep(&nodes, ","));)
		rc = add_node(wishes, node, features, err);
	return rc;
}

static struct wish_group *find_group(struct wishes *wishes, const char *features,
				     const char *active)
{
	for (size_t i = 0; i < wishes->n; i++)
		if (strcmp(wishes->groups[i].features, features) == 0 &&
		    strcmp(wishes->groups[i].active, active) == 0)
			return &wishes->groups[i];
	return NULL;
}

static struct wish_group *new_group(struct wishes *wishes, char **features, char **active)
{
	struct wish_group *group;

	if (wishes->n == wishes->room) {
		size_t room = wishes->room ? wishes->room * 2 : 16;

		group = reallocarray(wishes->groups, room, sizeof(*group));
		if (!group)
			return NULL;
		wishes->groups = group;
		wishes->room = room;
	}
	group = &wishes->groups[wishes->n++];
	*group = (struct wish_group){.features = take_ptr(features), .active = take_ptr(active)};
	return group;
}

static int join(struct wish_group *group, const char *node)
{
	if (group->n == group->room) {
		size_t room = group->room ? group->room * 2 : 4;
		const char **nodes = reallocarray(group->nodes, room, sizeof(*nodes));

		if (!nodes)
			return -ENOMEM;
		group->nodes = nodes;
		group->room = room;
	}
	group->nodes[group->n++] = node;
	return 0;
}

int wishes_have(struct wishes *wishes, const char *node, const char *features, const char *active,
		struct larder_error *err)
{
	auto_free char *all = NULL, *now = NULL, *in_all = features_ours(features),
		       *in_now = features_ours(active);
	struct wish_group *group;
	struct wish *wish;

	HASH_FIND_STR(wishes->nodes, node, wish);
	if (!in_all || !in_now)
		return larder_error_set(err, ENOMEM, "out of memory");
	if (!wish || (strcmp(in_all, wish->ours) == 0 && strcmp(in_now, wish->ours) == 0))
		return 0;
	all = features_merge(features, wish->ours);
	now = features_merge(active, wish->ours);
	if (!all || !now)
		return larder_error_set(err, ENOMEM, "out of memory");
	group = find_group(wishes, all, now);
	if (!group)
		group = new_group(wishes, &all, &now);
	if (!group || join(group, wish->node))
		return larder_error_set(err, ENOMEM, "out of memory");
	return 0;
}

const struct wish_group *wishes_groups(const struct wishes *wishes, size_t *n)
{
	*n = wishes->n;
	return wishes->groups;
}
