/*
 * Owns what each task of a job is given, and the failing of a job.
 * Must not wait longer than the configured timeout: nothing can cancel a hook here. Must not ask
 * the daemon for a job that wants no data.
 * Called by plugin.c in slurmstepd: step_begin once a step, the rest in each task's own process.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "larder/cleanup.h"
#include "larder/clock.h"
#include "larder/text.h"
#include "plugin.h"
#include "variables.h"
#include "view.h"

#define RETRY_MS 100

/* Slurm's step ids that are no numbers of steps, as slurm.h of 22.05 to 26.05 has them. */
#define STEP_NORMAL_MOST 0xfffffff0u
#define STEP_INTERACTIVE 0xfffffffau
#define STEP_BATCH	 0xfffffffbu

struct task {
	const struct settings *settings;
	const struct plugin *plugin;
	char node[SETTINGS_NODE_MAX];
	uint32_t job_id, step_id, node_id, global_id;
	int local_id;
	uid_t uid;
	bool marked; /* there is a marker */
	struct marker marker;
	char *step_specs; /* canonical; NULL: the job's */
};

static void drop(const char *variable, void *arg)
{
	spank_unsetenv(arg, variable);
}

/*
 * Before anything of the job runs: a nested sbatch must not inherit the options. What they were
 * is in plugin->values, through the callback.
 */
void step_begin(spank_t sp, struct plugin *plugin)
{
	char buf[8];

	plugin->step_typed =
		spank_getenv(sp, VARIABLE_STEP, buf, sizeof(buf)) != ESPANK_ENV_NOEXIST;
	options_each_variable(drop, sp);
	spank_unsetenv(sp, VARIABLE_STEP);
	spank_unsetenv(sp, "SLURM_SPANK_" VARIABLE_FIXED);
}

static int identify(spank_t sp, struct task *task, struct larder_error *err)
{
	if (spank_get_item(sp, S_JOB_ID, &task->job_id) != ESPANK_SUCCESS ||
	    spank_get_item(sp, S_JOB_STEPID, &task->step_id) != ESPANK_SUCCESS ||
	    spank_get_item(sp, S_JOB_UID, &task->uid) != ESPANK_SUCCESS ||
	    spank_get_item(sp, S_JOB_NODEID, &task->node_id) != ESPANK_SUCCESS ||
	    spank_get_item(sp, S_TASK_ID, &task->local_id) != ESPANK_SUCCESS ||
	    spank_get_item(sp, S_TASK_GLOBAL_ID, &task->global_id) != ESPANK_SUCCESS)
		return larder_error_set(err, EINVAL, "Slurm does not say which task this is");
	settings_node(task->node);
	return 0;
}

static int read_marker(struct task *task, struct larder_error *err)
{
	char dir[PATH_MAX];
	int rc = settings_jobs_dir(task->settings, task->node, dir, sizeof(dir), err);

	if (!rc)
		rc = marker_read(dir, task->job_id, &task->marker, err);
	task->marked = !rc;
	return rc == -ENOENT ? 0 : rc;
}

/*
 * What SPANK hands to a step is what was typed for it only when srun says so, or when this is no
 * heterogeneous job: there, an allocating srun gives every component's steps the last one's value.
 */
static bool is_step_option(spank_t sp, const struct task *task)
{
	char buf[8];

	if (!task->plugin->values[OPTION_DATASET] || task->step_id > STEP_NORMAL_MOST)
		return false;
	return task->plugin->step_typed ||
	       spank_getenv(sp, "SLURM_HET_SIZE", buf, sizeof(buf)) == ESPANK_ENV_NOEXIST;
}

