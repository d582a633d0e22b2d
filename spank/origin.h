/*
 * Where the bytes of a job's datasets are when the cache cannot be used, found out while the
 * prolog runs: a task has no time to look.
 */
#ifndef SPANK_ORIGIN_H
#define SPANK_ORIGIN_H

#include <sys/types.h>

#include "larder/error.h"
#include "larder/spec.h"
#include "marker.h"

/*
 * Adds an origin for every spec to marker->origins: an own dataset's path as it is (a URL is
 * -EINVAL), a catalog dataset's first origin that is a path of a file system. The catalog is read
 * by a child process that is given up after timeout_ms, for a shared file system may hang. `fixed`
 * (may be empty): the same names with the versions of the submission. 0; -errno when not all were
 * found.
 */
int origin_find(const char *catalog, const struct larder_spec_list *specs,
		const struct larder_spec_list *fixed, uid_t uid, gid_t gid, int timeout_ms,
		struct marker *marker, struct larder_error *err);

#endif
