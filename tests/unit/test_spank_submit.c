/*
 * What happens before a job is queued: refusals, the fixed digest, what is not inherited.
 * Must not need Slurm: spank_host plays it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"
#include "spank_host.h"

#define DIGEST	  "0123456789abcdef0123456789abcdef"
#define OPTION(x) "SLURM_SPANK__SLURM_SPANK_OPTION_larder_" x

struct stage {
	char *dir;
	char catalog[512];
	char *argv[2];
	struct spank_handle *host;
};

static void put_manifest(struct stage *s, const char *name, const char *version)
{
	char text[512];

	mkdir(scratch_path(s->dir, "catalog"), 0755);
	mkdir(scratch_path(s->dir, "catalog/%s", name), 0755);
	snprintf(text, sizeof(text),
		 "larder-manifest 1\nname %s\nversion %s\naccess public\norigin /data\n"
		 "created 1\nshards 00000000000000000000\nbytes 00000000000000000000\n"
		 "digest " DIGEST "\n\n",
		 name, version);
	scratch_write(scratch_path(s->dir, "catalog/%s/%s.manifest", name, version), text,
		      strlen(text));
}

static int setup(void **state)
{
	struct stage *s = calloc(1, sizeof(*s));

	s->dir = scratch_create();
	s->host = host_create(S_CTX_ALLOCATOR);
	snprintf(s->catalog, sizeof(s->catalog), "catalog=%s/catalog", s->dir);
	s->argv[0] = s->catalog;
	put_manifest(s, "imagenet", "v3");
	assert_int_equal(
		symlink("v3.manifest", scratch_path(s->dir, "catalog/imagenet/latest.manifest")),
		0);
	unsetenv("SLURM_JOB_ID");
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct stage *s = *state;

	slurm_spank_exit(s->host, 0, NULL);
	host_destroy(s->host);
	scratch_destroy(s->dir);
	free(s);
	unsetenv("SLURM_JOB_ID");
	return 0;
}

static void begin(struct stage *s, spank_context_t context)
{
	s->host->context = context;
	s->host->n_options = 0;
	assert_int_equal(slurm_spank_init(s->host, 1, s->argv), 0);
}

/* What the command's exit status becomes when the submission is refused. */
static int refused(struct stage *s)
{
	return host_run(s->host, slurm_spank_init_post_opt, s->argv);
}

static int finish(struct stage *s)
{
	return slurm_spank_init_post_opt(s->host, 1, s->argv);
}

static void test_latest_is_fixed_to_version_and_digest(void **state)
{
	struct stage *s = *state;

	begin(s, S_CTX_ALLOCATOR);
	assert_int_equal(host_type(s->host, "dataset", "imagenet/train,mine=/data"), 0);
	assert_int_equal(finish(s), 0);
	assert_string_equal(host_get(s->host->control, "LARDER_FIXED"), "imagenet:v3@" DIGEST);
	assert_string_equal(s->host->said, "");
}

static void test_an_unknown_name_is_refused_with_the_nearest(void **state)
{
	struct stage *s = *state;

	begin(s, S_CTX_ALLOCATOR);
	assert_int_equal(host_type(s->host, "dataset", "imagenot"), 0);
	assert_int_equal(refused(s), 1);
	assert_non_null(strstr(s->host->said, "imagenot"));
	setenv("SLURM_EXIT_ERROR", "17", 1);
	assert_int_equal(refused(s), 17);
	unsetenv("SLURM_EXIT_ERROR");
	assert_non_null(strstr(s->host->said, "imagenet"));
	assert_null(host_get(s->host->control, "LARDER_FIXED"));
}

static void test_a_catalog_that_is_not_here_leaves_it_to_the_nodes(void **state)
{
	struct stage *s = *state;

	strcat(s->catalog, "/nowhere");
	begin(s, S_CTX_ALLOCATOR);
	assert_int_equal(host_type(s->host, "dataset", "imagenot"), 0);
	assert_int_equal(finish(s), 0);
	assert_null(host_get(s->host->control, "LARDER_FIXED"));
}

