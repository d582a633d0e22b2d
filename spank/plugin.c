/*
 * Owns every symbol that Slurm looks up, and the one state that outlives a hook.
 * Must not decide anything: it sends each hook, by context, to the file that does.
 * Called by Slurm. Returns only 0 or -1; prolog and epilog only 0 (anything else drains the node).
 */
#include <stdlib.h>

#include "plugin.h"

SPANK_PLUGIN(larder, 1)

static struct plugin plugin;

static void tell(const char *sentence)
{
	report("%s", sentence);
}

static bool is_submission(spank_context_t context)
{
	return context == S_CTX_ALLOCATOR || context == S_CTX_LOCAL;
}

/* Fires again for every later, stronger source of an option; remote, it may fire twice. */
static int on_option(int id, const char *value, int remote)
{
	struct larder_error err = {0};

	if (!remote && option_check((unsigned int)id, value, &err)) {
		report("%s", err.text);
		return -1;
	}
	if (!remote)
		submit_option(&plugin, (unsigned int)id);
	if (option_keep(&plugin, (unsigned int)id, value) && !remote) {
		report("out of memory");
		return -1;
	}
	return 0;
}

int slurm_spank_init(spank_t sp, int argc, char **argv)
{
	spank_context_t context = spank_context();
	struct settings settings;

	if (!is_submission(context) && context != S_CTX_REMOTE)
		return 0;
	if (is_submission(context)) {
		settings_parse(&settings, argc, argv, tell);
		submit_begin(&plugin, context == S_CTX_ALLOCATOR);
	}
	if (options_register(&plugin, sp, on_option) && is_submission(context)) {
		report("Slurm did not take the plugin's options");
		return -1;
	}
	return 0;
}

int slurm_spank_init_post_opt(spank_t sp, int argc, char **argv)
{
	spank_context_t context = spank_context();
	struct settings settings;

	settings_parse(&settings, argc, argv, NULL);
	if (is_submission(context))
		submit_check(sp, &plugin, &settings, context == S_CTX_ALLOCATOR);
	else if (context == S_CTX_REMOTE)
		step_begin(sp, &plugin);
	return 0;
}

int slurm_spank_job_prolog(spank_t sp, int argc, char **argv)
{
	struct settings settings;

	settings_parse(&settings, argc, argv, tell);
	job_prolog(sp, &plugin, &settings);
	return 0;
}

int slurm_spank_job_epilog(spank_t sp, int argc, char **argv)
{
	struct settings settings;

	settings_parse(&settings, argc, argv, NULL);
	job_epilog(sp, &plugin, &settings);
	return 0;
}

int slurm_spank_task_init_privileged(spank_t sp, int argc, char **argv)
{
	struct settings settings;

	settings_parse(&settings, argc, argv, NULL);
	return task_begin(sp, &plugin, &settings) ? -1 : 0;
}

int slurm_spank_task_init(spank_t sp, int argc, char **argv)
{
	(void)sp;
	(void)argc;
	(void)argv;
	task_say(&plugin);
	return 0;
}

int slurm_spank_exit(spank_t sp, int argc, char **argv)
{
	(void)sp;
	(void)argc;
	(void)argv;
	options_fini(&plugin);
	free(plugin.line);
	plugin.line = NULL;
	return 0;
}
