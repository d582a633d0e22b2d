/* What `larder publish` publishes of an origin: all, or what a list or braces name. */
#ifndef CTL_PUBLISH_URL_H
#define CTL_PUBLISH_URL_H

#include <limits.h>

#include "ctl/ctl.h"
#include "larder/manifest.h"
#include "scan/list.h"

struct publish_url {
	struct scan_paths paths; /* count 0: the origin is listed; scan_paths_fini it */
	char *list;		 /* owned: where the list is; NULL: there is none */
	enum scan_list_form form;
	enum sum_kind sums;
	struct source_options options; /* borrows from below, and from the environment */
	char credentials[PATH_MAX], config[PATH_MAX];
};

/* Checks options and head against each other; leaves in the head what paths are relative to. */
int publish_url_fill(const struct ctl_options *options, struct larder_manifest_head *head,
		     struct publish_url *url, struct larder_error *err);
/* Reads the list, if there is one. */
int publish_url_read(const struct ctl_options *options, struct publish_url *url,
		     const struct larder_manifest_head *head, struct larder_error *err);
void publish_url_fini(struct publish_url *url);

#endif
