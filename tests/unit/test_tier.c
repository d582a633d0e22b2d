/*
 * A tier's directory: made, known again, refused.
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

static int open_tier(const char *path, struct tier **tier, char id[33])
{
	err = (struct larder_error){0};
	*tier = NULL;
	return tier_open(path, tier, id, &err);
}

static void test_a_tier_is_made_and_known_again(void **state)
{
	struct tier *tier;
	char path[160], id[33], again[33], other[33];

	disk_tier(*state, path);
	assert_ok(open_tier(path, &tier, id), &err);
	assert_int_equal(strspn(id, "0123456789abcdef"), 32);
	tier_close(tier);
	disk_run(
		"head -c 43 %s/CACHEDIR.TAG | grep -qx 'Signature: 8a477f597d28d172789f06886806bc55'",
		path);
	disk_run("test \"$(cd %s && stat -c %%a trees trash | tr '\\n' ' ')\" = '700 700 '", path);
	disk_run("grep -qx 'larder-tier 1 %s' %s/larder-tier && test -z \"$(ls -A %s/trash)\"", id,
		 path, path);
	assert_ok(open_tier(path, &tier, again), &err);
	assert_string_equal(id, again);
	tier_close(tier);
	disk_tier(*state, path);
	assert_ok(open_tier(path, &tier, other), &err);
	assert_string_not_equal(id, other);
	tier_close(tier);
}

/* As an interrupted first start leaves it. */
static void test_a_half_made_tier_is_finished(void **state)
{
	struct tier *tier;
	char path[160], id[33];

	disk_tier(*state, path);
	disk_run("mkdir -m 700 %s/lost+found; echo half >%s/larder-tier.new", path, path);
	assert_ok(open_tier(path, &tier, id), &err);
	tier_close(tier);
	disk_run(
		"test ! -e %s/larder-tier.new && rmdir %s/trash && : >%s/CACHEDIR.TAG && chmod 755 %s/trees",
		path, path, path, path);
	assert_ok(open_tier(path, &tier, id), &err);
	tier_close(tier);
	disk_run("test -s %s/CACHEDIR.TAG && test $(stat -c %%a %s/trees) = 700", path, path);
}

static void assert_refused(const char *path, int code, const char *words)
{
	struct tier *tier;
	char id[33];

	assert_int_equal(open_tier(path, &tier, id), -code);
	assert_null(tier);
	if (!strstr(err.text, words) || !strstr(err.text, path))
		fail_msg("\"%s\" lacks \"%s\" or \"%s\"", err.text, words, path);
}

static void test_what_is_not_ours_is_refused(void **state)
{
	char path[160];

	disk_tier(*state, path);
	disk_run("echo precious >%s/thesis.tex", path);
	assert_refused(path, ENOTEMPTY, "thesis.tex");
	disk_run("test \"$(ls -A %s)\" = thesis.tex", path); /* untouched */
	disk_tier(*state, path);
	disk_run("chmod 777 %s", path);
	assert_refused(path, EPERM, "chmod go-w");
	disk_tier(*state, path);
	disk_run("chown 65534 %s", path);
	assert_refused(path, EPERM, "uid 65534");
	disk_tier(*state, path);
	disk_run("rmdir %s", path);
	assert_refused(path, ENOENT, "No such file");
	disk_run(": >%s", path);
	assert_refused(path, ENOTDIR, "Not a directory");
}

static void test_a_damaged_id_is_refused(void **state)
{
	static const char *const ids[] = {
		"",
		"larder-tier 1 ",
		"larder-tier 2 00112233445566778899aabbccddeeff",
		"larder-tier 1 00112233445566778899aabbccddeefg",
		"larder-tier 1 00112233445566778899aabbccddeeff0",
		"larder-tier 1 00112233445566778899AABBCCDDEEFF",
	};
	char path[160];
	size_t i;

	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		disk_tier(*state, path);
		disk_run("echo '%s' >%s/larder-tier", ids[i], path);
		assert_refused(path, EINVAL, "32 hex digits");
	}
	disk_tier(*state, path);
	disk_run("ln -s /etc/passwd %s/larder-tier", path);
	assert_refused(path, ELOOP, "larder-tier");
}

