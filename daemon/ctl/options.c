/*
 * The command line of every verb, by argp, from option.def and command.def.
 * It must not act: it only fills struct ctl (or ends the program, as argp does).
 * Called by main.c; complete.c reads the tables.
 */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/hostlist.h"
#include "ctl/options.h"
#include "larder/text.h"

#define V(verb) (UINT64_C(1) << CTL_VERB_##verb)
#define ALL	(~UINT64_C(0))
#define DAEMON	(ALL & ~(V(publish) | V(catalog) | V(help) | V(version) | V(completion)))
#define TABLES	((DAEMON & ~V(metrics)) | V(catalog) | V(publish))

const struct ctl_option ctl_options[] = {
#define LARDER_OPTION(KIND, field, name, letter, argument, def, verbs, help)                       \
	{CTL_OPTION_##KIND,                                                                        \
	 offsetof(struct ctl_options, field),                                                      \
	 name,                                                                                     \
	 letter,                                                                                   \
	 argument,                                                                                 \
	 verbs,                                                                                    \
	 help},
#include "ctl/option.def"
#undef LARDER_OPTION
};
#define N_OPTIONS (sizeof(ctl_options) / sizeof(ctl_options[0]))
const size_t ctl_n_options = N_OPTIONS;

static const struct ctl_options option_defaults = {
#define LARDER_OPTION(KIND, field, name, letter, argument, def, verbs, help) .field = def,
#include "ctl/option.def"
#undef LARDER_OPTION
};

#define KEY_FIRST   0x1000 /* keys of options without a letter */
#define KEY_VERSION 0x2000
#define KEYS_MAX    (N_OPTIONS + 2)

/* What one run of argp works on. */
struct parsing {
	struct ctl *ctl;
	uint64_t given; /* options before the verb, bits by index */
	int verb_at;	/* index of the verb in argv */
};

static int option_key(size_t i)
{
	return ctl_options[i].letter ? ctl_options[i].letter : KEY_FIRST + (int)i;
}

static struct argp_option argp_option_of(size_t i)
{
	return (struct argp_option){
		.name = ctl_options[i].name,
		.key = option_key(i),
		.arg = ctl_options[i].argument,
		.doc = ctl_options[i].help,
	};
}

static int add_text(struct ctl_texts *texts, const char *text, struct larder_error *err)
{
	if (texts->count == CTL_TEXTS_MAX)
		return larder_error_set(err, E2BIG, "at most %d of them", CTL_TEXTS_MAX);
	texts->items[texts->count++] = text;
	return 0;
}

static int option_store(const struct ctl_option *option, const char *text,
			struct ctl_options *options, struct larder_error *err)
{
	void *field = (char *)options + option->offset;

	switch (option->kind) {
	case CTL_OPTION_FLAG: *(bool *)field = true; return 0;
	case CTL_OPTION_TEXT: *(const char **)field = text; return 0;
	case CTL_OPTION_TEXTS: return add_text(field, text, err);
	case CTL_OPTION_SIZE: return larder_size_parse(text, field, err);
	case CTL_OPTION_TIME: return larder_duration_parse(text, field, err);
	case CTL_OPTION_COUNT: return larder_u64_parse(text, field, err);
	}
	return larder_error_set(err, EINVAL, "unknown kind of option");
}

static uint64_t verb_bit(const struct ctl_command *command)
{
	return command ? UINT64_C(1) << (command - ctl_commands) : 0;
}

static error_t take_option(int key, char *text, struct argp_state *state)
{
	struct parsing *parsing = state->input;
	uint64_t verb = verb_bit(parsing->ctl->command);
	struct larder_error err = {0};

	for (size_t i = 0; i < N_OPTIONS; i++) {
		/* The same letter or name may mean another thing to another verb. */
		if (option_key(i) != key || (ctl_options[i].verbs & verb) != verb)
			continue;
		if (option_store(&ctl_options[i], text, &parsing->ctl->options, &err) != 0)
			argp_error(state, "--%s: %s", ctl_options[i].name, err.text);
		parsing->given |= UINT64_C(1) << i;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* --- before the verb */

static error_t take_before(int key, char *text, struct argp_state *state)
{
	struct parsing *parsing = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		parsing->verb_at = state->next - 1;
		state->next = state->argc;
		return 0;
	case KEY_VERSION: printf("larder %s\n", LARDER_VERSION); exit(CTL_DONE);
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which command? 'larder help' lists them");
		return EINVAL;
	default: return take_option(key, text, state);
	}
}

/* What most commands share may stand before the verb too, as in `larder -w n1 ls`. */
static void parse_before(struct parsing *parsing, int argc, char **argv)
{
	struct argp_option options[KEYS_MAX] = {0};
	const struct argp argp = {
		.options = options,
		.parser = take_before,
		.args_doc = "COMMAND [ARGUMENT...]",
		.doc = "Look at the datasets that Larder holds on the nodes, and keep them.\v"
		       "'larder help' lists the commands, 'larder help COMMAND' tells about one.",
	};
	const uint64_t daemons = V(ls) | V(drain), catalogs = V(publish) | V(catalog);
	char program[] = "larder";
	size_t n = 0;

	for (size_t i = 0; i < N_OPTIONS; i++)
		if ((ctl_options[i].verbs & daemons) == daemons || ctl_options[i].verbs == catalogs)
			options[n++] = argp_option_of(i);
	options[n] = (struct argp_option){
		.name = "version", .key = KEY_VERSION, .doc = "print the version of this program"};
	argv[0] = program;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, parsing);
}

