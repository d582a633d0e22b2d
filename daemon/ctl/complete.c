/*
 * `larder completion`: the script for bash, from the tables of commands and options.
 * It must not ask the daemon: the script does, while a person types.
 * Called through the table of commands; etc/completions/larder is its output.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/options.h"

static void print_verbs(void)
{
	printf("\tlocal verbs='");
	for (size_t i = 0; i < CTL_VERBS; i++)
		printf("%s%s", i ? " " : "", ctl_commands[i].verb);
	puts("'");
}

static void print_options_of(size_t verb)
{
	for (size_t i = 0; i < ctl_n_options; i++)
		if (ctl_options[i].verbs & (UINT64_C(1) << verb))
			printf("--%s ", ctl_options[i].name);
	printf("--help");
}

static bool takes_file(const struct ctl_option *option)
{
	return strcmp(option->argument, "PATH") == 0 || strcmp(option->argument, "DIR") == 0 ||
	       strcmp(option->argument, "ORIGIN") == 0;
}

/* An option with an argument: what stands behind it is no verb and no dataset. */
static void print_argument_options(bool files)
{
	const char *bar = "";

	printf("\t");
	for (size_t i = 0; i < ctl_n_options; i++) {
		if (!ctl_options[i].argument || takes_file(&ctl_options[i]) != files)
			continue;
		printf("%s--%s", bar, ctl_options[i].name);
		bar = " | ";
		if (ctl_options[i].letter)
			printf(" | -%c", ctl_options[i].letter);
	}
	puts(")");
}

static const char *words_of(const struct ctl_command *command)
{
	switch (command->words) {
	case CTL_WORDS_TREE:
		return "words=$(larder ls --raw -h -o NAME,VERSION 2>/dev/null | tr ' ' ':')";
	case CTL_WORDS_CATALOG:
		return "words=$(larder catalog ls --raw -h -o NAME,VERSION 2>/dev/null | tr ' ' ':')";
	case CTL_WORDS_NONE:
	case CTL_WORDS_OTHER: return NULL;
	}
	return NULL;
}

static void print_verb(size_t verb)
{
	const struct ctl_command *command = &ctl_commands[verb];
	const char *words = words_of(command);

	printf("\t%s)\n\t\toptions='", command->verb);
	print_options_of(verb);
	puts("'");
	if (words)
		printf("\t\t%s\n", words);
	else if (verb == CTL_VERB_help)
		puts("\t\twords=$verbs");
	else if (verb == CTL_VERB_catalog)
		puts("\t\twords='ls alias check rm'");
	puts("\t\t;;");
}

int ctl_completion(struct ctl *ctl)
{
	(void)ctl;
	puts("# bash completion for larder; made by `larder completion`, do not edit\n"
	     "# shellcheck shell=bash disable=SC2207\n"
	     "_larder()\n{");
	print_verbs();
	/* bash parts words at colons, which our names have: cur is taken from the line itself. */
	puts("\tlocal cur=${COMP_LINE:0:COMP_POINT} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
	     "\tlocal verb='' options='' words='' i\n"
	     "\tcur=${cur##*[[:space:]]}\n"
	     "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	     "\t\tif [[ \" $verbs \" == *\" ${COMP_WORDS[i]} \"* ]]; then verb=${COMP_WORDS[i]}; break; fi\n"
	     "\tdone\n"
	     "\tcase $prev in");
	print_argument_options(true);
	puts("\t\tCOMPREPLY=($(compgen -f -- \"$cur\"))\n"
	     "\t\treturn\n\t\t;;");
	print_argument_options(false);
	puts("\t\t[[ $verb == evict || $prev != --bytes ]] && return\n\t\t;;\n\tesac\n"
	     "\tcase $verb in");
	for (size_t i = 0; i < CTL_VERBS; i++)
		print_verb(i);
	puts("\t*)\n\t\twords=$verbs\n\t\t;;\n\tesac\n"
	     "\tif [[ $cur == -* ]]; then words=$options; fi\n"
	     "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	     "\tif [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then\n"
	     "\t\tCOMPREPLY=(\"${COMPREPLY[@]#\"${cur%\"${cur##*:}\"}\"}\")\n"
	     "\tfi\n"
	     "}\ncomplete -F _larder larder");
	return CTL_DONE;
}
