/*
 * What the CLI says to the person, and the exit codes.
 * It must not decide what is wrong: that sentence comes with the error.
 * Called by every verb.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "larder/cleanup.h"
#include "larder/text.h"

__attribute__((format(printf, 3, 0))) static void say_line(FILE *out, const char *before,
							   const char *fmt, va_list args)
{
	auto_free char *text = NULL;

	if (vasprintf(&text, fmt, args) < 0) {
		text = NULL;
		return;
	}
	fprintf(out, "%s%s\n", before, larder_text_printable(text));
}

void ctl_complain(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	va_start(args, fmt);
	say_line(stderr, "larder: ", fmt, args);
	va_end(args);
}

int ctl_complain_error(const struct larder_error *err)
{
	ctl_complain("%s", err->text);
	return ctl_exit_code(-err->code);
}

int ctl_exit_code(int rc)
{
	switch (rc) {
	case 0: return CTL_DONE;
	case -ENOENT: return CTL_NOT_FOUND;
	case -EPERM:
	case -EACCES: return CTL_NOT_PERMITTED;
	default: return CTL_FAILED;
	}
}

void ctl_say(const struct ctl *ctl, const char *fmt, ...)
{
	va_list args;

	if (ctl->options.quiet)
		return;
	va_start(args, fmt);
	say_line(stdout, "", fmt, args);
	va_end(args);
}

int ctl_confirm(const struct ctl *ctl, const char *question)
{
	char answer[16];

	if (ctl->options.yes)
		return CTL_DONE;
	if (!isatty(STDIN_FILENO)) {
		ctl_complain("%s There is no terminal to ask on: add --yes.", question);
		return CTL_USAGE;
	}
	fprintf(stderr, "%s [y/N] ", question);
	if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
		return CTL_DONE;
	ctl_complain("Nothing was done.");
	return CTL_FAILED;
}
