/*
 * Progress on stderr: a bar on a terminal, one line per 10 % elsewhere, nothing with -q.
 * The line itself is made by a pure function.
 */
#ifndef CTL_PROGRESS_H
#define CTL_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress_now {
	const char *what;  /* "imagenet:v3" */
	const char *phase; /* "copying"; "" for none */
	uint64_t done_bytes, need_bytes;
	uint64_t done_shards, need_shards;
	uint64_t bytes_per_s; /* 0: not known */
	int64_t eta_ms;	      /* below 0: not known */
};

struct progress {
	bool quiet, terminal;
	int last_step;	/* the last 10 % that was printed; -1: none */
	bool line_open; /* a bar stands on the terminal's line */
};

void progress_init(struct progress *progress, bool quiet);
void progress_show(struct progress *progress, const struct progress_now *now);
/* Ends an open line, so that other text starts on its own. */
void progress_end(struct progress *progress);

/* "imagenet:v3 [#####     ]  50 %  69 GiB of 138 GiB  1.2 GiB/s  1 min left", cut to width. */
void progress_format(const struct progress_now *now, bool bar, size_t width, char *out, size_t len);
/* 0 to 100, by bytes; by shards where there are no bytes; rounded down. */
int progress_percent(const struct progress_now *now);

#endif
