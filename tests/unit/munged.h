/* A real munged for a test: a key of its own, a socket in the test's directory. */
#ifndef UNIT_MUNGED_H
#define UNIT_MUNGED_H

#include <sys/types.h>

#define MUNGED_SOCKET_BYTES 200

/* Waits until it answers; fails the test when it does not. The socket's path is put there. */
pid_t munged_start(const char *dir, char socket[MUNGED_SOCKET_BYTES]);
void munged_stop(pid_t pid);

#endif
