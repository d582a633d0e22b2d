/*
 * larder.conf: what is read, and each kind of error with its file, line and remedy; what the
 * machine says about it; what a reload cannot change.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"
#include "server/config.h"

#define TIER "tier \"t\" { path = \"/tier\" }\n"

struct place {
	char *dir;
	const char *file;
};

static int setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	place->dir = scratch_create();
	place->file = strdup(scratch_path(place->dir, "larder.conf"));
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct place *place = *state;

	scratch_destroy(place->dir);
	free((void *)(uintptr_t)place->file);
	free(place);
	return 0;
}

static int load(const struct place *place, const char *text, struct config *config,
		struct larder_error *err)
{
	scratch_write(place->file, text, strlen(text));
	*err = (struct larder_error){0};
	return config_load(place->file, config, err);
}

static void load_ok(const struct place *place, const char *text, struct config *config)
{
	struct larder_error err;

	if (load(place, text, config, &err))
		fail_msg("%s\nwas refused: %s", text, err.text);
}

static void test_origins(void **state)
{
	struct config config;

	load_ok(*state,
		"origin \"https://h/x\" { bandwidth = 1M }\n" TIER
		"origin h:8080 {\n connections = 3\n requests_per_s = 7\n}\n",
		&config);
	assert_int_equal(config.n_origins, 2);
	assert_string_equal(config.origins[0].match, "https://h/x");
	assert_int_equal(config.origins[0].bandwidth, 1048576);
	assert_int_equal(config.origins[0].connections, 0);
	assert_string_equal(config.origins[1].match, "h:8080");
	assert_int_equal(config.origins[1].bandwidth, 0);
	assert_int_equal(config.origins[1].connections, 3);
	assert_int_equal(config.origins[1].requests_per_s, 7);
	assert_int_equal(config.n_tiers, 1);
	config_fini(&config);
}

static void test_defaults(void **state)
{
	struct config config;

	load_ok(*state, TIER, &config);
	assert_string_equal(config.node_name, "");
	assert_string_equal(config.socket, "/run/larder/larderd.sock");
	assert_string_equal(config.metrics_file, "");
	assert_int_equal(config.admin_groups.count, 1);
	assert_string_equal(config.admin_groups.items[0], "root");
	assert_int_equal(config.access_ttl, 300000);
	assert_int_equal(config.wait_max, 600000);
	assert_int_equal(config.prolog_timeout, 0);
	assert_string_equal(config.on_fail, "fail");
	assert_int_equal(config.transfer_threads, 8);
	assert_int_equal(config.transfer_memory, 64 << 20);
	assert_true(config.io_uring);
	assert_false(config.allow_tmpfs_state);
	assert_int_equal(config.n_tiers, 1);
	assert_string_equal(config.tiers[0].name, "t");
	assert_string_equal(config.tiers[0].path, "/tier");
	assert_int_equal(config.tiers[0].capacity.percent, 100);
	assert_int_equal(config.tiers[0].evict_down_to.percent, 90);
	config_fini(&config);
}

static void test_values(void **state)
{
	struct config config;

	load_ok(*state,
		"# a comment\n// another = one {\n/* over \n two \" lines */ transfer_nice = 3\n"
		"transfer_threads = 4 # bare\n max_transfers=\"7\"\nio_uring = \"false\"\nown_datasets = no\n"
		"wait_max = \"2h\"\ncheck_timeout = 5\ntransfer_memory = 1.5G\npin_quota='10G'\n"
		"socket = \"/run//larder/x/\" /* clean */ policy = lru\n"
		"admin_groups = { \"wheel\", ops, 'a b' }\n"
		"tier \"fast\" { path = /mnt/nvme capacity = \"50%\" free_floor = 20G }\n"
		"tier slow {\n path = \"/mnt/nvme2\"\n evict_above = 100G\n evict_down_to = 90G }\n",
		&config);
	assert_int_equal(config.transfer_nice, 3);
	assert_int_equal(config.transfer_threads, 4);
	assert_int_equal(config.max_transfers, 7);
	assert_false(config.io_uring);
	assert_false(config.own_datasets);
	assert_int_equal(config.wait_max, 7200000);
	assert_int_equal(config.check_timeout, 5000);
	assert_int_equal(config.transfer_memory, 3ull << 29);
	assert_int_equal(config.pin_quota, 10ull << 30);
	assert_string_equal(config.socket, "/run/larder/x");
	assert_string_equal(config.policy, "lru");
	assert_int_equal(config.admin_groups.count, 3);
	assert_string_equal(config.admin_groups.items[0], "wheel");
	assert_string_equal(config.admin_groups.items[2], "a b");
	assert_int_equal(config.n_tiers, 2);
	assert_int_equal(config.tiers[0].capacity.percent, 50);
	assert_int_equal(config.tiers[0].free_floor.bytes, 20ull << 30);
	assert_int_equal(config.tiers[0].free_floor.percent, 0);
	assert_int_equal(config.tiers[0].evict_above.percent, 95);
	assert_int_equal(config.tiers[1].evict_above.bytes, 100ull << 30);
	assert_string_equal(config.tiers[1].path, "/mnt/nvme2");
	config_fini(&config);
}

