/*
 * Plans: what would be done and what room it needs, from manifests alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "larder/cleanup.h"
#include "origin/origins.h"
#include "xfer_help.h"

struct planning {
	struct world world;
	struct transfer_want want;
	struct transfer_plan plan;
	struct larder_error err;
};

static void planning_open(struct planning *p)
{
	memset(p, 0, sizeof(*p));
	world_open(&p->world);
	p->want = (struct transfer_want){.manifest_fd = -1, .base_manifest_fd = -1};
}

static void planning_close(struct planning *p)
{
	if (p->want.manifest_fd >= 0)
		close(p->want.manifest_fd);
	if (p->want.base_manifest_fd >= 0)
		close(p->want.base_manifest_fd);
	world_close(&p->world);
}

static void plan_now(struct planning *p)
{
	if (transfer_plan(&p->want, 4096, NULL, &p->plan, &p->err))
		fail_msg("%s", p->err.text);
}

static void test_counts(void **state)
{
	struct planning p;
	struct stat st;

	(void)state;
	planning_open(&p);
	world_file(p.world.origin, "a/b/one", 1, 1);
	world_file(p.world.origin, "a/b/two", 4096, 1);
	world_file(p.world.origin, "a/c/three", 4097, 1);
	world_file(p.world.origin, "a.x", 0, 1);
	world_link(p.world.origin, "d/l", "../a");
	world_dir(p.world.origin, "e");
	p.want.manifest_fd = world_manifest(&p.world, p.world.origin);
	plan_now(&p);
	assert_int_equal(p.plan.shards, 6);
	assert_int_equal(p.plan.bytes, 8194);
	assert_int_equal(p.plan.fetch_shards, 3);
	assert_int_equal(p.plan.fetch_bytes, 8194);
	assert_int_equal(p.plan.link_shards + p.plan.present_shards, 0);
	/* 3 files, an empty one, a symlink, e; a, a/b, a/c, d; the tree's 4 and its manifest */
	assert_int_equal(p.plan.inodes, 6 + 4 + 5);
	assert_int_equal(fstat(p.want.manifest_fd, &st), 0);
	/* files 4, dirs 5, tree 4, manifest 1, names 1 */
	assert_int_equal(p.plan.disk_bytes, (4 + 5 + 4 + 1 + 1) * 4096);
	assert_true(st.st_size < 4096);
	planning_close(&p);
}

static void test_base_present_and_subset(void **state)
{
	const char *subsets[] = {"in"};
	uint8_t present[1] = {0};
	struct planning p;
	char base[400];

	(void)state;
	planning_open(&p);
	snprintf(base, sizeof(base), "%s/base", p.world.dir);
	assert_int_equal(mkdir(base, 0755), 0);
	world_file(base, "in/changed", 100, 1);
	world_file(base, "in/same", 200, 2);
	world_file(base, "in/zgone", 200, 2);
	world_file(base, "out", 400, 3);
	p.want.base_manifest_fd = world_manifest(&p.world, base);
	world_file(p.world.origin, "in/changed", 100, 9); /* 0 */
	world_file(p.world.origin, "in/new", 300, 9);	  /* 1 */
	world_file(p.world.origin, "in/same", 200, 2);	  /* 2 */
	world_file(p.world.origin, "in/there", 500, 5);	  /* 3: present */
	world_file(p.world.origin, "out", 400, 3);	  /* 4 */
	p.want.manifest_fd = world_manifest(&p.world, p.world.origin);
	present[0] = 1u << 3;
	p.want.present = present;
	p.want.subsets = subsets;
	p.want.n_subsets = 1;
	plan_now(&p);
	assert_int_equal(p.plan.shards, 4);
	assert_int_equal(p.plan.bytes, 1100);
	assert_int_equal(p.plan.present_shards, 1);
	assert_int_equal(p.plan.present_bytes, 500);
	assert_int_equal(p.plan.link_shards, 1);
	assert_int_equal(p.plan.link_bytes, 200);
	assert_int_equal(p.plan.fetch_shards, 2);
	assert_int_equal(p.plan.fetch_bytes, 400);
	p.want.n_subsets = 0;
	plan_now(&p);
	assert_int_equal(p.plan.shards, 5);
	assert_int_equal(p.plan.link_shards, 2);
	planning_close(&p);
}

