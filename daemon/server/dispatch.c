/*
 * Owns the way from a frame to its handler: decoding and the first check of rights, from
 * message.def. What a particular user may do with a particular dataset is the handler's to check.
 * Called by sessions, one request at a time each.
 */
#include "server/dispatch.h"

#include <errno.h>

#include "server/larderd.h"

struct dispatch_entry {
	unsigned int type;
	handler_fn handle;
};

static const struct dispatch_entry table[] = {
#undef LARDER_X_ROOT
#undef LARDER_X_ADMIN
#undef LARDER_X_FLEET
#undef LARDER_X_ANYONE
#define LARDER_X_ROOT(name)		  {LARDER_MSG_##name, handle_##name},
#define LARDER_X_ADMIN(name)		  {LARDER_MSG_##name, handle_##name},
#define LARDER_X_FLEET(name)		  {LARDER_MSG_##name, handle_##name},
#define LARDER_X_ANYONE(name)		  {LARDER_MSG_##name, handle_##name},
#define LARDER_X(name, number, who, help) LARDER_X_##who(name)
	LARDER_MESSAGES(LARDER_X)
#undef LARDER_X
};

static handler_fn handler_of(unsigned int type)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].type == type)
			return table[i].handle;
	return NULL;
}

static int may_send(const struct session *session, unsigned int type, struct larder_error *err)
{
	switch (larder_msg_who(type)) {
	case LARDER_WHO_ANYONE: return 0;
	case LARDER_WHO_ADMIN:
		if (session_admin(session))
			return 0;
		return larder_error_set(err, EPERM, "%s is for root and members of admin_groups",
					larder_msg_name(type));
	case LARDER_WHO_ROOT:
		if (session_remote(session))
			return larder_error_set(
				err, EPERM,
				"%s is for Slurm's plugin on this node: it is never "
				"taken from another machine",
				larder_msg_name(type));
		if (session_uid(session) == 0)
			return 0;
		return larder_error_set(err, EPERM, "%s is for Slurm's plugin, which runs as root",
					larder_msg_name(type));
	case LARDER_WHO_FLEET:
		if (session_fleet(session))
			return 0;
		return larder_error_set(
			err, EPERM,
			"%s is for root, members of admin_groups and users of fleet_users",
			larder_msg_name(type));
	case LARDER_WHO_SCHED:
		return larder_error_set(err, ENOTSUP,
					"%s is larder-sched's to answer, not a node's larderd",
					larder_msg_name(type));
	default: return larder_error_set(err, EBADMSG, "message %u is no request", type);
	}
}

void dispatch(struct session *session, unsigned int type, uint8_t *body, size_t len)
{
	union {
#define LARDER_X(name, number, who, help) struct larder_msg_##name name;
		LARDER_MESSAGES(LARDER_X)
#undef LARDER_X
	} msg;
	struct larder_error err = {0};

	if (may_send(session, type, &err) || larder_msg_decode(type, body, len, &msg, &err)) {
		session_fail(session, &err);
		return;
	}
	/* Who asks is shown what others were told. If it fails, so does what needs it. */
	(void)inventory_settle(session_daemon(session)->inv, &err);
	handler_of(type)(session, &msg);
}
