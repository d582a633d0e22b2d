/*
 * Names of node features, and lists of them as Slurm has them. Pure.
 *
 * Ours begin with "ds:": `ds:NAME:VERSION`, or `ds:h:` and 16 hex digits. Everything else on a node
 * is the admin's, and stays.
 */
#ifndef SCHED_FEATURE_H
#define SCHED_FEATURE_H

#include <stdbool.h>
#include <stddef.h>

#define FEATURE_HASH_HEX 16
#define FEATURE_MAX	 (3 + 64 + 1 + 64) /* bytes of one of ours, without the NUL */
#define FEATURES_MAX	 1024		   /* of ours on one node */

/* Is it of the two forms? What the publisher lets through, and nothing else. */
bool feature_is_ours(const char *text, size_t len);
/* Does it begin as ours do, well formed or not? What is taken off a node may be. */
bool feature_claims_ours(const char *text, size_t len);

/*
 * What of a node's features ("gpu,ds:a:v1,big") is ours: sorted, each once, comma separated; "" for
 * none. A string to free, NULL on ENOMEM. NULL features: none.
 */
char *features_ours(const char *features);
/* The admin's in their order, then ours (sorted, as features_ours gives them). To free. */
char *features_merge(const char *features, const char *ours);
/* Is each of `wanted` in the list? Both comma separated, the list in any order. */
bool features_have(const char *features, const char *wanted);
/*
 * A job's constraint, as job_submit.lua makes it of names and "&", in two: ours sorted and parted
 * by commas, and what the user asked for, to be put back as the constraint. Strings to free. 0;
 * -ENOENT when there are none of ours, or it has another syntax; -ENOMEM.
 */
int constraint_split(const char *constraint, char **ours, char **theirs);
/* Sorts the comma separated names in place and drops doubles. -ENOMEM. */
int features_sort(char *list);

#endif