/* Sums are of the manifest: no byte of what it lists needs to exist. */
static int huge_manifest(struct world *w, uint64_t size, unsigned int n)
{
	struct larder_manifest_head head = {.name = "d", .version = "v", .n_origins = 1};
	struct manifest_writer *writer = NULL;
	struct larder_error err = {0};
	int fd = world_tmp(w);

	head.origins[0] = w->origin;
	assert_int_equal(manifest_writer_create(fd, &head, &writer, &err), 0);
	for (unsigned int i = 0; i < n; i++) {
		char path[32];
		struct shard shard = {.type = SHARD_FILE, .size = size, .mode = 0644, .path = path};

		shard.digest =
			digest_of("", 0); /* what empty files must have; for others, any will do */
		snprintf(path, sizeof(path), "%03u/%06u", i / 1000, i);
		assert_int_equal(manifest_writer_add(writer, &shard, &err), 0);
	}
	assert_int_equal(manifest_writer_finish(writer, NULL, &err), 0);
	manifest_writer_destroy(writer);
	return fd;
}

static void test_the_largest_sums(void **state)
{
	struct planning p;

	(void)state;
	planning_open(&p);
	p.want.manifest_fd = huge_manifest(&p.world, INT64_MAX / 2, 2);
	plan_now(&p);
	assert_true(p.plan.bytes == (uint64_t)INT64_MAX - 1);
	assert_true(p.plan.disk_bytes > p.plan.bytes);
	planning_close(&p);
}

static void test_many_and_stop(void **state)
{
	const _Atomic bool stop = true;
	struct planning p;

	(void)state;
	planning_open(&p);
	p.want.manifest_fd = huge_manifest(&p.world, 5000, 100000);
	plan_now(&p);
	assert_int_equal(p.plan.fetch_shards, 100000);
	assert_int_equal(p.plan.inodes, 100000 + 100 + 5);
	assert_true(p.plan.disk_bytes >= 100000ull * 8192);
	assert_true(p.plan.disk_bytes < 100000ull * 8192 / 100 * 103);
	assert_int_equal(transfer_plan(&p.want, 4096, &stop, &p.plan, &p.err), -ECANCELED);
	planning_close(&p);
}

/* A transfer of them all: the manifest is read as the queue empties. */
static void test_many_are_streamed(void **state)
{
	struct xfer_pool *pool = small_pool(false, 2);
	struct transfer_params params = {.n_origins = 1, .done = outcome_done};
	struct transfer_progress progress;
	struct transfer *transfer;
	struct outcome outcome;
	struct test_sink sink;
	struct planning p;
	const char *list[1];

	(void)state;
	planning_open(&p);
	p.want.manifest_fd = huge_manifest(&p.world, 0, 100000);
	test_sink_init(&sink, p.world.tree);
	sink.nowhere = true;
	outcome_init(&outcome);
	list[0] = p.world.origin;
	params.want = p.want;
	params.origins = list;
	params.sink = &sink.sink;
	params.arg = &outcome;
	assert_int_equal(transfer_start(pool, origins, &params, &transfer, &p.err), 0);
	assert_int_equal(outcome_wait(&outcome), 0);
	transfer_progress_get(transfer, &progress);
	assert_int_equal(progress.done_shards, 100000);
	assert_int_equal(sink.made, 100000);
	transfer_destroy(transfer);
	xfer_pool_destroy(pool);
	planning_close(&p);
}

static void test_no_manifest(void **state)
{
	struct planning p;

	(void)state;
	planning_open(&p);
	assert_true(transfer_plan(&p.want, 4096, NULL, &p.plan, &p.err) < 0);
	p.want.manifest_fd = world_tmp(&p.world);
	assert_true(transfer_plan(&p.want, 4096, NULL, &p.plan, &p.err) < 0);
	planning_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_base_present_and_subset),
		cmocka_unit_test(test_the_largest_sums),
		cmocka_unit_test(test_many_and_stop),
		cmocka_unit_test(test_many_are_streamed),
		cmocka_unit_test(test_no_manifest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
