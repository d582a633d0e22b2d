/*
 * Trees in a tier: made, found, refused, surveyed and scrubbed.
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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "skip.h"

#include "disk.h"
#include "larder/cleanup.h"

static struct larder_error err;

struct bench {
	struct tier *tier;
	char path[160];
	struct fake set;
	char *data;
};

static const struct piece PIECES[] = {
	{.path = "a/one", .type = 'f', .size = 5000, .seed = 1},
	{.path = "a/two", .type = 'f', .size = 70000, .seed = 2, .mode = 0755},
	{.path = "big", .type = 'f', .size = 3 * 1024 * 1024 + 5, .seed = 3},
	{.path = "empty", .type = 'f'},
	{.path = "hollow", .type = 'd'},
	{.path = "way", .type = 'l', .target = "a/one"},
};
enum { ONE, TWO, BIG, EMPTY, HOLLOW, WAY, N_PIECES };

static struct bench *bench_open(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	char id[33];

	disk_tier(*state, b->path);
	assert_ok(tier_open(b->path, &b->tier, id, &err), &err);
	fake_make(&b->set, "v1", PIECES, N_PIECES);
	b->data = tree_data_path(b->tier, &b->set.key);
	return b;
}

static void bench_fill(struct bench *b)
{
	struct told told;
	struct sink *sink;

	told_init(&told, b->set.n);
	sink = set_sink(b->tier, &b->set, NULL, &told);
	fake_put(sink, &b->set);
	assert_ok(sink->ops->flush(sink, &err), &err);
	tree_sink_destroy(sink);
	told_fini(&told);
}

static void bench_close(struct bench *b)
{
	tier_close(b->tier);
	fake_free(&b->set);
	free(b->data);
	disk_run("chattr -R -i %s 2>/dev/null; rm -rf %s", b->path, b->path);
	free(b);
}

/* --- making one --- */

static void test_a_tree_is_made_with_its_manifest(void **state)
{
	struct bench *b = bench_open(state);
	struct larder_manifest_head head;
	int fd;

	assert_int_equal(tree_exists(b->tier, &b->set.key), -ENOENT);
	assert_int_equal(fchown(b->set.fd, 12345, (gid_t)-1), 0);
	assert_ok(tree_create(b->tier, &b->set.key, b->set.fd, &err), &err);
	assert_int_equal(tree_exists(b->tier, &b->set.key), 0);
	assert_ok(tree_open_manifest(b->tier, &b->set.key, &fd, &err), &err);
	assert_ok(larder_manifest_head_read(fd, &head, &err), &err);
	assert_string_equal(head.digest, b->set.digest);
	assert_int_equal(head.publisher, 12345);
	larder_manifest_head_fini(&head);
	assert_ok(manifest_check(fd, &err), &err);
	close(fd);
	assert_ok(tree_open_data(b->tier, &b->set.key, &fd, &err), &err);
	assert_int_equal(fcntl(fd, F_GETFL) & O_PATH, O_PATH);
	close(fd);
	disk_run(
		"cd %s/.. && test \"$(stat -c %%a . data manifest | tr '\\n' ' ')\" = '700 555 444 '",
		b->data);
	assert_ok(tree_create(b->tier, &b->set.key, b->set.fd, &err), &err); /* again: fine */
	bench_close(b);
}

/* The body is the digest's; who published it and from where may be another now. */
static void test_a_changed_head_replaces_the_manifest(void **state)
{
	struct bench *b = bench_open(state);
	struct larder_manifest_head head;
	int fd;

	assert_ok(tree_create(b->tier, &b->set.key, b->set.fd, &err), &err);
	assert_int_equal(fchown(b->set.fd, 777, (gid_t)-1), 0);
	disk_run("mkdir %s/keep", b->data);
	assert_ok(tree_create(b->tier, &b->set.key, b->set.fd, &err), &err);
	assert_ok(tree_open_manifest(b->tier, &b->set.key, &fd, &err), &err);
	assert_ok(larder_manifest_head_read(fd, &head, &err), &err);
	assert_int_equal(head.publisher, 777);
	larder_manifest_head_fini(&head);
	close(fd);
	disk_run("test -d %s/keep && test \"$(ls -A %s/..)\" = \"$(printf 'data\\nmanifest')\"",
		 b->data, b->data);
	bench_close(b);
}

static void test_what_a_crash_left_half_made_is_finished(void **state)
{
	struct bench *b = bench_open(state);

	disk_run("mkdir -p %s && cd %s/.. && rmdir data && echo half >manifest.new", b->data,
		 b->data);
	assert_int_equal(tree_exists(b->tier, &b->set.key), -ENOENT);
	assert_ok(tree_create(b->tier, &b->set.key, b->set.fd, &err), &err);
	assert_int_equal(tree_exists(b->tier, &b->set.key), 0);
	disk_run("test ! -e %s/../manifest.new", b->data);
	bench_close(b);
}

