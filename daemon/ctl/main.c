/*
 * The recipe of `larder`: parse, run the verb, flush, exit code. And the table of commands.
 * It must not know what any verb does.
 * Called by people, and by their scripts.
 */
#include <argp.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/options.h"
#include "ctl/whole.h"

const struct ctl_command ctl_commands[] = {
#define LARDER_COMMAND(verb, arguments, min, max, words, who, help)                                \
	{#verb, arguments, min, max, CTL_WORDS_##words, CTL_WHO_##who, help, ctl_##verb},
#include "ctl/command.def"
#undef LARDER_COMMAND
};

const struct ctl_command *ctl_command_find(const char *verb)
{
	for (size_t i = 0; i < CTL_VERBS; i++)
		if (strcmp(ctl_commands[i].verb, verb) == 0)
			return &ctl_commands[i];
	return NULL;
}

/* A script that reads half a listing must not take it for all. */
static int finish_stdout(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	ctl_complain("cannot write the output: %s", strerror(errno));
	return code == CTL_DONE ? CTL_FAILED : code;
}

/* Other machines are larder-whole's, which begins anew: so before a question is asked of the person
 * or a line is said. */
static int run(struct ctl *ctl)
{
	struct larder_error err = {0};

	if ((ctl->remote || ctl->options.fleet) && whole_needed(&err) != 0)
		return ctl_complain_error(&err);
	return ctl->command->run(ctl);
}

int main(int argc, char **argv)
{
	struct ctl ctl = {0};
	int code;

	/* Characters only: a decimal comma in JSON would be no number. */
	setlocale(LC_CTYPE, "");
	argp_err_exit_status = CTL_USAGE;
	ctl_parse(&ctl, argc, argv);
	code = finish_stdout(run(&ctl));
	ctl_fini(&ctl);
	return code;
}
