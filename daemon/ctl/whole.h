/*
 * One command, two programs: `larder` is linked with the C library alone, so that ls, status, stage
 * … of this host start at once; `larder-whole` is the same with publishing and other machines, for
 * which it loads libcurl, MUNGE and what these bring: some thirty libraries.
 */
#ifndef CTL_WHOLE_H
#define CTL_WHOLE_H

#include "larder/error.h"

/*
 * Before the first output of a command that publishes, checks a manifest or asks another machine.
 * In larder-whole 0. In larder the command starts anew as larder-whole; -ENOEXEC when that cannot
 * be.
 */
int whole_needed(struct larder_error *err);

#endif
