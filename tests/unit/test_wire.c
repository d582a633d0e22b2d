/*
 * Frames: every message there and back, and every way in which one can be damaged.
 * Must hand the decoder buffers of exactly their size, so that a sanitizer sees one byte too far.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "larder/wire.h"

/* Room for any message, aligned for any. */
union any {
#define LARDER_X(name, number, who, help) struct larder_msg_##name name;
	LARDER_MESSAGES(LARDER_X)
#undef LARDER_X
};

/* Gives each field a value of its own kind, from a counter. */
#define SET_U32(m, f)	  (m).f = 0x80000001u + ++n
#define SET_U64(m, f)	  (m).f = UINT64_C(0x8000000100000000) + ++n
#define SET_I64(m, f)	  (m).f = -INT64_C(0x700000001) - (int64_t)++n
#define SET_STR(m, f)	  (m).f = strings[++n % 3]
#define SAME_U32(a, b)	  assert_true((a) == (b))
#define SAME_U64(a, b)	  assert_true((a) == (b))
#define SAME_I64(a, b)	  assert_true((a) == (b))
#define SAME_STR(a, b)	  assert_string_equal(a, b)
#define SET_(kind, name)  SET_##kind(in, name);
#define SAME_(kind, name) SAME_##kind(out.name, in.name);

static const char *const strings[] = {"", "x", "imagenet:v3, caf\xc3\xa9\n"};

/* The frame of a message taken apart as a receiver does. The body is a buffer to free. */
static uint8_t *take_body(const uint8_t *frame, size_t len, unsigned int type, uint32_t seq,
			  size_t *body_len)
{
	struct larder_head head;
	uint8_t *body;

	assert_int_equal(larder_head_decode(frame, &head, NULL), 0);
	assert_int_equal(head.type, type);
	assert_int_equal(head.seq, seq);
	assert_int_equal(head.length, len - LARDER_FRAME_HEAD);
	body = malloc(head.length + 1u);
	assert_non_null(body);
	memcpy(body, frame + LARDER_FRAME_HEAD, head.length);
	*body_len = head.length;
	return body;
}

#define ROUND_TRIP(name_, number, who, help)                                                       \
	static void round_trip_##name_(void)                                                       \
	{                                                                                          \
		struct larder_msg_##name_ in, out;                                                 \
		size_t len = 0, body_len = 0;                                                      \
		unsigned int n = number;                                                           \
		uint8_t *frame = NULL, *body;                                                      \
                                                                                                   \
		memset(&in, 0, sizeof(in));                                                        \
		memset(&out, 0xa5, sizeof(out));                                                   \
		LARDER_FIELDS_##name_(SET_) assert_int_equal(                                      \
			larder_msg_encode(number, n, &in, &frame, &len, NULL), 0);                 \
		body = take_body(frame, len, number, n, &body_len);                                \
		assert_int_equal(larder_msg_decode(number, body, body_len, &out, NULL), 0);        \
		LARDER_FIELDS_##name_(SAME_) free(body);                                           \
		free(frame);                                                                       \
	}
LARDER_MESSAGES(ROUND_TRIP)

static void test_every_message_there_and_back(void **state)
{
	(void)state;
#define CALL(name_, number, who, help) round_trip_##name_();
	LARDER_MESSAGES(CALL)
#undef CALL
}

/* The bytes are a contract with plugins of other versions: written down once. */
static void test_bytes_of_a_frame(void **state)
{
	static const uint8_t want[] = {'L', 'R', 'D', '1',  1, 0, 65, 0, 10, 0, 0, 0,	4,
				       3,   2,	 1,   0x0d, 0, 0, 0,  2, 0,  0, 0, 'n', 'o'};
	const struct larder_msg_ERROR error = {.code = 13, .text = "no"};
	uint8_t *frame = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(
		larder_msg_encode(LARDER_MSG_ERROR, 0x01020304, &error, &frame, &len, NULL), 0);
	assert_int_equal(len, sizeof(want));
	assert_memory_equal(frame, want, sizeof(want));
	free(frame);
}

static void test_null_strings_go_as_empty(void **state)
{
	struct larder_msg_DONE done = {.note = NULL};
	uint8_t *frame = NULL, *body;
	size_t len = 0, body_len = 0;

	(void)state;
	assert_int_equal(larder_msg_encode(LARDER_MSG_DONE, 1, &done, &frame, &len, NULL), 0);
	body = take_body(frame, len, LARDER_MSG_DONE, 1, &body_len);
	assert_int_equal(larder_msg_decode(LARDER_MSG_DONE, body, body_len, &done, NULL), 0);
	assert_string_equal(done.note, "");
	free(body);
	free(frame);
}