static void test_a_bad_manifest_makes_no_tree(void **state)
{
	struct bench *b = bench_open(state);
	struct tree_key key = b->set.key;
	char other[33];
	off_t size = lseek(b->set.fd, 0, SEEK_END);

	memset(other, 'a', 32);
	other[32] = '\0';
	key.digest = other;
	assert_int_equal(tree_create(b->tier, &key, b->set.fd, &err), -EINVAL);
	assert_int_equal(tree_exists(b->tier, &key), -ENOENT);
	assert_int_equal(pwrite(b->set.fd, "X", 1, size - 2), 1); /* the body: the digest fails */
	assert_true(tree_create(b->tier, &b->set.key, b->set.fd, &err) < 0);
	assert_int_equal(tree_exists(b->tier, &b->set.key), -ENOENT);
	assert_int_equal(ftruncate(b->set.fd, size - 10), 0);
	assert_true(tree_create(b->tier, &b->set.key, b->set.fd, &err) < 0);
	assert_int_equal(tree_exists(b->tier, &b->set.key), -ENOENT);
	bench_close(b);
}

static void test_hostile_keys_are_refused(void **state)
{
	struct bench *b = bench_open(state);
	static const char D[] = "00112233445566778899aabbccddeeff";
	const struct tree_key bad[] = {
		{"", "n", "v", D},
		{"..", "n", "v", D},
		{"a/b", "n", "v", D},
		{".h", "n", "v", D},
		{"a\nb", "n", "v", D},
		{"s", "..", "v", D},
		{"s", "N", "v", D},
		{"s", "n/x", "v", D},
		{"s", "n", "", D},
		{"s", "n", "../v", D},
		{"s", "n", "v", ""},
		{"s", "n", "v", "0011223344"},
		{"s", "n", "v", "../../../../../../../../../../etc"},
		{"s", "n", "v", "0011223344556677/899aabbccddeeff"},
		{"0123456789012345678901234567890123456789012345678901234567890123", "n", "v", D},
	};
	size_t i;
	int fd;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(tree_exists(b->tier, &bad[i]), -EINVAL);
		assert_int_equal(tree_create(b->tier, &bad[i], b->set.fd, &err), -EINVAL);
		assert_int_equal(tree_open_data(b->tier, &bad[i], &fd, &err), -EINVAL);
		assert_int_equal(tree_trash(b->tier, &bad[i], &err), -EINVAL);
		assert_null(tree_data_path(b->tier, &bad[i]));
	}
	disk_run("test -z \"$(ls -A %s/trees)\"", b->path);
	bench_close(b);
}

static void test_symlinks_in_the_store_are_not_followed(void **state)
{
	struct bench *b = bench_open(state);
	int fd;

	assert_ok(tree_create(b->tier, &b->set.key, b->set.fd, &err), &err);
	disk_run("mv %s/trees/site %s/moved && ln -s ../moved %s/trees/site", b->path, b->path,
		 b->path);
	assert_int_equal(tree_exists(b->tier, &b->set.key), -ENOENT);
	assert_int_equal(tree_open_data(b->tier, &b->set.key, &fd, &err), -ELOOP);
	assert_int_equal(tree_open_manifest(b->tier, &b->set.key, &fd, &err), -ELOOP);
	assert_int_equal(tree_create(b->tier, &b->set.key, b->set.fd, &err), -ELOOP);
	bench_close(b);
}

/* --- finding --- */

struct seen {
	int sound, unsound, stop_after;
	char last[200];
};

static int see(const struct tree_key *key, const struct larder_manifest_head *head, void *arg)
{
	struct seen *seen = arg;

	if (head)
		assert_string_equal(head->version, key->version);
	*(head ? &seen->sound : &seen->unsound) += 1;
	snprintf(seen->last, sizeof(seen->last), "%s/%s/%s@%s", key->domain, key->name,
		 key->version, key->digest);
	return seen->stop_after && seen->sound + seen->unsound >= seen->stop_after ? 7 : 0;
}