static void test_lists(void **state)
{
	struct config config;

	load_ok(*state, "admin_groups = {}\n" TIER, &config);
	assert_int_equal(config.admin_groups.count, 0);
	config_fini(&config);
	load_ok(*state, "admin_groups = wheel\n" TIER, &config);
	assert_int_equal(config.admin_groups.count, 1);
	assert_string_equal(config.admin_groups.items[0], "wheel");
	config_fini(&config);
}

/* Text, the line that the sentence must name, and what else it must have in it. */
static const struct {
	const char *text;
	int line;
	const char *has[3];
} bad[] = {
	{"# c\n# c\n/* c\nc */\nwait_maxx = 1\n" TIER,
	 5,
	 {"unknown key \"wait_maxx\"", "did you mean wait_max?"}},
	{TIER "nonsense { }\n", 2, {"unknown key \"nonsense\""}},
	{"tier \"t\" {\n\n path = /t\n capacty = 1G }\n",
	 4,
	 {"\"capacty\" in a tier", "capacity?"}},
	{"\ntransfer_memory = \"12Q\"\n" TIER, 2, {"transfer_memory", "\"12Q\""}},
	{"transfer_memory = 1K\n" TIER, 1, {"transfer_memory", "\"1K\"", "at least 1M"}},
	{"transfer_memory = -1\n" TIER, 1, {"transfer_memory", "\"-1\""}},
	{"transfer_memory = 99999999999G\n" TIER, 1, {"transfer_memory", "99999999999G"}},
	{"wait_max = soon\n" TIER, 1, {"wait_max", "\"soon\""}},
	{"wait_max = \"\"\n" TIER, 1, {"wait_max", "\"\""}},
	{"reconcile_every = 0\n" TIER, 1, {"reconcile_every", "\"0\"", "100ms to 1d"}},
	{"transfer_threads = 0\n" TIER, 1, {"transfer_threads", "\"0\"", "1 to 1024"}},
	{"transfer_threads = eight\n" TIER, 1, {"transfer_threads", "\"eight\""}},
	{"log_keep = 4294967296\n" TIER, 1, {"log_keep", "4294967296", "4294967295"}},
	{"io_uring = maybe\n" TIER, 1, {"io_uring", "\"maybe\"", "true or false"}},
	{"on_fail = explode\n" TIER, 1, {"on_fail", "\"explode\"", "fail | bypass"}},
	{"on_fail = fa\n" TIER, 1, {"on_fail", "\"fa\""}},
	{"policy = \"|\"\n" TIER, 1, {"policy", "gdsf | s3fifo | lru"}},
	{"state_dir = var/lib\n" TIER, 1, {"state_dir", "\"var/lib\"", "absolute"}},
	{"state_dir = /var/../lib\n" TIER, 1, {"state_dir", "\"/var/../lib\"", ".."}},
	{"state_dir = \"\"\n" TIER, 1, {"state_dir", "absolute"}},
	{"view_root = /\n" TIER, 1, {"view_root", "root directory"}},
	{"metrics_file = m.prom\n" TIER, 1, {"metrics_file", "\"m.prom\"", "absolute"}},
	{"socket = \"/a\\nb\"\n" TIER, 1, {"socket", "control bytes"}},
	{"\n\nsocket = /a\nsocket = /b\n" TIER, 4, {"socket", "twice", "line 3"}},
	{"admin_groups = { \"a\", \"\" }\n" TIER, 1, {"admin_groups", "empty"}},
	{"tier t { path = /t evict_above = \"101%\" }\n",
	 1,
	 {"evict_above", "\"101%\"", "1% to 100%"}},
	{"tier t { path = /t\n evict_above = \"0%\" }\n", 2, {"evict_above", "\"0%\""}},
	{"tier t { path = /t capacity = \"2.5%\" }\n", 1, {"capacity", "\"2.5%\""}},
	{"tier t { path = /t capacity = \"%\" }\n", 1, {"capacity", "\"%\""}},
	{"tier t { path = /t capacity = \"00000000050%\" }\n", 1, {"capacity"}},
	{"tier t { path = /t capacity = 0 }\n", 1, {"capacity", "no room"}},
	{"tier t { path = /t\n evict_above = \"90%\"\n evict_down_to = \"90%\"\n}\n",
	 4,
	 {"evict_down_to = 90%", "less than"}},
	{"tier t { path = /t\n evict_above = \"80%\" }\n",
	 2,
	 {"evict_down_to = 90%", "evict_above = 80%"}},
	{"tier t { path = /t\n evict_above = 10G }\n",
	 2,
	 {"evict_above = 10 GiB", "both as sizes"}},
	{"tier t { path = /t evict_above = 10G evict_down_to = 9G capacity = 5G }\n",
	 1,
	 {"more than capacity"}},
	{"tier t { capacity = 5G\n}\n", 2, {"tier \"t\"", "no path"}},
	{"tier t { path = t }\n", 1, {"path", "\"t\"", "absolute"}},
	{"tier { path = /t }\n", 1, {"title"}},
	{"tier \"A B\" { path = /t }\n", 1, {"tier's name", "A B"}},
	{"wait_max = 1\n\n", 3, {"no tier"}},
	{TIER "\ntier t { path = /u }\n", 3, {"tier \"t\"", "twice"}},
	{TIER "origin h { }\norigin h { }\n", 3, {"origin \"h\"", "twice"}},
	{TIER "origin \"a/b\" { }\n", 2, {"origin \"a/b\"", "s3://bucket"}},
	{TIER "origin \"\" { }\n", 2, {"origin \"\""}},
	{TIER "origin h { connexions = 3 }\n", 2, {"\"connexions\" in an origin", "connections?"}},
	{TIER "origin h { bandwidth = fast }\n", 2, {"bandwidth", "\"fast\""}},
	{TIER "\ntier u {\n path = /tier/ }\n", 4, {"same path", "\"t\"", "\"u\""}},
	{TIER "\ntier u { path = /tier/in }\n", 3, {"inside one another", "/tier/in"}},
	{"tier u { path = /tier/in }\n" TIER, 2, {"inside one another", "/tier/in"}},
	{TIER "\nstate_dir = /tier/state\n", 3, {"state_dir", "/tier/state", "tier \"t\""}},
	{"tier t { path = /var/lib/larder }\n", 1, {"state_dir", "tier \"t\""}},
	{"wait_max 5\n" TIER, 1, {"equal sign"}},
	{"wait_max = \n", 2, {"too early"}},
	{TIER "}\n", 2, {"closing brace"}},
	{"tier t { path = /t\n\n", 3, {"too early"}},
	{"wait_max = \"5\n\n" TIER, 0, {"larder.conf"}},
	{"wait_max = { 5 }\n" TIER, 1, {"'{'"}},
	{"socket = '/a\n" TIER, 0, {"larder.conf"}},
	{"/* no end\n" TIER, 0, {"too early"}},
};