static uint8_t *encode_acquire(size_t *len)
{
	const struct larder_msg_ACQUIRE acquire = {
		.job_id = 7, .specs = "a,b", .fixed = "", .wait_ms = -1};
	uint8_t *frame = NULL;

	assert_int_equal(larder_msg_encode(LARDER_MSG_ACQUIRE, 9, &acquire, &frame, len, NULL), 0);
	return frame;
}

/* Cut anywhere, or with bytes behind: refused, and never read past its end. */
static void test_wrong_lengths(void **state)
{
	size_t len = 0;
	uint8_t *frame = encode_acquire(&len);
	size_t body_len = len - LARDER_FRAME_HEAD;

	(void)state;
	for (size_t n = 0; n <= body_len + 3; n++) {
		uint8_t *body = calloc(1, n + 1);
		struct larder_error err = {0};
		union any out;
		int rc;

		assert_non_null(body);
		memcpy(body, frame + LARDER_FRAME_HEAD, n < body_len ? n : body_len);
		rc = larder_msg_decode(LARDER_MSG_ACQUIRE, body, n, &out, &err);
		assert_int_equal(rc, n == body_len ? 0 : -EBADMSG);
		if (rc)
			assert_non_null(strstr(err.text, "ACQUIRE"));
		free(body);
	}
	free(frame);
}

static void test_wrong_string_lengths(void **state)
{
	static const uint32_t lengths[] = {
		2, 4, LARDER_STR_MAX, LARDER_STR_MAX + 1, 0x7fffffff, 0xfffffffc, 0xffffffff};
	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint8_t *body = malloc(7 + 1);
		struct larder_msg_DONE done;

		assert_non_null(body);
		memcpy(body, "\0\0\0\0abc", 7);
		for (int b = 0; b < 4; b++)
			body[b] = (uint8_t)(lengths[i] >> (8 * b));
		assert_int_equal(larder_msg_decode(LARDER_MSG_DONE, body, 7, &done, NULL),
				 -EBADMSG);
		free(body);
	}
}

static void test_nul_in_a_string(void **state)
{
	uint8_t body[8] = {3, 0, 0, 0, 'a', 0, 'c'};
	struct larder_msg_DONE done;
	struct larder_error err = {0};

	(void)state;
	assert_int_equal(larder_msg_decode(LARDER_MSG_DONE, body, 7, &done, &err), -EBADMSG);
	assert_string_equal(err.text, "DONE: note has a NUL inside");
}

static char *long_string(size_t len)
{
	char *text = malloc(len + 1);

	assert_non_null(text);
	memset(text, 'a', len);
	text[len] = '\0';
	return text;
}

static void test_caps(void **state)
{
	char *most = long_string(LARDER_STR_MAX), *over = long_string(LARDER_STR_MAX + 1);
	struct larder_msg_TEXT text = {.text = most};
	struct larder_msg_TREE tree = {
		.name = most, .version = most, .digest = most, .tier = most, .owner = ""};
	uint8_t *frame = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(larder_msg_encode(LARDER_MSG_TEXT, 1, &text, &frame, &len, NULL), 0);
	assert_int_equal(len, LARDER_FRAME_HEAD + 4 + LARDER_STR_MAX);
	free(frame);
	frame = NULL;
	text.text = over;
	assert_int_equal(larder_msg_encode(LARDER_MSG_TEXT, 1, &text, &frame, &len, NULL),
			 -EMSGSIZE);
	/* four strings that are legal each and too much together */
	assert_int_equal(larder_msg_encode(LARDER_MSG_TREE, 1, &tree, &frame, &len, NULL),
			 -EMSGSIZE);
	assert_null(frame);
	assert_int_equal(larder_msg_encode(9999, 1, &text, &frame, &len, NULL), -ENOENT);
	free(most);
	free(over);
}

static void make_head(uint8_t out[LARDER_FRAME_HEAD], uint32_t magic, uint32_t version,
		      uint32_t type, uint32_t length)
{
	for (int i = 0; i < 4; i++) {
		out[i] = (uint8_t)(magic >> (8 * i));
		out[8 + i] = (uint8_t)(length >> (8 * i));
		out[12 + i] = (uint8_t)i;
	}
	for (int i = 0; i < 2; i++) {
		out[4 + i] = (uint8_t)(version >> (8 * i));
		out[6 + i] = (uint8_t)(type >> (8 * i));
	}
}