static void test_every_tree_is_found(void **state)
{
	struct bench *b = bench_open(state);
	struct fake more[3] = {0};
	static const char *const versions[] = {"v2", "v3", "v4"};
	struct seen seen = {0};
	int i;

	assert_ok(tier_each_tree(b->tier, see, &seen, &err), &err);
	assert_int_equal(seen.sound + seen.unsound, 0);
	assert_ok(tree_create(b->tier, &b->set.key, b->set.fd, &err), &err);
	for (i = 0; i < 3; i++) {
		fake_many(&more[i], versions[i], (size_t)i + 1, 10);
		more[i].key.domain = i ? "u1000" : "site";
		assert_ok(tree_create(b->tier, &more[i].key, more[i].fd, &err), &err);
	}
	disk_run(
		"cd %s/trees && : >u1000/set/stray && mkdir u1000/set/nonsense .x u1000/set/v@12 && cd u1000/set/v4@* && chmod 644 manifest && echo torn >manifest",
		b->path);
	assert_ok(tier_each_tree(b->tier, see, &seen, &err), &err);
	assert_int_equal(seen.sound, 3);
	assert_int_equal(seen.unsound, 1);
	seen = (struct seen){.stop_after = 2};
	assert_int_equal(tier_each_tree(b->tier, see, &seen, &err), 7);
	assert_int_equal(seen.sound + seen.unsound, 2);
	for (i = 0; i < 3; i++)
		fake_free(&more[i]);
	bench_close(b);
}

static void test_a_survey_says_what_is_there(void **state)
{
	struct bench *b = bench_open(state);
	uint8_t *bits = NULL;
	uint64_t shards, bytes;

	bench_fill(b);
	assert_ok(tree_survey(b->tier, &b->set.key, &bits, &shards, &bytes, &err), &err);
	assert_int_equal(shards, N_PIECES);
	assert_int_equal(bytes, 5000 + 70000 + 3 * 1024 * 1024 + 5);
	assert_int_equal(bits[0], 0x3f);
	free(bits);
	disk_run("cd %s && rm a/one && truncate -s 1 a/two && rm way && : >way && rmdir hollow",
		 b->data);
	assert_ok(tree_survey(b->tier, &b->set.key, &bits, &shards, &bytes, &err), &err);
	assert_int_equal(shards, 2);
	assert_int_equal(bytes, 3 * 1024 * 1024 + 5);
	assert_int_equal(bits[0], 1 << BIG | 1 << EMPTY);
	free(bits);
	disk_run("cd %s && rm -rf a && ln -s /etc a", b->data);
	assert_ok(tree_survey(b->tier, &b->set.key, &bits, &shards, &bytes, &err), &err);
	assert_int_equal(shards, 2);
	free(bits);
	disk_run("rm -rf %s", b->data);
	assert_int_equal(tree_survey(b->tier, &b->set.key, &bits, &shards, &bytes, &err), -ENOENT);
	bench_close(b);
}

/* --- scrubbing --- */

struct bads {
	int n;
	char problems[N_PIECES][160];
	const _Atomic uint64_t *done;
};

static void bad(const struct shard *shard, const char *problem, void *arg)
{
	struct bads *bads = arg;

	assert_true(shard->index < N_PIECES);
	bads->n++;
	snprintf(bads->problems[shard->index], sizeof(bads->problems[0]), "%s", problem);
}

static void assert_bad(const struct bads *bads, int index, const char *word)
{
	if (!strstr(bads->problems[index], word))
		fail_msg("shard %d: \"%s\" lacks \"%s\"", index, bads->problems[index], word);
}

static void test_scrub_finds_every_kind_of_damage(void **state)
{
	struct bench *b = bench_open(state);
	struct bads bads = {0};
	_Atomic uint64_t done = 0;
	uint8_t present = (uint8_t) ~(1u << BIG);

	bench_fill(b);
	assert_ok(tree_verify(b->tier, &b->set.key, NULL, bad, &bads, &done, NULL, &err), &err);
	assert_int_equal(bads.n, 0);
	assert_int_equal(done, 5000 + 70000 + 3 * 1024 * 1024 + 5);
	disk_run(
		"cd %s && printf x | dd of=big bs=1 seek=3145732 conv=notrunc status=none && sync -f big",
		b->data);
	disk_run(
		"cd %s && chmod 644 a/one && truncate -s 69999 a/two && rm -rf hollow empty && mkdir empty && : >hollow && ln -sfn a/two way",
		b->data);
	assert_ok(tree_verify(b->tier, &b->set.key, NULL, bad, &bads, NULL, NULL, &err), &err);
	assert_int_equal(bads.n, N_PIECES);
	assert_bad(&bads, BIG, "digest");
	assert_bad(&bads, ONE, "mode");
	assert_bad(&bads, TWO, "size");
	assert_bad(&bads, EMPTY, "no file");
	assert_bad(&bads, HOLLOW, "no directory");
	assert_bad(&bads, WAY, "somewhere else");
	disk_run("cd %s && rm -rf a", b->data);
	bads = (struct bads){0};
	assert_ok(tree_verify(b->tier, &b->set.key, &present, bad, &bads, NULL, NULL, &err), &err);
	assert_int_equal(bads.n, N_PIECES - 1);
	assert_bad(&bads, ONE, "not there");
	assert_bad(&bads, TWO, "not there");
	bench_close(b);
}

