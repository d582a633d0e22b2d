/*
 * Owns XXH3-128: the one file that includes xxhash.h, inlined, and dispatched by instruction set.
 * Must not keep state of its own. Called by transfers, scan, and the manifest's reader and writer.
 *
 * xxhash.h alone chooses at compile time, and a distribution compiles for the oldest machine (SSE2:
 * 19 GB/s a core where AVX2 gives 27 to 29). Its vector loops can be compiled beside one another,
 * which is what its own xxh_x86dispatch.c does; that file is in no -dev package, so the two calls
 * that we need are here.
 */
#include "core/digest.h"

#include <string.h>

#define XXH_INLINE_ALL
#if defined(__x86_64__) && !defined(__AVX2__)
#include <immintrin.h>
#define DIGEST_DISPATCH	  1
#define XXH_DISPATCH_AVX2 1
#define XXH_TARGET_AVX2	  __attribute__((__target__("avx2")))
#define XXH_ACC_ALIGN	  64 /* AVX2 loads sums that xxhash.h puts on the stack for SSE2, at 16 */
#else
#define DIGEST_DISPATCH 0
#endif
#include <xxhash.h>

#define STATE_ALIGN 64u /* what aligned vector loads want; malloc promises 16 */

_Static_assert(sizeof(XXH3_state_t) + STATE_ALIGN - 1 <= sizeof(struct digest_state), "too small");
_Static_assert(_Alignof(XXH3_state_t) <= STATE_ALIGN, "aligned too little");

/* Where in the caller's bytes the state begins: at the first multiple of STATE_ALIGN. */
static size_t begin(const struct digest_state *state)
{
	return -(uintptr_t)state->opaque % STATE_ALIGN;
}

static XXH3_state_t *own(struct digest_state *state)
{
	return (XXH3_state_t *)(void *)(state->opaque + begin(state));
}

static const XXH3_state_t *peek(const struct digest_state *state)
{
	return (const XXH3_state_t *)(const void *)(state->opaque + begin(state));
}

static struct digest from_xxh(XXH128_hash_t hash)
{
	return (struct digest){.hi = hash.high64, .lo = hash.low64};
}

#if DIGEST_DISPATCH
/* The loops of 0.8.2 and later take many stripes at a time, those before one. */
#if XXH_VERSION_NUMBER >= 802
#define ACCUMULATE_AVX2 XXH3_accumulate_avx2
#else
#define ACCUMULATE_AVX2 XXH3_accumulate_512_avx2
#endif

__attribute__((noinline)) XXH_TARGET_AVX2 static void update_avx2(XXH3_state_t *state,
								  const void *data, size_t len)
{
	XXH3_update(state, data, len, ACCUMULATE_AVX2, XXH3_scrambleAcc_avx2);
}
#endif

void digest_init(struct digest_state *state)
{
	XXH3_128bits_reset(own(state));
}

void digest_update(struct digest_state *state, const void *data, size_t len)
{
#if DIGEST_DISPATCH
	/* a load and a test of what the start-up code found out; under 256 bytes nothing is won */
	if (len >= 256 && __builtin_cpu_supports("avx2")) {
		update_avx2(own(state), data, len);
		return;
	}
#endif
	XXH3_128bits_update(own(state), data, len);
}

struct digest digest_final(const struct digest_state *state)
{
	return from_xxh(XXH3_128bits_digest(peek(state)));
}

struct digest digest_of(const void *data, size_t len)
{
	struct digest_state state;

	if (len <= XXH3_MIDSIZE_MAX)
		return from_xxh(XXH3_128bits(data, len));
	digest_init(&state);
	digest_update(&state, data, len);
	return digest_final(&state);
}

/* The older ones' states are smaller, and stand in the same place. */
_Static_assert(sizeof(XXH64_state_t) <= sizeof(XXH3_state_t), "too small");
_Static_assert(sizeof(XXH32_state_t) <= sizeof(XXH3_state_t), "too small");

void digest_short_init(struct digest_state *state, enum digest_short kind)
{
	switch (kind) {
	case DIGEST_XXH32: XXH32_reset((void *)own(state), 0); break;
	case DIGEST_XXH64: XXH64_reset((void *)own(state), 0); break;
	case DIGEST_XXH3_64: XXH3_64bits_reset(own(state)); break;
	}
}

void digest_short_update(struct digest_state *state, enum digest_short kind, const void *data,
			 size_t len)
{
	switch (kind) {
	case DIGEST_XXH32: XXH32_update((void *)own(state), data, len); break;
	case DIGEST_XXH64: XXH64_update((void *)own(state), data, len); break;
	case DIGEST_XXH3_64: XXH3_64bits_update(own(state), data, len); break;
	}
}

uint64_t digest_short_final(const struct digest_state *state, enum digest_short kind)
{
	switch (kind) {
	case DIGEST_XXH32: return XXH32_digest((const void *)peek(state));
	case DIGEST_XXH64: return XXH64_digest((const void *)peek(state));
	case DIGEST_XXH3_64: return XXH3_64bits_digest(peek(state));
	}
	return 0;
}

void digest_format(struct digest digest, char out[33])
{
	static const char hex[] = "0123456789abcdef";

	for (unsigned int i = 0; i < 16; i++) {
		unsigned int shift = 60 - 4 * i;

		out[i] = hex[digest.hi >> shift & 15];
		out[16 + i] = hex[digest.lo >> shift & 15];
	}
	out[32] = '\0';
}

/*
 * 16 digits; false when one is none. Hex digits are random, so a branch on each would be foretold
 * wrongly half the time: a table has none (a million lines of a manifest: 0.06 s less).
 */
static bool parse_half(const char *hex, uint64_t *value)
{
#define IS 0x10 /* what each digit has and no other byte */
	static const uint8_t digits[256] = {
		['0'] = IS | 0,	 ['1'] = IS | 1,  ['2'] = IS | 2,  ['3'] = IS | 3,
		['4'] = IS | 4,	 ['5'] = IS | 5,  ['6'] = IS | 6,  ['7'] = IS | 7,
		['8'] = IS | 8,	 ['9'] = IS | 9,  ['a'] = IS | 10, ['b'] = IS | 11,
		['c'] = IS | 12, ['d'] = IS | 13, ['e'] = IS | 14, ['f'] = IS | 15};
	unsigned int all = IS;
	uint64_t sum = 0;

	for (int i = 0; i < 16; i++) {
		unsigned int n = digits[(unsigned char)hex[i]];

		all &= n;
		sum = sum << 4 | (n & 15);
	}
	*value = sum;
	return all & IS;
#undef IS
}

bool digest_parse(const char *hex, struct digest *digest)
{
	return strnlen(hex, 33) == 32 && parse_half(hex, &digest->hi) &&
	       parse_half(hex + 16, &digest->lo);
}
