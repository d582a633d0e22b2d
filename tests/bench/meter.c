/*
 * Runs a command and tells what it cost: wall clock to its end, wall clock until its bytes are on
 * stable storage (one syncfs of DIR), processor seconds of it and its children, and the most memory
 * that one of them had.
 *
 *   meter DIR COMMAND [ARG...]
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double cpu_s(const struct rusage *usage)
{
	return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
	       (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
	struct rusage usage;
	double start, end;
	int dir, status;
	pid_t child;

	if (argc < 3)
		return 2;
	dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		perror(argv[1]);
		return 2;
	}
	start = now_s();
	child = fork();
	if (child == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDOUT_FILENO);
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	end = now_s();
	if (syncfs(dir) < 0)
		perror("syncfs");
	getrusage(RUSAGE_CHILDREN, &usage);
	printf("%.4f %.4f %.4f %ld\n", end - start, now_s() - start, cpu_s(&usage), usage.ru_maxrss);
	return child < 0 || !WIFEXITED(status) || WEXITSTATUS(status);
}
