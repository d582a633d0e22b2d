/*
 * Both engines, through their vtable: bytes and digests whatever the size, and every way to fail.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "forbid.h"
#include "skip.h"

#include "larder/cleanup.h"
#include "xfer/engine.h"
#include "xfer_help.h"

#define BLOCK  ((size_t)16384)
#define BLOCKS 4u

struct bench {
	const struct engine_ops *ops;
	struct world world;
	struct engine *engine;
	unsigned char *memory;
	_Atomic bool stop;
	_Atomic uint64_t done, origin;
};

static struct bench *bench_open(const struct engine_ops *ops)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct larder_error err = {0};
	struct engine_memory memory = {.block = BLOCK, .n = BLOCKS};

	assert_non_null(b);
	b->ops = ops;
	world_open(&b->world);
	b->memory = mmap(NULL, BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	assert_ptr_not_equal(b->memory, MAP_FAILED);
	memory.base = b->memory;
	if (ops->open(&memory, &b->engine, &err))
		fail_msg("open: %s", err.text);
	return b;
}

static void bench_close(struct bench *b)
{
	b->ops->close(b->engine);
	munmap(b->memory, BLOCK * BLOCKS);
	world_close(&b->world);
	free(b);
}

static void copy_init(struct engine_copy *copy, struct bench *b, int in, int out, uint64_t size)
{
	*copy = (struct engine_copy){
		.in = in,
		.out = out,
		.size = size,
		.stop = &b->stop,
		.done = &b->done,
		.origin = &b->origin,
	};

	b->done = b->origin = 0;
	digest_init(&copy->digest);
}

static int open_in(struct bench *b, const char *path)
{
	char full[600];
	int fd;

	snprintf(full, sizeof(full), "%s/%s", b->world.origin, path);
	fd = open(full, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* Reads of it go past the page cache from now on. */
static void past_the_cache(int in)
{
	if (fcntl(in, F_SETFL, fcntl(in, F_GETFL) | O_DIRECT) < 0)
		skip_because("this file system has no direct reads");
}

static void plain(int in)
{
	assert_int_equal(fcntl(in, F_SETFL, fcntl(in, F_GETFL) & ~O_DIRECT), 0);
}

static int open_out(struct bench *b, bool direct)
{
	int fd =
		open(b->world.tree, O_TMPFILE | O_RDWR | O_CLOEXEC | (direct ? O_DIRECT : 0), 0600);

	if (fd < 0 && direct)
		skip_because("this file system has no direct writes");
	assert_true(fd >= 0);
	return fd;
}

/* The bytes of two descriptors, from 0 to the end. */
static void assert_same(int a, int b, size_t size)
{
	auto_free unsigned char *x = malloc(size + 1), *y = malloc(size + 1);
	struct stat st;

	fcntl(b, F_SETFL, fcntl(b, F_GETFL) & ~O_DIRECT);
	assert_int_equal(fstat(b, &st), 0);
	assert_int_equal(st.st_size, size);
	assert_int_equal(pread(a, x, size + 1, 0), size);
	assert_int_equal(pread(b, y, size + 1, 0), size);
	assert_memory_equal(x, y, size);
}

static struct digest digest_fd(int fd, size_t size)
{
	auto_free unsigned char *x = malloc(size + 1);

	assert_int_equal(pread(fd, x, size, 0), size);
	return digest_of(x, size);
}

static void copy_sizes(const struct engine_ops *ops, bool direct, bool past)
{
	static const size_t sizes[] = {1,
				       511,
				       4095,
				       4096,
				       4097,
				       BLOCK,
				       BLOCK + 1,
				       BLOCK * 4 - 1,
				       BLOCK * 4,
				       BLOCK * 4 + 1,
				       BLOCK * 9 + 4096,
				       BLOCK * 9 + 8191,
				       1000003};
	struct bench *b = bench_open(ops);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct larder_error err = {0};
		struct engine_copy copy;
		auto_fd int in = -1, out = -1;

		world_file(b->world.origin, "f", sizes[i], (unsigned int)i);
		in = open_in(b, "f");
		out = open_out(b, direct);
		if (past)
			past_the_cache(in);
		copy_init(&copy, b, in, out, sizes[i]);
		if (ops->copy(b->engine, &copy, sizes[i], &err))
			fail_msg("%zu bytes: %s", sizes[i], err.text);
		assert_int_equal(copy.offset, sizes[i]);
		assert_int_equal(copy.moved, sizes[i]);
		assert_int_equal(b->done, sizes[i]);
		plain(in);
		assert_true(digest_equal(digest_final(&copy.digest), digest_fd(in, sizes[i])));
		assert_same(in, out, sizes[i]);
	}
	bench_close(b);
}

