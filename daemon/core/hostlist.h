/* Node lists as Slurm's users write them: "n1,n[3-5],rack[01-02]n[1-4]". Pure. */
#ifndef CORE_HOSTLIST_H
#define CORE_HOSTLIST_H

#include <stddef.h>

#include "larder/error.h"

#define HOSTLIST_MAX	  65536 /* nodes of one list */
#define HOSTLIST_NAME_MAX 255	/* bytes of one name */

/*
 * Expands; doubles are dropped, the order is kept. *nodes: NULL-terminated, for hostlist_free.
 * 0, -EINVAL (with what is wrong), -E2BIG, -ENOMEM.
 */
int hostlist_expand(const char *text, char ***nodes, size_t *count, struct larder_error *err);
void hostlist_free(char **nodes);

#endif
