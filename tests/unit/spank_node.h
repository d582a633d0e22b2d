/* A node for tests of prolog, epilog and tasks: directory, socket, plugin arguments, Slurm's host.
 */
#ifndef UNIT_SPANK_NODE_H
#define UNIT_SPANK_NODE_H

#include "fake_larderd.h"
#include "spank_host.h"

struct node {
	char *dir;
	char socket[108]; /* DIR/n1/larderd.sock; the plugin is told DIR/%n/larderd.sock */
	char arguments[4][512];
	char *argv[5];
	struct spank_handle *host;
};

struct node *node_create(spank_context_t context, const char *extra_argument);
void node_destroy(struct node *node);
/* Sets the environment in which slurmd runs prolog and epilog: options by name, NULL for none. */
void node_job_option(const char *name, const char *value);
/* Text of the job's marker; NULL when there is none. Free it. */
char *node_marker(const struct node *node);
void node_put_marker(const struct node *node, const char *text);

#endif
