/*
 * Which addresses a user's own URL may lead to. Asked with the address that is really connected to,
 * so that neither a redirect nor a name that changes its mind gets around it. Pure; no libcurl.
 */
#ifndef ORIGIN_HTTP_FILTER_H
#define ORIGIN_HTTP_FILTER_H

#include <sys/socket.h>

#include "core/source.h"
#include "larder/error.h"

/*
 * An item of own_hosts_deny or own_hosts_allow: an address, a network ("10.0.0.0/8", "fd00::/8"), a
 * host's name, or a domain with its hosts (".example.org"). 0 or -EINVAL.
 */
int http_filter_item_check(const char *item, struct larder_error *err);
/*
 * May `address` be connected to for a URL whose host is `host`? Denied wins over allowed, and
 * allowed over what is refused by itself: loopback, link-local, multicast, unspecified, reserved
 * and the metadata services of clouds, also where IPv6 wraps such an IPv4 address. 0, or -EPERM
 * with a sentence that names the address.
 */
int http_filter_address(const struct source_filter *filter, const char *host,
			const struct sockaddr *address, struct larder_error *err);

#endif
