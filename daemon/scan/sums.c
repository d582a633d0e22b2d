/*
 * Owns: the table of foreign sums, and computing one; the one file with libcrypto.
 * Must not: read files or lists.
 * Called by: list.c, list_mds.c, reader.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

#include "scan/sums.h"

static const struct kind {
	const char *word, *other; /* other: a second name, or NULL */
	const char *evp;	  /* libcrypto's name; NULL: not its */
	size_t bytes;
	enum digest_short xxh;
} kinds[SUM_KINDS] = {
	[SUM_XXH128] = {"xxh128", "xxh3_128", NULL, 16, 0},
	[SUM_SHA512] = {"sha512", NULL, "SHA512", 64, 0},
	[SUM_SHA384] = {"sha384", NULL, "SHA384", 48, 0},
	[SUM_SHA256] = {"sha256", NULL, "SHA256", 32, 0},
	[SUM_SHA3_512] = {"sha3-512", "sha3_512", "SHA3-512", 64, 0},
	[SUM_SHA3_384] = {"sha3-384", "sha3_384", "SHA3-384", 48, 0},
	[SUM_SHA3_256] = {"sha3-256", "sha3_256", "SHA3-256", 32, 0},
	[SUM_SHA3_224] = {"sha3-224", "sha3_224", "SHA3-224", 28, 0},
	[SUM_BLAKE2B] = {"blake2b", "b2sum", "BLAKE2B512", 64, 0},
	[SUM_BLAKE2S] = {"blake2s", NULL, "BLAKE2S256", 32, 0},
	[SUM_SHA224] = {"sha224", NULL, "SHA224", 28, 0},
	[SUM_SHA1] = {"sha1", NULL, "SHA1", 20, 0},
	[SUM_MD5] = {"md5", NULL, "MD5", 16, 0},
	[SUM_XXH3] = {"xxh3", "xxh3_64", NULL, 8, DIGEST_XXH3_64},
	[SUM_XXH64] = {"xxh64", NULL, NULL, 8, DIGEST_XXH64},
	[SUM_XXH32] = {"xxh32", NULL, NULL, 4, DIGEST_XXH32},
};

const char *sum_word(enum sum_kind kind)
{
	return kind > SUM_NONE && kind < SUM_KINDS ? kinds[kind].word : "none";
}

const char *sum_words(char *buf, size_t len)
{
	size_t at = 0;

	for (int i = SUM_NONE + 1; i < SUM_KINDS && at < len; i++)
		at += (size_t)snprintf(buf + at, len - at, "%s%s", at ? ", " : "", kinds[i].word);
	return buf;
}

size_t sum_bytes(enum sum_kind kind)
{
	return kind > SUM_NONE && kind < SUM_KINDS ? kinds[kind].bytes : 0;
}

static bool is_name(const char *name, const char *text, size_t len)
{
	return name && strlen(name) == len && strncasecmp(name, text, len) == 0;
}

enum sum_kind sum_by_name(const char *name, size_t len)
{
	for (int i = SUM_NONE + 1; i < SUM_KINDS; i++)
		if (is_name(kinds[i].word, name, len) || is_name(kinds[i].other, name, len))
			return (enum sum_kind)i;
	return SUM_NONE;
}

/* The longest name wins: "xxh3_128sums" is not the list of an xxh3. */
enum sum_kind sum_by_file(const char *file)
{
	enum sum_kind best = SUM_NONE;
	size_t longest = 0;

	for (int i = SUM_NONE + 1; i < SUM_KINDS; i++) {
		const char *const names[] = {kinds[i].word, kinds[i].other};

		for (int n = 0; n < 2; n++) {
			size_t len = names[n] ? strlen(names[n]) : 0;

			if (len <= longest || !strcasestr(file, names[n]))
				continue;
			longest = len;
			best = (enum sum_kind)i;
		}
	}
	return best;
}

enum sum_kind sum_by_digits(size_t digits)
{
	switch (digits) {
	case 128: return SUM_SHA512;
	case 96: return SUM_SHA384;
	case 64: return SUM_SHA256;
	case 56: return SUM_SHA224;
	case 40: return SUM_SHA1;
	case 16: return SUM_XXH64;
	case 8: return SUM_XXH32;
	default: return SUM_NONE;
	}
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool sum_parse_byte(const char *hex, unsigned int *byte)
{
	int high = nibble(hex[0]), low = high < 0 ? -1 : nibble(hex[1]);

	if (low < 0)
		return false;
	*byte = (unsigned int)(high << 4 | low);
	return true;
}

bool sum_parse(enum sum_kind kind, const char *hex, size_t len, bool reversed, unsigned char *out)
{
	size_t bytes = sum_bytes(kind);

	if (!bytes || len != 2 * bytes)
		return false;
	for (size_t i = 0; i < bytes; i++) {
		unsigned int byte;

		if (!sum_parse_byte(hex + 2 * i, &byte))
			return false;
		out[reversed ? bytes - 1 - i : i] = (unsigned char)byte;
	}
	return true;
}

static uint64_t number(const unsigned char *bytes, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum = sum << 8 | bytes[i];
	return sum;
}

struct digest sum_digest(const unsigned char *sum)
{
	return (struct digest){.hi = number(sum, 8), .lo = number(sum + 8, 8)};
}

int sum_begin(struct sum_state *state, enum sum_kind kind, struct larder_error *err)
{
	const EVP_MD *method;

	*state = (struct sum_state){.kind = kind};
	if (kind == SUM_NONE || kind == SUM_XXH128)
		return 0;
	if (!kinds[kind].evp) {
		digest_short_init(&state->digest, kinds[kind].xxh);
		return 0;
	}
	method = EVP_get_digestbyname(kinds[kind].evp);
	state->context = EVP_MD_CTX_new();
	if (method && state->context && EVP_DigestInit_ex(state->context, method, NULL) == 1)
		return 0;
	sum_end(state);
	return larder_error_set(err, EOPNOTSUPP, "libcrypto of this system does not compute %s",
				kinds[kind].word);
}

void sum_update(struct sum_state *state, const void *data, size_t len)
{
	if (state->context)
		EVP_DigestUpdate(state->context, data, len);
	else if (state->kind != SUM_NONE && state->kind != SUM_XXH128)
		digest_short_update(&state->digest, kinds[state->kind].xxh, data, len);
}

bool sum_matches(struct sum_state *state, const unsigned char *expected)
{
	const struct kind *kind = &kinds[state->kind];
	unsigned char got[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	bool same;

	if (state->context)
		same = EVP_DigestFinal_ex(state->context, got, &len) == 1 && len == kind->bytes &&
		       memcmp(got, expected, len) == 0;
	else
		same = digest_short_final(&state->digest, kind->xxh) ==
		       number(expected, kind->bytes);
	sum_end(state);
	return same;
}

void sum_end(struct sum_state *state)
{
	EVP_MD_CTX_free(state->context);
	state->context = NULL;
}
