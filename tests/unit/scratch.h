/* A temporary directory for one test, and files in it. */
#ifndef UNIT_SCRATCH_H
#define UNIT_SCRATCH_H

#include <stddef.h>

/* A new directory below TMPDIR or /tmp; a string for scratch_destroy. Fails the test on error. */
char *scratch_create(void);
/* Removes it and all below it; frees the string. */
void scratch_destroy(char *dir);
/* "dir/name" made by printf's rules, into a ring of buffers: good for a few calls. */
const char *scratch_path(const char *dir, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Writes a file, with mode 0644, over what is there. */
void scratch_write(const char *path, const void *data, size_t len);

#endif