/* 1: this task is given data. 0: it is not, and nobody is asked. -errno. */
static int wants_data(spank_t sp, struct task *task, struct larder_error *err)
{
	const char *value = task->plugin->values[OPTION_DATASET];
	struct request request = {0};
	char *values[OPTION_COUNT] = {NULL};
	int rc = read_marker(task, err);

	if (rc)
		return rc;
	if (!is_step_option(sp, task)) {
		/* A batch script's own option, and no marker: the prolog could not write one. */
		bool batch = task->step_id == STEP_BATCH;

		return task->marked || (batch && value && strcmp(value, "none") != 0);
	}
	values[OPTION_DATASET] = task->plugin->values[OPTION_DATASET];
	rc = request_parse(values, &request, err);
	if (!rc && request.specs.count) {
		task->step_specs = take_ptr(&request.text);
		rc = 1;
	}
	request_fini(&request);
	return rc;
}

struct answer {
	struct view *view;
	int64_t until_ms;
};

static int take_row(struct larder_row *row, void *arg, struct larder_error *err)
{
	struct answer *answer = arg;

	if (clock_mono_ms() > answer->until_ms)
		return larder_error_set(err, ETIMEDOUT, "larderd is too slow with its answer");
	return view_add_row(answer->view, row, err);
}

/* A daemon that is just being restarted is waited for, within the one timeout. */
static int attach(const struct task *task, struct view *view, bool *unreachable,
		  struct larder_error *err)
{
	struct larder_msg_ATTACH msg = {
		.job_id = task->job_id,
		.step_id = task->step_id,
		.uid = task->uid,
		.step_specs = task->step_specs ? task->step_specs : "",
	};
	struct answer answer = {view, clock_mono_ms() + task->settings->timeout_ms};
	struct ask ask;
	int rc = ask_init(&ask, task->settings, task->node, err);

	*unreachable = true;
	if (rc)
		return rc;
	for (;;) {
		int64_t left_ms = answer.until_ms - clock_mono_ms();

		ask.timeout_ms = left_ms > 1 ? (int)left_ms : 1;
		rc = ask_call(&ask, LARDER_MSG_ATTACH, &msg, 0, take_row, &answer, unreachable,
			      err);
		if (!rc || !*unreachable || left_ms <= RETRY_MS)
			break;
		view_fini(view);
		ask_pause_ms(RETRY_MS);
	}
	ask_fini(&ask);
	return rc;
}

static int add_origin(struct view *view, const struct marker_origin *origin)
{
	const struct {
		const char *part, *value;
	} parts[] = {
		{"DIR", origin->path}, {"VERSION", origin->version}, {"STATE", "bypass"},
		{"COVERAGE", "0"},     {"DIGEST", origin->digest}, /* a user's own has none */
	};
	char name[LARDER_NAME_MAX + 1], key[LARDER_NAME_MAX + 32];

	larder_spec_env_name(origin->name, name);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && *parts[i].value; i++) {
		int rc;

		snprintf(key, sizeof(key), "DATASET_%s_%s", name, parts[i].part);
		rc = view_add_variable(view, key, parts[i].value);
		if (rc)
			return rc;
	}
	return 0;
}

/* From the origins that the prolog found. `why` becomes part of the line for the user. */
static int bypass(const struct task *task, struct view *view, struct larder_error *why)
{
	const struct marker *marker = &task->marker;
	struct larder_spec_list specs = {0};
	char line[LARDER_ERROR_MAX + 256];
	int rc = larder_spec_list_parse(marker->specs ? marker->specs : "none", &specs, NULL);
	bool all = !rc && specs.count == marker->n_origins;

	larder_spec_list_fini(&specs);
	if (!all)
		return larder_error_prefix(why,
					   "no origin is known that the job could use instead");
	view_fini(view);
	rc = view_add_variable(view, "DATASET_SPECS", marker->specs);
	for (size_t i = 0; i < marker->n_origins && !rc; i++) {
		const struct marker_origin *o = &marker->origins[i];

		snprintf(line, sizeof(line),
			 "%s:%s read from its origin %.200s, not from the cache: %s", o->name,
			 o->version, o->path, why->text);
		rc = add_origin(view, o);
		if (!rc)
			rc = view_add_line(view, line);
	}
	return rc ? larder_error_set(why, -rc, "cannot use the origin: %s", strerror(-rc)) : 0;
}

