/*
 * Owns frames: one generic encoder and decoder, driven by tables that message.def fills.
 * Must not do I/O and must trust no byte of what it decodes.
 * Called by the client and by the daemon's sessions.
 */
#include "larder/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum kind { KIND_U32, KIND_U64, KIND_I64, KIND_STR };

struct field {
	enum kind kind;
	size_t offset; /* in struct larder_msg_<type> */
	const char *name;
};

/* One function a message: its local typedef is what lets offsetof see the message's struct. */
#define FIELD_(kind_, name_) {KIND_##kind_, offsetof(self, name_), #name_},
#define TABLE_(name_, number, who_, help)                                                          \
	static const struct field *fields_##name_(void)                                            \
	{                                                                                          \
		typedef struct larder_msg_##name_ self;                                            \
		static const struct field fields[] = {                                             \
			LARDER_FIELDS_##name_(FIELD_){KIND_U32, sizeof(self), NULL}};              \
                                                                                                   \
		return fields;                                                                     \
	}
LARDER_MESSAGES(TABLE_)

struct message {
	unsigned int type;
	enum larder_who who;
	const char *name;
	size_t size;
	const struct field *(*fields)(void); /* up to one without a name */
};

static const struct message *find(unsigned int type)
{
	static const struct message messages[] = {
#define ROW_(name_, number, who_, help)                                                            \
	{number, LARDER_WHO_##who_, #name_, sizeof(struct larder_msg_##name_), fields_##name_},
		LARDER_MESSAGES(ROW_)
#undef ROW_
	};

	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		if (messages[i].type == type)
			return &messages[i];
	return NULL;
}

const char *larder_msg_name(unsigned int type)
{
	const struct message *message = find(type);

	return message ? message->name : "?";
}

int larder_msg_who(unsigned int type)
{
	const struct message *message = find(type);

	return message ? (int)message->who : -ENOENT;
}

size_t larder_msg_size(unsigned int type)
{
	const struct message *message = find(type);

	return message ? message->size : 0;
}

static uint8_t *put_number(uint8_t *to, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		*to++ = (uint8_t)(value >> (8 * i));
	return to;
}

static uint64_t get_number(const uint8_t *from, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = 0; i < bytes; i++)
		value |= (uint64_t)from[i] << (8 * i);
	return value;
}

int larder_head_decode(const uint8_t in[LARDER_FRAME_HEAD], struct larder_head *head,
		       struct larder_error *err)
{
	if (get_number(in, 4) != LARDER_WIRE_MAGIC)
		return larder_error_set(err, EPROTO, "this is not Larder's protocol");
	head->version = (uint16_t)get_number(in + 4, 2);
	head->type = (uint16_t)get_number(in + 6, 2);
	head->length = (uint32_t)get_number(in + 8, 4);
	head->seq = (uint32_t)get_number(in + 12, 4);
	if (head->version != LARDER_WIRE_VERSION)
		return larder_error_set(err, EPROTONOSUPPORT,
					"the other side speaks protocol %u, this one %d: the %s is "
					"older; install the same version of Larder on both",
					head->version, LARDER_WIRE_VERSION,
					head->version < LARDER_WIRE_VERSION ? "other" : "this one");
	if (head->length > LARDER_BODY_MAX)
		return larder_error_set(err, EMSGSIZE,
					"a message of %u bytes; at most %u are taken", head->length,
					LARDER_BODY_MAX);
	if (!find(head->type))
		return larder_error_set(err, ENOENT, "no message has the number %u", head->type);
	return 0;
}

/* The field's value of a message; strings are never NULL. */
static const char *string_at(const void *msg, size_t offset)
{
	const char *text;

	memcpy(&text, (const char *)msg + offset, sizeof(text));
	return text ? text : "";
}

/* Bytes of a field on the wire, its length field included. */
static size_t field_size(const struct field *field, const void *msg)
{
	switch (field->kind) {
	case KIND_U32: return 4;
	case KIND_U64:
	case KIND_I64: return 8;
	case KIND_STR: return 4 + strnlen(string_at(msg, field->offset), LARDER_STR_MAX + 1);
	}
	return 0;
}

static uint8_t *put_field(uint8_t *to, const struct field *field, const void *msg)
{
	const char *at = (const char *)msg + field->offset;
	uint32_t narrow = 0;
	uint64_t wide = 0;
	size_t len;

	switch (field->kind) {
	case KIND_U32: memcpy(&narrow, at, sizeof(narrow)); return put_number(to, narrow, 4);
	case KIND_U64:
	case KIND_I64: memcpy(&wide, at, sizeof(wide)); return put_number(to, wide, 8);
	case KIND_STR:
		len = field_size(field, msg) - 4;
		to = put_number(to, len, 4);
		memcpy(to, string_at(msg, field->offset), len);
		return to + len;
	}
	return to;
}

/* The body's length, or -EMSGSIZE. */
static long body_size(const struct message *message, const void *msg, struct larder_error *err)
{
	size_t sum = 0;

	for (const struct field *f = message->fields(); f->name; f++) {
		size_t n = field_size(f, msg);

		if (f->kind == KIND_STR && n > 4 + LARDER_STR_MAX)
			return larder_error_set(err, EMSGSIZE, "%s: %s is over %u bytes",
						message->name, f->name, LARDER_STR_MAX);
		sum += n;
	}
	if (sum > LARDER_BODY_MAX)
		return larder_error_set(err, EMSGSIZE, "%s is over %u bytes", message->name,
					LARDER_BODY_MAX);
	return (long)sum;
}

int larder_msg_encode(unsigned int type, uint32_t seq, const void *msg, uint8_t **frame,
		      size_t *len, struct larder_error *err)
{
	const struct message *message = find(type);
	uint8_t *out, *to;
	long body;

	if (!message)
		return larder_error_set(err, ENOENT, "no message has the number %u", type);
	body = body_size(message, msg, err);
	if (body < 0)
		return (int)body;
	out = malloc(LARDER_FRAME_HEAD + (size_t)body);
	if (!out)
		return larder_error_set(err, ENOMEM, "out of memory");
	to = put_number(out, LARDER_WIRE_MAGIC, 4);
	to = put_number(to, LARDER_WIRE_VERSION, 2);
	to = put_number(to, type, 2);
	to = put_number(to, (uint64_t)body, 4);
	to = put_number(to, seq, 4);
	for (const struct field *f = message->fields(); f->name; f++)
		to = put_field(to, f, msg);
	*len = (size_t)(to - out);
	*frame = out;
	return 0;
}

/* What is left of a body that is being decoded. */
struct rest {
	uint8_t *at;
	size_t len;
};

/* The string moves over its own length field, which makes room for its NUL. */
static const char *take_string(struct rest *rest, const char **text)
{
	size_t len;

	if (rest->len < 4)
		return "is cut short";
	len = (size_t)get_number(rest->at, 4);
	if (len > LARDER_STR_MAX)
		return "is too long";
	if (len > rest->len - 4)
		return "is cut short";
	if (memchr(rest->at + 4, 0, len))
		return "has a NUL inside";
	memmove(rest->at, rest->at + 4, len);
	rest->at[len] = 0;
	*text = (const char *)rest->at;
	rest->at += 4 + len;
	rest->len -= 4 + len;
	return NULL;
}

static const char *take_number(struct rest *rest, size_t bytes, uint64_t *value)
{
	if (rest->len < bytes)
		return "is cut short";
	*value = get_number(rest->at, bytes);
	rest->at += bytes;
	rest->len -= bytes;
	return NULL;
}

/* Answers the fault, NULL when there is none. */
static const char *take_field(struct rest *rest, const struct field *field, void *msg)
{
	char *to = (char *)msg + field->offset;
	const char *fault = "has no kind", *text = "";
	uint64_t wide = 0;
	uint32_t narrow;

	switch (field->kind) {
	case KIND_U32:
		fault = take_number(rest, 4, &wide);
		narrow = (uint32_t)wide;
		memcpy(to, &narrow, sizeof(narrow));
		break;
	case KIND_U64:
	case KIND_I64:
		fault = take_number(rest, 8, &wide);
		memcpy(to, &wide, sizeof(wide));
		break;
	case KIND_STR:
		fault = take_string(rest, &text);
		memcpy(to, &text, sizeof(text));
		break;
	}
	return fault;
}

int larder_msg_decode(unsigned int type, uint8_t *body, size_t len, void *msg,
		      struct larder_error *err)
{
	const struct message *message = find(type);
	struct rest rest = {.at = body, .len = len};

	if (!message)
		return larder_error_set(err, EBADMSG, "no message has the number %u", type);
	for (const struct field *f = message->fields(); f->name; f++) {
		const char *fault = take_field(&rest, f, msg);

		if (fault)
			return larder_error_set(err, EBADMSG, "%s: %s %s", message->name, f->name,
						fault);
	}
	if (rest.len)
		return larder_error_set(err, EBADMSG, "%s: %zu bytes behind the last field",
					message->name, rest.len);
	return 0;
}

const char *larder_tree_state_word(unsigned int state)
{
	static const char *const words[] = {
#define LARDER_TREE_STATE(name, word, meaning) word,
#include "larder/state.def"
#undef LARDER_TREE_STATE
	};

	return state < sizeof(words) / sizeof(words[0]) ? words[state] : "?";
}

const char *larder_outcome_word(unsigned int state)
{
	static const char *const words[] = {
#define LARDER_OUTCOME(name, word, meaning) word,
#include "larder/state.def"
#undef LARDER_OUTCOME
	};

	return state < sizeof(words) / sizeof(words[0]) ? words[state] : "?";
}
