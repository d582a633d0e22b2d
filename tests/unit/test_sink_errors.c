/*
 * What the sink does when the disk fails: write-back errors made real by a loop device whose file
 * has no room behind it, inodes that run out, a file system that turns read-only. After an error
 * that was reported once, nothing may be named that was begun before it.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "disk.h"
#include "larder/cleanup.h"

#define MIB	  (1024 * 1024)
#define META_MIB  24 /* of the image that are backed from the start: all metadata is there */
#define IMAGE_MIB 128

/* An ext4 whose file lies on a tmpfs with room for the metadata only. */
struct frail {
	struct disk tmpfs;
	char mount[160];
	struct tier *tier;
	struct larder_error err;
};

static void resize(struct frail *f, unsigned int mib)
{
	char size[32];

	snprintf(size, sizeof(size), "size=%uM", mib);
	assert_int_equal(mount("none", f->tmpfs.path, NULL, MS_REMOUNT, size), 0);
}

static struct frail *frail_make(void)
{
	struct frail *f = calloc(1, sizeof(*f));
	const char *dir = f->tmpfs.path;
	char id[33];

	disk_make(&f->tmpfs, "tmpfs", 2 * IMAGE_MIB, NULL);
	disk_run(
		"truncate -s %dM %s/image && mkfs.ext4 -q -F -m 0 -b 4096 -J size=4 -E packed_meta_blocks=1,lazy_itable_init=0,nodiscard %s/image && fallocate -l %dM %s/image",
		IMAGE_MIB, dir, dir, META_MIB, dir);
	snprintf(f->mount, sizeof(f->mount), "%s/fs", f->tmpfs.path);
	assert_int_equal(mkdir(f->mount, 0755), 0);
	disk_run(
		"for i in 1 2 3 4 5 6 7 8; do mount -o loop %s/image %s && exit; sleep 0.0$i; done; exit 1",
		dir, f->mount);
	assert_ok(tier_open(f->mount, &f->tier, id, &f->err), &f->err);
	return f;
}

static void frail_free(struct frail *f)
{
	tier_close(f->tier);
	umount2(f->mount, MNT_DETACH);
	disk_free(&f->tmpfs);
	free(f);
}

static void cut_room(struct frail *f)
{
	disk_run("sync -f %s", f->mount);
	resize(f, META_MIB + 1);
}

static int open_one(struct sink *sink, const struct fake *set, size_t i, struct larder_error *err)
{
	auto_free unsigned char *bytes = piece_bytes(&set->pieces[i]);
	int fd = -1;

	assert_ok(sink->ops->create(sink, set->pieces[i].size, false, &fd, err), err);
	assert_int_equal(write(fd, bytes, set->pieces[i].size), (ssize_t)set->pieces[i].size);
	return fd;
}

static void count_bad(const struct shard *shard, const char *problem, void *arg)
{
	(void)shard;
	(void)problem;
	*(int *)arg += 1;
}

static void assert_no_files(struct tier *tier, const struct fake *set)
{
	auto_free char *data = tree_data_path(tier, &set->key);

	disk_run("test -z \"$(find %s -type f -print -quit)\"", data);
}

static void assert_sound(struct tier *tier, const struct fake *set)
{
	struct larder_error err = {0};
	int bad = 0;

	assert_ok(tree_verify(tier, &set->key, NULL, count_bad, &bad, NULL, NULL, &err), &err);
	assert_int_equal(bad, 0);
}

static void test_a_failed_sync_names_nothing(void **state)
{
	struct frail *f = frail_make();
	struct fake set = {0}, other = {0};
	struct told told, told_other;
	struct sink *sink, *sink_other, *last, *again;
	int early;
	size_t i;

	(void)state;
	fake_many(&set, "v1", 60,
		  MIB - 4096); /* below what is reserved: the blocks come at write-back */
	fake_many(&other, "v2", 2, 5000);
	told_init(&told, set.n);
	told_init(&told_other, other.n);
	sink = set_sink(f->tier, &set, NULL, &told);
	sink_other = set_sink(f->tier, &other, NULL, &told_other);
	cut_room(f);
	early = open_one(sink_other, &other, 0, &f->err);
	for (i = 0; i < set.n; i++)
		if (piece_put(sink, &set, i, false, &f->err))
			break; /* a batch may have failed already */
	assert_int_equal(sink->ops->flush(sink, &f->err), -EIO);
	assert_non_null(strstr(f->err.text, f->mount));
	assert_no_files(f->tier, &set);
	assert_int_equal(told.n, 0);
	/* it is not taken back by asking again */
	assert_int_equal(sink->ops->flush(sink, &f->err), -EIO);
	assert_int_equal(sink->ops->create(sink, 10, false, &early, &f->err), -EIO);
	/* the disk is well again; what was open in the other sink meanwhile still must not appear
	 */
	resize(f, 2 * IMAGE_MIB);
	assert_int_equal(sink_other->ops->commit(sink_other, &other.shards[0], early, &f->err),
			 -EIO);
	assert_int_equal(sink_other->ops->flush(sink_other, &f->err), -EIO);
	assert_no_files(f->tier, &other);
	tree_sink_destroy(sink_other);
	tree_sink_destroy(sink);
	/* Pages that were on their way when the error was told may bring it once more, to the next
	 * one that syncs. */
	disk_run("sync -f %s || true", f->mount);
	last = set_sink(f->tier, &other, NULL, &told_other);
	if (!piece_put(last, &other, 0, false, &f->err))
		last->ops->flush(last, &f->err);
	tree_sink_destroy(last);
	/* and what is begun now, arrives */
	again = set_sink(f->tier, &set, NULL, &told);
	fake_put(again, &set);
	assert_ok(again->ops->flush(again, &f->err), &f->err);
	assert_int_equal(told.n, set.n);
	assert_sound(f->tier, &set);
	tree_sink_destroy(again);
	told_fini(&told);
	told_fini(&told_other);
	fake_free(&set);
	fake_free(&other);
	frail_free(f);
}