static void copy_in_slices(const struct engine_ops *ops, bool direct)
{
	const size_t size = BLOCK * 23 + 777;
	struct bench *b = bench_open(ops);
	struct larder_error err = {0};
	struct engine_copy copy;
	auto_fd int in = -1, out = -1;

	world_file(b->world.origin, "f", size, 7);
	in = open_in(b, "f");
	out = open_out(b, direct);
	copy_init(&copy, b, in, out, size);
	for (uint64_t until = BLOCK * 5; copy.offset < size; until += BLOCK * 5) {
		if (until > size)
			until = size;
		assert_int_equal(ops->copy(b->engine, &copy, until, &err), 0);
		assert_int_equal(copy.offset, until);
	}
	assert_true(digest_equal(digest_final(&copy.digest), digest_fd(in, size)));
	assert_same(in, out, size);
	bench_close(b);
}

static void short_source_of(const struct engine_ops *ops, bool past)
{
	struct bench *b = bench_open(ops);
	struct larder_error err = {0};
	struct engine_copy copy;
	auto_fd int in = -1, out = -1;

	world_file(b->world.origin, "f", BLOCK * 6 + 5, 1);
	in = open_in(b, "f");
	out = open_out(b, true);
	if (past)
		past_the_cache(in);
	copy_init(&copy, b, in, out, BLOCK * 9);
	assert_int_equal(ops->copy(b->engine, &copy, BLOCK * 9, &err), -ESTALE);
	assert_int_equal(copy.failed, ENGINE_SOURCE);
	assert_non_null(strstr(err.text, "ends at byte 98309"));
	/* and the engine works on */
	copy_init(&copy, b, in, out, BLOCK);
	assert_int_equal(ops->copy(b->engine, &copy, BLOCK, &err), 0);
	bench_close(b);
}

static void bad_descriptors(const struct engine_ops *ops)
{
	struct bench *b = bench_open(ops);
	struct larder_error err = {0};
	struct engine_copy copy;
	auto_fd int in = -1, out = -1, full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	world_file(b->world.origin, "f", BLOCK * 8, 1);
	in = open_in(b, "f");
	out = open_out(b, true);
	copy_init(&copy, b, in, full, BLOCK * 8);
	assert_int_equal(ops->copy(b->engine, &copy, BLOCK * 8, &err), -ENOSPC);
	assert_int_equal(copy.failed, ENGINE_SINK);
	copy_init(&copy, b, full, out, BLOCK * 8); /* not open for reading */
	assert_int_equal(ops->copy(b->engine, &copy, BLOCK * 8, &err), -EBADF);
	assert_int_equal(copy.failed, ENGINE_SOURCE);
	assert_non_null(strstr(err.text, "read at byte"));
	bench_close(b);
}

static void stopped(const struct engine_ops *ops)
{
	struct bench *b = bench_open(ops);
	struct larder_error err = {0};
	struct engine_copy copy;
	auto_fd int in = -1, out = -1;

	world_file(b->world.origin, "f", BLOCK * 8, 1);
	in = open_in(b, "f");
	out = open_out(b, false);
	b->stop = true;
	copy_init(&copy, b, in, out, BLOCK * 8);
	assert_int_equal(ops->copy(b->engine, &copy, BLOCK * 8, &err), -ECANCELED);
	assert_int_equal(ops->put(b->engine, &copy, "x", 1, &err), -ECANCELED);
	assert_int_equal(ops->finish(b->engine, &copy, false, &err), 0);
	bench_close(b);
}

