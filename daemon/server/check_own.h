/*
 * The manifest of a user's own dataset: a nameless file that the daemon makes, the user's process
 * fills, and the daemon takes back. Shared by check.c and check_own.c.
 */
#ifndef SERVER_CHECK_OWN_H
#define SERVER_CHECK_OWN_H

#include <stdbool.h>

#include "server/check.h"

struct check_own {
	bool used;
	int write_fd;	     /* the child's; -1 once handed over */
	int read_fd;	     /* ours */
	char *name, *origin; /* origin: what its paths are relative to */
	uid_t uid;
};

void check_own_clear(struct check_own *own);
int check_own_init(struct check_own *own, const struct check_request *request,
		   struct larder_error *err);
/* The child has it: our end that could write goes. */
void check_own_hand_over(struct check_own *own);
/*
 * When the child is dead: nobody can write to the file any more, and its head says exactly what was
 * asked for. The body is not looked at. -EPERM, -EPROTO, …
 */
int check_own_take(struct check_own *own, struct larder_manifest_head *head, int *manifest_fd,
		   struct larder_error *err);
void check_own_fini(struct check_own *own);

#endif
