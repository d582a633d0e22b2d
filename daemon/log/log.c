/*
 * Owns the daemons' log lines: one event, one line, values quoted where they need it.
 * Must not decide what is worth logging, allocate, or fail: a line too long is cut.
 * Called by server/, sched/ and main.c.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <systemd/sd-journal.h>

#include "log/log.h"

#define LINE_MAX_BYTES 4096

struct line {
	size_t len;
	char text[LINE_MAX_BYTES];
};

/* The one exception to "no file-scope mutable data" (see log.h): a level has no other home. */
static _Atomic int level_max = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	level_max = (int)level;
}

static void put(struct line *line, const char *text, size_t len)
{
	size_t room = sizeof(line->text) - 1 - line->len;

	if (len > room)
		len = room;
	memcpy(line->text + line->len, text, len);
	line->len += len;
	line->text[line->len] = '\0';
}

static bool needs_quotes(const char *value)
{
	if (!*value)
		return true;
	for (; *value; value++)
		if ((unsigned char)*value <= ' ' || *value == '"' || *value == '=' ||
		    *value == 0x7f)
			return true;
	return false;
}

static void put_escaped(struct line *line, const char *value)
{
	char hex[5];

	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;

		if (c == '\n') {
			put(line, "\\n", 2);
		} else if (c == '"' || c == '\\') {
			put(line, "\\", 1);
			put(line, value, 1);
		} else if (c < ' ' || c == 0x7f) {
			snprintf(hex, sizeof(hex), "\\x%02x", c);
			put(line, hex, 4);
		} else {
			put(line, value, 1);
		}
	}
}

/* A value behind '=' gets quotes when it needs them; elsewhere it is only kept on its line. */
static void put_string(struct line *line, const char *value)
{
	char last = line->len ? line->text[line->len - 1] : ' ';

	if (!value)
		value = "(none)";
	if (last != '=' || !needs_quotes(value)) {
		put_escaped(line, value);
		return;
	}
	put(line, "\"", 1);
	put_escaped(line, value);
	put(line, "\"", 1);
}

/* precision: what "%.*s" bounds, for text that may have no NUL. -1: none. */
static void put_value(struct line *line, const char *value, int precision)
{
	char part[LINE_MAX_BYTES];

	if (precision < 0 || !value) {
		put_string(line, value);
		return;
	}
	snprintf(part, sizeof(part), "%.*s", precision, value);
	put_string(line, part);
}

static intmax_t take_signed(va_list *ap, const char *length)
{
	if (strcmp(length, "l") == 0)
		return va_arg(*ap, long);
	if (strcmp(length, "ll") == 0)
		return va_arg(*ap, long long);
	if (strcmp(length, "j") == 0)
		return va_arg(*ap, intmax_t);
	if (strcmp(length, "z") == 0)
		return va_arg(*ap, ssize_t);
	return va_arg(*ap, int);
}

static uintmax_t take_unsigned(va_list *ap, const char *length)
{
	if (strcmp(length, "l") == 0)
		return va_arg(*ap, unsigned long);
	if (strcmp(length, "ll") == 0)
		return va_arg(*ap, unsigned long long);
	if (strcmp(length, "j") == 0)
		return va_arg(*ap, uintmax_t);
	if (strcmp(length, "z") == 0)
		return va_arg(*ap, size_t);
	return va_arg(*ap, unsigned int);
}

static int take_precision(const char **fmt, va_list *ap)
{
	int precision = 0;

	(*fmt)++;
	if (**fmt == '*') {
		(*fmt)++;
		return va_arg(*ap, int);
	}
	for (; **fmt >= '0' && **fmt <= '9' && precision < LINE_MAX_BYTES; (*fmt)++)
		precision = precision * 10 + (**fmt - '0');
	return precision;
}

