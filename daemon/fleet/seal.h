/* Hashes and keyed hashes (BLAKE2b) and random keys: libsodium's, in one place. */
#ifndef FLEET_SEAL_H
#define FLEET_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEAL_BYTES     32u
#define SEAL_HEX_BYTES (2 * SEAL_BYTES + 1)

struct seal_key {
	uint8_t bytes[SEAL_BYTES];
};

/* From the kernel. */
void seal_key_make(struct seal_key *key);
void seal_hash(const void *data, size_t len, uint8_t hash[SEAL_BYTES]);
/* Only who has the key can make it: lower-case hex. */
void seal_make(const struct seal_key *key, const void *data, size_t len, char hex[SEAL_HEX_BYTES]);
/* In a time that does not depend on where they differ. */
bool seal_fits(const struct seal_key *key, const void *data, size_t len, const char *hex);
bool seal_same(const uint8_t a[SEAL_BYTES], const uint8_t b[SEAL_BYTES]);

#endif
