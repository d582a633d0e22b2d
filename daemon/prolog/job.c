/*
 * Owns what PrologSlurmctld's environment says of a job.
 * Must not trust it: the option is the user's, only job, user and nodes are Slurm's.
 * Called by main.c.
 */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "core/hostlist.h"
#include "larder/text.h"
#include "larder/wire.h"
#include "prolog/prolog.h"

#define OPTION(name) "SPANK__SLURM_SPANK_OPTION_larder_" name

static int read_number(char *(*get)(const char *), const char *name, uint32_t *out,
		       struct larder_error *err)
{
	const char *text = get(name);
	uint64_t value;

	if (!text || larder_u64_parse(text, &value, NULL) || value > UINT32_MAX)
		return larder_error_set(err, EINVAL,
					"%s is not set as slurmctld does; this is a program for "
					"PrologSlurmctld",
					name);
	*out = (uint32_t)value;
	return 0;
}

/* Slurm 22.05 sets the group too; an older site script between may have lost it. */
static int read_user(char *(*get)(const char *), struct prolog_job *job, struct larder_error *err)
{
	struct passwd *pw;
	int rc = read_number(get, "SLURM_JOB_UID", &job->uid, err);

	if (rc || !read_number(get, "SLURM_JOB_GID", &job->gid, NULL))
		return rc;
	pw = getpwuid(job->uid);
	if (!pw)
		return larder_error_set(err, EINVAL, "user %u is not known here", job->uid);
	job->gid = pw->pw_gid;
	return 0;
}

/* As the submission found it in the catalog: the user's word, which the nodes compare with theirs.
 */
static void fix(struct larder_spec *spec, const struct larder_spec_list *fixed)
{
	for (size_t i = 0; i < fixed->count; i++) {
		const struct larder_spec *f = &fixed->items[i];

		if (f->kind == LARDER_SPEC_CATALOG && strcmp(f->name, spec->name) == 0) {
			memcpy(spec->version, f->version, sizeof(spec->version));
			memcpy(spec->digest, f->digest, sizeof(spec->digest));
		}
	}
}

/* A user's own dataset stays out of it: only the job's own prolog can read that origin as the user.
 */
static int read_specs(const char *text, const char *fixed_text, struct larder_spec_list *specs,
		      struct larder_error *err)
{
	struct larder_spec_list fixed = {0};
	size_t n = 0;
	int rc = larder_spec_list_parse(text, specs, err);

	if (rc)
		return rc;
	if (fixed_text && larder_spec_list_parse(fixed_text, &fixed, NULL))
		fixed = (struct larder_spec_list){0};
	for (size_t i = 0; i < specs->count; i++) {
		if (specs->items[i].kind == LARDER_SPEC_OWN) {
			larder_spec_fini(&specs->items[i]);
			continue;
		}
		fix(&specs->items[i], &fixed);
		specs->items[n++] = specs->items[i];
	}
	specs->count = n;
	larder_spec_list_fini(&fixed);
	return n ? 0 : -ENODATA;
}

static int64_t wait_of(const char *text)
{
	int64_t ms;

	if (!text || !strcmp(text, "all"))
		return LARDER_WAIT_ALL;
	if (!strcmp(text, "none"))
		return LARDER_WAIT_NONE;
	return larder_duration_parse(text, &ms, NULL) ? LARDER_WAIT_ALL : ms;
}

int prolog_job_specs(char *(*get)(const char *name), struct larder_spec_list *specs,
		     struct larder_error *err)
{
	const char *dataset = get(OPTION("dataset")), *mode = get(OPTION("dataset_mode"));

	*specs = (struct larder_spec_list){0};
	if (!dataset || (mode && !strcmp(mode, "bypass")))
		return -ENODATA;
	return read_specs(dataset, get("SPANK_LARDER_FIXED"), specs, err);
}

int prolog_job_read(char *(*get)(const char *name), struct prolog_job *job,
		    struct larder_error *err)
{
	const char *nodes = get("SLURM_JOB_NODELIST");
	int rc;

	*job = (struct prolog_job){.wait_ms = wait_of(get(OPTION("dataset_wait")))};
	rc = prolog_job_specs(get, &job->specs, err);
	if (!rc)
		rc = read_number(get, "SLURM_JOB_ID", &job->id, err);
	if (!rc)
		rc = read_user(get, job, err);
	if (rc)
		return rc;
	if (!nodes)
		return larder_error_set(err, EINVAL, "SLURM_JOB_NODELIST is not set");
	job->node_list = nodes;
	return hostlist_expand(nodes, &job->nodes, &job->n_nodes, err);
}

void prolog_job_fini(struct prolog_job *job)
{
	larder_spec_list_fini(&job->specs);
	if (job->nodes)
		hostlist_free(job->nodes);
	*job = (struct prolog_job){0};
}
