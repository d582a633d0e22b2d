/*
 * What a copying thread does so that it does not hurt the jobs beside it: niceness, I/O priority,
 * a cgroup. All are hints: what the kernel refuses leaves the thread as it is.
 */
#ifndef XFER_MANNERS_H
#define XFER_MANNERS_H

#include "larder/error.h"
#include "xfer/transfer.h"

/* Of the calling thread. */
void manners_apply(const struct xfer_manners *manners);
/* Would a thread of this process be taken into the cgroup? 0, or -errno and what to do. */
int manners_check_cgroup(const char *cgroup, struct larder_error *why);

#endif
