/*
 * What the CLI's files share: the command, its options and its exit codes. One file a verb or a
 * close family of verbs; each has `int ctl_<verb>(struct ctl *)`, which returns an exit code.
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "larder/error.h"

enum ctl_exit {
	CTL_DONE,
	CTL_FAILED,
	CTL_USAGE,
	CTL_NOT_FOUND,
	CTL_UNREACHABLE,
	CTL_NOT_PERMITTED,
};

enum ctl_verb {
#define LARDER_COMMAND(verb, ...) CTL_VERB_##verb,
#include "ctl/command.def"
#undef LARDER_COMMAND
	CTL_VERBS
};

enum ctl_words { CTL_WORDS_NONE, CTL_WORDS_TREE, CTL_WORDS_CATALOG, CTL_WORDS_OTHER };
enum ctl_who { CTL_WHO_ANYONE, CTL_WHO_ADMIN, CTL_WHO_FILES };

#define CTL_SOCKET  "/run/larder/larderd.sock"
#define CTL_CATALOG "/etc/larder/catalog"

#define CTL_TEXTS_MAX 8

struct ctl_texts {
	const char *items[CTL_TEXTS_MAX];
	unsigned int count;
};

#define CTL_CTYPE_FLAG	bool
#define CTL_CTYPE_TEXT	const char *
#define CTL_CTYPE_TEXTS struct ctl_texts
#define CTL_CTYPE_SIZE	uint64_t
#define CTL_CTYPE_TIME	int64_t
#define CTL_CTYPE_COUNT uint64_t

struct ctl_options {
#define LARDER_OPTION(KIND, field, ...) CTL_CTYPE_##KIND field;
#include "ctl/option.def"
#undef LARDER_OPTION
};

struct ctl_command;

struct ctl {
	const struct ctl_command *command;
	struct ctl_options options;
	const char **args; /* what stands behind the options; NULL-terminated */
	size_t n_args;
	char **nodes; /* to be asked; NULL-terminated; [0] may be NULL: this host, its name not
			 known */
	size_t n_nodes;
	bool remote; /* nodes other than this host are asked over the network */
};

struct ctl_command {
	const char *verb, *arguments;
	int min_args, max_args; /* max -1: any number */
	enum ctl_words words;
	enum ctl_who who;
	const char *help;
	int (*run)(struct ctl *ctl);
};
/* CTL_VERBS of them, in the order of command.def. */
extern const struct ctl_command ctl_commands[];
/* Is it this host's own daemon, or one whose socket is seen here? */
bool ctl_node_is_here(const struct ctl *ctl, const char *node);
/* NULL: no such verb. */
const struct ctl_command *ctl_command_find(const char *verb);

#define LARDER_COMMAND(verb, ...) int ctl_##verb(struct ctl *ctl);
#include "ctl/command.def"
#undef LARDER_COMMAND

/* "larder: TEXT" on stderr, control bytes made safe. */
void ctl_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same with err's sentence; returns the exit code that belongs to err->code. */
int ctl_complain_error(const struct larder_error *err);
/* 0, or -errno of a call: the exit code that belongs to it. */
int ctl_exit_code(int rc);
/* A sentence for the person on stdout, unless -q. */
void ctl_say(const struct ctl *ctl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Asks on the terminal; --yes answers for the person. 0 yes; else an exit code, already explained.
 */
int ctl_confirm(const struct ctl *ctl, const char *question);
/* --catalog, LARDER_CATALOG or the default. Borrowed. */
const char *ctl_catalog_dir(const struct ctl *ctl);

#endif