static void test_a_folding_directory_is_refused(void **state)
{
	struct disk disk;
	char path[160];

	(void)state;
	if (access("/sys/fs/ext4/features/casefold", F_OK) < 0)
		skip_because("this kernel's ext4 cannot fold case");
	disk_make(&disk, "ext4", 32, "-O casefold");
	disk_tier(&disk, path);
	disk_run("chattr +F %s", path);
	assert_refused(path, EINVAL, "case");
	disk_free(&disk);
}

static void test_a_read_only_tier_is_refused(void **state)
{
	struct disk disk;
	char path[160];

	(void)state;
	disk_make(&disk, "ext4", 32, NULL);
	disk_tier(&disk, path);
	assert_int_equal(mount(NULL, disk.path, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_refused(path, EROFS, "read-only");
	disk_free(&disk);
}

/* /proc is a file system that has no unnamed files, but no room for a tier either: vfat has. */
static void test_a_file_system_without_unnamed_files_is_refused(void **state)
{
	struct disk disk;
	char path[160];

	(void)state;
	if (system("command -v mkfs.vfat >/dev/null && grep -qw vfat /proc/filesystems") != 0)
		skip_because("no vfat here");
	disk_make(&disk, "vfat", 32, NULL);
	disk_tier(&disk, path);
	assert_refused(path, EOPNOTSUPP, "ext4, XFS, btrfs");
	disk_free(&disk);
}

static void test_two_daemons_do_not_share_a_tier(void **state)
{
	struct tier *tier, *second;
	char path[160], id[33];
	int status;
	pid_t pid;

	disk_tier(*state, path);
	assert_ok(open_tier(path, &tier, id), &err);
	pid = fork();
	if (pid == 0) /* a process of its own: the lock is the process's */
		_exit(open_tier(path, &second, id) == -EBUSY ? 42 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	tier_close(tier);
	assert_ok(open_tier(path, &tier, id), &err);
	tier_close(tier);
}

static void test_a_tier_that_goes_away_is_noticed(void **state)
{
	struct disk disk;
	struct tier *tier;
	char id[33];

	(void)state;
	disk_make(&disk, "ext4", 32, NULL);
	assert_ok(open_tier(disk.path, &tier, id), &err);
	assert_ok(tier_alive(tier, &err), &err);
	assert_int_equal(umount2(disk.path, MNT_DETACH), 0);
	assert_int_equal(tier_alive(tier, &err), -ESTALE);
	disk_run("rmdir %s", disk.path);
	assert_int_equal(tier_alive(tier, &err), -ENOENT);
	tier_close(tier);
	disk_free(&disk);
}

static void test_space_is_the_file_systems(void **state)
{
	struct disk disk;
	struct tier_space before, after;
	struct tier *tier;
	struct stat st;
	char id[33];

	(void)state;
	disk_make(&disk, "ext4", 64, "-N 512");
	assert_ok(open_tier(disk.path, &tier, id), &err);
	assert_ok(tier_space(tier, &before, &err), &err);
	disk_run("head -c 8M /dev/urandom >%s/x && sync -f %s", disk.path, disk.path);
	assert_ok(tier_space(tier, &after, &err), &err);
	assert_true(before.size <= 64 << 20 && before.size > 50 << 20);
	assert_in_range(before.free - after.free, 8 << 20, (8 << 20) + 65536);
	assert_in_range(before.inodes, 512, 1024);
	assert_int_equal(before.inodes_free - after.inodes_free, 1);
	assert_int_equal(stat(disk.path, &st), 0);
	assert_int_equal(tier_dev(tier), st.st_dev);
	tier_close(tier);
	disk_free(&disk);
}

static int up(void **state)
{
	struct disk *disk = calloc(1, sizeof(*disk));

	disk_make(disk, "tmpfs", 16, NULL);
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
		cmocka_unit_test(test_a_tier_is_made_and_known_again),
		cmocka_unit_test(test_a_half_made_tier_is_finished),
		cmocka_unit_test(test_what_is_not_ours_is_refused),
		cmocka_unit_test(test_a_damaged_id_is_refused),
		cmocka_unit_test(test_a_folding_directory_is_refused),
		cmocka_unit_test(test_a_read_only_tier_is_refused),
		cmocka_unit_test(test_a_file_system_without_unnamed_files_is_refused),
		cmocka_unit_test(test_two_daemons_do_not_share_a_tier),
		cmocka_unit_test(test_a_tier_that_goes_away_is_noticed),
		cmocka_unit_test(test_space_is_the_file_systems),
	};
	const char *why = disk_unable();

	if (why) {
		printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	return cmocka_run_group_tests(tests, up, down);
}