static void test_refusals(void **state)
{
	const struct place *place = *state;
	struct larder_error err;
	struct config config;
	char at[400];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int rc = load(place, bad[i].text, &config, &err);

		if (rc != -EINVAL)
			fail_msg("case %zu: %s\ngave %d %s", i, bad[i].text, rc, err.text);
		snprintf(at, sizeof(at), "%s:%d: ", place->file, bad[i].line);
		if (bad[i].line && strncmp(err.text, at, strlen(at)) != 0)
			fail_msg("case %zu: %s\nnot in line %d: %s", i, bad[i].text, bad[i].line,
				 err.text);
		for (int j = 0; j < 3 && bad[i].has[j]; j++)
			if (!strstr(err.text, bad[i].has[j]))
				fail_msg("case %zu: %s\nno \"%s\" in: %s", i, bad[i].text,
					 bad[i].has[j], err.text);
		assert_null(config.tiers);
		/* No error may leave the scanner in a state that spoils the next file. */
		load_ok(place, TIER "wait_max = 5\n", &config);
		assert_int_equal(config.wait_max, 5000);
		config_fini(&config);
	}
}

static void test_long_socket(void **state)
{
	char text[400], path[120];
	struct larder_error err;
	struct config config;

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[108] = '\0';
	snprintf(text, sizeof(text), "\nsocket = %s\n" TIER, path);
	assert_int_equal(load(*state, text, &config, &err), -EINVAL);
	assert_non_null(strstr(err.text, ":2: socket"));
	path[107] = '\0';
	snprintf(text, sizeof(text), "\nsocket = %s\n" TIER, path);
	load_ok(*state, text, &config);
	config_fini(&config);
}