/* What was durable before stays durable and told. */
static void test_an_error_takes_back_nothing_durable(void **state)
{
	struct frail *f = frail_make();
	struct fake good = {0}, set = {0};
	struct told told_good, told;
	struct sink *sink, *sink_good;
	size_t i;

	(void)state;
	fake_many(&good, "v1", 30, 3000);
	fake_many(&set, "v2", 60, MIB - 4096);
	told_init(&told_good, good.n);
	told_init(&told, set.n);
	sink_good = set_sink(f->tier, &good, NULL, &told_good);
	sink = set_sink(f->tier, &set, &good, &told);
	fake_put(sink_good, &good);
	assert_ok(sink_good->ops->flush(sink_good, &f->err), &f->err);
	cut_room(f);
	for (i = 0; i < set.n; i++)
		if (piece_put(sink, &set, i, false, &f->err))
			break;
	assert_int_equal(sink->ops->flush(sink, &f->err), -EIO);
	assert_ok(sink_good->ops->flush(sink_good, &f->err), &f->err);
	assert_int_equal(told_good.n, good.n);
	assert_sound(f->tier, &good);
	tree_sink_destroy(sink);
	tree_sink_destroy(sink_good);
	told_fini(&told);
	told_fini(&told_good);
	fake_free(&set);
	fake_free(&good);
	frail_free(f);
}

/* Unnamed files take an inode when they are made; directories when the names come. */
static void test_inodes_run_out_while_naming(void **state)
{
	struct disk disk;
	struct fake set = {0};
	struct tier_space space;
	struct told told;
	struct tier *tier;
	struct sink *sink;
	struct piece pieces[40];
	char names[40][16], path[160], id[33];
	struct larder_error err = {0};
	size_t i;

	(void)state;
	disk_make(&disk, "ext4", 32, "-N 128");
	disk_tier(&disk, path);
	assert_ok(tier_open(path, &tier, id, &err), &err);
	for (i = 0; i < 40; i++) {
		snprintf(names[i], sizeof(names[i]), "dir%02zu/f", i);
		pieces[i] = (struct piece){.path = names[i], .type = 'f', .size = 9, .seed = i + 1};
	}
	fake_make(&set, "v1", pieces, 40);
	told_init(&told, set.n);
	sink = set_sink(tier, &set, NULL, &told);
	assert_ok(tier_space(tier, &space, &err), &err);
	for (i = 0; i + 60 < space.inodes_free; i++)
		disk_run("touch %s/x%zu", disk.path, i);
	fake_put(sink, &set); /* 40 files, and 20 inodes left for 40 directories */
	assert_int_equal(sink->ops->flush(sink, &err), -ENOSPC);
	assert_true(told.n < set.n);
	assert_int_equal(sink->ops->flush(sink, &err), -ENOSPC);
	tree_sink_destroy(sink);
	told_fini(&told);
	/* with room again, what has its name is present and the rest comes */
	disk_run("rm -f %s/x*", disk.path);
	told_init(&told, set.n);
	sink = set_sink(tier, &set, NULL, &told);
	fake_put(sink, &set);
	assert_ok(sink->ops->flush(sink, &err), &err);
	assert_int_equal(told.n, set.n);
	assert_sound(tier, &set);
	tree_sink_destroy(sink);
	told_fini(&told);
	tier_close(tier);
	fake_free(&set);
	disk_free(&disk);
}

static void test_a_file_system_that_turns_read_only(void **state)
{
	struct disk disk;
	struct fake set = {0};
	struct told told;
	struct tier *tier, *second;
	struct sink *sink;
	char path[160], id[33];
	struct larder_error err = {0};
	int fd;

	(void)state;
	disk_make(&disk, "ext4", 32, "-e remount-ro");
	disk_tier(&disk, path);
	assert_ok(tier_open(path, &tier, id, &err), &err);
	fake_many(&set, "v1", 5, 1000);
	told_init(&told, set.n);
	sink = set_sink(tier, &set, NULL, &told);
	fake_put(sink, &set);
	assert_ok(sink->ops->flush(sink, &err), &err);
	/* as a damaged ext4 does it by itself */
	disk_run("echo test >/sys/fs/ext4/$(basename $(findmnt -no SOURCE %s))/trigger_fs_error",
		 disk.path);
	assert_int_equal(sink->ops->create(sink, 10, false, &fd, &err), -EROFS);
	assert_int_equal(sink->ops->make(sink, &set.shards[0], &err), -EINVAL);
	assert_int_equal(tree_trash(tier, &set.key, &err), -EROFS);
	assert_int_equal(tree_exists(tier, &set.key), 0); /* reading goes on */
	assert_sound(tier, &set);
	tree_sink_destroy(sink);
	tier_close(tier);
	assert_int_equal(tier_open(path, &second, id, &err), -EROFS);
	told_fini(&told);
	fake_free(&set);
	disk_free(&disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_failed_sync_names_nothing),
		cmocka_unit_test(test_an_error_takes_back_nothing_durable),
		cmocka_unit_test(test_inodes_run_out_while_naming),
		cmocka_unit_test(test_a_file_system_that_turns_read_only),
	};
	const char *why = disk_unable();

	if (why) {
		printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
