/*
 * The head of a manifest: what one block of the file tells. The body (a line a shard) is
 * daemon/core/manifest.h's. Format: larder-manifest(5).
 */
#ifndef LARDER_MANIFEST_H
#define LARDER_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "larder/error.h"
#include "larder/text.h"

#define LARDER_MANIFEST_MAGIC	 "larder-manifest 1"
#define LARDER_MANIFEST_HEAD_MAX 16384 /* bytes up to and with the empty line */
#define LARDER_ORIGINS_MAX	 8

enum larder_access_kind {
	LARDER_ACCESS_ORIGIN, /* who may read the origin may use it */
	LARDER_ACCESS_PUBLIC,
	LARDER_ACCESS_USERS, /* names or numbers, comma separated, in `who` */
	LARDER_ACCESS_GROUPS,
};

struct larder_access {
	enum larder_access_kind kind;
	char who[1024]; /* "" for origin and public */
};

struct larder_manifest_head {
	char name[LARDER_NAME_MAX + 1];
	char version[LARDER_VERSION_MAX + 1];
	char digest[LARDER_DIGEST_HEX + 1]; /* XXH3-128 of the body, all 32 digits */
	struct larder_access access;
	char *origins[LARDER_ORIGINS_MAX]; /* in order of preference; owned */
	unsigned int n_origins;		   /* at least 1 */
	bool first_use;	    /* files may be without a digest: what comes first is believed */
	uint64_t shards;    /* lines of the body: files, symlinks, empty directories */
	uint64_t bytes;	    /* sum of the files' sizes */
	int64_t created_s;  /* Unix time */
	size_t body_offset; /* where the body starts in the file */
	uid_t publisher;    /* owner of the manifest's file (by fstat; not in the text) */
};

/* Parses `len` bytes that start the file. 0, or -EINVAL with the line at fault. */
int larder_manifest_head_parse(const char *text, size_t len, struct larder_manifest_head *head,
			       struct larder_error *err);
/* Reads it from an open file (regular, checked), fills publisher too. 0 or -errno. */
int larder_manifest_head_read(int fd, struct larder_manifest_head *head, struct larder_error *err);
/* The head as text, with its closing empty line. A string to free, NULL on ENOMEM. */
char *larder_manifest_head_format(const struct larder_manifest_head *head);
void larder_manifest_head_fini(struct larder_manifest_head *head);

/* "origin", "public", "users=a,b", "groups=g". 0 or -EINVAL. */
int larder_access_parse(const char *text, struct larder_access *access, struct larder_error *err);
/* Back to that text. Writes into buf and returns it. */
const char *larder_access_format(const struct larder_access *access, char *buf, size_t len);
/*
 * Do users=, groups= or public let this user in? 1 yes, 0 no; ORIGIN is answered 1 here (the
 * origin's own permissions decide). Uses NSS: may block, so never on the control thread.
 */
int larder_access_allows(const struct larder_access *access, uid_t uid, gid_t gid);

/* An origin: an absolute path, http://, https:// or s3://. 0 or -EINVAL. */
int larder_origin_check(const char *origin, struct larder_error *err);

/* How it is found out what there is at an origin: its text alone tells. */
enum larder_origin_form {
	LARDER_ORIGIN_TREE,   /* a path, or a prefix at S3: it is listed */
	LARDER_ORIGIN_BRACES, /* https://host/dir/name-{000..146}.tar */
	LARDER_ORIGIN_LIST,   /* https://host/dir/SHA256SUMS, …/index.json, …/files.list */
	LARDER_ORIGIN_FILE,   /* https://host/dir/name.tar */
};
/*
 * *root: bytes of the text that are the origin proper, to which paths are relative (a URL's
 * directory; all of a tree's). -EINVAL: a web server's directory, which cannot be listed; braces
 * where the host stands.
 */
int larder_origin_form(const char *origin, enum larder_origin_form *form, size_t *root,
		       struct larder_error *err);

#endif
