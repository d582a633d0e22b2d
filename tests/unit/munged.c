/*
 * Owns a real munged with a key and a socket of its own, for the tests of what lies between
 * machines. Called by test_fleet.c and test_sched_poll.c.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "larder/cleanup.h"
#include "munged.h"
#include "scratch.h"

#define TRIES 600 /* of 50 ms: a loaded machine takes its time */

static bool answers(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	auto_fd int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_true(strlen(path) < sizeof(addr.sun_path));
	strcpy(addr.sun_path, path);
	return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;
}

static void munged_run(const char *dir, const char *socket)
{
	char arg[6][300];

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* also a test that fails leaves nothing behind */
	snprintf(arg[0], sizeof(arg[0]), "--socket=%s", socket);
	snprintf(arg[1], sizeof(arg[1]), "--key-file=%s/key", dir);
	snprintf(arg[2], sizeof(arg[2]), "--pid-file=%s/pid", dir);
	snprintf(arg[3], sizeof(arg[3]), "--log-file=%s/log", dir);
	snprintf(arg[4], sizeof(arg[4]), "--seed-file=%s/seed", dir);
	if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
		_exit(126);
	execlp("munged", "munged", "--foreground", "--force", arg[0], arg[1], arg[2], arg[3],
	       arg[4], (char *)NULL);
	_exit(127);
}

pid_t munged_start(const char *dir, char socket[MUNGED_SOCKET_BYTES])
{
	char key[128];
	pid_t pid;

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (char)random();
	assert_int_equal(chmod(dir, 0755), 0);
	scratch_write(scratch_path(dir, "key"), key, sizeof(key));
	assert_int_equal(chmod(scratch_path(dir, "key"), 0600), 0);
	snprintf(socket, MUNGED_SOCKET_BYTES, "%s/socket", dir);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		munged_run(dir, socket);
	for (int i = 0; !answers(socket); i++) {
		assert_true(i < TRIES && waitpid(pid, NULL, WNOHANG) == 0);
		poll(NULL, 0, 50);
	}
	return pid;
}

void munged_stop(pid_t pid)
{
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
}
