/* Lists of nodes, short enough to read: n[1-3,7]. Pure. */
#ifndef SCHED_NODESET_H
#define SCHED_NODESET_H

#include <stddef.h>

/*
 * Folds names into ranges by their last number: n1 n2 n3 gpu → "gpu,n[1-3]". Sorts the array.
 * Leading zeros count: n01 and n1 are two. A string to free, NULL on ENOMEM.
 */
char *nodeset_fold(const char **names, size_t n);

#endif
