/*
 * One key of larder.conf: its row of config.def, and how its text becomes a typed value. Inside of
 * config*.c only; the rest of server/ sees struct config.
 */
#ifndef SERVER_CONFIG_VALUE_H
#define SERVER_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "larder/error.h"
#include "server/config.h"

enum config_type {
	CONFIG_TYPE_STR,
	CONFIG_TYPE_PATH,
	CONFIG_TYPE_OPTPATH,
	CONFIG_TYPE_WORD,
	CONFIG_TYPE_SIZE,
	CONFIG_TYPE_TIME,
	CONFIG_TYPE_UINT,
	CONFIG_TYPE_BOOL,
	CONFIG_TYPE_PERCENT,
	CONFIG_TYPE_LIST,
};

struct config_key {
	const char *name;
	enum config_type type;
	size_t offset; /* in struct config, or in struct config_tier */
	const char *def, *help;
};

extern const struct config_key config_keys[];
extern const struct config_key config_tier_keys[];

/* Where things stand in the file, for sentences. Lines from 1; 0: not in the file. */
struct config_where {
	const char *file;
	int state_dir_line, socket_line, end_line;
	int *tier_lines; /* where each tier's path stands; owned by config.c */
};

/* The whole file, at most 1 MiB, as text to free. 0 or -errno. */
int config_slurp(const char *path, char **text, struct larder_error *err);
/* Comments become spaces. Returns how many braces and comments are open at the end. */
int config_blank_comments(char *text);

/* Puts the default there; base is zeroed or has an earlier value. 0 or -ENOMEM. */
int config_value_default(const struct config_key *key, void *base, struct larder_error *err);
/* 0, or -EINVAL with the bad text and what is allowed (the key itself is the caller's to name). */
int config_value_set(const struct config_key *key, const char *text, void *base,
		     struct larder_error *err);
/* One more item of a LIST. */
int config_list_add(struct config_list *list, const char *text, struct larder_error *err);
int config_item_check(const char *text, struct larder_error *err);
void config_value_clear(const struct config_key *key, void *base);

/* Rules between keys: one tier's, at its closing brace (line), and the whole file's. 0 or -EINVAL.
 */
int config_tier_rules(const struct config_tier *tier, const char *file, int line,
		      struct larder_error *err);
int config_rules(const struct config *config, const struct config_where *where,
		 struct larder_error *err);
/* Is path the directory dir or beneath it? By text. */
bool config_path_within(const char *path, const char *dir);

#endif