/* What the daemon, or in its place the marker, gives this task. */
static int gather(const struct task *task, struct view *view, struct larder_error *err)
{
	bool unreachable = true;
	int rc;

	if (task->marker.error[0])
		rc = larder_error_set(err, EIO, "%s", task->marker.error);
	else
		rc = attach(task, view, &unreachable, err);
	if (!rc || !unreachable || task->marker.final ||
	    task->marker.on_fail != LARDER_ON_FAIL_BYPASS)
		return rc;
	return bypass(task, view, err);
}

/* Once for each job: by the batch script, or by the first task of salloc's and srun's first step.
 */
static bool is_first_of_job(spank_t sp, const struct task *task)
{
	char said[16] = "", mine[16];

	if (task->step_id == STEP_BATCH)
		return true;
	snprintf(mine, sizeof(mine), "%" PRIu32, task->job_id);
	if (spank_getenv(sp, VARIABLE_SAID, said, sizeof(said)) == ESPANK_SUCCESS &&
	    !strcmp(said, mine))
		return false;
	return task->step_id == STEP_INTERACTIVE ||
	       (task->step_id == 0 && task->node_id == 0 && task->global_id == 0);
}

static void keep_lines(spank_t sp, const struct task *task, const struct view *view, char **out)
{
	size_t len;
	char mine[16];
	FILE *f = is_first_of_job(sp, task) ? open_memstream(out, &len) : NULL;

	if (!f)
		return;
	for (size_t i = 0; i < view->n_lines; i++)
		fprintf(f, "%s%s", i ? "\n" : "", view->lines[i]);
	fclose(f);
	snprintf(mine, sizeof(mine), "%" PRIu32, task->job_id);
	spank_setenv(sp, VARIABLE_SAID, mine, 1);
}

static int give(spank_t sp, struct view *view, struct larder_error *err)
{
	int rc = view_mount(view, err);

	for (size_t i = 0; i < view->n_variables && !rc; i++)
		if (spank_setenv(sp, view->variables[i].key, view->variables[i].value, 1) !=
		    ESPANK_SUCCESS)
			rc = larder_error_set(err, ENOMEM, "cannot set the variable %s",
					      view->variables[i].key);
	return rc;
}

/*
 * Ends this task, and so the job or step, with exit code 1. Slurm would do just this for -1, but
 * only where plugstack.conf has "required"; with "optional" it would run the job without its data.
 */
static void fail(const struct task *task, const struct larder_error *err)
{
	/* The marker's sentence is the same for all tasks of the node. */
	if (!task->marker.error[0] || task->local_id == 0)
		report("%s: %s", task->node, err->text);
	_exit(1);
}

int task_begin(spank_t sp, struct plugin *plugin, const struct settings *settings)
{
	struct task task = {.settings = settings, .plugin = plugin};
	auto_free struct view *view = calloc(1, sizeof(*view));
	struct larder_error err = {0};
	int rc = identify(sp, &task, &err);

	if (!rc)
		rc = wants_data(sp, &task, &err);
	if (rc > 0) {
		rc = view ? gather(&task, view, &err)
			  : larder_error_set(&err, ENOMEM, "out of memory");
		if (!rc)
			rc = give(sp, view, &err);
		if (!rc)
			keep_lines(sp, &task, view, &plugin->line);
	}
	if (rc < 0)
		fail(&task, &err);
	if (view)
		view_fini(view);
	marker_fini(&task.marker);
	free(task.step_specs);
	return 0;
}

void task_say(struct plugin *plugin)
{
	char *rest = plugin->line, *line;

	while ((line = strsep(&rest, "\n")))
		report_line(line);
}
