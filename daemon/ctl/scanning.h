/* A scan with progress on stderr, which Ctrl-C ends in good order. */
#ifndef CTL_SCANNING_H
#define CTL_SCANNING_H

#include "scan/scan.h"

/*
 * scan_run on a thread of its own (params' stop is set here; it needs progress). what: for the
 * progress line. -ECANCELED with a sentence after SIGINT, SIGTERM or SIGHUP.
 */
int scanning_run(const struct scan_params *params, const char *what, bool quiet, int out_fd,
		 struct larder_manifest_head *done, struct larder_error *err);

#endif
