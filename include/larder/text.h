/*
 * Sizes, durations, names and encoded paths are parsed here and nowhere else.
 * Every refusal shows the bad text and what is allowed.
 */
#ifndef LARDER_TEXT_H
#define LARDER_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "larder/error.h"

#define LARDER_NAME_MAX	   64 /* bytes, without the NUL */
#define LARDER_VERSION_MAX 64
#define LARDER_DIGEST_HEX  32	/* XXH3-128 in lower-case hex */
#define LARDER_PATH_BYTES  4095 /* decoded path of a shard, without the NUL */

/* "512", "64K", "1.5G", "2TiB" (powers of 1024). 0, or -EINVAL / -ERANGE. */
int larder_size_parse(const char *text, uint64_t *bytes, struct larder_error *err);
/* "5" (seconds), "250ms", "5s", "10m", "2h", "7d", "1w". 0, or -EINVAL / -ERANGE. */
int larder_duration_parse(const char *text, int64_t *ms, struct larder_error *err);
/* Digits only, nothing around them. 0, or -EINVAL / -ERANGE. */
int larder_u64_parse(const char *text, uint64_t *value, struct larder_error *err);

/* "138 GiB", "110 KiB", "0 B". Writes into buf and returns it. */
const char *larder_size_format(uint64_t bytes, char *buf, size_t len);
/* "3 s", "2 min 5 s", "4 h 10 min", "3 days". Writes into buf and returns it. */
const char *larder_duration_format(int64_t ms, char *buf, size_t len);

/* [a-z0-9][a-z0-9._-]{0,63}, and not "none". 0 or -EINVAL with a sentence. */
int larder_name_check(const char *name, struct larder_error *err);
/* [A-Za-z0-9][A-Za-z0-9._-]{0,63}. */
int larder_version_check(const char *version, struct larder_error *err);
/* 8 to 32 lower-case hex digits. */
int larder_digest_check(const char *digest, struct larder_error *err);

/*
 * A shard's path in a manifest or on the wire: percent-encoded in one canonical way. Encoded are
 * bytes up to 0x20, 0x7f, '%' and bytes from 0x80 that are not part of valid UTF-8; everything else
 * stands as it is; hex is upper case. Encode returns a string to free (NULL on ENOMEM).
 */
char *larder_path_encode(const char *path);
/* The same into `out`, which has room for 3 * strlen(path) + 1 bytes. Returns the length. */
size_t larder_path_encode_into(const char *path, char *out);
/*
 * Decodes and checks in one go; anything not canonical is refused, so that one path has one
 * spelling. `len` bytes of `text`; out gets at most outlen bytes, NUL included. Refused: %00, %2F,
 * empty, absolute, ".", "..", "//", a trailing '/', components over 255 bytes, over
 * LARDER_PATH_BYTES in all. Returns the decoded length, or -EINVAL.
 */
long larder_path_decode(const char *text, size_t len, char *out, size_t outlen,
			struct larder_error *err);
/* The encoding alone, without the rules for paths: a symlink's target. Length or -EINVAL. */
long larder_percent_decode(const char *text, size_t len, char *out, size_t outlen,
			   struct larder_error *err);
/* The same rules for a path that is not encoded. 0 or -EINVAL. */
int larder_path_check(const char *path, struct larder_error *err);
/*
 * Manifest order: by bytes, '/' before every other byte, so that what stands in one directory
 * stands together. <0, 0, >0 as strcmp.
 */
int larder_path_compare(const char *a, const char *b);
/*
 * Would a symlink at `path` to `target` stay in the tree? Lexical; both decoded. ".." may only
 * lead: behind a name, which may be a symlink itself, nobody can tell where it goes.
 */
bool larder_symlink_stays(const char *path, const char *target);

/* Edit distance with an upper bound; anything above answers bound + 1. For "did you mean". */
unsigned int larder_edit_distance(const char *a, const char *b, unsigned int bound);

/* Text from outside made safe to show on one line: control bytes and what is no
 * UTF-8 become '?'. In place. */
char *larder_text_printable(char *text);
/*
 * A text from outside for a sentence: at most `len` bytes of it (SIZE_MAX: to the NUL), cut with
 * "..." where buf is too small, made printable. Writes into buf and returns it.
 */
const char *larder_text_quote(const char *text, size_t len, char *buf, size_t buflen);

#endif
