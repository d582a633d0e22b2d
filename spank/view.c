/*
 * Owns the list of what a task is given, and the checks of it.
 * Must not mount, print or set anything.
 * Called by task.c.
 */
#include "view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "larder/text.h"

static int add_text(char **list, size_t *n, size_t max, const char *text)
{
	if (*n == max)
		return -E2BIG;
	list[*n] = strdup(text);
	if (!list[*n])
		return -ENOMEM;
	++*n;
	return 0;
}

int view_add_line(struct view *view, const char *text)
{
	return add_text(view->lines, &view->n_lines, VIEW_LINES_MAX, text);
}

/* DATASET_[A-Z0-9_]*: nothing that a loader or shell would listen to. */
static int check_key(const char *key)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

	return !strncmp(key, "DATASET_", 8) && !key[strspn(key, allowed)] ? 0 : -EINVAL;
}

int view_add_variable(struct view *view, const char *key, const char *value)
{
	struct view_variable *v = &view->variables[view->n_variables];

	if (view->n_variables == VIEW_VARIABLES_MAX)
		return -E2BIG;
	if (check_key(key))
		return -EINVAL;
	v->key = strdup(key);
	v->value = strdup(value);
	view->n_variables++; /* fini frees what is there of it */
	return v->key && v->value ? 0 : -ENOMEM;
}

/* An absolute path of plain components, not "/" itself. */
static int check_root(const char *root)
{
	return root[0] == '/' && !larder_path_check(root + 1, NULL) ? 0 : -EINVAL;
}

static int set_root(struct view *view, const char *root)
{
	if (check_root(root) || (view->root && strcmp(view->root, root)))
		return -EPROTO;
	if (!view->root)
		view->root = strdup(root);
	return view->root ? 0 : -ENOMEM;
}

static int add_tree(struct view *view, const struct larder_msg_VIEW *msg, int *fd)
{
	struct view_tree *tree = &view->trees[view->n_trees];
	int rc = set_root(view, msg->view_root);

	if (rc)
		return rc;
	if (view->n_trees == LARDER_SPECS_MAX || larder_name_check(msg->name, NULL) ||
	    larder_version_check(msg->version, NULL) || (*fd < 0 && msg->path[0] != '/'))
		return -EPROTO;
	tree->name = strdup(msg->name);
	tree->version = strdup(msg->version);
	tree->path = strdup(msg->path);
	tree->fd = *fd;
	*fd = -1;
	view->n_trees++;
	return tree->name && tree->version && tree->path ? 0 : -ENOMEM;
}

int view_add_row(struct view *view, struct larder_row *row, struct larder_error *err)
{
	const struct larder_msg_ENV *env = row->msg;
	const struct larder_msg_LINE *line = row->msg;
	int rc = 0;

	if (row->type == LARDER_MSG_VIEW)
		rc = add_tree(view, row->msg, &row->fd);
	else if (row->type == LARDER_MSG_ENV)
		rc = view_add_variable(view, env->key, env->value);
	else if (row->type == LARDER_MSG_LINE)
		rc = view_add_line(view, line->text);
	if (!rc)
		return 0;
	if (rc == -ENOMEM)
		return larder_error_set(err, ENOMEM, "out of memory");
	return larder_error_set(err, EPROTO, "larderd sent a row of type %s that cannot be used",
				larder_msg_name(row->type));
}

void view_fini(struct view *view)
{
	for (size_t i = 0; i < view->n_trees; i++) {
		free(view->trees[i].name);
		free(view->trees[i].version);
		free(view->trees[i].path);
		if (view->trees[i].fd >= 0)
			close(view->trees[i].fd);
	}
	for (size_t i = 0; i < view->n_variables; i++) {
		free(view->variables[i].key);
		free(view->variables[i].value);
	}
	for (size_t i = 0; i < view->n_lines; i++)
		free(view->lines[i]);
	free(view->root);
	memset(view, 0, sizeof(*view));
}