static void test_files_that_are_none(void **state)
{
	const struct place *place = *state;
	struct larder_error err = {0};
	struct config config;
	char *big = malloc((1 << 20) + 2);

	assert_int_equal(config_load(scratch_path(place->dir, "absent"), &config, &err), -ENOENT);
	assert_non_null(strstr(err.text, "absent"));
	assert_int_equal(config_load(place->dir, &config, &err), -EINVAL);
	assert_int_equal(mkfifo(scratch_path(place->dir, "fifo"), 0600), 0);
	assert_int_equal(config_load(scratch_path(place->dir, "fifo"), &config, &err), -EINVAL);
	scratch_write(place->file, "io_uring = true\0x", 17);
	assert_int_equal(config_load(place->file, &config, &err), -EINVAL);
	assert_non_null(strstr(err.text, "zero byte"));
	memset(big, '\n', (1 << 20) + 1);
	scratch_write(place->file, big, (1 << 20) + 1);
	assert_int_equal(config_load(place->file, &config, &err), -EFBIG);
	scratch_write(place->file, "", 0);
	assert_int_equal(config_load(place->file, &config, &err), -EINVAL);
	free(big);
}

static void test_fixed_changes(void **state)
{
	struct config a, b;
	char buf[200], tiny[12];

	load_ok(*state, TIER, &a);
	load_ok(*state, TIER "wait_max = 1\npolicy = lru\nadmin_groups = {x}\n", &b);
	assert_int_equal(config_fixed_changes(&a, &b, buf, sizeof(buf)), 0);
	assert_string_equal(buf, "");
	config_fini(&b);
	load_ok(*state,
		"tier u { path = /u }\nsocket = /s\ntransfer_threads = 3\nio_uring = false\n", &b);
	assert_int_equal(config_fixed_changes(&a, &b, buf, sizeof(buf)), 4);
	assert_string_equal(buf, "socket, transfer_threads, io_uring, tier names or paths");
	assert_int_equal(config_fixed_changes(&a, &b, tiny, sizeof(tiny)), 4);
	assert_true(strlen(tiny) < sizeof(tiny));
	config_fini(&b);
	config_fini(&a);
}

struct findings {
	char fatal[8192], warned[8192];
};

static void tell(bool fatal, const char *text, void *arg)
{
	struct findings *f = arg;
	char *to = fatal ? f->fatal : f->warned;

	snprintf(to + strlen(to), 8192 - strlen(to), "%s\n", text);
}

/* A machine as it should be, below the scratch directory. */
static void furnish(const struct place *place, struct config *config)
{
	char text[2000];
	const char *const dirs[] = {"view", "tier", "state", "catalog", "bin"};

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		assert_int_equal(mkdir(scratch_path(place->dir, "%s", dirs[i]), 0755), 0);
	scratch_write(scratch_path(place->dir, "bin/larder-slurm-helper"), "", 0);
	chmod(scratch_path(place->dir, "bin/larder-slurm-helper"), 0755);
	scratch_write(scratch_path(place->dir, "boot"), "x", 1);
	scratch_write(scratch_path(place->dir, "slurm.conf"), "", 0);
	snprintf(
		text, sizeof(text),
		"view_root = %s/view\nstate_dir = %s/state\ncatalog = %s/catalog\nhelper_dir = %s/bin\n"
		"boot_id_file = %s/boot\nsocket = %s/sock\nslurm_conf = %s/slurm.conf\n"
		"allow_tmpfs_state = true\ntier t { path = %s/tier }\n",
		place->dir, place->dir, place->dir, place->dir, place->dir, place->dir, place->dir,
		place->dir);
	load_ok(place, text, config);
}

static int look(const struct config *config, struct findings *f)
{
	*f = (struct findings){0};
	return config_inspect(config, tell, f);
}

#define assert_says(text, part)                                                                    \
	do {                                                                                       \
		if (!strstr(text, part))                                                           \
			fail_msg("no \"%s\" in: %s", part, text);                                  \
	} while (0)

