/*
 * Answers requests from other machines: POST /larder/1 over HTTP, authenticated as credential.h
 * says. The body is frames of larder/wire.h, and so is the answer; what they mean is the owner's.
 */
#ifndef FLEET_SERVE_H
#define FLEET_SERVE_H

#include "fleet/credential.h"

#define FLEET_PATH	  "/larder/1"
#define FLEET_SEAL_HEADER "Larder-Seal"
#define FLEET_REQUEST_MAX (1u << 20)  /* bytes of one request's body */
#define FLEET_ANSWER_MAX  (64u << 20) /* bytes of an answer */

struct fleet_server;

struct fleet_serve_params {
	const char *address;	  /* "IP:PORT", "[IP6]:PORT"; port 0: any */
	const char *node;	  /* whom credentials must be for */
	const char *munge_socket; /* "": munged's usual place */
	unsigned int connections; /* at the same time */
	unsigned int of_one;	  /* of one address */
	unsigned int timeout_s;	  /* for a request to come in, and of a connection that rests */
	/*
	 * The answer, *out to free. On a thread of the connection: may block. -errno: 500 with the
	 * sentence. Called for authentic requests alone.
	 */
	int (*answer)(const struct fleet_peer *peer, const uint8_t *request, size_t len,
		      uint8_t **out, size_t *out_len, struct larder_error *err, void *arg);
	/* Who was refused and why, for a log; from any thread. May be NULL. */
	void (*refused)(const char *address, const struct larder_error *err, void *arg);
	void *arg;
};

/* Strings are copied. -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -EINVAL. */
int fleet_serve_start(const struct fleet_serve_params *params, struct fleet_server **server,
		      struct larder_error *err);
/* The port that it listens on. */
unsigned int fleet_serve_port(const struct fleet_server *server);
/* Returns when no call of answer() is under way any more. */
void fleet_serve_stop(struct fleet_server *server);

#endif
