/*
 * Owns how an address to listen at is written. Looks nothing up. Called by fleet/serve.c and by
 * whoever reads a configuration.
 */
#include "fleet/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "larder/cleanup.h"

static int split(const char *text, char host[INET6_ADDRSTRLEN], const char **port)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;

	if (!colon || !colon[1])
		return -1;
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	} else if (memchr(text, ':', len)) {
		return -1; /* IPv6 without brackets: where does the port start? */
	}
	if (len == 0 || len >= INET6_ADDRSTRLEN)
		return -1;
	memcpy(host, text, len);
	host[len] = '\0';
	*port = colon + 1;
	return 0;
}

static int bad(const char *text, struct larder_error *err)
{
	return larder_error_set(err, EINVAL,
				"'%s' is no address to listen at; write 10.0.0.1:6820, "
				"[fd00::1]:6820 or 0.0.0.0:6820",
				text);
}

int fleet_address_parse(const char *text, struct sockaddr_storage *address, socklen_t *len,
			struct larder_error *err)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
				       .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	char host[INET6_ADDRSTRLEN];
	const char *port;

	if (split(text, host, &port) || strspn(port, "0123456789") != strlen(port) ||
	    strlen(port) > 5 || getaddrinfo(host, port, &hints, &found) || !found)
		return bad(text, err);
	memcpy(address, found->ai_addr, found->ai_addrlen);
	*len = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

void fleet_address_host(const struct sockaddr *address, char *text, size_t room)
{
	socklen_t len = address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
						       : sizeof(struct sockaddr_in);

	if (getnameinfo(address, len, text, (socklen_t)room, NULL, 0, NI_NUMERICHOST))
		snprintf(text, room, "?");
}
