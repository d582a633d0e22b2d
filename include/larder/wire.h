/*
 * Frames on the Unix socket: what message.def says, in bytes. No I/O here.
 *
 * A frame is a head of 16 bytes and a body. Little endian: magic "LRD1" (u32), protocol version
 * (u16), type (u16), body length (u32), sequence (u32, echoed in the answer). A body is its fields
 * in order: U32 4 bytes, U64/I64 8 bytes, STR a u32 length and the bytes. A body longer than the
 * fields is refused, and so is a shorter one.
 */
#ifndef LARDER_WIRE_H
#define LARDER_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "larder/error.h"
#include "larder/message.def"

#define LARDER_WIRE_MAGIC   0x3144524cu /* "LRD1" */
#define LARDER_WIRE_VERSION 1
#define LARDER_FRAME_HEAD   16
#define LARDER_BODY_MAX	    (256u * 1024) /* checked before anything is allocated */
#define LARDER_STR_MAX	    (64u * 1024)

enum larder_type {
#define LARDER_X(name, number, who, help) LARDER_MSG_##name = number,
	LARDER_MESSAGES(LARDER_X)
#undef LARDER_X
};

enum larder_who {
	LARDER_WHO_ROOT,
	LARDER_WHO_ADMIN,
	LARDER_WHO_FLEET,
	LARDER_WHO_ANYONE,
	LARDER_WHO_SCHED,
	LARDER_WHO_ROW,
};

/* struct larder_msg_acquire { uint32_t job_id; … const char *specs; … } and so on. Strings of a
 * decoded message point into the body handed to larder_msg_decode. */
#define LARDER_CTYPE_U32	   uint32_t
#define LARDER_CTYPE_U64	   uint64_t
#define LARDER_CTYPE_I64	   int64_t
#define LARDER_CTYPE_STR	   const char *
#define LARDER_X_FIELD(type, name) LARDER_CTYPE_##type name;
#define LARDER_X(name, number, who, help)                                                          \
	struct larder_msg_##name {                                                                 \
		LARDER_FIELDS_##name(LARDER_X_FIELD) char end_[0];                                 \
	};
LARDER_MESSAGES(LARDER_X)
#undef LARDER_X
#undef LARDER_X_FIELD

struct larder_head {
	uint16_t version;
	uint16_t type;
	uint32_t length; /* of the body, bytes */
	uint32_t seq;
};

/* "ACQUIRE"; "?" for a number that is none. */
const char *larder_msg_name(unsigned int type);
/* Who may send it; -ENOENT for a number that is none. */
int larder_msg_who(unsigned int type);
/* sizeof(struct larder_msg_<type>), 0 for a number that is none. */
size_t larder_msg_size(unsigned int type);

/*
 * Checks the 16 bytes before anything else is read. 0, -EPROTO (magic), -EPROTONOSUPPORT (version;
 * the sentence says which side is older), -EMSGSIZE (length over LARDER_BODY_MAX), -ENOENT (type).
 */
int larder_head_decode(const uint8_t in[LARDER_FRAME_HEAD], struct larder_head *head,
		       struct larder_error *err);

/*
 * A whole frame, head and body, in one buffer to free. NULL strings go as "". *len gets its length.
 * 0, -EMSGSIZE when a string or the body is over its cap, -ENOMEM.
 */
int larder_msg_encode(unsigned int type, uint32_t seq, const void *msg, uint8_t **frame,
		      size_t *len, struct larder_error *err);
/*
 * body has head->length bytes and room for one more (decoding puts a NUL after each string by
 * moving it over its own length field, so the buffer is changed). msg: struct larder_msg_<type>.
 * 0, or -EBADMSG saying which field.
 */
int larder_msg_decode(unsigned int type, uint8_t *body, size_t len, void *msg,
		      struct larder_error *err);

/* Words of the states: "ready"; "?" for a number that is none. Numbers are the order in state.def.
 */
enum larder_tree_state {
#define LARDER_TREE_STATE(name, word, meaning) LARDER_TREE_##name,
#include "larder/state.def"
#undef LARDER_TREE_STATE
	LARDER_TREE_STATES
};
enum larder_outcome {
#define LARDER_OUTCOME(name, word, meaning) LARDER_OUTCOME_##name,
#include "larder/state.def"
#undef LARDER_OUTCOME
	LARDER_OUTCOMES
};
const char *larder_tree_state_word(unsigned int state);
const char *larder_outcome_word(unsigned int state);

/* Values of ACQUIRE's mode and on_fail. */
enum larder_mode { LARDER_MODE_AUTO, LARDER_MODE_STAGE, LARDER_MODE_LAZY, LARDER_MODE_BYPASS };
enum larder_on_fail { LARDER_ON_FAIL_DEFAULT, LARDER_ON_FAIL_FAIL, LARDER_ON_FAIL_BYPASS };
#define LARDER_WAIT_ALL	 INT64_C(-1) /* ACQUIRE's wait_ms: as long as the site allows */
#define LARDER_WAIT_NONE INT64_C(0)

#endif
