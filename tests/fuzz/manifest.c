/*
 * Any bytes as a manifest: what the reader takes, the writer must write again byte by byte.
 * The first byte chooses: the whole file as it is, or a body behind a head that fits it (so that
 * lines are reached, and not only the head). Run by `make fuzz`.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int memory_file(const void *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	return fd;
}

/* A head whose totals and digest are those of the body. */
static int with_head(const char *body, size_t size)
{
	char origin[] = "/data/x";
	struct larder_manifest_head head = {.name = "x", .version = "v", .n_origins = 1};
	char *text;
	int fd;

	head.origins[0] = origin;
	for (size_t at = 0; at < size; head.shards++) {
		const char *end = memchr(body + at, '\n', size - at);
		char line[80] = "";
		unsigned long long bytes = 0;

		snprintf(line, sizeof(line), "%.*s", (int)(size - at < 79 ? size - at : 79),
			 body + at);
		if (sscanf(line, "f %*32s %19llu", &bytes) == 1)
			head.bytes += bytes;
		at = end ? (size_t)(end - body) + 1 : size;
	}
	digest_format(digest_of(body, size), head.digest);
	text = larder_manifest_head_format(&head);
	if (!text)
		abort();
	fd = memory_file(text, strlen(text));
	if (write(fd, body, size) != (ssize_t)size)
		abort();
	free(text);
	return fd;
}

static void same_files(int a, int b)
{
	off_t size = lseek(a, 0, SEEK_END);
	char *x, *y;

	if (size != lseek(b, 0, SEEK_END))
		abort();
	x = malloc((size_t)size + 1);
	y = malloc((size_t)size + 1);
	if (!x || !y || pread(a, x, (size_t)size, 0) != size ||
	    pread(b, y, (size_t)size, 0) != size || memcmp(x, y, (size_t)size) != 0)
		abort();
	free(x);
	free(y);
}

static void write_again(int fd)
{
	struct manifest_reader *reader = NULL;
	struct manifest_writer *writer = NULL;
	int copy = memory_file("", 0);
	struct shard shard;

	if (manifest_reader_open(fd, &reader, NULL) ||
	    manifest_writer_create(copy, manifest_reader_head(reader), &writer, NULL))
		abort();
	while (manifest_reader_next(reader, &shard, NULL) > 0)
		if (manifest_writer_add(writer, &shard, NULL))
			abort();
	if (manifest_writer_finish(writer, NULL, NULL))
		abort();
	same_files(fd, copy);
	manifest_writer_destroy(writer);
	manifest_reader_close(reader);
	close(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct larder_error err = {0};
	int fd;

	if (!size)
		return 0;
	fd = data[0] & 1 ? with_head((const char *)data + 1, size - 1)
			 : memory_file(data + 1, size - 1);
	if (manifest_check(fd, &err) == 0)
		write_again(fd);
	else if (!err.code || !err.text[0])
		abort();
	close(fd);
	return 0;
}
