/*
 * Owns the preparation of a stage: what is there, what can be linked, what must be fetched.
 * Reserves nothing and transfers nothing. Begun by stage.c; the slow part runs on a worker.
 */
#include "server/stage_plan.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <utlist.h>

#include "larder/cleanup.h"
#include "server/dataset.h"

#define NO_GROUP                                                                                   \
	65534u /* of a publisher whom NSS does not know: its uid's number is some other group's */
#define TIER_BLOCK 4096u /* what a small file takes on the file systems that tiers are on */

/* The publisher's groups; NSS may block. One that NSS does not know has none. */
static int find_groups(struct stage_plan *plan)
{
	char buf[16384];
	struct passwd pw, *found = NULL;
	int n = 64;

	plan->as = (struct source_as){.uid = plan->tree.publisher,
				      .gid = plan->tree.publisher ? NO_GROUP : 0};
	if (getpwuid_r(plan->tree.publisher, &pw, buf, sizeof(buf), &found) || !found)
		return 0;
	for (int tries = 0; tries < 2; tries++) {
		free(plan->groups);
		plan->groups = calloc((size_t)n, sizeof(gid_t));
		if (!plan->groups)
			return larder_error_set(&plan->err, ENOMEM, "out of memory");
		if (getgrouplist(pw.pw_name, pw.pw_gid, plan->groups, &n) >= 0)
			break;
	}
	plan->as.gid = pw.pw_gid;
	plan->as.groups = plan->groups;
	plan->as.n_groups = (unsigned int)n;
	return 0;
}

static int open_files(struct stage_plan *plan)
{
	struct tree_key key = dataset_key(&plan->tree), base = dataset_key(&plan->base);
	struct larder_error ignored;
	int rc;

	if (plan->new_manifest_fd >= 0) {
		rc = tree_create(plan->tier, &key, plan->new_manifest_fd, &plan->err);
		if (rc)
			return rc;
	}
	rc = tree_open_manifest(plan->tier, &key, &plan->manifest_fd, &plan->err);
	if (rc)
		return rc;
	rc = larder_manifest_head_read(plan->manifest_fd, &plan->head, &plan->err);
	if (rc)
		return rc;
	if (plan->head.shards != plan->tree.shards ||
	    plan->head.bytes != plan->tree.bytes) /* bitmaps are of this size */
		return larder_error_set(
			&plan->err, EBADMSG,
			"the manifest of %s:%s is another than the one this node knows by its digest; publish it again",
			plan->tree.name, plan->tree.version);
	if (plan->has_base &&
	    tree_open_manifest(plan->tier, &base, &plan->base_manifest_fd, &ignored))
		plan->has_base = false; /* then everything is fetched */
	plan->digests_fd = tree_open_digests(plan->tier, &key);
	if (plan->has_base)
		plan->base_digests_fd = tree_open_digests(plan->tier, &base);
	return tree_sink_create(&(struct tree_sink_params){.tier = plan->tier,
							   .key = key,
							   .base = plan->has_base ? &base : NULL,
							   .durable = stage_durable,
							   .arg = plan},
				&plan->sink, &plan->err);
}

static void plan_run(struct work *work)
{
	struct stage_plan *plan = (struct stage_plan *)work;
	struct transfer_want want;

	plan->rc = find_groups(plan);
	if (!plan->rc)
		plan->rc = open_files(plan);
	if (plan->rc)
		return;
	want = (struct transfer_want){
		.manifest_fd = plan->manifest_fd,
		.base_manifest_fd = plan->base_manifest_fd,
		.digests_fd = plan->digests_fd,
		.base_digests_fd = plan->base_digests_fd,
		.present = plan->present,
		.subsets = (const char *const *)plan->subsets,
		.n_subsets = plan->n_subsets,
	};
	plan->rc = transfer_plan(&want, TIER_BLOCK, &plan->stop, &plan->sums, &plan->err);
	if (!plan->rc && plan->n_subsets && plan->sums.shards == 0)
		plan->rc = larder_error_set(&plan->err, ENOENT,
					    "no shard of %s:%s is in %s; name a part that it has",
					    plan->tree.name, plan->tree.version, plan->subsets[0]);
}

static void plan_done(struct work *work)
{
	stage_planned(((struct stage_plan *)work)->stage);
}

