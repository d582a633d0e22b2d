/*
 * Owns: the list of origin kinds.
 * Must not: know anything about a kind but its name.
 * Called by: xfer (through the table), scan, server.
 */
#include <stddef.h>

#include "origin/origins.h"

const struct source_ops *const origins[] = {
	&source_posix,
	&source_http,
	&source_s3,
	NULL,
};

const struct source_ops *origin_kind(const char *origin)
{
	for (const struct source_ops *const *kind = origins; *kind; kind++) {
		if ((*kind)->owns(origin))
			return *kind;
	}
	return NULL;
}