/* Damage that the page cache does not show: the block is changed under the file system. */
static void test_scrub_reads_the_disk_and_not_the_cache(void **state)
{
	struct bench *b = bench_open(state);
	struct bads bads = {0};
	struct disk *disk = *state;

	if (strcmp(disk->fs, "ext4")) {
		bench_close(b);
		skip_because("the trick that makes cache and disk differ is ext4's");
	}
	bench_fill(b);
	disk_run("cat %s/a/one >/dev/null", b->data); /* now it is cached */
	disk_run(
		"dev=$(findmnt -no SOURCE %s); blk=$(filefrag -v %s/a/one | awk '/^ *0:/ {print $4+0}'); sync; printf x | dd of=$dev bs=1 seek=$((blk * 4096 + 77)) conv=notrunc,fsync status=none",
		disk->path, b->data);
	assert_null(piece_wrong(b->data, &b->set, ONE)); /* readers are still fooled */
	assert_ok(tree_verify(b->tier, &b->set.key, NULL, bad, &bads, NULL, NULL, &err), &err);
	assert_int_equal(bads.n, 1);
	assert_bad(&bads, ONE, "digest");
	bench_close(b);
}

static void stop_at_first(const struct shard *shard, const char *problem, void *arg)
{
	(void)shard;
	(void)problem;
	*(_Atomic bool *)arg = true;
}

static void test_scrub_can_be_stopped(void **state)
{
	struct bench *b = bench_open(state);
	_Atomic bool stop = false;
	_Atomic uint64_t done = 0;

	bench_fill(b);
	disk_run("rm %s/a/one", b->data);
	assert_int_equal(
		tree_verify(b->tier, &b->set.key, NULL, stop_at_first, &stop, &done, &stop, &err),
		-ECANCELED);
	assert_int_equal(done, 0);
	bench_close(b);
}

static void test_a_bad_shard_is_dropped_and_comes_again(void **state)
{
	struct bench *b = bench_open(state);

	bench_fill(b);
	assert_ok(tree_drop_shard(b->tier, &b->set.key, "a/one", &err), &err);
	assert_ok(tree_drop_shard(b->tier, &b->set.key, "a/one", &err),
		  &err); /* gone already: fine */
	assert_ok(tree_drop_shard(b->tier, &b->set.key, "nowhere/at/all", &err), &err);
	disk_run("cd %s && rm empty && mkdir -p empty/with/things", b->data);
	assert_ok(tree_drop_shard(b->tier, &b->set.key, "empty", &err), &err);
	disk_run("cd %s && test ! -e a/one && test ! -e empty", b->data);
	assert_int_equal(tree_drop_shard(b->tier, &b->set.key, "../manifest", &err), -EINVAL);
	disk_run("rm -rf %s/a && ln -s .. %s/a", b->data, b->data);
	assert_true(tree_drop_shard(b->tier, &b->set.key, "a/manifest", &err) < 0);
	disk_run("test -e %s/../manifest && rm %s/a", b->data, b->data);
	bench_fill(b);
	assert_null(piece_wrong(b->data, &b->set, ONE));
	assert_null(piece_wrong(b->data, &b->set, EMPTY));
	bench_close(b);
}

static int ext4_up(void **state)
{
	struct disk *disk = calloc(1, sizeof(*disk));

	disk_make(disk, "ext4", 64, "-b 4096");
	*state = disk;
	return 0;
}

static int xfs_up(void **state)
{
	struct disk *disk = calloc(1, sizeof(*disk));

	disk_make(disk, "xfs", 320, NULL);
	*state = disk;
	return 0;
}

static int down(void **state)
{
	disk_free(*state);
	free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_tree_is_made_with_its_manifest),
		cmocka_unit_test(test_a_changed_head_replaces_the_manifest),
		cmocka_unit_test(test_what_a_crash_left_half_made_is_finished),
		cmocka_unit_test(test_a_bad_manifest_makes_no_tree),
		cmocka_unit_test(test_hostile_keys_are_refused),
		cmocka_unit_test(test_symlinks_in_the_store_are_not_followed),
		cmocka_unit_test(test_every_tree_is_found),
		cmocka_unit_test(test_a_survey_says_what_is_there),
		cmocka_unit_test(test_scrub_finds_every_kind_of_damage),
		cmocka_unit_test(test_scrub_reads_the_disk_and_not_the_cache),
		cmocka_unit_test(test_scrub_can_be_stopped),
		cmocka_unit_test(test_a_bad_shard_is_dropped_and_comes_again),
	};
	const char *why = disk_unable();

	if (why) {
		printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	return cmocka_run_group_tests_name("trees on ext4", tests, ext4_up, down) +
	       cmocka_run_group_tests_name("trees on xfs", tests, xfs_up, down);
}
