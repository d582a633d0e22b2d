/*
 * Owns the walk over frames that stand behind one another. Pure.
 * Must not trust their lengths. Called by larder-sched, and by larder-prolog-stage.
 */
#include "fleet/frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"

static int put(struct frames *frames, const void *bytes, size_t len)
{
	size_t need = frames->len + len;

	if (need > frames->room) {
		size_t room = need < 512 ? 512 : need + need / 2;
		uint8_t *more = realloc(frames->bytes, room);

		if (!more)
			return -ENOMEM;
		frames->bytes = more;
		frames->room = room;
	}
	if (len)
		memcpy(frames->bytes + frames->len, bytes, len);
	frames->len = need;
	return 0;
}

int frames_add(struct frames *frames, unsigned int type, uint32_t seq, const void *msg,
	       struct larder_error *err)
{
	auto_free uint8_t *frame = NULL;
	size_t len;
	int rc = larder_msg_encode(type, seq, msg, &frame, &len, err);

	if (!rc && put(frames, frame, len))
		rc = larder_error_set(err, ENOMEM, "out of memory");
	return rc;
}

int frames_append(struct frames *frames, const struct frames *more)
{
	return put(frames, more->bytes, more->len);
}

void frames_fini(struct frames *frames)
{
	free(frames->bytes);
	*frames = (struct frames){0};
}

int frames_next(uint8_t **at, size_t *len, struct larder_head *head, union frames_row *row,
		struct larder_error *err)
{
	uint8_t *body;
	int rc;

	if (!*len)
		return 0;
	if (*len < LARDER_FRAME_HEAD)
		return larder_error_set(err, EPROTO, "an answer that is cut short");
	rc = larder_head_decode(*at, head, err);
	if (rc)
		return rc;
	if (*len - LARDER_FRAME_HEAD < head->length)
		return larder_error_set(err, EPROTO, "an answer that is cut short");
	body = *at + LARDER_FRAME_HEAD;
	rc = larder_msg_decode(head->type, body, head->length, row, err);
	if (rc)
		return rc;
	*at = body + head->length;
	*len -= LARDER_FRAME_HEAD + head->length;
	return 1;
}
