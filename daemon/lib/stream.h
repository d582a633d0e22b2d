/*
 * Bytes and descriptors of one connection. Rows are short and often many, so more is received than
 * is asked for. A descriptor belongs to the frame that has the last byte of what was received with
 * it: larderd sends such a frame alone, and the kernel ends there what it gives at once.
 */
#ifndef LIB_STREAM_H
#define LIB_STREAM_H

#include <stddef.h>
#include <stdint.h>

struct larder_stream {
	int fd;
	int row_fd;		  /* -1, or of a frame that was not taken yet: */
	uint64_t row_fd_at;	  /* the one that has the byte before this one */
	uint64_t received, taken; /* bytes, since it was opened */
	size_t begin, end;	  /* of what is in ahead */
	uint8_t *ahead;
};

/* Takes fd over. */
void larder_stream_init(struct larder_stream *s, int fd);
void larder_stream_fini(struct larder_stream *s);
/* All of it until the deadline; 0, -ETIMEDOUT or the socket's -errno. */
int larder_stream_send(struct larder_stream *s, const uint8_t *data, size_t len, int64_t until_ms);
/*
 * Exactly len bytes, however they dribble, until the deadline. 0, -ETIMEDOUT, -ECONNRESET when the
 * other side closed, -EPROTO when it sent several descriptors with one frame, or -errno.
 */
int larder_stream_take(struct larder_stream *s, uint8_t *data, size_t len, int64_t until_ms);
/* The descriptor that came with the frame just taken to its end, now the caller's; -1: none. */
int larder_stream_take_fd(struct larder_stream *s);

#endif
