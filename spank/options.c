/*
 * Owns the options: their names, help, values and the environment variables that carry them.
 * Must not look at files or ask the daemon.
 * Called by plugin.c (registration, callback), submit.c, job.c and task.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/manifest.h"
#include "larder/text.h"
#include "plugin.h"

#define LATER "comes with a later version of Larder"

/* A word that an option takes; `later` says why it is not there yet. */
struct word {
	const char *word;
	uint32_t value;
	const char *later;
};

static const struct word mode_words[] = {
	{"auto", LARDER_MODE_AUTO, NULL},
	{"stage", LARDER_MODE_STAGE, NULL},
	{"lazy", LARDER_MODE_LAZY, LATER "; use auto or stage"},
	{"bypass", LARDER_MODE_BYPASS, NULL},
	{NULL, 0, NULL},
};
static const struct word on_fail_words[] = {
	{"fail", LARDER_ON_FAIL_FAIL, NULL},
	{"bypass", LARDER_ON_FAIL_BYPASS, NULL},
	{NULL, 0, NULL},
};
static const struct word distribute_words[] = {
	{"replicate", 0, NULL},
	{"shard", 0, LATER "; replicate puts the whole dataset on each node"},
	{NULL, 0, NULL},
};
static const struct word placement_words[] = {
	{"prefer", 0, NULL},
	{"require", 0, NULL},
	{"off", 0, NULL},
	{NULL, 0, NULL},
};

static int parse_word(const struct word *words, const char *option, const char *text,
		      uint32_t *value, struct larder_error *err)
{
	char all[64] = "";

	for (const struct word *w = words; w->word; w++) {
		if (strcmp(text, w->word)) {
			snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s",
				 *all ? ", " : "", w->word);
			continue;
		}
		if (w->later)
			return larder_error_set(err, EINVAL, "--%s=%s %s", option, text, w->later);
		*value = w->value;
		return 0;
	}
	return larder_error_set(err, EINVAL, "--%s=%.64s: it takes one of %s", option, text, all);
}

static int parse_dataset(const char *text, struct request *r, struct larder_error *err)
{
	int rc = larder_spec_list_parse(text, &r->specs, err);

	if (rc)
		return larder_error_prefix(err, "--dataset");
	for (size_t i = 0; i < r->specs.count; i++) {
		const struct larder_spec *spec = &r->specs.items[i];
		enum larder_origin_form form;
		size_t root;

		if (spec->kind != LARDER_SPEC_OWN)
			continue;
		if (larder_origin_form(spec->origin, &form, &root, err))
			return larder_error_prefix(err, "--dataset: %s", spec->name);
	}
	r->text = larder_spec_list_format(&r->specs);
	return r->text ? 0 : larder_error_set(err, ENOMEM, "out of memory");
}

static int parse_mode(const char *text, struct request *r, struct larder_error *err)
{
	return parse_word(mode_words, "dataset-mode", text, &r->mode, err);
}

static int parse_wait(const char *text, struct request *r, struct larder_error *err)
{
	if (!strcmp(text, "all")) {
		r->wait_ms = LARDER_WAIT_ALL;
		return 0;
	}
	if (!strcmp(text, "none")) {
		r->wait_ms = LARDER_WAIT_NONE;
		return 0;
	}
	if (!larder_duration_parse(text, &r->wait_ms, NULL))
		return 0;
	return larder_error_set(err, EINVAL,
				"--dataset-wait=%.64s: it takes all, none or a time such as 90 "
				"(seconds) or 5m",
				text);
}

static int parse_on_fail(const char *text, struct request *r, struct larder_error *err)
{
	return parse_word(on_fail_words, "dataset-on-fail", text, &r->on_fail, err);
}

static int parse_distribute(const char *text, struct request *r, struct larder_error *err)
{
	uint32_t unused;

	(void)r;
	return parse_word(distribute_words, "dataset-distribute", text, &unused, err);
}

/* Checked here; it is read on the controller, by contrib/lua/larder.lua. */
static int parse_placement(const char *text, struct request *r, struct larder_error *err)
{
	uint32_t unused;

	(void)r;
	return parse_word(placement_words, "dataset-placement", text, &unused, err);
}

