/*
 * help and version, from the table of commands.
 * They must not ask the daemon.
 * Called through the table of commands.
 */
#include <stdio.h>

#include "ctl/ctl.h"
#include "ctl/options.h"

static const char *who_word(enum ctl_who who)
{
	switch (who) {
	case CTL_WHO_ADMIN: return " (admins)";
	case CTL_WHO_FILES:
	case CTL_WHO_ANYONE: return "";
	}
	return "";
}

static void print_list(void)
{
	puts("usage: larder [-w NODELIST] [--socket PATH] COMMAND [OPTION...] [ARGUMENT...]\n");
	for (size_t i = 0; i < CTL_VERBS; i++)
		printf("  %-10s  %s%s\n", ctl_commands[i].verb, ctl_commands[i].help,
		       who_word(ctl_commands[i].who));
	puts("\n'larder help COMMAND' or 'larder COMMAND --help' tells about one; the rest is in "
	     "larder(1).");
}

int ctl_help(struct ctl *ctl)
{
	const struct ctl_command *command;

	if (ctl->n_args == 0) {
		print_list();
		return CTL_DONE;
	}
	command = ctl_command_find(ctl->args[0]);
	if (command)
		return ctl_verb_help(command);
	ctl_complain("no command '%s'; 'larder help' lists them.", ctl->args[0]);
	return CTL_NOT_FOUND;
}

int ctl_version(struct ctl *ctl)
{
	(void)ctl;
	printf("larder %s\n", LARDER_VERSION);
	return CTL_DONE;
}
