/*
 * What check.c and its child (check_helper*.c) say to each other, over one SOCK_SEQPACKET pair:
 * packets of strings, each ended by a NUL.
 *
 *   request  check, own|catalog, uid, gid, timeout in ms, earlier manifest 0|1, spec, catalog,
 *            settings of a user's own URL (server/own_remote.h)
 *   found    found, publisher's uid, head      with the manifest as one SCM_RIGHTS descriptor;
 *                                              sent by root code, before it becomes the user
 *   secret   secret, logins, profiles        a user's own URL: the credentials for its transfer;
 *                                              sent as that user, of that user's files
 *   done     done, errno or 0, sentence
 */
#ifndef SERVER_CHECK_MESSAGE_H
#define SERVER_CHECK_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "larder/manifest.h"
#include "larder/spec.h"

#define CHECK_PACKET_MAX (128 * 1024)
#define CHECK_FIELDS_MAX 9

/* Descriptors of the child. */
enum { CHECK_FD_SOCKET = 0, CHECK_FD_OUT = 3, CHECK_FD_EARLIER = 4, CHECK_N_FDS = 5 };

struct check_packet {
	unsigned int count;
	const char *fields[CHECK_FIELDS_MAX];
	int fd; /* -1: none */
	char bytes[CHECK_PACKET_MAX];
};

/* 0; -errno. fd -1: none. Does not block for what fits into a socket's buffer. */
int check_packet_send(int sock, const char *const fields[], unsigned int count, int fd);
/*
 * 1 a packet (its descriptor is the caller's), 0 the other end is closed, -EAGAIN, -EPROTO for what
 * is cut, not ended by a NUL, has too many fields or descriptors, -errno.
 */
int check_packet_receive(int sock, struct check_packet *packet);

/* Is it the packet `what` with exactly this many fields? */
bool check_packet_is(const struct check_packet *packet, const char *what, unsigned int count);

#endif
