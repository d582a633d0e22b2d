/*
 * Owns the writing of the one error shape.
 * Must not allocate, print or exit: it runs inside srun and slurmstepd.
 * Called by everybody.
 */
#include "larder/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int larder_error_set(struct larder_error *err, int code, const char *fmt, ...)
{
	/* A buffer of its own: the arguments may well point into err->text. */
	char text[LARDER_ERROR_MAX];
	va_list args;

	if (code < 0)
		code = -code;
	if (code <= 0)
		code = EIO;
	if (!err)
		return -code;
	va_start(args, fmt);
	if (vsnprintf(text, sizeof(text), fmt, args) < 0)
		text[0] = '\0';
	va_end(args);
	memcpy(err->text, text, sizeof(text));
	err->code = code;
	return -code;
}

int larder_error_prefix(struct larder_error *err, const char *fmt, ...)
{
	char text[LARDER_ERROR_MAX];
	size_t had, room;
	va_list args;
	int n;

	if (!err)
		return -EIO;
	if (err->code <= 0)
		err->code = EIO;
	va_start(args, fmt);
	n = vsnprintf(text, sizeof(text) - 2, fmt, args);
	va_end(args);
	if (n < 0)
		return -err->code;
	had = strnlen(text, sizeof(text));
	memcpy(text + had, ": ", 2);
	had += 2;
	room = sizeof(text) - had - 1;
	room = strnlen(err->text, room);
	memcpy(text + had, err->text, room);
	text[had + room] = '\0';
	memcpy(err->text, text, had + room + 1);
	return -err->code;
}