static void find_verb(struct parsing *parsing, const char *verb)
{
	const struct ctl_command *command = ctl_command_find(verb);

	if (!command) {
		ctl_complain("no command '%s'; 'larder help' lists them.", verb);
		exit(CTL_USAGE);
	}
	for (size_t i = 0; i < N_OPTIONS; i++) {
		if (!(parsing->given >> i & 1) || (ctl_options[i].verbs & verb_bit(command)))
			continue;
		ctl_complain("%s does not take --%s; see 'larder help %s'.", verb,
			     ctl_options[i].name, verb);
		exit(CTL_USAGE);
	}
	parsing->ctl->command = command;
}

/* --- from the verb on */

static error_t take_behind(int key, char *text, struct argp_state *state)
{
	struct ctl *ctl = ((struct parsing *)state->input)->ctl;
	const struct ctl_command *command = ctl->command;

	switch (key) {
	case ARGP_KEY_ARG:
		if (command->max_args >= 0 && ctl->n_args == (size_t)command->max_args)
			argp_error(state, "too many arguments: '%s'", text);
		ctl->args[ctl->n_args++] = text;
		return 0;
	case ARGP_KEY_END:
		if (ctl->n_args < (size_t)command->min_args)
			argp_error(state, "what is missing: %s", command->arguments);
		return 0;
	default: return take_option(key, text, state);
	}
}

static void parse_behind(struct parsing *parsing, int argc, char **argv)
{
	const struct ctl_command *command = parsing->ctl->command;
	struct argp_option options[KEYS_MAX] = {0};
	const struct argp argp = {
		.options = options,
		.parser = take_behind,
		.args_doc = command->arguments,
		.doc = command->help,
	};
	char name[32];
	size_t n = 0;

	for (size_t i = 0; i < N_OPTIONS; i++)
		if (ctl_options[i].verbs & verb_bit(command))
			options[n++] = argp_option_of(i);
	snprintf(name, sizeof(name), "larder %s", command->verb);
	argv[0] = name;
	argp_parse(&argp, argc, argv, 0, NULL, parsing);
}

int ctl_verb_help(const struct ctl_command *command)
{
	char name[32], help[] = "--help";
	char *argv[] = {name, help, NULL};
	struct ctl ctl = {.command = command};
	struct parsing parsing = {.ctl = &ctl};

	snprintf(name, sizeof(name), "%s", command->verb);
	parse_behind(&parsing, 2, argv); /* prints, and ends the program with 0 */
	return CTL_FAILED;
}

/* --- the nodes */

static int own_host(char *name, size_t len)
{
	if (gethostname(name, len) != 0)
		return -errno;
	name[len - 1] = '\0';
	name[strcspn(name, ".")] = '\0';
	return 0;
}

bool ctl_node_is_here(const struct ctl *ctl, const char *node)
{
	char host[HOSTLIST_NAME_MAX + 1];

	if (!ctl->options.nodes || !node || strstr(ctl->options.socket, "%n"))
		return true;
	return own_host(host, sizeof(host)) == 0 && strcmp(host, node) == 0;
}

static void find_nodes(struct ctl *ctl)
{
	char host[HOSTLIST_NAME_MAX + 1] = "";
	struct larder_error err = {0};
	const char *list = ctl->options.nodes;

	if (!ctl->options.socket)
		ctl->options.socket = getenv("LARDER_SOCKET");
	if (!ctl->options.socket || !*ctl->options.socket)
		ctl->options.socket = CTL_SOCKET;
	if (!list)
		list = getenv("LARDER_NODE");
	if ((!list || !*list) && own_host(host, sizeof(host)) == 0)
		list = host;
	if (!list || hostlist_expand(list, &ctl->nodes, &ctl->n_nodes, &err) != 0) {
		ctl_complain("%s", list ? err.text : "this host has no name; give one with -w.");
		exit(CTL_USAGE);
	}
	for (size_t i = 0; i < ctl->n_nodes; i++)
		ctl->remote |= !ctl_node_is_here(ctl, ctl->nodes[i]);
}

void ctl_parse(struct ctl *ctl, int argc, char **argv)
{
	struct parsing parsing = {.ctl = ctl};

	ctl->options = option_defaults;
	parse_before(&parsing, argc, argv);
	find_verb(&parsing, argv[parsing.verb_at]);
	ctl->args = calloc((size_t)argc + 1, sizeof(*ctl->args));
	if (!ctl->args) {
		ctl_complain("out of memory");
		exit(CTL_FAILED);
	}
	parse_behind(&parsing, argc - parsing.verb_at, argv + parsing.verb_at);
	if (verb_bit(ctl->command) & DAEMON)
		find_nodes(ctl);
}

void ctl_fini(struct ctl *ctl)
{
	free(ctl->args);
	hostlist_free(ctl->nodes);
}

const char *ctl_catalog_dir(const struct ctl *ctl)
{
	const char *dir = ctl->options.catalog;

	if (!dir)
		dir = getenv("LARDER_CATALOG");
	return dir && *dir ? dir : CTL_CATALOG;
}
