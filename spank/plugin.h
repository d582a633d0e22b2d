/*
 * What the plugin's files share. Everything here runs inside srun, sbatch, slurmstepd or a prolog:
 * no abort, no exit but those of submit.c and task.c that fail a job on purpose, no wait without a
 * bound, no output but report.c's.
 */
#ifndef SPANK_PLUGIN_H
#define SPANK_PLUGIN_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <slurm/spank.h>

#include "larder/client.h"
#include "larder/error.h"
#include "larder/spec.h"
#include "marker.h"
#include "settings.h"

enum option_id {
	OPTION_DATASET,
	OPTION_MODE,
	OPTION_WAIT,
	OPTION_ON_FAIL,
	OPTION_DISTRIBUTE,
	OPTION_PLACEMENT,
	OPTION_COUNT,
};

/* All that must live between two hooks of one process; SPANK hands no pointer through. */
struct plugin {
	struct spank_option options[OPTION_COUNT]; /* SPANK keeps pointers into it */
	char *values[OPTION_COUNT];  /* as typed, unchecked when remote; NULL: not typed */
	bool exported[OPTION_COUNT]; /* submission: came with the user's environment */
	unsigned int components;     /* submission: components checked so far */
	bool step_typed;	     /* remote: srun says --dataset was typed for a step */
	char *line;		     /* for the user, printed once stderr is the task's */
};

/* What a job asks for, checked. */
struct request {
	struct larder_spec_list specs;
	char *text; /* the specs, canonical */
	uint32_t mode;
	int64_t wait_ms;
	uint32_t on_fail; /* enum larder_on_fail */
};

/* --- options.c --- */
/* Fills plugin->options, which names them; cb may be NULL. */
void options_init(struct plugin *plugin, spank_opt_cb_f cb);
/* As options_init, and makes them known to SPANK. 0 or -1. */
int options_register(struct plugin *plugin, spank_t sp, spank_opt_cb_f cb);
/* Checks one option's value. 0 or -EINVAL with a sentence. */
int option_check(unsigned int id, const char *value, struct larder_error *err);
/* Keeps a copy; the last one counts. 0 or -ENOMEM. */
int option_keep(struct plugin *plugin, unsigned int id, const char *value);
/* In prolog and epilog, where no callback runs: the values from SPANK's environment. */
void options_recall(struct plugin *plugin, spank_t sp);
/* Checks them all. *request is to be given to request_fini in any case. 0 or -EINVAL, -ENOMEM. */
int request_parse(char *const values[OPTION_COUNT], struct request *request,
		  struct larder_error *err);
void request_fini(struct request *request);
/* "SLURM_SPANK_" or another prefix: the variable in which Slurm hands an option on. */
void option_variable(const char *prefix, unsigned int id, char *out, size_t len);
/* Calls fn with the name of each of these variables, of every option. */
void options_each_variable(void (*fn)(const char *variable, void *arg), void *arg);
void options_fini(struct plugin *plugin);

/* --- submit.c: srun, sbatch, salloc --- */
/* First of all: variables of a job around this submission, and which ones the user exported. */
void submit_begin(struct plugin *plugin, bool allocator);
/* Before an option's value is kept. */
void submit_option(const struct plugin *plugin, unsigned int id);
/* Ends the command with a sentence when the submission cannot be. */
void submit_check(spank_t sp, struct plugin *plugin, const struct settings *settings,
		  bool allocator);

/* --- job.c: prolog and epilog --- */
void job_prolog(spank_t sp, struct plugin *plugin, const struct settings *settings);
void job_epilog(spank_t sp, struct plugin *plugin, const struct settings *settings);

/* --- task.c: slurmstepd --- */
void step_begin(spank_t sp, struct plugin *plugin);
int task_begin(spank_t sp, struct plugin *plugin, const struct settings *settings);
void task_say(struct plugin *plugin);

/* --- report.c --- */
/* A sentence for whoever runs srun, sbatch or the job; in a prolog, for slurmd's log. */
void report(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same for logs only. */
void report_quietly(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A line on this process's stderr, as it is. */
void report_line(const char *text);

#endif
