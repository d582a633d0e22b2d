/*
 * Owns: finding a user's login for a web server in the text of a credentials file.
 * Must not: read files, or put a value into a sentence.
 * Called by: http.c, when a source of a user's own is opened.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "origin/http_login.h"

#define VALUE_MAX 8192

static void wipe(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

void http_login_fini(struct http_login *login)
{
	wipe(&login->bearer);
	wipe(&login->user);
	wipe(&login->password);
}

/* "host:port" of a URL; its length. */
static size_t authority(const char *url, const char **at)
{
	const char *begin = strstr(url, "://");

	*at = begin ? begin + 3 : url;
	return strcspn(*at, "/?#");
}

static size_t without_port(const char *at, size_t len, bool tls)
{
	const char *port = tls ? ":443" : ":80";
	size_t n = strlen(port);

	return len > n && strncmp(at + len - n, port, n) == 0 ? len - n : len;
}

bool http_same_server(const char *a, const char *b)
{
	bool tls = strncasecmp(a, "https:", 6) == 0;
	const char *at, *bt;
	size_t n, m;

	if (tls != (strncasecmp(b, "https:", 6) == 0))
		return false;
	n = authority(a, &at);
	m = authority(b, &bt);
	n = without_port(at, n, tls);
	m = without_port(bt, m, tls);
	return n == m && strncasecmp(at, bt, n) == 0;
}

/* One line without the blanks around it. */
static const char *trim(const char *line, size_t *len)
{
	while (*len && isblank((unsigned char)*line)) {
		line++;
		(*len)--;
	}
	while (*len && (isblank((unsigned char)line[*len - 1]) || line[*len - 1] == '\r'))
		(*len)--;
	return line;
}

static bool is_section(const char *line, size_t len, const char *url)
{
	auto_free char *name = strndup(line + 1, len - 2);
	auto_free char *as_url = NULL;

	if (!name || asprintf(&as_url, "https://%s", name) < 0) {
		as_url = NULL;
		return false;
	}
	return http_same_server(as_url, url);
}

static bool is_word(const char *line, size_t len, const char *word)
{
	return strlen(word) == len && strncmp(line, word, len) == 0;
}

/* What a header may carry: a byte below a blank would begin another header. */
static bool is_value(const char *value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f)
			return false;
	return len > 0 && len <= VALUE_MAX;
}

/* "word = value" inside the section. -EINVAL: it cannot be. */
static int take_line(const char *line, size_t len, struct http_login *login)
{
	const char *equal = memchr(line, '=', len);
	size_t word_len = equal ? (size_t)(equal - line) : 0;
	const char *word = trim(line, &word_len), *value = equal ? equal + 1 : line;
	size_t value_len = equal ? len - (size_t)(value - line) : 0;
	char **field;

	value = trim(value, &value_len);
	if (is_word(word, word_len, "bearer"))
		field = &login->bearer;
	else if (is_word(word, word_len, "user"))
		field = &login->user;
	else if (is_word(word, word_len, "password"))
		field = &login->password;
	else
		return -EINVAL;
	if (*field || !is_value(value, value_len))
		return -EINVAL;
	*field = strndup(value, value_len);
	return *field ? 0 : -ENOMEM;
}

static int take_lines(const char *text, const char *url, struct http_login *login,
		      unsigned int *number)
{
	bool mine = false;
	int rc = 0;

	for (const char *next; !rc && *text; text = next) {
		size_t len = strcspn(text, "\n");
		const char *line;

		next = text + len + (text[len] == '\n');
		line = trim(text, &len);
		++*number;
		if (!len || *line == '#' || *line == ';')
			continue;
		if (*line == '[')
			mine = len > 2 && line[len - 1] == ']' && is_section(line, len, url);
		else if (mine)
			rc = take_line(line, len, login);
	}
	return rc;
}

int http_login_find(const char *text, const char *url, struct http_login *login,
		    struct larder_error *err)
{
	unsigned int number = 0;
	int rc = take_lines(text, url, login, &number);

	if (rc)
		larder_error_set(
			err, -rc,
			"your credentials file, line %u: in a server's section stand bearer = "
			"TOKEN, or user = NAME and password = SECRET",
			number);
	else if (!login->user != !login->password || (login->bearer && login->user))
		rc = larder_error_set(
			err, EINVAL,
			"your credentials file: a server's section has either a bearer, "
			"or a user and a password");
	if (rc)
		http_login_fini(login);
	return rc;
}