static void stream_pieces(const struct engine_ops *ops, bool direct)
{
	static const size_t pieces[] = {1, 1000, 4096, BLOCK - 1, BLOCK, BLOCK * 3 + 17};
	const size_t size = BLOCK * 11 + 4099;
	struct bench *b = bench_open(ops);
	auto_free unsigned char *data = malloc(size);
	auto_fd int in = -1;

	world_file(b->world.origin, "f", size, 3);
	in = open_in(b, "f");
	assert_int_equal(pread(in, data, size, 0), size);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
		auto_fd int out = open_out(b, direct);
		struct larder_error err = {0};
		struct engine_copy copy;

		copy_init(&copy, b, -1, out, size);
		for (size_t at = 0; at < size; at += pieces[i]) {
			size_t n = size - at < pieces[i] ? size - at : pieces[i];

			assert_int_equal(ops->put(b->engine, &copy, data + at, n, &err), 0);
		}
		assert_int_equal(ops->finish(b->engine, &copy, true, &err), 0);
		assert_int_equal(copy.moved, size);
		assert_true(digest_equal(digest_final(&copy.digest), digest_of(data, size)));
		assert_same(in, out, size);
	}
	bench_close(b);
}

static void stream_failures(const struct engine_ops *ops)
{
	struct bench *b = bench_open(ops);
	unsigned char data[BLOCK * 2];
	struct larder_error err = {0};
	auto_fd int out = open_out(b, true), full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct engine_copy copy;
	int rc = 0;

	memset(data, 1, sizeof(data));
	copy_init(&copy, b, -1, out, BLOCK * 3);
	assert_int_equal(ops->put(b->engine, &copy, data, sizeof(data), &err), 0);
	assert_int_equal(ops->put(b->engine, &copy, data, sizeof(data), &err), -ESTALE);
	assert_non_null(strstr(err.text, "grown"));
	assert_int_equal(ops->finish(b->engine, &copy, false, &err), 0);
	copy_init(&copy, b, -1, out, BLOCK * 3);
	assert_int_equal(ops->put(b->engine, &copy, data, sizeof(data), &err), 0);
	assert_int_equal(ops->finish(b->engine, &copy, true, &err), -ESTALE);
	assert_non_null(strstr(err.text, "ends at byte"));
	copy_init(&copy, b, -1, full, BLOCK * 64);
	for (int i = 0; i < 32 && !rc; i++)
		rc = ops->put(b->engine, &copy, data, sizeof(data), &err);
	assert_int_equal(rc, -ENOSPC);
	assert_int_equal(copy.failed, ENGINE_SINK);
	ops->finish(b->engine, &copy, false, NULL);
	bench_close(b);
}

/*
 * Whole files side by side: up to the byte before and behind a sector; one that is shorter than it
 * should be and one that is longer show it; one that cannot be read holds nobody up.
 */
static void wholes_of(const struct engine_ops *ops, bool past)
{
	static const size_t sizes[] = {1, 511, 4095, 4096, 4097, 8191, 100, 100};
	struct bench *b = bench_open(ops);
	struct engine_whole wholes[9] = {0};
	unsigned char *into = b->memory, data[8192];

	for (unsigned int i = 0; i < 8; i++) {
		char name[16];

		snprintf(name, sizeof(name), "w%u", i);
		world_file(b->world.origin, name, sizes[i], i);
		wholes[i].in = open_in(b, name);
		wholes[i].size = sizes[i] + (i == 6) - (i == 7);
		wholes[i].room = ENGINE_ROOM(wholes[i].size);
		wholes[i].into = into;
		into += wholes[i].room;
		if (past)
			past_the_cache(wholes[i].in);
	}
	wholes[8] = (struct engine_whole){.in = -1, .size = 10, .room = 4096, .into = into};
	assert_true(into + ENGINE_ROOM(10) <= b->memory + BLOCK * BLOCKS);
	ops->read_wholes(b->engine, wholes, 9);
	for (unsigned int i = 0; i < 8; i++) {
		assert_int_equal(wholes[i].got, sizes[i]);
		plain(wholes[i].in);
		assert_int_equal(pread(wholes[i].in, data, sizeof(data), 0), sizes[i]);
		assert_memory_equal(wholes[i].into, data, sizes[i]);
		close(wholes[i].in);
	}
	assert_int_equal(wholes[8].got, -EBADF);
	bench_close(b);
}

