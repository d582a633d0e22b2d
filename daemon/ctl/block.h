/*
 * Small pieces of output gathered into large ones: a call of stdio for each cell would cost more
 * than making it, and on a terminal each line would be a write. Faults are the stream's.
 */
#ifndef CTL_BLOCK_H
#define CTL_BLOCK_H

#include <stdio.h>
#include <string.h>

struct block {
	FILE *out;
	size_t len;
	char bytes[16384];
};

static inline void block_flush(struct block *block)
{
	fwrite(block->bytes, 1, block->len, block->out);
	block->len = 0;
}

static inline void block_put(struct block *block, const char *bytes, size_t len)
{
	if (len > sizeof(block->bytes) - block->len)
		block_flush(block);
	if (len > sizeof(block->bytes)) {
		fwrite(bytes, 1, len, block->out);
		return;
	}
	memcpy(block->bytes + block->len, bytes, len);
	block->len += len;
}

static inline void block_text(struct block *block, const char *text)
{
	block_put(block, text, strlen(text));
}

static inline void block_fill(struct block *block, char c, size_t n)
{
	while (n--)
		block_put(block, &c, 1);
}

#endif
