/*
 * Owns the mounts of one task.
 * Must not touch the host's mount namespace, nor follow anything of the user's: all names are
 * checked, and stand in a file system that was made a moment ago.
 * Called by task.c, in the task's process, as root.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "view.h"

/* Linux 5.2; the number is the same on all architectures. glibc has a wrapper from 2.36 on. */
#ifndef SYS_move_mount
#define SYS_move_mount 429
#endif
#define MOVE_FROM_DESCRIPTOR 4u /* MOVE_MOUNT_F_EMPTY_PATH */

#define ROOT_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define TREE_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV) /* programs of a dataset may be run */

/* Mounts made here stay here; what the host mounts later still comes in. */
static int leave_namespace(struct larder_error *err)
{
	if (unshare(CLONE_NEWNS))
		return larder_error_set(err, errno, "a mount namespace for the task: %s",
					strerror(errno));
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL))
		return larder_error_set(err, errno, "keep the task's mounts to itself: %s",
					strerror(errno));
	return 0;
}

/* An empty file system over the view root; *root becomes its directory. */
static int cover_root(const struct view *view, int *root, struct larder_error *err)
{
	char options[96];

	/* A directory for the root, for each name and for each version, and one to spare. */
	snprintf(options, sizeof(options), "mode=0755,size=64k,nr_inodes=%zu",
		 2 + 2 * view->n_trees);
	if (mount("larder", view->root, "tmpfs", ROOT_FLAGS, options)) {
		if (errno == ENOENT)
			return larder_error_set(err, ENOENT,
						"the directory %s does not exist on this node; "
						"larderd makes it when it starts",
						view->root);
		return larder_error_set(err, errno, "mount a file system at %s: %s", view->root,
					strerror(errno));
	}
	*root = open(view->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *root < 0 ? larder_error_set(err, errno, "open %s: %s", view->root, strerror(errno))
			 : 0;
}

/* Not by mkdir's mode alone: the umask may be anything. */
static int make_dir(int root, const char *path, struct larder_error *err)
{
	if ((mkdirat(root, path, 0755) && errno != EEXIST) || fchmodat(root, path, 0755, 0))
		return larder_error_set(err, errno, "make the directory %s: %s", path,
					strerror(errno));
	return 0;
}

static int bind_path(const struct view *view, const struct view_tree *tree,
		     struct larder_error *err)
{
	char target[PATH_MAX];
	int n = snprintf(target, sizeof(target), "%s/%s/%s", view->root, tree->name, tree->version);

	if (n < 0 || (size_t)n >= sizeof(target))
		return larder_error_set(err, ENAMETOOLONG, "%s is too long", view->root);
	if (mount(tree->path, target, NULL, MS_BIND, NULL) ||
	    mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | TREE_FLAGS, NULL))
		return larder_error_set(err, errno, "show %s:%s at %s: %s", tree->name,
					tree->version, target, strerror(errno));
	return 0;
}

static int attach(const struct view *view, struct view_tree *tree, int root,
		  struct larder_error *err)
{
	char path[LARDER_NAME_MAX + LARDER_VERSION_MAX + 2];
	int rc = make_dir(root, tree->name, err);

	if (rc)
		return rc;
	snprintf(path, sizeof(path), "%s/%s", tree->name, tree->version);
	rc = make_dir(root, path, err);
	if (rc)
		return rc;
	if (tree->fd < 0)
		return bind_path(view, tree, err);
	if (syscall(SYS_move_mount, tree->fd, "", root, path, MOVE_FROM_DESCRIPTOR))
		return larder_error_set(err, errno, "show %s:%s at %s/%s: %s", tree->name,
					tree->version, view->root, path, strerror(errno));
	close(tree->fd);
	tree->fd = -1;
	return 0;
}

int view_mount(struct view *view, struct larder_error *err)
{
	auto_fd int root = -1;
	int rc;

	if (!view->n_trees)
		return 0;
	rc = leave_namespace(err);
	if (!rc)
		rc = cover_root(view, &root, err);
	for (size_t i = 0; i < view->n_trees && !rc; i++)
		rc = attach(view, &view->trees[i], root, err);
	if (!rc &&
	    mount(NULL, view->root, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | ROOT_FLAGS, NULL))
		rc = larder_error_set(err, errno, "make %s read-only: %s", view->root,
				      strerror(errno));
	return rc;
}
