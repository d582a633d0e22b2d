/* Connections to many nodes, brought about together, some hundred at a time. */
#ifndef CTL_FLEET_LINES_H
#define CTL_FLEET_LINES_H

#include "ctl/ctl.h"
#include "larder/client.h"

struct fleet_line {
	struct larder_client *client; /* the user's to close, when rc is 0 */
	int rc;
	struct larder_error err;
};

struct fleet_lines;

int fleet_lines_create(const struct ctl *ctl, struct fleet_lines **lines, struct larder_error *err);
void fleet_lines_destroy(struct fleet_lines *lines);
/* Asked for in the order of ctl's nodes, each once. */
struct fleet_line *fleet_line(struct fleet_lines *lines, size_t node);

#endif
