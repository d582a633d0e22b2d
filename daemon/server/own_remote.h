/*
 * How users' own URLs are read: what the site's configuration says of them, and one user's
 * credentials. Made twice alike: in the child that has become the user, for the scan; in the
 * daemon, for the transfer. In memory alone.
 */
#ifndef SERVER_OWN_REMOTE_H
#define SERVER_OWN_REMOTE_H

#include "core/source.h"
#include "larder/error.h"
#include "server/config.h"

#define OWN_CREDENTIALS_MAX ((size_t)32 * 1024) /* bytes of a user's file */

struct own_remote {
	unsigned int refs;	       /* counted on the control thread alone */
	struct source_options options; /* points into the rest */
	struct source_filter filter;
	char *settings;		 /* the text below, cut into lines */
	const char **lists;	 /* what filter and options name, pointing into it */
	char *logins, *profiles; /* the user's files; wiped at the end */
};

/* The configuration's part as text, for the child. To free; NULL: no memory. */
char *own_remote_settings(const struct config *config);
/* From such a text and the user's files (NULL: none). All copied. NULL: no memory. */
struct own_remote *own_remote_create(const char *settings, const char *logins,
				     const char *profiles);
struct own_remote *own_remote_ref(struct own_remote *remote);
/* NULL is let go too. */
void own_remote_unref(struct own_remote *remote);

/*
 * In the child, as the user: ~/.config/larder/credentials into *logins and, for s3://, the AWS
 * files into *profiles (to free; "" where there is none). -EACCES: others may read a file with
 * secrets; -E2BIG, -EINVAL, -errno.
 */
int own_credentials_read(const char *home, bool s3, char **logins, char **profiles,
			 struct larder_error *err);
/* Wipes and frees. */
void own_credentials_free(char *text);

#endif
