/*
 * Owns a configuration file as text: read whole, comments blanked, so that libconfuse counts its
 * lines right. Must not know keys or values. Called by conf/file.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "conf/conf.h"
#include "larder/cleanup.h"

#define FILE_BYTES_MAX (1 << 20)

/*
 * libconfuse 3.3 counts a comment as two lines more than it has: comments become blanks here.
 * `#` starts one anywhere outside quotes, the other two only where no word has begun. Returns how
 * many braces and comments are open at the end: libconfuse minds neither.
 */
int config_blank_comments(char *text)
{
	char *p = text, quote = 0, before = '\n';
	int depth = 0;

	for (; *p; before = *p, p++) {
		if (quote) {
			if (*p == '\\' && p[1])
				p++;
			else if (*p == quote)
				quote = 0;
			continue;
		}
		if (*p == '"' || *p == '\'')
			quote = *p;
		depth += (*p == '{') - (*p == '}');
		if (*p == '#' || (*p == '/' && p[1] == '/' && strchr(" \t\r\n={}(),\"'", before))) {
			for (; *p && *p != '\n'; p++)
				*p = ' ';
		} else if (*p == '/' && p[1] == '*' && strchr(" \t\r\n={}(),\"'", before)) {
			char *end = strstr(p + 2, "*/");

			if (!end)
				return depth + 1;
			for (; p <= end + 1; p++)
				if (*p != '\n')
					*p = ' ';
			p--;
		}
		if (!*p)
			break;
	}
	return depth;
}

/* Whole, so that the parser never reads from a disk: its reader exits the process on an error. */
int config_slurp(const char *path, char **text, struct larder_error *err)
{
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	auto_free char *buf = calloc(1, FILE_BYTES_MAX + 2);
	size_t len = 0;
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return larder_error_set(err, errno, "open %s: %m", path);
	if (!buf || fstat(fd, &st) < 0)
		return larder_error_set(err, buf ? errno : ENOMEM, "read %s: %m", path);
	if (!S_ISREG(st.st_mode))
		return larder_error_set(err, EINVAL, "%s is no regular file", path);
	while (len <= FILE_BYTES_MAX && (n = read(fd, buf + len, FILE_BYTES_MAX + 1 - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return larder_error_set(err, errno, "read %s: %m", path);
		len += (size_t)n;
	}
	if (len > FILE_BYTES_MAX)
		return larder_error_set(err, EFBIG, "%s is larger than 1 MiB: no configuration is",
					path);
	if (strlen(buf) != len)
		return larder_error_set(err, EINVAL,
					"%s has a zero byte in it: no configuration has", path);
	*text = take_ptr(&buf);
	return 0;
}
