/*
 * NAME[:VERSION] as the catalog's verbs take it. Pure.
 * It must not look whether it is there.
 * Called by publish.c and catalog.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/split.h"

int split_spec(const char *text, enum split_version need, char name[LARDER_NAME_MAX + 1],
	       char version[LARDER_VERSION_MAX + 1], struct larder_error *err)
{
	const char *colon = strchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : strlen(text);

	if (!colon && need == SPLIT_VERSION_NEEDED)
		return larder_error_set(err, EINVAL, "'%.200s' has no version; write NAME:VERSION",
					text);
	if (len > LARDER_NAME_MAX || (colon && strlen(colon + 1) > LARDER_VERSION_MAX))
		return larder_error_set(err, EINVAL,
					"'%.200s': name and version are at most %d bytes each",
					text, LARDER_NAME_MAX);
	memcpy(name, text, len);
	name[len] = '\0';
	snprintf(version, LARDER_VERSION_MAX + 1, "%s", colon ? colon + 1 : "");
	if (larder_name_check(name, err) != 0)
		return -EINVAL;
	return colon ? larder_version_check(version, err) : 0;
}
