/*
 * The sums that foreign lists have, beside our own digest: what they are called, how they are
 * written, and whether bytes match one.
 */
#ifndef SCAN_SUMS_H
#define SCAN_SUMS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/digest.h"
#include "larder/error.h"

/* In the order in which a list that has several is believed: our own digest first, for it need not
 * be computed; then the strongest. */
enum sum_kind {
	SUM_NONE,
	SUM_XXH128, /* XXH3-128: what manifests have */
	SUM_SHA512,
	SUM_SHA384,
	SUM_SHA256,
	SUM_SHA3_512,
	SUM_SHA3_384,
	SUM_SHA3_256,
	SUM_SHA3_224,
	SUM_BLAKE2B,
	SUM_BLAKE2S,
	SUM_SHA224,
	SUM_SHA1,
	SUM_MD5,
	SUM_XXH3, /* 64 bits */
	SUM_XXH64,
	SUM_XXH32,
	SUM_KINDS
};

#define SUM_BYTES_MAX 64

/* "sha256", for people and for --sums. */
const char *sum_word(enum sum_kind kind);
/* All of them with commas between, for a sentence. Writes into buf and returns it. */
const char *sum_words(char *buf, size_t len);
/*
 * By the word itself, a tag of sha256sum --tag and the like ("BLAKE2b", "SHA3-256"), or a name as
 * Python has it ("xxh3_64"); case does not matter. SUM_NONE: unknown.
 */
enum sum_kind sum_by_name(const char *name, size_t len);
/* What a file's name tells: "SHA256SUMS", "all.md5". SUM_NONE: nothing. */
enum sum_kind sum_by_file(const char *file);
/* What lines without a tag are by the number of their digits, as the usual tools write them.
 * SUM_NONE: several tools write as many (32: md5sum, xxh128sum), or none does. */
enum sum_kind sum_by_digits(size_t digits);
size_t sum_bytes(enum sum_kind kind);
/* `len` hex digits, of either case, into out (sum_bytes of it). reversed: the last byte stands
 * first, as in tags that end in _LE. false: no such sum. */
bool sum_parse(enum sum_kind kind, const char *hex, size_t len, bool reversed, unsigned char *out);
/* Two hex digits. */
bool sum_parse_byte(const char *hex, unsigned int *byte);
/* Of SUM_XXH128 alone. */
struct digest sum_digest(const unsigned char *sum);

struct sum_state {
	enum sum_kind kind;
	void *context;		    /* libcrypto's; NULL */
	struct digest_state digest; /* of the xxHash family */
};

/* SUM_NONE and SUM_XXH128 compute nothing. -ENOMEM, -EOPNOTSUPP. */
int sum_begin(struct sum_state *state, enum sum_kind kind, struct larder_error *err);
void sum_update(struct sum_state *state, const void *data, size_t len);
/* Also lets go what the state holds. */
bool sum_matches(struct sum_state *state, const unsigned char *expected);
void sum_end(struct sum_state *state);

#endif
