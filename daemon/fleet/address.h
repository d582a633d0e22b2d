/* "IP:PORT" and "[IP6]:PORT", as the configuration writes them. */
#ifndef FLEET_ADDRESS_H
#define FLEET_ADDRESS_H

#include <sys/socket.h>

#include "larder/error.h"

/* Numbers only, no names: nothing is looked up. -EINVAL with the sentence. */
int fleet_address_parse(const char *text, struct sockaddr_storage *address, socklen_t *len,
			struct larder_error *err);
/* The address without the port, for people. */
void fleet_address_host(const struct sockaddr *address, char *text, size_t room);

#endif
