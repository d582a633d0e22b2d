/*
 * larderd: the recipe. Reads the command line and the configuration, starts, runs, stops.
 * Decides nothing; the rooms below server/ do. Also the doors of the two child processes.
 */
#include <argp.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/log.h"
#include "server/check.h"
#include "server/start.h"

struct options {
	const char *config;
	bool check;
};

static const struct argp_option option_table[] = {
	{"config", 'c', "FILE", 0, "Read FILE instead of /etc/larder/larder.conf", 0},
	{"check-config", 'k', NULL, 0,
	 "Check the configuration against this machine, print what is wrong, and exit", 0},
	{"debug", 'd', NULL, 0, "Log what happens in detail", 0},
	{0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'c': options->config = arg; return 0;
	case 'k': options->check = true; return 0;
	case 'd': log_set_level(LOG_LEVEL_DEBUG); return 0;
	case ARGP_KEY_ARG: argp_error(state, "%s: larderd takes options only", arg); return EINVAL;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static void print_finding(bool fatal, const char *text, void *arg)
{
	(void)arg;
	fprintf(stderr, "%s: %s\n", fatal ? "error" : "warning", text);
}

static void log_finding(bool fatal, const char *text, void *arg)
{
	(void)arg;
	log_event(fatal ? LOG_LEVEL_ERR : LOG_LEVEL_WARNING, "config", "text=\"%s\"", text);
}

static int run(struct larderd *d)
{
	struct larder_error err = {0};
	int status = 1;

	config_inspect(&d->config, log_finding, NULL);
	if (larderd_start(d, &err))
		log_event(LOG_LEVEL_ERR, "start.failed", "error=\"%s\"", err.text);
	else
		status = larderd_run(d);
	larderd_stop(d);
	return status;
}

static int check(const struct config *config)
{
	int fatal = config_inspect(config, print_finding, NULL);

	fatal += config_inspect_catalog(config, print_finding, NULL);
	return fatal > 0;
}

/*
 * glibc raises its threshold for mmap to the size of what was freed last, and keeps twice as much
 * in each thread's arena. With buffers of 4 MiB in 66 threads that was 50 MB for nothing (measured:
 * 150 and 103 MB with 64 transfers from a web server). A threshold that is set stays.
 */
static void keep_heap_small(void)
{
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		option_table, parse_option,
		NULL,	      "The node's cache manager of Larder. See larderd(8).",
		NULL,	      NULL,
		NULL};
	struct options options = {.config = "/etc/larder/larder.conf"};
	struct larder_error err = {0};
	static struct larderd d;
	int status;

	if (argc > 1 && !strcmp(argv[1], "--check-helper"))
		return check_helper_main();
	keep_heap_small();
	argp_program_version = "larderd " LARDER_VERSION;
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	if (config_load(options.config, &d.config, &err)) {
		fprintf(stderr, "larderd: %s\n", err.text);
		return 1;
	}
	status = options.check ? check(&d.config) : run(&d);
	config_fini(&d.config);
	return status;
}
