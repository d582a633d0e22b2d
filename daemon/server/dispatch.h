/* Requests by number: who may send them, and who answers. */
#ifndef SERVER_DISPATCH_H
#define SERVER_DISPATCH_H

#include <stddef.h>
#include <stdint.h>

#include "server/session.h"

/* msg: struct larder_msg_<TYPE>, its strings live until the handler returns. */
typedef void (*handler_fn)(struct session *session, const void *msg);

/* Decodes, checks the right, calls the handler. Answers ERROR itself when something is wrong. */
void dispatch(struct session *session, unsigned int type, uint8_t *body, size_t len);

/* One handler a request of message.def; a missing one does not link. */
#define LARDER_X(name, number, who, help)                                                          \
	LARDER_X_##who(void handle_##name(struct session *session, const void *msg);)
#define LARDER_X_ROOT(x)   x
#define LARDER_X_ADMIN(x)  x
#define LARDER_X_FLEET(x)  x
#define LARDER_X_ANYONE(x) x
#define LARDER_X_SCHED(x)
#define LARDER_X_ROW(x)
LARDER_MESSAGES(LARDER_X)
#undef LARDER_X

#endif
