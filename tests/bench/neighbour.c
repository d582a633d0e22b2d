/*
 * A neighbour of a node's staging: counts what it gets done alone, then while a command runs.
 *
 *   neighbour cpu|io FILE ALONE-MS -- COMMAND [ARG...]
 * cpu: arithmetic in a thread for each processor; what counts is the processor time that they get,
 * for how much they compute in it is the host's doing on a virtual machine. io: reads and synced
 * writes of 4 KB at random places of FILE, past the page cache. Prints
 * "alone":RATE,"beside":RATE,"seconds":S.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "larder/cleanup.h"

#define THREADS_MAX 256
#define BLOCK	    4096
#define FILE_BLOCKS 16384 /* 64 MB */

struct neighbour {
	_Atomic uint64_t done;
	_Atomic bool over;
	int fd;
};

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	return *x ^= *x << 17;
}

static void *compute(void *arg)
{
	struct neighbour *n = arg;
	uint64_t x = (uint64_t)(uintptr_t)&x | 1;

	while (!n->over) {
		for (int i = 0; i < 20000; i++)
			next(&x);
		n->done = x; /* without its result the loop would be optimized away */
	}
	return NULL;
}

static void *read_and_write(void *arg)
{
	struct neighbour *n = arg;
	uint64_t x = 88172645463325252ull;
	void *block = aligned_alloc(BLOCK, BLOCK);

	if (!block)
		return NULL;
	memset(block, 1, BLOCK);
	while (!n->over) {
		off_t at = (off_t)(next(&x) % FILE_BLOCKS) * BLOCK;
		bool writes = n->done % 8 == 0;
		ssize_t got =
			writes ? pwrite(n->fd, block, BLOCK, at) : pread(n->fd, block, BLOCK, at);

		if (got != BLOCK || (writes && fdatasync(n->fd))) {
			perror("neighbour");
			exit(1);
		}
		n->done++;
	}
	free(block);
	return NULL;
}

static int prepare_file(const char *path)
{
	auto_free char *zeros = calloc(1, 1 << 20);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	for (int i = 0; zeros && fd >= 0 && i < FILE_BLOCKS * BLOCK >> 20; i++)
		if (pwrite(fd, zeros, 1 << 20, (off_t)i << 20) != 1 << 20)
			return -1;
	if (!zeros || fd < 0 || fsync(fd))
		return -1;
	close(fd);
	return open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
}

static int run_command(char **argv)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDOUT_FILENO);
		execvp(argv[0], argv);
		perror(argv[0]);
		_exit(127);
	}
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return child > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* What it has got done: requests, or microseconds of processor time. */
static uint64_t got_done(const struct neighbour *n)
{
	struct rusage usage;

	if (n->fd >= 0 || getrusage(RUSAGE_SELF, &usage))
		return n->done;
	return (uint64_t)usage.ru_utime.tv_sec * 1000000 + (uint64_t)usage.ru_utime.tv_usec;
}

static int measure(struct neighbour *n, useconds_t alone_us, char **command)
{
	uint64_t counts[3];
	double at[3];
	int code;

	usleep(alone_us / 10); /* threads that are still starting are slower */
	at[0] = now_s();
	counts[0] = got_done(n);
	usleep(alone_us);
	at[1] = now_s();
	counts[1] = got_done(n);
	code = run_command(command);
	at[2] = now_s();
	counts[2] = got_done(n);
	printf("\"alone\":%.1f,\"beside\":%.1f,\"seconds\":%.3f\n",
	       (double)(counts[1] - counts[0]) / (at[1] - at[0]),
	       (double)(counts[2] - counts[1]) / (at[2] - at[1]), at[2] - at[1]);
	return code;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS_MAX];
	struct neighbour n = {.fd = -1};
	bool io = argc > 5 && !strcmp(argv[1], "io");
	long count = io ? 1 : sysconf(_SC_NPROCESSORS_ONLN);
	int code;

	if (argc < 6 || strcmp(argv[4], "--") != 0 || (!io && strcmp(argv[1], "cpu") != 0)) {
		fprintf(stderr, "neighbour: bad arguments; see the top of its source\n");
		return 2;
	}
	if (io && (n.fd = prepare_file(argv[2])) < 0) {
		perror(argv[2]);
		return 1;
	}
	count = count > THREADS_MAX ? THREADS_MAX : count;
	for (long i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, io ? read_and_write : compute, &n))
			return 1;
	code = measure(&n, (useconds_t)atoi(argv[3]) * 1000, argv + 5);
	n.over = true;
	for (long i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	return code;
}
