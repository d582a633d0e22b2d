/*
 * One error shape for plugin, daemon and CLI: a number for the program, one
 * sentence for the person. The caller owns the box; nothing here allocates.
 */
#ifndef LARDER_ERROR_H
#define LARDER_ERROR_H

#include <stddef.h>

#define LARDER_ERROR_MAX 1024 /* bytes, NUL included; longer text is cut */

struct larder_error {
	int code; /* a positive errno value; 0 while nothing failed */
	char text[LARDER_ERROR_MAX];
};

/*
 * Writes the sentence and returns -code, so that a caller can end with
 * `return larder_error_set(err, errno, "open %s: %m", path);`. err may be NULL. `code` may be
 * given as errno or -errno; 0 becomes EIO.
 */
int larder_error_set(struct larder_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "what: " before the sentence that is there already. Returns -err->code
 * (-EIO without a box: where err may be NULL, keep the code that you have). */
int larder_error_prefix(struct larder_error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
