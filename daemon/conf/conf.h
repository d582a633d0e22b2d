/*
 * Configuration files that grow from a table: typed values, defaults, and refusals with file, line,
 * key, the bad text and what is allowed. A program brings the table (config.def, sched.def) and the
 * struct that it fills.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "larder/error.h"

/* Bytes, or a share of something (percent 1..100; bytes is 0 then). */
struct config_share {
	uint64_t bytes;
	uint32_t percent; /* 0: bytes counts */
};
static inline uint64_t config_share_of(struct config_share share, uint64_t whole)
{
	return share.percent ? whole / 100 * share.percent : share.bytes;
}

struct config_list {
	char **items; /* owned */
	unsigned int count;
};

/* What a table's types are in C. */
#define CONFIG_CTYPE_STR     char *
#define CONFIG_CTYPE_PATH    char *
#define CONFIG_CTYPE_OPTPATH char *
#define CONFIG_CTYPE_WORD    char *
#define CONFIG_CTYPE_SIZE    uint64_t
#define CONFIG_CTYPE_TIME    int64_t
#define CONFIG_CTYPE_UINT    uint32_t
#define CONFIG_CTYPE_BOOL    bool
#define CONFIG_CTYPE_PERCENT struct config_share
#define CONFIG_CTYPE_LIST    struct config_list

enum config_type {
	CONFIG_TYPE_STR,
	CONFIG_TYPE_PATH,    /* absolute */
	CONFIG_TYPE_OPTPATH, /* absolute, or "" */
	CONFIG_TYPE_WORD,    /* one of the words before the colon of the help */
	CONFIG_TYPE_SIZE,    /* bytes */
	CONFIG_TYPE_TIME,    /* ms */
	CONFIG_TYPE_UINT,
	CONFIG_TYPE_BOOL,
	CONFIG_TYPE_PERCENT, /* a size or "N%" */
	CONFIG_TYPE_LIST,
};

struct config_key {
	const char *name;
	enum config_type type;
	size_t offset; /* in the struct that is filled */
	const char *def, *help;
};

/* What a number may be besides what its type allows: UINT as such, TIME in ms, SIZE in bytes. */
struct config_bound {
	const char *name, *allowed;
	uint64_t min, max;
};

struct config_table {
	const struct config_key *keys; /* the first is no LIST */
	unsigned int n;
	const struct config_bound *bounds;
	unsigned int n_bounds;
};

#define CONFIG_KEYS_MAX	    128 /* in one table */
#define CONFIG_SECTIONS_MAX 4

/* A kind of section, `name "title" { … }`, any number of them; its table has no LIST. */
struct config_section {
	const char *name;
	const struct config_table *table;
	void *base; /* one item; defaults are put there before each section */
	/*
	 * At the closing brace, with the lines of the keys (0: not given; as many as the table
	 * has). What it keeps of base it clears there. 0, or -errno with the whole sentence.
	 */
	int (*end)(const char *title, const int *lines, int line, void *arg,
		   struct larder_error *err);
	void *arg;
	const struct config_section *next; /* another kind; at most CONFIG_SECTIONS_MAX */
};

struct config_file {
	const char *path;
	const char *manual; /* "larder.conf(5)", for sentences */
	const struct config_table *table;
	void *base;			      /* zeroed, or with earlier values */
	const struct config_section *section; /* NULL: there are none */
	/* the answer */
	int lines[CONFIG_KEYS_MAX]; /* where each key stands; 0: it is not in the file */
	int end_line;
};

/*
 * Defaults, then what the file says. 0, or -errno; base holds values to clear either way.
 * One file at a time in a process: libconfuse's scanner is global. The rules between keys are the
 * caller's.
 */
int config_file_read(struct config_file *file, struct larder_error *err);
/* Frees what the table's keys hold. */
void config_table_clear(const struct config_table *table, void *base);
/* The line of a key, 0 when it is not in the file. */
int config_file_line(const struct config_file *file, const char *name);

/* --- single values --- */

/* Puts the default there; base is zeroed or has an earlier value. 0 or -ENOMEM. */
int config_value_default(const struct config_table *table, const struct config_key *key, void *base,
			 struct larder_error *err);
/* 0, or -EINVAL with the bad text and what is allowed (the key itself is the caller's to name). */
int config_value_set(const struct config_table *table, const struct config_key *key,
		     const char *text, void *base, struct larder_error *err);
/* One more item of a LIST. */
int config_list_add(struct config_list *list, const char *text, struct larder_error *err);
int config_item_check(const char *text, struct larder_error *err);
void config_value_clear(const struct config_key *key, void *base);

/* --- the file as text --- */

/* The whole file, at most 1 MiB, as text to free. 0 or -errno. */
int config_slurp(const char *path, char **text, struct larder_error *err);
/* Comments become spaces. Returns how many braces and comments are open at the end. */
int config_blank_comments(char *text);

#endif
