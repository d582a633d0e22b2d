/*
 * Owns what happens before a job is queued: options not inherited, names checked, digests fixed.
 * Must not ask the daemon; what it finds out is the user's word to the nodes, which check again.
 * Called by plugin.c in srun, sbatch and salloc, as the submitting user.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "larder/catalog.h"
#include "larder/cleanup.h"
#include "larder/text.h"
#include "plugin.h"
#include "variables.h"

static void drop(const char *variable, void *arg)
{
	(void)arg;
	unsetenv(variable);
}

/* The parent job's DATASET_… would name paths that the child job does not have. */
static void drop_dataset_variables(void)
{
	static const char *const parts[] = {"DIR",   "VERSION",	 "DIGEST",
					    "STATE", "COVERAGE", "MANIFEST"};
	struct larder_spec_list list = {0};
	const char *specs = getenv("DATASET_SPECS");

	if (!specs || larder_spec_list_parse(specs, &list, NULL))
		return;
	for (size_t i = 0; i < list.count; i++) {
		char name[LARDER_NAME_MAX + 1], variable[LARDER_NAME_MAX + 32];

		larder_spec_env_name(list.items[i].name, name);
		for (size_t p = 0; p < sizeof(parts) / sizeof(parts[0]); p++) {
			snprintf(variable, sizeof(variable), "DATASET_%s_%s", name, parts[p]);
			unsetenv(variable);
		}
	}
	larder_spec_list_fini(&list);
	unsetenv("DATASET_SPECS");
	unsetenv("DATASET_ROOT");
}

/*
 * Inside a job the parent's options are in the environment, where Slurm would take them for typed
 * ones, and stronger than the child's own #SBATCH lines. Outside of a job they are the user's.
 */
static void forget_inherited(bool allocator)
{
	options_each_variable(drop, NULL);
	unsetenv("SLURM_SPANK_" VARIABLE_FIXED);
	unsetenv(VARIABLE_STEP);
	if (!allocator)
		return;
	unsetenv(VARIABLE_SAID);
	drop_dataset_variables();
}

void submit_begin(struct plugin *plugin, bool allocator)
{
	if (getenv("SLURM_JOB_ID"))
		forget_inherited(allocator);
	for (unsigned int i = 0; i < OPTION_COUNT; i++) {
		char name[128];

		option_variable("SLURM_SPANK_", i, name, sizeof(name));
		plugin->exported[i] = getenv(name) != NULL;
	}
}

/*
 * After a heterogeneous job's first component sbatch puts its values into the environment, where
 * they would beat the #SBATCH lines of the next one. A value that a component gives itself counts;
 * one that gives none still takes over the first one's.
 */
void submit_option(const struct plugin *plugin, unsigned int id)
{
	char name[128];

	if (!plugin->components || id >= OPTION_COUNT || plugin->exported[id])
		return;
	option_variable("SLURM_SPANK_", id, name, sizeof(name));
	unsetenv(name);
}

/*
 * Ends the command, as Slurm does when this hook answers -1; but that is heard only where
 * plugstack.conf has "required". Nothing has been sent yet. No handlers: one of them unloads us.
 */
static void refuse(const char *sentence)
{
	const char *text = getenv("SLURM_EXIT_ERROR");
	uint64_t status;

	report("%s", sentence);
	if (!text || larder_u64_parse(text, &status, NULL) || status > 255)
		status = 1;
	fflush(NULL);
	_exit((int)status);
}

/* A step of a job that is there already: no prolog comes, the node compares with the job's leases.
 */
static void check_step(const struct plugin *plugin)
{
	char sentence[256];

	for (int i = 0; i < OPTION_COUNT; i++) {
		if (i == OPTION_DATASET || !plugin->values[i])
			continue;
		snprintf(
			sentence, sizeof(sentence),
			"--%s belongs to the job (sbatch, salloc), it cannot be changed for a step",
			plugin->options[i].name);
		refuse(sentence);
	}
	if (plugin->values[OPTION_DATASET])
		setenv(VARIABLE_STEP, "1", 1);
}

