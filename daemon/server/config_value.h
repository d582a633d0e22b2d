/*
 * The tables of larder.conf and where things stand in the file. Inside of config*.c only; the rest
 * of server/ sees struct config.
 */
#ifndef SERVER_CONFIG_VALUE_H
#define SERVER_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"
#include "larder/error.h"
#include "server/config.h"

extern const struct config_table config_keys;
extern const struct config_table config_tier_keys;
extern const struct config_table config_origin_keys;

/* Where things stand in the file, for sentences. Lines from 1; 0: not in the file. */
struct config_where {
	const char *file;
	int state_dir_line, socket_line, end_line;
	int *tier_lines; /* where each tier's path stands; owned by config.c */
};

/* Rules between keys: one tier's, at its closing brace (line), and the whole file's. 0 or -EINVAL.
 */
int config_tier_rules(const struct config_tier *tier, const char *file, int line,
		      struct larder_error *err);
int config_rules(const struct config *config, const struct config_where *where,
		 struct larder_error *err);
/* Is path the directory dir or beneath it? By text. */
bool config_path_within(const char *path, const char *dir);

#endif
