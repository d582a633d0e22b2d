/*
 * Plays Slurm for tests of the plugin: what srun, slurmstepd or a prolog hand to a hook, and what
 * the hook did with it. Shared memory, for a hook may end its process.
 */
#ifndef UNIT_SPANK_HOST_H
#define UNIT_SPANK_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <slurm/spank.h>

#define HOST_PAIRS 64

struct host_pair {
	bool used;
	char name[128];
	char value[2048];
};

struct spank_handle {
	spank_context_t context;
	uint32_t job_id, step_id, node_id, global_id;
	int local_id;
	uid_t uid;
	gid_t gid;
	struct host_pair job_env[HOST_PAIRS], control[HOST_PAIRS];
	struct spank_option *options[16]; /* registered */
	unsigned int n_options;
	char said[8192]; /* slurm_error's text, a line each */
};

/* The one that spank_context and slurm_error mean. A test has one at a time. */
struct spank_handle *host_create(spank_context_t context);
void host_destroy(struct spank_handle *host);

/* NULL when it is not set. */
const char *host_get(const struct host_pair *pairs, const char *name);
void host_set(struct host_pair *pairs, const char *name, const char *value);

/* Calls an option's callback as Slurm does for --name=value. -1 when there is none of that name. */
int host_type(struct spank_handle *host, const char *name, const char *value);

/* Runs a hook in a process of its own, with the plugin's arguments (NULL ends them); its exit
 * status, where 200 stands for a hook that returned 0, and 201 for one that returned -1. */
int host_run(struct spank_handle *host, spank_f *hook, char *argv[]);

#endif