/* SPANK wants char *; it writes to none of them. */
static const struct option {
	char *name, *arginfo, *usage;
	int (*parse)(const char *text, struct request *request, struct larder_error *err);
} table[OPTION_COUNT] = {
	[OPTION_DATASET] = {"dataset", "SPEC[,SPEC...]",
			    "[dataset] put datasets on the job's nodes before it starts; SPEC is "
			    "NAME[:VERSION][@DIGEST][/SUBSET] or NAME=/PATH; none asks for nothing",
			    parse_dataset},
	[OPTION_MODE] = {"dataset-mode", "MODE",
			 "[dataset] auto, stage (copy to the node) or bypass (read the origin)",
			 parse_mode},
	[OPTION_WAIT] = {"dataset-wait", "all|none|TIME",
			 "[dataset] how long the job may be held back for staging", parse_wait},
	[OPTION_ON_FAIL] =
		{"dataset-on-fail", "fail|bypass",
		 "[dataset] when a dataset cannot be had: fail the job, or read the origin",
		 parse_on_fail},
	[OPTION_DISTRIBUTE] = {"dataset-distribute", "replicate",
			       "[dataset] replicate: each node gets the whole dataset",
			       parse_distribute},
	[OPTION_PLACEMENT] =
		{"dataset-placement", "prefer|require|off",
		 "[dataset] nodes that hold the data: prefer them, require them if there "
		 "are any, or do not look",
		 parse_placement},
};

void options_init(struct plugin *plugin, spank_opt_cb_f cb)
{
	for (int i = 0; i < OPTION_COUNT; i++)
		plugin->options[i] = (struct spank_option){
			.name = table[i].name,
			.arginfo = table[i].arginfo,
			.usage = table[i].usage,
			.has_arg = 1,
			.val = i,
			.cb = cb,
		};
}

int options_register(struct plugin *plugin, spank_t sp, spank_opt_cb_f cb)
{
	options_init(plugin, cb);
	for (int i = 0; i < OPTION_COUNT; i++)
		if (spank_option_register(sp, &plugin->options[i]) != ESPANK_SUCCESS)
			return -1;
	return 0;
}

int option_check(unsigned int id, const char *value, struct larder_error *err)
{
	struct request scratch = {0};
	int rc = -EINVAL;

	if (id < OPTION_COUNT && value)
		rc = table[id].parse(value, &scratch, err);
	else
		larder_error_set(err, EINVAL, "an option without its value");
	request_fini(&scratch);
	return rc;
}

int option_keep(struct plugin *plugin, unsigned int id, const char *value)
{
	char *copy = id < OPTION_COUNT && value ? strdup(value) : NULL;

	if (!copy)
		return -ENOMEM;
	free(plugin->values[id]);
	plugin->values[id] = copy;
	return 0;
}

void options_recall(struct plugin *plugin, spank_t sp)
{
	options_init(plugin, NULL);
	for (unsigned int i = 0; i < OPTION_COUNT; i++) {
		char *value = NULL;

		if (spank_option_getopt(sp, &plugin->options[i], &value) == ESPANK_SUCCESS && value)
			option_keep(plugin, i, value);
	}
}

int request_parse(char *const values[OPTION_COUNT], struct request *request,
		  struct larder_error *err)
{
	int rc = 0;

	*request = (struct request){
		.mode = LARDER_MODE_AUTO,
		.wait_ms = LARDER_WAIT_ALL,
		.on_fail = LARDER_ON_FAIL_DEFAULT,
	};
	for (int i = 0; i < OPTION_COUNT && !rc; i++)
		if (values[i])
			rc = table[i].parse(values[i], request, err);
	return rc;
}

void request_fini(struct request *request)
{
	larder_spec_list_fini(&request->specs);
	free(request->text);
	request->text = NULL;
}

/* As Slurm's _opt_env_name makes it: every byte that is no letter or digit is an underscore. */
void option_variable(const char *prefix, unsigned int id, char *out, size_t len)
{
	snprintf(out, len, "%s_SLURM_SPANK_OPTION_larder_%s", prefix, table[id].name);
	for (char *c = strchr(out, '-'); c; c = strchr(c, '-'))
		*c = '_';
}

void options_each_variable(void (*fn)(const char *variable, void *arg), void *arg)
{
	static const char *const prefixes[] = {"SLURM_SPANK_", "SPANK_", ""};

	for (unsigned int i = 0; i < OPTION_COUNT; i++) {
		for (size_t p = 0; p < sizeof(prefixes) / sizeof(prefixes[0]); p++) {
			char name[128];

			option_variable(prefixes[p], i, name, sizeof(name));
			fn(name, arg);
		}
	}
}

void options_fini(struct plugin *plugin)
{
	for (int i = 0; i < OPTION_COUNT; i++) {
		free(plugin->values[i]);
		plugin->values[i] = NULL;
	}
}
