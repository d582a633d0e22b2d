/*
 * Any bytes as a frame: what is decoded must come back byte by byte when it is encoded again.
 * Decodes from a buffer of exactly the body's size and one more. Run by `make fuzz`.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "larder/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

union any {
#define LARDER_X(name, number, who, help) struct larder_msg_##name name;
	LARDER_MESSAGES(LARDER_X)
#undef LARDER_X
};

static void decode_and_encode(const struct larder_head *head, const uint8_t *data, size_t size)
{
	uint8_t *body = malloc(size + 1), *frame = NULL;
	struct larder_error err = {0};
	union any msg;
	size_t len = 0;

	if (!body)
		return;
	memcpy(body, data + LARDER_FRAME_HEAD, size);
	memset(&msg, 0xa5, sizeof(msg));
	if (larder_msg_decode(head->type, body, size, &msg, &err) == 0) {
		if (larder_msg_encode(head->type, head->seq, &msg, &frame, &len, NULL) ||
		    len != size + LARDER_FRAME_HEAD || memcmp(frame, data, len) != 0)
			abort();
	} else if (!err.code || !err.text[0]) {
		abort();
	}
	free(frame);
	free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t whole[LARDER_FRAME_HEAD] = {'L', 'R', 'D', '1', LARDER_WIRE_VERSION, 0};
	struct larder_head head;
	uint8_t *frame;

	if (size < 1)
		return 0;
	if (size >= LARDER_FRAME_HEAD && larder_head_decode(data, &head, NULL) == 0 &&
	    head.length == size - LARDER_FRAME_HEAD)
		decode_and_encode(&head, data, head.length);
	/* and the bytes as a body of the type that the first one names */
	whole[6] = data[0];
	for (int i = 0; i < 4; i++)
		whole[8 + i] = (uint8_t)((size - 1) >> (8 * i));
	frame = malloc(size - 1 + sizeof(whole));
	if (!frame)
		return 0;
	memcpy(frame, whole, sizeof(whole));
	memcpy(frame + sizeof(whole), data + 1, size - 1);
	if (larder_head_decode(frame, &head, NULL) == 0)
		decode_and_encode(&head, frame, size - 1);
	free(frame);
	return 0;
}
