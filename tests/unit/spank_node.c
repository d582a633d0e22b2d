/*
 * Owns the stand-in for a node.
 * Must leave nothing behind, the environment included. Called by tests only.
 */
#include "spank_node.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "scratch.h"

static const char *const options[] = {"dataset", "dataset_mode", "dataset_wait", "dataset_on_fail"};

static void clean_environment(void)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		node_job_option(options[i], NULL);
	unsetenv("SPANK_LARDER_FIXED");
	unsetenv("SLURM_JOB_RESTART_COUNT");
	unsetenv("SLURMD_NODENAME");
}

struct node *node_create(spank_context_t context, const char *extra_argument)
{
	struct node *node = calloc(1, sizeof(*node));

	clean_environment();
	setenv("SLURMD_NODENAME", "n1", 1);
	node->dir = scratch_create();
	node->host = host_create(context);
	snprintf(node->socket, sizeof(node->socket), "%s/n1/larderd.sock", node->dir);
	mkdir(scratch_path(node->dir, "n1"), 0755);
	snprintf(node->arguments[0], 512, "socket=%s/%%n/larderd.sock", node->dir);
	snprintf(node->arguments[1], 512, "catalog=%s/catalog", node->dir);
	snprintf(node->arguments[2], 512, "timeout=400ms");
	snprintf(node->arguments[3], 512, "%s", extra_argument ? extra_argument : "on_fail=fail");
	for (int i = 0; i < 4; i++)
		node->argv[i] = node->arguments[i];
	return node;
}

void node_destroy(struct node *node)
{
	clean_environment();
	host_destroy(node->host);
	scratch_destroy(node->dir);
	free(node);
}

void node_job_option(const char *name, const char *value)
{
	char variable[128];

	snprintf(variable, sizeof(variable), "SPANK__SLURM_SPANK_OPTION_larder_%s", name);
	if (value)
		setenv(variable, value, 1);
	else
		unsetenv(variable);
}

char *node_marker(const struct node *node)
{
	FILE *f = fopen(scratch_path(node->dir, "n1/jobs/%u", node->host->job_id), "r");
	char *text = f ? calloc(1, 65536) : NULL;

	if (text && fread(text, 1, 65535, f) == 0)
		text[0] = '\0';
	if (f)
		fclose(f);
	return text;
}

void node_put_marker(const struct node *node, const char *text)
{
	mkdir(scratch_path(node->dir, "n1/jobs"), 0755);
	scratch_write(scratch_path(node->dir, "n1/jobs/%u", node->host->job_id), text,
		      strlen(text));
}
