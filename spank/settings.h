/*
 * The arguments behind the plugin's name in plugstack.conf, and which node this is. Pure but for
 * getenv and gethostname.
 */
#ifndef SPANK_SETTINGS_H
#define SPANK_SETTINGS_H

#include <limits.h>
#include <stdint.h>

#include "larder/error.h"

#define SETTINGS_NODE_MAX 256

struct settings {
	char socket[PATH_MAX]; /* may hold %n */
	char catalog[PATH_MAX];
	char run_dir[PATH_MAX]; /* may hold %n; "": the socket's directory */
	int timeout_ms;		/* one exchange with the daemon */
	int64_t wait_max_ms;	/* the prolog's wait, whatever the daemon says */
	uint32_t on_fail; /* LARDER_ON_FAIL_FAIL or _BYPASS: when the daemon cannot be asked */
};

/* Calls tell (may be NULL) with a sentence for each argument it does not take. */
void settings_parse(struct settings *settings, int argc, char **argv,
		    void (*tell)(const char *sentence));
/* Slurm's name of this node: from slurmd's environment, else the host name up to the first dot.
 * A name that is no file name is never given. */
void settings_node(char buf[SETTINGS_NODE_MAX]);
/* Replaces %n; 0 or -ENAMETOOLONG. */
int settings_expand(const char *pattern, const char *node, char *out, size_t len,
		    struct larder_error *err);
/* The directory of marker files of this node. 0 or -ENAMETOOLONG. */
int settings_jobs_dir(const struct settings *settings, const char *node, char *out, size_t len,
		      struct larder_error *err);

#endif
