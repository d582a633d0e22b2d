/*
 * Owns: the judgement about addresses that users' own URLs lead to.
 * Must not: resolve names or open sockets.
 * Called by: http_setup.c, when libcurl is about to connect; the check of the configuration.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "larder/text.h"
#include "origin/http_filter.h"

/* An address of either family as IPv6; IPv4 in ::ffff:0:0/96. */
struct net {
	unsigned char bytes[16];
	unsigned int bits; /* of 128 */
};

/* What nobody's dataset is at. */
static const char *const refused[] = {
	"0.0.0.0/8",	  /* this host */
	"127.0.0.0/8",	  /* loopback */
	"169.254.0.0/16", /* link-local: metadata of most clouds */
	"100.100.100.200",
	"168.63.129.16",
	"192.0.0.192",	 /* metadata elsewhere */
	"192.0.0.0/24",	 /* IETF's protocols */
	"224.0.0.0/4",	 /* multicast */
	"240.0.0.0/4",	 /* reserved, broadcast */
	"::",		 /* unspecified */
	"::1",		 /* loopback */
	"fe80::/10",	 /* link-local */
	"fec0::/10",	 /* site-local, long given up */
	"ff00::/8",	 /* multicast */
	"fd00:ec2::/32", /* metadata of AWS */
	"fd20:ce::/32",	 /* metadata of Google */
	"100::/64",	 /* discarded */
};

static void from_v4(const unsigned char v4[4], unsigned char out[16])
{
	memset(out, 0, 10);
	memset(out + 10, 0xff, 2);
	memcpy(out + 12, v4, 4);
}

/* "10.0.0.0/8", "::1". false: it is none. */
static bool net_parse(const char *text, struct net *net)
{
	char address[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "/");
	unsigned char v4[4];
	unsigned int most = 128;
	uint64_t bits;

	if (len >= sizeof(address))
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	if (inet_pton(AF_INET, address, v4) == 1) {
		from_v4(v4, net->bytes);
		most = 32;
	} else if (inet_pton(AF_INET6, address, net->bytes) != 1) {
		return false;
	}
	bits = most;
	if (text[len] == '/' && (larder_u64_parse(text + len + 1, &bits, NULL) || bits > most))
		return false;
	net->bits = (unsigned int)bits + 128 - most;
	return true;
}

static bool net_has(const struct net *net, const unsigned char address[16])
{
	unsigned int whole = net->bits / 8, rest = net->bits % 8;
	unsigned int mask = 0xff00u >> rest & 0xff;

	if (memcmp(net->bytes, address, whole) != 0)
		return false;
	return !rest || ((net->bytes[whole] ^ address[whole]) & mask) == 0;
}

/* A name's letters alone: what is all digits and dots is an address that is none. */
static bool is_name(const char *text)
{
	const char *at = text + (*text == '.');
	bool letter = false;

	for (const char *c = at; *c; c++) {
		letter |= isalpha((unsigned char)*c) != 0;
		if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_' && *c != '.')
			return false;
	}
	return *at && letter && strlen(text) < 256;
}

int http_filter_item_check(const char *item, struct larder_error *err)
{
	struct net net;
	char shown[128];

	if (net_parse(item, &net) || is_name(item))
		return 0;
	return larder_error_set(
		err, EINVAL,
		"\"%s\" is no address (192.0.2.7), network (10.0.0.0/8, fd00::/8), host "
		"(data.example.org) or domain (.example.org)",
		larder_text_quote(item, SIZE_MAX, shown, sizeof(shown)));
}

/* "data.example.org" is of ".example.org". One dot at the end of a name means nothing. */
static bool name_has(const char *item, const char *host)
{
	size_t len = strlen(host), n = strlen(item);

	if (len && host[len - 1] == '.')
		len--;
	if (*item == '.')
		return len > n && strncasecmp(host + len - n, item, n) == 0;
	return len == n && strncasecmp(host, item, n) == 0;
}

static bool list_has(const char *const *list, unsigned int n, const char *host,
		     const unsigned char address[16])
{
	struct net net;

	for (unsigned int i = 0; i < n; i++)
		if (net_parse(list[i], &net) ? net_has(&net, address) : name_has(list[i], host))
			return true;
	return false;
}

/* IPv4 inside of IPv6: mapped, translated (NAT64), compatible, 6to4. */
static bool unwrap(const unsigned char address[16], unsigned char out[16])
{
	static const unsigned char nat64[12] = {0, 0x64, 0xff, 0x9b}, zero[12] = {0};

	if (memcmp(address, nat64, 12) == 0 || memcmp(address, zero, 12) == 0) {
		from_v4(address + 12, out);
		return true;
	}
	if (address[0] == 0x20 && address[1] == 0x02) {
		from_v4(address + 2, out);
		return true;
	}
	return false;
}

static bool is_refused(const unsigned char address[16])
{
	unsigned char inner[16];

	if (list_has(refused, sizeof(refused) / sizeof(refused[0]), "", address))
		return true;
	return unwrap(address, inner) &&
	       list_has(refused, sizeof(refused) / sizeof(refused[0]), "", inner);
}

static bool take_address(const struct sockaddr *address, unsigned char out[16], char *shown)
{
	if (address->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, address, sizeof(in));
		from_v4((const unsigned char *)&in.sin_addr, out);
		return inet_ntop(AF_INET, &in.sin_addr, shown, INET6_ADDRSTRLEN);
	}
	if (address->sa_family == AF_INET6) {
		struct sockaddr_in6 in;

		memcpy(&in, address, sizeof(in));
		memcpy(out, &in.sin6_addr, 16);
		return inet_ntop(AF_INET6, &in.sin6_addr, shown, INET6_ADDRSTRLEN);
	}
	return false;
}

int http_filter_address(const struct source_filter *filter, const char *host,
			const struct sockaddr *address, struct larder_error *err)
{
	char shown[INET6_ADDRSTRLEN], name[200];
	unsigned char bytes[16], inner[16];
	bool denied;

	if (!take_address(address, bytes, shown))
		return larder_error_set(err, EPERM,
					"only IPv4 and IPv6 addresses may be connected to");
	denied = list_has(filter->deny, filter->n_deny, host, bytes) ||
		 (unwrap(bytes, inner) && list_has(filter->deny, filter->n_deny, host, inner));
	if (!denied &&
	    (list_has(filter->allow, filter->n_allow, host, bytes) || !is_refused(bytes)))
		return 0;
	return larder_error_set(
		err, EPERM,
		"%s is at %s, where users' own datasets may not lead (%s of this node decides)",
		larder_text_quote(host, SIZE_MAX, name, sizeof(name)), shown,
		denied ? "own_hosts_deny" : "own_hosts_allow");
}