/* Text of the spec with version and digest as the catalog has them now. NULL on ENOMEM. */
static char *fixed_text(const struct larder_spec *spec, const struct larder_manifest_head *head)
{
	struct larder_spec fixed = *spec;

	strcpy(fixed.version, head->version);
	strcpy(fixed.digest, head->digest);
	fixed.subset = NULL;
	return larder_spec_format(&fixed);
}

/*
 * Appends to *fixed. 0 also when the catalog cannot be read here, for then the nodes decide;
 * -ENOENT (unknown, or closed to this user) and -ESTALE refuse the submission.
 */
static int fix_one(const char *catalog, const struct larder_spec *spec, FILE *fixed,
		   struct larder_error *err)
{
	struct larder_catalog_entry entry = {0};
	auto_free char *text = NULL;
	int rc = larder_catalog_find(catalog, spec, getuid(), getgid(), &entry, err);

	if (rc == -ENOENT || rc == -ESTALE)
		return rc;
	if (rc) {
		report_quietly("%s; the nodes will decide", err->text);
		return 0;
	}
	text = fixed_text(spec, &entry.head);
	larder_catalog_entry_fini(&entry);
	if (!text)
		return larder_error_set(err, ENOMEM, "out of memory");
	fprintf(fixed, "%s%s", ftell(fixed) > 0 ? "," : "", text);
	return 0;
}

static int fix_all(const char *catalog, const struct larder_spec_list *specs, char **text,
		   struct larder_error *err)
{
	size_t len;
	FILE *f = open_memstream(text, &len);
	int rc = 0;

	if (!f)
		return larder_error_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < specs->count && !rc; i++)
		if (specs->items[i].kind == LARDER_SPEC_CATALOG)
			rc = fix_one(catalog, &specs->items[i], f, err);
	if (fclose(f) && !rc)
		rc = larder_error_set(err, ENOMEM, "out of memory");
	return rc;
}

static int fix(spank_t sp, const struct settings *settings, const struct request *request,
	       struct larder_error *err)
{
	auto_free char *text = NULL;
	int rc = 0;

	if (access(settings->catalog, R_OK | X_OK)) {
		report_quietly("catalog %s cannot be read here; the nodes will decide",
			       settings->catalog);
		return 0;
	}
	rc = fix_all(settings->catalog, &request->specs, &text, err);
	if (rc || !text[0])
		return rc;
	if (spank_job_control_setenv(sp, VARIABLE_FIXED, text, 1) != ESPANK_SUCCESS)
		report_quietly(
			"Slurm did not take the digests; the nodes will resolve the versions");
	return 0;
}

/* A URL is no path that a job could read instead. */
static int check_own(const struct request *request, struct larder_error *err)
{
	bool direct =
		request->mode == LARDER_MODE_BYPASS || request->on_fail == LARDER_ON_FAIL_BYPASS;

	for (size_t i = 0; i < request->specs.count; i++) {
		const struct larder_spec *spec = &request->specs.items[i];

		if (direct && spec->kind == LARDER_SPEC_OWN && *spec->origin != '/')
			return larder_error_set(
				err, EINVAL,
				"dataset \"%s\" is at a URL, which no job can read as "
				"files: leave bypass out of --dataset-on-fail and "
				"--dataset-mode",
				spec->name);
	}
	return 0;
}

void submit_check(spank_t sp, struct plugin *plugin, const struct settings *settings,
		  bool allocator)
{
	struct larder_error err = {0};
	struct request request = {0};
	int rc;

	if (!allocator && getenv("SLURM_JOB_ID")) {
		check_step(plugin);
		return;
	}
	plugin->components++;
	spank_job_control_unsetenv(sp, VARIABLE_FIXED);
	if (!plugin->values[OPTION_DATASET])
		return;
	rc = request_parse(plugin->values, &request, &err);
	if (!rc)
		rc = check_own(&request, &err);
	if (!rc)
		rc = fix(sp, settings, &request, &err);
	request_fini(&request);
	if (rc)
		refuse(err.text);
}
