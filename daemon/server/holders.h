/* Who holds a tree: for sentences. An admin is told jobs, users and ages; a user their own jobs,
 * and of others how many. */
#ifndef SERVER_HOLDERS_H
#define SERVER_HOLDERS_H

#include <stdbool.h>
#include <stddef.h>

#include "server/larderd.h"

/*
 * "4 jobs: job 42 (alice, 3 min), job 43 (bob, 5 s), …"; tree 0: of any tree; except: a job that is
 * not counted (0: none). Writes into buf; returns how many jobs.
 */
unsigned int holders_text(struct larderd *d, uint64_t tree, uint32_t except, uid_t uid, bool admin,
			  char *buf, size_t len);

#endif