static void test_inspect_good(void **state)
{
	struct findings f;
	struct config config;

	furnish(*state, &config);
	if (look(&config, &f) != 0)
		fail_msg("%s", f.fatal);
	if (strstr(f.warned, "view_root") || strstr(f.warned, "helper"))
		fail_msg("%s", f.warned);
	config_fini(&config);
}

static void test_inspect_view_root(void **state)
{
	const struct place *place = *state;
	const char *view = strdup(scratch_path(place->dir, "view"));
	struct findings f;
	struct config config;

	furnish(place, &config);
	scratch_write(scratch_path(place->dir, "view/file"), "", 0);
	assert_int_equal(look(&config, &f), 1);
	assert_says(f.fatal, "not empty");
	assert_int_equal(unlink(scratch_path(place->dir, "view/file")), 0);
	chmod(view, 0700);
	assert_int_equal(look(&config, &f), 1);
	assert_says(f.fatal, "chmod 0755");
	assert_int_equal(rmdir(view), 0);
	assert_int_equal(look(&config, &f), 0);
	assert_says(f.warned, "larderd makes it");
	assert_int_equal(symlink(place->dir, view), 0);
	assert_true(look(&config, &f) > 0);
	assert_says(f.fatal, "symbolic link");
	assert_int_equal(unlink(view), 0);
	scratch_write(view, "", 0);
	assert_true(look(&config, &f) > 0);
	assert_says(f.fatal, "no directory");
	free(config.view_root);
	config.view_root = strdup("/proc");
	assert_true(look(&config, &f) > 0);
	assert_says(f.fatal, "is a mount point");
	config_fini(&config);
	free((void *)(uintptr_t)view);
}

static void test_inspect_places(void **state)
{
	const struct place *place = *state;
	struct findings f;
	struct config config;

	furnish(place, &config);
	/* By a symbolic link, what the text of the file does not show. */
	assert_int_equal(rmdir(scratch_path(place->dir, "state")), 0);
	assert_int_equal(mkdir(scratch_path(place->dir, "tier/inner"), 0700), 0);
	assert_int_equal(symlink("tier/inner", scratch_path(place->dir, "state")), 0);
	assert_int_equal(look(&config, &f), 1);
	assert_says(f.fatal, "survive the loss of a tier");
	assert_int_equal(unlink(scratch_path(place->dir, "state")), 0);
	assert_int_equal(rmdir(scratch_path(place->dir, "tier/inner")), 0);
	assert_int_equal(rmdir(scratch_path(place->dir, "tier")), 0);
	assert_int_equal(look(&config, &f), 1);
	assert_says(f.fatal, "tier \"t\"");
	assert_says(f.warned, "state_dir");
	unlink(scratch_path(place->dir, "boot"));
	unlink(scratch_path(place->dir, "bin/larder-slurm-helper"));
	assert_int_equal(look(&config, &f), 2);
	assert_says(f.fatal, "boot_id_file");
	assert_says(f.warned, "helper_dir");
	config_fini(&config);
}

static void test_inspect_tmpfs(void **state)
{
	struct findings f;
	struct config config;

	furnish(*state, &config);
	free(config.state_dir);
	config.state_dir = strdup("/dev/shm");
	config.allow_tmpfs_state = false;
	assert_int_equal(look(&config, &f), 1);
	assert_says(f.fatal, "tmpfs");
	config.allow_tmpfs_state = true;
	assert_int_equal(look(&config, &f), 0);
	config_fini(&config);
}

static void test_inspect_job_container(void **state)
{
	const struct place *place = *state;
	struct findings f;
	struct config config;
	char text[1000];

	furnish(place, &config);
	snprintf(text, sizeof(text),
		 "# BasePath=/ignored\nAutoBasePath=true basepath=/elsewhere/%%n\nDirs=/var/x,%s\n",
		 place->dir);
	scratch_write(scratch_path(place->dir, "job_container.conf"), text, strlen(text));
	assert_int_equal(look(&config, &f), 0);
	assert_says(f.warned, "job_container.conf's Dirs");
	scratch_write(scratch_path(place->dir, "job_container.conf"), "BasePath=/elsewhere\n", 20);
	look(&config, &f);
	assert_null(strstr(f.warned, "job_container"));
	/* Of another node: nothing is hidden here. */
	snprintf(text, sizeof(text), "BasePath=%.*s%%n\n", (int)(strlen(place->dir) - 3),
		 place->dir);
	scratch_write(scratch_path(place->dir, "job_container.conf"), text, strlen(text));
	look(&config, &f);
	assert_null(strstr(f.warned, "job_container"));
	free(config.node_name);
	config.node_name = strdup(place->dir + strlen(place->dir) - 3);
	look(&config, &f);
	assert_says(f.warned, "job_container.conf's BasePath");
	config_fini(&config);
}

