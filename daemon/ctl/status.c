/*
 * `larder status`: the daemon, its tiers, the transfers under way; with --watch again every second.
 * It must not change anything.
 * Called through the table of commands.
 */
#include <stdio.h>
#include <unistd.h>

#include "ctl/fleet_sched.h"

#define CLEAR_SCREEN "\033[H\033[2J"

static int status_once(struct ctl *ctl)
{
	static const unsigned int plain[] = {LARDER_MSG_NODE, LARDER_MSG_TIER, LARDER_MSG_TRANSFER,
					     0};
	static const unsigned int verbose[] = {LARDER_MSG_NODE, LARDER_MSG_TIER,
					       LARDER_MSG_TRANSFER, LARDER_MSG_COUNTER, 0};
	const struct larder_msg_STATUS msg = {};
	const struct fleet_request request = {LARDER_MSG_STATUS, &msg, FLEET_ANSWER_MS};

	return fleet_table(ctl, &request, ctl->options.verbose ? verbose : plain, LARDER_MSG_NODE);
}

static int status_fleet(struct ctl *ctl)
{
	static const unsigned int types[] = {LARDER_MSG_FLEET_NODE, 0};
	const struct larder_msg_FLEET_STATUS msg = {};
	const struct fleet_request request = {LARDER_MSG_FLEET_STATUS, &msg, FLEET_ANSWER_MS};

	ctl->options.longer |= ctl->options.verbose;
	return fleet_sched_table(ctl, &request, types);
}

static int status_look(struct ctl *ctl)
{
	return ctl->options.fleet ? status_fleet(ctl) : status_once(ctl);
}

int ctl_status(struct ctl *ctl)
{
	bool clear = isatty(STDOUT_FILENO) && !ctl->options.json && !ctl->options.raw;
	int code;

	if (!ctl->options.watch)
		return status_look(ctl);
	for (;;) {
		if (clear)
			fputs(CLEAR_SCREEN, stdout);
		code = status_look(ctl);
		/* A daemon that is being restarted comes back; a wrong -o does not. */
		if (code == CTL_USAGE || ferror(stdout))
			return code;
		if (!clear && !ctl->options.json)
			putchar('\n');
		fflush(stdout);
		sleep(1);
	}
}
