/*
 * Owns the cryptography: the only file that knows libsodium. Pure, but for the kernel's random
 * bytes. Called by fleet/credential.c, and by whoever needs a keyed hash.
 */
#include "fleet/seal.h"

#include <sodium.h>
#include <string.h>

_Static_assert(SEAL_BYTES == crypto_generichash_BYTES, "BLAKE2b's own length");
_Static_assert(SEAL_BYTES == crypto_generichash_KEYBYTES, "BLAKE2b's own length");

void seal_key_make(struct seal_key *key)
{
	randombytes_buf(key->bytes, sizeof(key->bytes));
}

void seal_hash(const void *data, size_t len, uint8_t hash[SEAL_BYTES])
{
	crypto_generichash(hash, SEAL_BYTES, data, len, NULL, 0);
}

void seal_make(const struct seal_key *key, const void *data, size_t len, char hex[SEAL_HEX_BYTES])
{
	uint8_t hash[SEAL_BYTES];

	crypto_generichash(hash, sizeof(hash), data, len, key->bytes, sizeof(key->bytes));
	sodium_bin2hex(hex, SEAL_HEX_BYTES, hash, sizeof(hash));
}

bool seal_fits(const struct seal_key *key, const void *data, size_t len, const char *hex)
{
	char own[SEAL_HEX_BYTES];

	seal_make(key, data, len, own);
	return strlen(hex) == SEAL_HEX_BYTES - 1 && sodium_memcmp(own, hex, SEAL_HEX_BYTES) == 0;
}

bool seal_same(const uint8_t a[SEAL_BYTES], const uint8_t b[SEAL_BYTES])
{
	return sodium_memcmp(a, b, SEAL_BYTES) == 0;
}
