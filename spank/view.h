/*
 * What one task is given: the trees and variables of its datasets, as the daemon's rows bring them
 * or as the marker has them.
 */
#ifndef SPANK_VIEW_H
#define SPANK_VIEW_H

#include <stddef.h>

#include "larder/client.h"
#include "larder/error.h"
#include "larder/spec.h"

#define VIEW_VARIABLES_MAX (LARDER_SPECS_MAX * 8)
#define VIEW_LINES_MAX	   (LARDER_SPECS_MAX + 1)

struct view_tree {
	char *name, *version; /* owned */
	char *path;	      /* to be bound when fd is -1; owned */
	int fd;		      /* a detached mount; owned */
};

struct view_variable {
	char *key, *value; /* owned */
};

struct view {
	char *root; /* where the trees are shown; NULL: none; owned */
	struct view_tree trees[LARDER_SPECS_MAX];
	size_t n_trees;
	struct view_variable variables[VIEW_VARIABLES_MAX];
	size_t n_variables;
	char *lines[VIEW_LINES_MAX]; /* for the user; owned */
	size_t n_lines;
};

/* A row of ATTACH's answer; a larder_row_fn but for the type of `view`. Takes the row's descriptor.
 * Refuses what a task must not be given. 0, -EPROTO, -ENOMEM. */
int view_add_row(struct view *view, struct larder_row *row, struct larder_error *err);
/* 0, -E2BIG, -ENOMEM. */
int view_add_variable(struct view *view, const char *key, const char *value);
int view_add_line(struct view *view, const char *text);
void view_fini(struct view *view);

/*
 * Shows the trees read-only at ROOT/NAME/VERSION to this process and its children, in a mount
 * namespace of its own. Does nothing without trees. Consumes their descriptors. 0, or -errno with
 * a sentence; the process must then not run the user's program.
 */
int view_mount(struct view *view, struct larder_error *err);

#endif