/* false: a conversion that this walker does not know; its argument cannot be skipped. */
static bool put_conversion(struct line *line, char kind, int precision, const char *length,
			   int saved_errno, va_list *ap)
{
	char number[400]; /* a double in %f has up to 309 digits before the point */
	char c[2] = {0};

	switch (kind) {
	case 'd':
	case 'i': snprintf(number, sizeof(number), "%jd", take_signed(ap, length)); break;
	case 'u': snprintf(number, sizeof(number), "%ju", take_unsigned(ap, length)); break;
	case 'x': snprintf(number, sizeof(number), "%jx", take_unsigned(ap, length)); break;
	case 'o': snprintf(number, sizeof(number), "%jo", take_unsigned(ap, length)); break;
	case 'f':
	case 'g':
		snprintf(number, sizeof(number), "%.*f", precision < 0 ? 6 : precision % 40,
			 va_arg(*ap, double));
		break;
	case 'c':
		c[0] = (char)va_arg(*ap, int);
		put_escaped(line, c);
		return true;
	case 's': put_value(line, va_arg(*ap, const char *), precision); return true;
	case 'm': put_value(line, strerror(saved_errno), precision); return true;
	default: return false;
	}
	put(line, number, strlen(number));
	return true;
}

/*
 * printf by hand, because only here it is known which bytes are values: flags and widths are
 * passed over. A conversion that is not known ends the line, since its argument cannot be skipped.
 */
static void put_format(struct line *line, const char *fmt, int saved_errno, va_list *ap)
{
	while (*fmt) {
		size_t plain = strcspn(fmt, "%");
		int precision = -1;
		char length[3] = "";

		put(line, fmt, plain);
		fmt += plain;
		if (!*fmt++)
			return;
		if (*fmt == '%') {
			put(line, fmt++, 1);
			continue;
		}
		fmt += strspn(fmt, "-+ #0123456789");
		if (*fmt == '.')
			precision = take_precision(&fmt, ap);
		for (size_t i = 0; i < 2 && *fmt && strchr("lzj", *fmt); i++)
			length[i] = *fmt++;
		if (!put_conversion(line, *fmt, precision, length, saved_errno, ap)) {
			put(line, "%…", strlen("%…"));
			return;
		}
		fmt++;
	}
}

/* systemd tells in JOURNAL_STREAM which stream it connected; stderr may have been redirected since.
 */
static bool stderr_is_journal(void)
{
	const char *stream = secure_getenv("JOURNAL_STREAM");
	struct stat st;
	char mine[64];

	if (!stream || fstat(STDERR_FILENO, &st) < 0)
		return false;
	snprintf(mine, sizeof(mine), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, mine) == 0;
}

static void to_stderr(enum log_level level, const struct line *line)
{
	const char *mark = "debug";
	char stamp[40], out[LINE_MAX_BYTES + 80];
	struct timespec now;
	struct tm tm;
	int len;

	if (level <= LOG_LEVEL_ERR)
		mark = "error";
	else if (level <= LOG_LEVEL_WARNING)
		mark = "warning";
	else if (level <= LOG_LEVEL_INFO)
		mark = "info";
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	len = snprintf(out, sizeof(out), "%s.%03dZ %s %s\n", stamp, (int)(now.tv_nsec / 1000000),
		       mark, line->text);
	/* One write: lines of daemon and children do not mix. A log that cannot be written is lost.
	 */
	if (len > 0 && write(STDERR_FILENO, out, (size_t)len) < 0)
		return;
}

void log_event(enum log_level level, const char *what, const char *fmt, ...)
{
	struct line line = {.len = 0};
	int saved_errno = errno;
	va_list ap;

	if ((int)level > level_max)
		return;
	put(&line, what, strlen(what));
	if (*fmt)
		put(&line, " ", 1);
	va_start(ap, fmt);
	put_format(&line, fmt, saved_errno, &ap);
	va_end(ap);
	if (!stderr_is_journal() ||
	    sd_journal_send("MESSAGE=%s", line.text, "PRIORITY=%d", (int)level, "LARDER_EVENT=%s",
			    what, "SYSLOG_IDENTIFIER=%s", program_invocation_short_name, NULL) < 0)
		to_stderr(level, &line);
	errno = saved_errno;
}