static void test_inspect_catalog(void **state)
{
	const struct place *place = *state;
	struct findings f = {0};
	struct config config;
	char text[1500];

	furnish(place, &config);
	assert_int_equal(config_inspect_catalog(&config, tell, &f), 0);
	assert_string_equal(f.warned, "");
	mkdir(scratch_path(place->dir, "catalog/set"), 0755);
	snprintf(
		text, sizeof(text),
		"larder-manifest 1\nname set\nversion v1\naccess public\norigin %s/view/data\ncreated 0\n"
		"shards %020d\nbytes %020d\ndigest 99aa06d3014798d86001c324468d497f\n\n",
		place->dir, 0, 0);
	scratch_write(scratch_path(place->dir, "catalog/set/v1.manifest"), text, strlen(text));
	if (config_inspect_catalog(&config, tell, &f) != 1)
		fail_msg("fatal: %s warned: %s", f.fatal, f.warned);
	assert_says(f.fatal, "set:v1");
	config_fini(&config);
}

#define SAME_STR(a, b)	   assert_string_equal(a, b)
#define SAME_PATH(a, b)	   assert_string_equal(a, b)
#define SAME_OPTPATH(a, b) assert_string_equal(a, b)
#define SAME_WORD(a, b)	   assert_string_equal(a, b)
#define SAME_SIZE(a, b)	   assert_int_equal(a, b)
#define SAME_TIME(a, b)	   assert_int_equal(a, b)
#define SAME_UINT(a, b)	   assert_int_equal(a, b)
#define SAME_BOOL(a, b)	   assert_int_equal(a, b)
#define SAME_LIST(a, b)                                                                            \
	(assert_int_equal((a).count, (b).count),                                                   \
	 (a).count ? assert_string_equal((a).items[0], (b).items[0]) : (void)0)
#define SAME_PERCENT(a, b)                                                                         \
	(assert_int_equal((a).bytes, (b).bytes), assert_int_equal((a).percent, (b).percent))

static void assert_same_config(const struct config *a, const struct config *b)
{
#define LARDER_KEY(TYPE, field, def, help) SAME_##TYPE(a->field, b->field);
#include "server/config.def"
#undef LARDER_KEY
	assert_int_equal(a->n_tiers, b->n_tiers);
#define LARDER_TIER_KEY(TYPE, field, def, help) SAME_##TYPE(a->tiers[0].field, b->tiers[0].field);
#include "server/config.def"
#undef LARDER_TIER_KEY
}

/* Every key stands in the example, commented out, with its default; the tests run in the top
 * directory. */
static void test_example_shows_the_defaults(void **state)
{
	char text[32768] = "", line[1000], given[32768] = "", bare[32768];
	FILE *f = fopen("etc/larder.conf", "r");
	struct config example, defaults;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		char *key = line + strspn(line, "\t#");

		/* "# help" stays a comment, "#key = value" becomes the value it shows. */
		strcat(text, *key == ' ' ? line : key);
		strcat(given, line);
	}
	fclose(f);
#define LARDER_KEY(TYPE, field, def, help) assert_says(text, "\n" #field " = ");
#include "server/config.def"
#undef LARDER_KEY
#define LARDER_TIER_KEY(TYPE, field, def, help) assert_says(text, "\n" #field " = ");
#include "server/config.def"
#undef LARDER_TIER_KEY
	load_ok(*state, given, &defaults);
	config_fini(&defaults);
	load_ok(*state, text, &example);
	snprintf(bare, sizeof(bare), "tier \"local\" { path = \"%s\" }\n", example.tiers[0].path);
	load_ok(*state, bare, &defaults);
	assert_same_config(&example, &defaults);
	config_fini(&example);
	config_fini(&defaults);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_origins, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lists, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_socket, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files_that_are_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fixed_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inspect_good, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inspect_view_root, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inspect_places, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inspect_tmpfs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inspect_job_container, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inspect_catalog, setup, teardown),
		cmocka_unit_test_setup_teardown(test_example_shows_the_defaults, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
