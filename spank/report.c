/*
 * Owns everything the plugin says.
 * Must not let a control byte of a user's text through.
 * Called by all files of this room.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "larder/text.h"
#include "plugin.h"

#define REPORT_MAX (LARDER_ERROR_MAX + 512)

void report(const char *fmt, ...)
{
	char text[REPORT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	slurm_error("larder: %s", larder_text_printable(text));
}

void report_quietly(const char *fmt, ...)
{
	char text[REPORT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	slurm_verbose("larder: %s", larder_text_printable(text));
}

/* A reader that has gone must not kill the task before its first line. */
void report_line(const char *text)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct sigaction before;
	char line[REPORT_MAX];

	snprintf(line, sizeof(line), "larder: %s", text);
	larder_text_printable(line);
	if (sigaction(SIGPIPE, &ignore, &before))
		return;
	dprintf(STDERR_FILENO, "%s\n", line);
	sigaction(SIGPIPE, &before, NULL);
}
