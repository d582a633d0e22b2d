/*
 * XXH3-128 against values of xxh128sum, however the bytes are cut and aligned.
 * Must cover both sides of every length at which the algorithm changes its way.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/digest.h"

/* i-th byte of the test's data: i * 7 + i / 251, lowest 8 bits. */
static unsigned char *make_data(size_t len)
{
	unsigned char *data = malloc(len + 1);

	assert_non_null(data);
	for (size_t i = 0; i < len; i++)
		data[i] = (unsigned char)(i * 7 + i / 251);
	return data;
}

/* xxh128sum, 0.8.1 */
static const struct {
	size_t len;
	const char *hex;
} known[] = {
	{0, "99aa06d3014798d86001c324468d497f"},       {1, "a6cd5e9392000f6ac44bdff4074eecdb"},
	{3, "656e81c56e41fe02c3489259e968ad9e"},       {4, "ab5c3e7474d809db81a65295de8e7dde"},
	{8, "e4b9dd0b66ff3c50ebabbd0695002ff6"},       {9, "82ddc95bc76007671c69c3f04aaed08c"},
	{16, "ddf6c1254d70f76794eaa17b20756f46"},      {17, "263f67af63088041735fe434ded90c3c"},
	{128, "dd9e5aa9bd51cc9cc6bd21ecc865f29f"},     {129, "00433635cf8d872e7f4accb76587485b"},
	{240, "89e3a0a2ee355d25d10beb4e0599e4b3"},     {241, "75f4da43f23cce5a541b19226f0052e8"},
	{255, "aa3bbe481f43a1b6d7b24287b3dcf385"},     {256, "d49510bd86c6d0acf2331523b74cf0a4"},
	{257, "22b23a9516c3533133074291cf400551"},     {511, "59e4eb420b47ce6c9b2070ddfe0d1609"},
	{512, "f201a7b3c9b5a955717ea4dbb4b419c1"},     {1024, "03de0c29e9f0bc7fba464919c6bb3ccd"},
	{1025, "7584e04fe3414e5a2aa0034e7827ee42"},    {65536, "27e28f0ad0e10e530d88401380df353c"},
	{1000003, "d66350a8bb116d9206de9cb24f0c50de"},
};

static void test_known_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		unsigned char *data = make_data(known[i].len);
		char hex[33];

		digest_format(digest_of(data, known[i].len), hex);
		if (strcmp(hex, known[i].hex) != 0)
			fail_msg("%zu bytes: %s, not %s", known[i].len, hex, known[i].hex);
		free(data);
	}
}

/* In pieces of 1, 255, 256, 257 … bytes, so that both the plain and the dispatched way are mixed.
 */
static void test_pieces(void **state)
{
	static const size_t pieces[] = {1, 17, 255, 256, 257, 1023, 1024, 4096, 70001};
	const size_t len = 200003;
	unsigned char *data = make_data(len);
	struct digest whole = digest_of(data, len);

	(void)state;
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct digest_state digest;

		digest_init(&digest);
		for (size_t at = 0; at < len; at += pieces[i])
			digest_update(&digest, data + at,
				      len - at < pieces[i] ? len - at : pieces[i]);
		assert_true(digest_equal(digest_final(&digest), whole));
	}
	free(data);
}

static void test_mixed_pieces(void **state)
{
	const size_t len = 200003;
	unsigned char *data = make_data(len);
	struct digest whole = digest_of(data, len);
	struct digest_state digest;
	size_t step = 1;

	(void)state;
	digest_init(&digest);
	for (size_t at = 0; at < len; at += step) {
		step = step * 5 % 1999 + 1;
		if (step > len - at)
			step = len - at;
		digest_update(&digest, data + at, step);
	}
	assert_true(digest_equal(digest_final(&digest), whole));
	free(data);
}

/* A state needs no alignment, and the final value may be asked for more than once. */
static void test_any_alignment_of_the_state(void **state)
{
	const size_t len = 5000;
	unsigned char *data = make_data(len), *room = malloc(sizeof(struct digest_state) + 64);
	struct digest whole = digest_of(data, len);

	(void)state;
	assert_non_null(room);
	for (size_t shift = 0; shift < 64; shift++) {
		struct digest_state *digest = (struct digest_state *)(void *)(room + shift);

		digest_init(digest);
		digest_update(digest, data, len);
		assert_true(digest_equal(digest_final(digest), whole));
		assert_true(digest_equal(digest_final(digest), whole));
	}
	free(room);
	free(data);
}

static void test_text(void **state)
{
	static const char hex[] = "0123456789abcdeffedcba9876543210";
	struct digest digest;
	char out[33], bad[34];

	(void)state;
	assert_true(digest_parse(hex, &digest));
	assert_true(digest.hi == UINT64_C(0x0123456789abcdef));
	assert_true(digest.lo == UINT64_C(0xfedcba9876543210));
	digest_format(digest, out);
	assert_string_equal(out, hex);
	for (size_t i = 0; i < 32; i++) {
		strcpy(bad, hex);
		bad[i] = 'A';
		assert_false(digest_parse(bad, &digest));
		bad[i] = '\0';
		assert_false(digest_parse(bad, &digest));
	}
	strcpy(bad, hex);
	strcat(bad, "0");
	assert_false(digest_parse(bad, &digest));
	assert_false(digest_parse("", &digest));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_values),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_mixed_pieces),
		cmocka_unit_test(test_any_alignment_of_the_state),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