static void test_heads(void **state)
{
	static const struct {
		uint32_t magic, version, type, length;
		int rc;
	} rows[] = {
		{LARDER_WIRE_MAGIC, LARDER_WIRE_VERSION, LARDER_MSG_PING, 0, 0},
		{LARDER_WIRE_MAGIC, LARDER_WIRE_VERSION, LARDER_MSG_TEXT, LARDER_BODY_MAX, 0},
		{LARDER_WIRE_MAGIC, LARDER_WIRE_VERSION, LARDER_MSG_TEXT, LARDER_BODY_MAX + 1,
		 -EMSGSIZE},
		{LARDER_WIRE_MAGIC, LARDER_WIRE_VERSION, LARDER_MSG_TEXT, UINT32_MAX, -EMSGSIZE},
		{LARDER_WIRE_MAGIC + 1, LARDER_WIRE_VERSION, LARDER_MSG_PING, 0, -EPROTO},
		{0x20544547, 1, 1, 0, -EPROTO}, /* "GET " */
		{LARDER_WIRE_MAGIC, LARDER_WIRE_VERSION + 1, LARDER_MSG_PING, 0, -EPROTONOSUPPORT},
		{LARDER_WIRE_MAGIC, 0, LARDER_MSG_PING, 0, -EPROTONOSUPPORT},
		{LARDER_WIRE_MAGIC, LARDER_WIRE_VERSION, 0, 0, -ENOENT},
		{LARDER_WIRE_MAGIC, LARDER_WIRE_VERSION, 65535, 0, -ENOENT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t bytes[LARDER_FRAME_HEAD];
		struct larder_head head;

		make_head(bytes, rows[i].magic, rows[i].version, rows[i].type, rows[i].length);
		assert_int_equal(larder_head_decode(bytes, &head, NULL), rows[i].rc);
		if (rows[i].rc == 0)
			assert_int_equal(head.seq, 0x03020100);
	}
}

static void test_an_old_side_is_named(void **state)
{
	uint8_t bytes[LARDER_FRAME_HEAD];
	struct larder_error err = {0};
	struct larder_head head;

	(void)state;
	make_head(bytes, LARDER_WIRE_MAGIC, LARDER_WIRE_VERSION + 1, LARDER_MSG_PING, 0);
	larder_head_decode(bytes, &head, &err);
	assert_non_null(strstr(err.text, "this one is older"));
	make_head(bytes, LARDER_WIRE_MAGIC, LARDER_WIRE_VERSION - 1, LARDER_MSG_PING, 0);
	larder_head_decode(bytes, &head, &err);
	assert_non_null(strstr(err.text, "the other is older"));
}

/* Random bytes and single flipped bytes of good frames: an answer, never a crash. */
static void test_garbage(void **state)
{
	unsigned int seed = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t n = (size_t)(round % 97);
		uint8_t *body = malloc(n + 1);
		union any out;

		assert_non_null(body);
		for (size_t i = 0; i < n; i++) {
			seed = seed * 1103515245u + 12345u;
			body[i] = (seed >> 16 & 3) ? 0 : (uint8_t)(seed >> 20);
		}
		larder_msg_decode((unsigned int)(round % 90), body, n, &out, NULL);
		free(body);
	}
}

static void test_tables(void **state)
{
	(void)state;
	assert_string_equal(larder_msg_name(LARDER_MSG_ACQUIRE), "ACQUIRE");
	assert_string_equal(larder_msg_name(9999), "?");
	assert_int_equal(larder_msg_who(LARDER_MSG_ACQUIRE), LARDER_WHO_ROOT);
	assert_int_equal(larder_msg_who(LARDER_MSG_DRAIN), LARDER_WHO_ADMIN);
	assert_int_equal(larder_msg_who(LARDER_MSG_LIST), LARDER_WHO_ANYONE);
	assert_int_equal(larder_msg_who(LARDER_MSG_MAY), LARDER_WHO_FLEET);
	assert_int_equal(larder_msg_who(LARDER_MSG_NODES), LARDER_WHO_SCHED);
	assert_int_equal(larder_msg_who(LARDER_MSG_TREE), LARDER_WHO_ROW);
	assert_int_equal(larder_msg_who(0), -ENOENT);
	assert_int_equal(larder_msg_size(LARDER_MSG_AWAIT), sizeof(struct larder_msg_AWAIT));
	assert_int_equal(larder_msg_size(LARDER_MSG_PING), 0);
	assert_int_equal(larder_msg_size(9999), 0);
	assert_string_equal(larder_tree_state_word(LARDER_TREE_READY), "ready");
	assert_string_equal(larder_tree_state_word(LARDER_TREE_STATES), "?");
	assert_string_equal(larder_outcome_word(LARDER_OUTCOME_BYPASS), "bypass");
	assert_string_equal(larder_outcome_word(LARDER_OUTCOMES), "?");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_message_there_and_back),
		cmocka_unit_test(test_bytes_of_a_frame),
		cmocka_unit_test(test_null_strings_go_as_empty),
		cmocka_unit_test(test_wrong_lengths),
		cmocka_unit_test(test_wrong_string_lengths),
		cmocka_unit_test(test_nul_in_a_string),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_an_old_side_is_named),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
