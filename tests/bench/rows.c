/*
 * Fills an inventory with trees that are READY, for the bench of scale: their rows only, since
 * neither a start nor a listing may look at the disk. Called by scale.sh while no larderd runs.
 *
 *   rows STATE-DIR TIER N
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "store/inventory.h"

static void describe(struct inv_tree *tree, const char *tier, unsigned int i)
{
	*tree = (struct inv_tree){
		.state = LARDER_TREE_READY,
		.owner = INV_OWNER_SITE,
		.shards = 1000,
		.bytes = 1u << 30,
		.present_shards = 1000,
		.present_bytes = 1u << 30,
		.uses = 1 + i % 7,
		.last_use_s = time(NULL) - i,
		.admitted_s = time(NULL) - i,
		.stage_ms = 1000,
	};
	snprintf(tree->tier, sizeof(tree->tier), "%s", tier);
	snprintf(tree->domain, sizeof(tree->domain), "p0-0000000000000000");
	snprintf(tree->name, sizeof(tree->name), "dataset-%05u", i / 3);
	snprintf(tree->version, sizeof(tree->version), "v%u", i % 3 + 1);
	snprintf(tree->digest, sizeof(tree->digest), "%032x", i);
	snprintf(tree->access, sizeof(tree->access), "public");
	snprintf(tree->origin, sizeof(tree->origin), "/archive/datasets/dataset-%05u/v%u", i / 3,
		 i % 3 + 1);
}

static int fill(struct inventory *inv, const char *tier, unsigned int n, struct larder_error *err)
{
	int rc = inventory_begin(inv, err);

	for (unsigned int i = 0; i < n && !rc; i++) {
		struct inv_tree tree;

		describe(&tree, tier, i);
		rc = inventory_tree_insert(inv, &tree, err);
	}
	return rc ? rc : inventory_commit(inv, err);
}

int main(int argc, char **argv)
{
	struct inventory *inv = NULL;
	struct larder_error err = {0};
	int rc;

	if (argc != 4) {
		fprintf(stderr, "usage: rows STATE-DIR TIER N\n");
		return 2;
	}
	rc = inventory_open(argv[1], true, &inv, &err);
	if (!rc)
		rc = fill(inv, argv[2], (unsigned int)strtoul(argv[3], NULL, 10), &err);
	if (rc)
		fprintf(stderr, "rows: %s\n", err.text);
	inventory_close(inv);
	return rc ? 1 : 0;
}
