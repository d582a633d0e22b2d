/*
 * drain, resume, reload: what an admin tells a daemon.
 * They must not signal processes: the socket is the only way.
 * Called through the table of commands.
 */
#include "ctl/fleet.h"

static int tell(struct ctl *ctl, unsigned int type, const void *msg)
{
	static const unsigned int types[] = {LARDER_MSG_LINE, 0};
	const struct fleet_request request = {type, msg, FLEET_ANSWER_MS};

	return fleet_table(ctl, &request, types, 0);
}

int ctl_drain(struct ctl *ctl)
{
	const struct larder_msg_DRAIN msg = {.reason = ctl->n_args ? ctl->args[0] : ""};

	return tell(ctl, LARDER_MSG_DRAIN, &msg);
}

int ctl_resume(struct ctl *ctl)
{
	const struct larder_msg_RESUME msg = {};

	return tell(ctl, LARDER_MSG_RESUME, &msg);
}

int ctl_reload(struct ctl *ctl)
{
	const struct larder_msg_RELOAD msg = {};

	return tell(ctl, LARDER_MSG_RELOAD, &msg);
}
