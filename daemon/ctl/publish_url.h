/* What `larder publish` must be told when its origin is at a web server. */
#ifndef CTL_PUBLISH_URL_H
#define CTL_PUBLISH_URL_H

#include "ctl/ctl.h"
#include "larder/manifest.h"
#include "scan/paths.h"

struct publish_url {
	struct scan_paths paths; /* count 0: the origin is listed; scan_paths_fini it */
	struct source_options options;
};

/* Checks options and head against each other; takes the braces out of the head's origins. */
int publish_url_fill(const struct ctl_options *options, struct larder_manifest_head *head,
		     struct publish_url *url, struct larder_error *err);
/* Reads the list that --paths names. */
int publish_url_read(const struct ctl_options *options, struct publish_url *url,
		     struct larder_error *err);

#endif
