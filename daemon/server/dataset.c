/*
 * Owns nothing: small questions about trees, their names, keys and domains.
 * Must not change anything. Asked by every other part of the server.
 */
#include "server/dataset.h"

#include <stdio.h>
#include <string.h>

#include "core/digest.h"
#include "core/quota.h"

const char *dataset_label(const struct inv_tree *tree, char *buf)
{
	snprintf(buf, DATASET_LABEL_MAX, "%s:%s", tree->name, tree->version);
	return buf;
}

struct tree_key dataset_key(const struct inv_tree *tree)
{
	return (struct tree_key){tree->domain, tree->name, tree->version, tree->digest};
}

uint64_t dataset_footprint_of(uint64_t present_bytes, uint64_t present_shards)
{
	return quota_footprint(present_bytes, present_shards, 4096);
}

uint64_t dataset_footprint(const struct inv_tree *tree)
{
	return dataset_footprint_of(tree->present_bytes, tree->present_shards);
}

struct node_tier *dataset_tier(struct larderd *d, const char *name)
{
	for (unsigned int i = 0; i < d->config.n_tiers; i++)
		if (!strcmp(d->tiers[i].config->name, name))
			return d->tiers[i].tier ? &d->tiers[i] : NULL;
	return NULL;
}

static void copy_text(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from ? from : "");
}

void dataset_describe(const struct larder_spec *spec, const struct larder_manifest_head *head,
		      uid_t uid, struct inv_tree *tree)
{
	*tree = (struct inv_tree){
		.state = LARDER_TREE_STAGING,
		.publisher = head->publisher,
		.shards = head->shards,
		.bytes = head->bytes,
		.first_use = head->first_use,
	};
	copy_text(tree->name, sizeof(tree->name), head->name);
	copy_text(tree->version, sizeof(tree->version), head->version);
	copy_text(tree->digest, sizeof(tree->digest), head->digest);
	copy_text(tree->origin, sizeof(tree->origin), head->n_origins ? head->origins[0] : "");
	larder_access_format(&head->access, tree->access, sizeof(tree->access));
	if (spec->kind == LARDER_SPEC_OWN) {
		/* as the user wrote it: with the braces or the list */
		copy_text(tree->origin, sizeof(tree->origin), spec->origin);
		tree->owner = uid;
		tree->publisher = uid;
		snprintf(tree->domain, sizeof(tree->domain), "u%u", uid);
	} else {
		struct digest access = digest_of(tree->access, strlen(tree->access));

		tree->owner = INV_OWNER_SITE;
		snprintf(tree->domain, sizeof(tree->domain), "p%u-%016llx", head->publisher,
			 (unsigned long long)access.hi);
	}
}
