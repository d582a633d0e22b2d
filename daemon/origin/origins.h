/* The kinds of origins there are: one line a kind, one file a kind. */
#ifndef ORIGIN_ORIGINS_H
#define ORIGIN_ORIGINS_H

#include "core/source.h"

extern const struct source_ops source_posix;
extern const struct source_ops source_http;
extern const struct source_ops source_s3;

/* NULL-terminated, in order of trial. */
extern const struct source_ops *const origins[];

/* The kind that owns this origin; NULL: none does (yet). */
const struct source_ops *origin_kind(const char *origin);

/*
 * Takes on the ids for file system checks of the calling thread alone (setfsuid, setfsgid, and the
 * thread's supplementary groups by the raw system call). uid 0 does nothing. back undoes it.
 */
int source_as_enter(const struct source_as *as, struct larder_error *err);
void source_as_leave(const struct source_as *as);

#endif