static void wholes(const struct engine_ops *ops)
{
	wholes_of(ops, false);
}

#define BOTH(name)                                                                                 \
	static void test_sync_##name(void **state)                                                 \
	{                                                                                          \
		(void)state;                                                                       \
		name(&engine_sync);                                                                \
	}                                                                                          \
	static void test_uring_##name(void **state)                                                \
	{                                                                                          \
		(void)state;                                                                       \
		if (engine_uring.probe(NULL))                                                      \
			skip_because("io_uring cannot be used here");                              \
		name(&engine_uring);                                                               \
	}

static void sizes_direct(const struct engine_ops *ops)
{
	copy_sizes(ops, true, false);
}
static void sizes_buffered(const struct engine_ops *ops)
{
	copy_sizes(ops, false, false);
}
static void short_source(const struct engine_ops *ops)
{
	short_source_of(ops, false);
}
static void slices(const struct engine_ops *ops)
{
	copy_in_slices(ops, true);
	copy_in_slices(ops, false);
}
static void streams(const struct engine_ops *ops)
{
	stream_pieces(ops, true);
	stream_pieces(ops, false);
}
/* Past the page cache on both sides: io_uring's alone. */
static void test_uring_sizes_past(void **state)
{
	(void)state;
	if (engine_uring.probe(NULL))
		skip_because("io_uring cannot be used here");
	copy_sizes(&engine_uring, true, true);
	short_source_of(&engine_uring, true);
	wholes_of(&engine_uring, true);
}

BOTH(sizes_direct)
BOTH(sizes_buffered)
BOTH(slices)
BOTH(short_source)
BOTH(bad_descriptors)
BOTH(stopped)
BOTH(streams)
BOTH(stream_failures)
BOTH(wholes)

static void test_no_memory_is_so_large(void **state)
{
	struct engine_mapping mapping = {0};

	(void)state;
	assert_null(engine_map(&mapping, SIZE_MAX - 4096));
	assert_null(mapping.at);
	engine_unmap(&mapping);
}

/* 0: refused, with that reason. */
static int probe_without(unsigned int call)
{
	struct larder_error why = {0};

	if (forbid_call(call))
		return 2;
	return engine_uring.probe(&why) && strstr(why.text, "not permitted") ? 0 : 1;
}

/* A sandbox may forbid either call. */
static void test_a_ring_that_cannot_be_used_is_none(void **state)
{
	static const unsigned int calls[] = {SYS_io_uring_setup, SYS_io_uring_enter};

	(void)state;
	if (engine_uring.probe(NULL))
		skip_because("io_uring cannot be used here");
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		pid_t child = fork();
		int status;

		if (child == 0)
			_exit(probe_without(calls[i]));
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_memory_is_so_large),
		cmocka_unit_test(test_a_ring_that_cannot_be_used_is_none),
		cmocka_unit_test(test_sync_sizes_direct),
		cmocka_unit_test(test_uring_sizes_direct),
		cmocka_unit_test(test_sync_sizes_buffered),
		cmocka_unit_test(test_uring_sizes_buffered),
		cmocka_unit_test(test_uring_sizes_past),
		cmocka_unit_test(test_sync_slices),
		cmocka_unit_test(test_uring_slices),
		cmocka_unit_test(test_sync_short_source),
		cmocka_unit_test(test_uring_short_source),
		cmocka_unit_test(test_sync_bad_descriptors),
		cmocka_unit_test(test_uring_bad_descriptors),
		cmocka_unit_test(test_sync_stopped),
		cmocka_unit_test(test_uring_stopped),
		cmocka_unit_test(test_sync_streams),
		cmocka_unit_test(test_uring_streams),
		cmocka_unit_test(test_sync_stream_failures),
		cmocka_unit_test(test_uring_stream_failures),
		cmocka_unit_test(test_sync_wholes),
		cmocka_unit_test(test_uring_wholes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