static void test_a_bad_value_stops_the_submission_with_a_sentence(void **state)
{
	static const char *const bad[][2] = {
		{"dataset", ""},
		{"dataset", "a,"},
		{"dataset", "a,a"},
		{"dataset", "A"},
		{"dataset", "none,a"},
		{"dataset", "a\nb"},
		{"dataset", "a:../x"},
		{"dataset", "a=x/y"},
		{"dataset", "a=https://h"},
		{"dataset", "a=https://h/dir"},
		{"dataset", "a=https://h/x.tar?sig=1"},
		{"dataset", "a=https://h{1..2}/x.tar"},
		{"dataset", "a-b,a_b"},
		{"dataset-mode", "lazy"},
		{"dataset-mode", "fast"},
		{"dataset-mode", ""},
		{"dataset-wait", "soon"},
		{"dataset-wait", "-1"},
		{"dataset-on-fail", "die"},
		{"dataset-distribute", "shard"},
		{"dataset-placement", "here"},
		{"dataset-placement", ""},
	};
	struct stage *s = *state;

	begin(s, S_CTX_ALLOCATOR);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		s->host->said[0] = '\0';
		assert_int_equal(host_type(s->host, bad[i][0], bad[i][1]), -1);
		assert_int_equal(strncmp(s->host->said, "larder: ", 8), 0);
	}
}

static void test_what_comes_later_is_refused_in_so_many_words(void **state)
{
	struct stage *s = *state;

	begin(s, S_CTX_ALLOCATOR);
	assert_int_equal(host_type(s->host, "dataset-mode", "lazy"), -1);
	assert_non_null(strstr(s->host->said, "later version"));
}

static void test_good_values_are_taken(void **state)
{
	static const char *const good[][2] = {
		{"dataset", "a=https://h/d/SHA256SUMS,b=https://h/{x%2Cy}/s-{00..46}.tar//x"},
		{"dataset", "a=s3://b/c,b=s3://b/c/index.json"},
		{"dataset", "none"},
		{"dataset-mode", "auto"},
		{"dataset-mode", "bypass"},
		{"dataset-wait", "all"},
		{"dataset-wait", "none"},
		{"dataset-wait", "90"},
		{"dataset-wait", "5m"},
		{"dataset-on-fail", "bypass"},
		{"dataset-distribute", "replicate"},
		{"dataset-placement", "prefer"},
		{"dataset-placement", "require"},
		{"dataset-placement", "off"},
	};
	struct stage *s = *state;

	begin(s, S_CTX_ALLOCATOR);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(host_type(s->host, good[i][0], good[i][1]), 0);
	assert_int_equal(finish(s), 0);
	assert_string_equal(s->host->said, "");
}

static void test_all_help_texts_start_alike(void **state)
{
	struct stage *s = *state;

	begin(s, S_CTX_ALLOCATOR);
	assert_int_equal(s->host->n_options, 6);
	for (unsigned int i = 0; i < s->host->n_options; i++)
		assert_int_equal(strncmp(s->host->options[i]->usage, "[dataset] ", 10), 0);
}

static void test_the_last_value_counts(void **state)
{
	struct stage *s = *state;

	begin(s, S_CTX_ALLOCATOR);
	assert_int_equal(host_type(s->host, "dataset", "unknown"), 0);
	assert_int_equal(host_type(s->host, "dataset", "imagenet"), 0);
	assert_int_equal(finish(s), 0);
	assert_non_null(host_get(s->host->control, "LARDER_FIXED"));
}

static void test_a_nested_sbatch_inherits_nothing(void **state)
{
	struct stage *s = *state;

	setenv("SLURM_JOB_ID", "1", 1);
	setenv(OPTION("dataset"), "imagenet", 1);
	setenv(OPTION("dataset_on_fail"), "bypass", 1);
	setenv("_SLURM_SPANK_OPTION_larder_dataset", "imagenet", 1);
	setenv("SLURM_SPANK_LARDER_FIXED", "x", 1);
	setenv("SLURM_SPANK_LARDER_SAID", "1", 1);
	setenv("DATASET_SPECS", "imagenet:v3", 1);
	setenv("DATASET_IMAGENET_DIR", "/datasets/imagenet/v3", 1);
	setenv("DATASET_ROOT", "/datasets", 1);
	setenv("DATASET_OF_MINE", "kept", 1);
	begin(s, S_CTX_ALLOCATOR);
	assert_null(getenv(OPTION("dataset")));
	assert_null(getenv(OPTION("dataset_on_fail")));
	assert_null(getenv("_SLURM_SPANK_OPTION_larder_dataset"));
	assert_null(getenv("SLURM_SPANK_LARDER_FIXED"));
	assert_null(getenv("SLURM_SPANK_LARDER_SAID"));
	assert_null(getenv("DATASET_SPECS"));
	assert_null(getenv("DATASET_IMAGENET_DIR"));
	assert_null(getenv("DATASET_ROOT"));
	assert_string_equal(getenv("DATASET_OF_MINE"), "kept");
	unsetenv("DATASET_OF_MINE");
}

