/* A stage that a person or the daemon itself ordered: nobody's job waits for it, it just goes on.
 */
#ifndef SERVER_ORDER_H
#define SERVER_ORDER_H

#include "server/stage.h"

/* manifest_fd: taken; subset is copied; remote, of a user's own URL, is referred to; priority as an
 * interest has it. 1 joined, 0 started, or -errno. */
int order_stage(struct larderd *d, uint64_t tree_id, int manifest_fd, const char *subset,
		uint32_t priority, struct own_remote *remote, struct larder_error *err);
/* Lets every order go; for the end of the daemon. */
void orders_close(struct larderd *d);

#endif
