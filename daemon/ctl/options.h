/* The command line: one way for all verbs, from option.def and command.def. */
#ifndef CTL_OPTIONS_H
#define CTL_OPTIONS_H

#include "ctl/ctl.h"

enum ctl_option_kind {
	CTL_OPTION_FLAG,
	CTL_OPTION_TEXT,
	CTL_OPTION_TEXTS,
	CTL_OPTION_SIZE,
	CTL_OPTION_TIME,
	CTL_OPTION_COUNT,
};

struct ctl_option {
	enum ctl_option_kind kind;
	size_t offset; /* of its field in struct ctl_options */
	const char *name;
	int letter;	      /* 0: none */
	const char *argument; /* NULL: takes none */
	uint64_t verbs;	      /* bits by enum ctl_verb */
	const char *help;
};
extern const struct ctl_option ctl_options[];
extern const size_t ctl_n_options;

/*
 * Parses all of argv: options may stand before and behind the verb. Fills ctl (ctl_fini it). Ends
 * the program, as argp does, for --help (0) and for a mistake (CTL_USAGE).
 */
void ctl_parse(struct ctl *ctl, int argc, char **argv);
void ctl_fini(struct ctl *ctl);
/* Prints the verb's help to stdout. */
int ctl_verb_help(const struct ctl_command *command);

#endif
