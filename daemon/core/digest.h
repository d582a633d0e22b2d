/*
 * XXH3-128, streaming: the digest of shards and of manifest bodies. Pure. digest.c is the one file
 * that includes xxhash.h (inlined, dispatched by instruction set).
 */
#ifndef CORE_DIGEST_H
#define CORE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct digest {
	uint64_t hi, lo;
};

/* In place, no allocation. Needs no alignment of its own (it aligns inside), so it may stand in
 * anything that malloc gave; it must stay where digest_init found it. */
struct digest_state {
	unsigned char opaque[640];
};

void digest_init(struct digest_state *state);
void digest_update(struct digest_state *state, const void *data, size_t len);
struct digest digest_final(const struct digest_state *state);
struct digest digest_of(const void *data, size_t len);

/*
 * The shorter sums of the xxHash family, which foreign lists have; as numbers, of 32 or 64 bits.
 * The state is initialised, updated and asked with the same kind.
 */
enum digest_short { DIGEST_XXH32, DIGEST_XXH64, DIGEST_XXH3_64 };

void digest_short_init(struct digest_state *state, enum digest_short kind);
void digest_short_update(struct digest_state *state, enum digest_short kind, const void *data,
			 size_t len);
uint64_t digest_short_final(const struct digest_state *state, enum digest_short kind);

static inline bool digest_equal(struct digest a, struct digest b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

/* 32 lower-case hex digits and a NUL, canonical byte order of XXH128. */
void digest_format(struct digest digest, char out[33]);
/* Exactly 32 lower-case hex digits. false otherwise. */
bool digest_parse(const char *hex, struct digest *digest);

#endif