static bool subset_listed(const struct stage_plan *plan, const char *subset)
{
	for (unsigned int i = 0; i < plan->n_subsets; i++)
		if (larder_subset_covers(plan->subsets[i], subset))
			return true;
	return false;
}

static void subsets_forget(struct stage_plan *plan)
{
	for (unsigned int i = 0; i < plan->n_subsets; i++)
		free(plan->subsets[i]);
	free(plan->subsets);
	plan->subsets = NULL;
	plan->n_subsets = 0;
}

/* The union of what everybody wants; one who wants all makes it all. */
static int collect_subsets(struct stage_plan *plan, struct larder_error *err)
{
	struct interest *one;
	unsigned int n = 0;

	DL_FOREACH(plan->stage->interests, one)
	{
		one->planned = true;
		n++;
	}
	plan->subsets = calloc(n + 1, sizeof(char *));
	if (!plan->subsets)
		return larder_error_set(err, ENOMEM, "out of memory");
	DL_FOREACH(plan->stage->interests, one)
	{
		if (!one->subset) {
			subsets_forget(plan);
			return 0;
		}
		if (subset_listed(plan, one->subset))
			continue;
		plan->subsets[plan->n_subsets] = strdup(one->subset);
		if (!plan->subsets[plan->n_subsets])
			return larder_error_set(err, ENOMEM, "out of memory");
		plan->n_subsets++;
	}
	return 0;
}

static int load_present(struct stage_plan *plan, struct larder_error *err)
{
	uint64_t shards = plan->tree.shards;

	plan->present = calloc(shards / 8 + 1, 1);
	if (!plan->present)
		return larder_error_set(err, ENOMEM, "out of memory");
	return inventory_bitmap_load(plan->stage->d->inv, plan->tree.id, plan->present, shards,
				     err);
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

int stage_plan_begin(struct stage *stage, struct larder_error *err)
{
	struct stage_plan *plan = calloc(1, sizeof(*plan));
	struct larder_error ignored;

	if (!plan)
		return larder_error_set(err, ENOMEM, "out of memory");
	plan->work = (struct work){.run = plan_run, .done = plan_done};
	plan->d = stage->d;
	plan->stage = stage;
	plan->tier = stage->tier->tier;
	plan->tree = stage->tree;
	plan->new_manifest_fd = take_fd(&stage->manifest_fd);
	plan->manifest_fd = plan->base_manifest_fd = -1;
	plan->digests_fd = plan->base_digests_fd = -1;
	plan->has_base =
		!inventory_tree_base(stage->d->inv, stage->tree.tier, stage->tree.domain,
				     stage->tree.name, stage->tree.id, &plan->base, &ignored);
	if (load_present(plan, err) || collect_subsets(plan, err)) {
		stage_plan_destroy(stage->d, plan);
		return -err->code;
	}
	stage->plan = plan;
	worker_run(stage->d->workers, &plan->work);
	return 0;
}

/* Letting a sink go may wait for its committer's sync: a worker's. */
static void plan_let_go(struct work *work)
{
	struct stage_plan *plan = (struct stage_plan *)work;

	tree_sink_destroy(plan->sink);
	close_fd(plan->new_manifest_fd);
	close_fd(plan->manifest_fd);
	close_fd(plan->base_manifest_fd);
	close_fd(plan->digests_fd);
	close_fd(plan->base_digests_fd);
	larder_manifest_head_fini(&plan->head);
	subsets_forget(plan);
	free(plan->present);
	free(plan->groups);
}

static void free_if_done(struct stage_plan *plan)
{
	if (plan->gone && plan->letters == 0)
		free(plan);
}

/* Its sink is gone: no letter comes any more, but some may still be on their way. */
static void plan_gone(struct work *work)
{
	struct stage_plan *plan = (struct stage_plan *)work;

	plan->gone = true;
	free_if_done(plan);
}

void stage_plan_letter_read(struct stage_plan *plan)
{
	plan->letters--;
	free_if_done(plan);
}

void stage_plan_destroy(struct larderd *d, struct stage_plan *plan)
{
	if (!plan)
		return;
	plan->stage = NULL;
	plan->work = (struct work){.run = plan_let_go, .done = plan_gone};
	worker_run(d->workers, &plan->work);
}