static void test_outside_of_a_job_an_exported_value_stays(void **state)
{
	struct stage *s = *state;

	setenv(OPTION("dataset"), "imagenet", 1);
	begin(s, S_CTX_ALLOCATOR);
	assert_string_equal(getenv(OPTION("dataset")), "imagenet");
	unsetenv(OPTION("dataset"));
}

static void test_a_het_component_overrides_the_first_ones_export(void **state)
{
	struct stage *s = *state;

	begin(s, S_CTX_ALLOCATOR);
	assert_int_equal(host_type(s->host, "dataset", "imagenet"), 0);
	assert_int_equal(finish(s), 0);
	setenv(OPTION("dataset"), "imagenet", 1); /* as sbatch does between components */
	assert_int_equal(host_type(s->host, "dataset", "none"), 0);
	assert_null(getenv(OPTION("dataset")));
	assert_int_equal(finish(s), 0);
	assert_null(host_get(s->host->control, "LARDER_FIXED"));
}

static void test_a_users_export_beats_a_het_component(void **state)
{
	struct stage *s = *state;

	setenv(OPTION("dataset"), "imagenet", 1);
	begin(s, S_CTX_ALLOCATOR);
	assert_int_equal(host_type(s->host, "dataset", "imagenet"), 0);
	assert_int_equal(finish(s), 0);
	assert_int_equal(host_type(s->host, "dataset", "none"), 0);
	assert_non_null(getenv(OPTION("dataset")));
	unsetenv(OPTION("dataset"));
}

static void test_a_step_says_that_it_was_typed_and_takes_nothing_else(void **state)
{
	struct stage *s = *state;

	setenv("SLURM_JOB_ID", "1", 1);
	begin(s, S_CTX_LOCAL);
	assert_int_equal(finish(s), 0);
	assert_null(getenv("SLURM_SPANK_LARDER_STEP"));
	assert_int_equal(host_type(s->host, "dataset", "whatever"), 0);
	assert_int_equal(finish(s), 0); /* the daemon compares it with the job's */
	assert_string_equal(getenv("SLURM_SPANK_LARDER_STEP"), "1");
	assert_null(host_get(s->host->control, "LARDER_FIXED"));
	assert_int_equal(host_type(s->host, "dataset-wait", "all"), 0);
	assert_int_equal(refused(s), 1);
	assert_non_null(strstr(s->host->said, "--dataset-wait"));
	unsetenv("SLURM_SPANK_LARDER_STEP");
}

static void test_a_bad_plugin_argument_is_told(void **state)
{
	char *argv[] = {(char *)(uintptr_t) "colour=red"};
	struct stage *s = *state;

	assert_int_equal(slurm_spank_init(s->host, 1, argv), 0);
	assert_non_null(strstr(s->host->said, "colour=red"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_latest_is_fixed_to_version_and_digest),
		TEST(test_an_unknown_name_is_refused_with_the_nearest),
		TEST(test_a_catalog_that_is_not_here_leaves_it_to_the_nodes),
		TEST(test_a_bad_value_stops_the_submission_with_a_sentence),
		TEST(test_what_comes_later_is_refused_in_so_many_words),
		TEST(test_good_values_are_taken),
		TEST(test_all_help_texts_start_alike),
		TEST(test_the_last_value_counts),
		TEST(test_a_nested_sbatch_inherits_nothing),
		TEST(test_outside_of_a_job_an_exported_value_stays),
		TEST(test_a_het_component_overrides_the_first_ones_export),
		TEST(test_a_users_export_beats_a_het_component),
		TEST(test_a_step_says_that_it_was_typed_and_takes_nothing_else),
		TEST(test_a_bad_plugin_argument_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
