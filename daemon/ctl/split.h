/* NAME[:VERSION] as the catalog's verbs take it: no digest, no subset. Pure. */
#ifndef CTL_SPLIT_H
#define CTL_SPLIT_H

#include "larder/error.h"
#include "larder/text.h"

enum split_version { SPLIT_VERSION_NEEDED, SPLIT_VERSION_OPTIONAL };

/* 0, or -EINVAL. version is "" when there is none. */
int split_spec(const char *text, enum split_version need, char name[LARDER_NAME_MAX + 1],
	       char version[LARDER_VERSION_MAX + 1], struct larder_error *err);

#endif
