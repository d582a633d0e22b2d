/* Frames in a row, as requests and answers between machines have them in their bodies. */
#ifndef FLEET_FRAMES_H
#define FLEET_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "larder/wire.h"

struct frames {
	uint8_t *bytes; /* to free */
	size_t len, room;
};

/* Puts one more behind. 0, -ENOMEM, or as larder_msg_encode. */
int frames_add(struct frames *frames, unsigned int type, uint32_t seq, const void *msg,
	       struct larder_error *err);
/* Puts all of `more` behind. 0 or -ENOMEM. */
int frames_append(struct frames *frames, const struct frames *more);
void frames_fini(struct frames *frames);

/* Any row: room for the largest. */
union frames_row {
	char any[1];
#define LARDER_X(name, number, who, help) struct larder_msg_##name name;
	LARDER_MESSAGES(LARDER_X)
#undef LARDER_X
};

/*
 * The next frame of `len` bytes at *at, which moves behind it; decoded in place. 1; 0 at the end;
 * -EPROTO, -EBADMSG, … .
 */
int frames_next(uint8_t **at, size_t *len, struct larder_head *head, union frames_row *row,
		struct larder_error *err);

#endif
