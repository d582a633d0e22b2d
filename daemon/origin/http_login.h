/*
 * Who a user is at a web server, from a file of the user's (~/.config/larder/credentials):
 *
 *     [data.example.org]          # as it stands in the URL, with the port if that has one
 *     bearer = TOKEN
 *     [other.example.org:8443]
 *     user = NAME
 *     password = SECRET
 */
#ifndef ORIGIN_HTTP_LOGIN_H
#define ORIGIN_HTTP_LOGIN_H

#include <stdbool.h>

#include "larder/error.h"

struct http_login {
	char *bearer;	       /* owned; NULL: none */
	char *user, *password; /* owned; both or neither */
};

/*
 * The section for a URL's host in the text; none leaves login empty. Sections of other forms are
 * not looked at, for the file may have S3 profiles too. -EINVAL names the line, never a value.
 */
int http_login_find(const char *text, const char *url, struct http_login *login,
		    struct larder_error *err);
/* Wipes it. */
void http_login_fini(struct http_login *login);
/* Are scheme, host and port of both URLs the same? Only there a login is shown. */
bool http_same_server(const char *a, const char *b);

#endif
