/*
 * Owns what a credential is bound to. Holds no connection; blocks on munged alone.
 * Called by fleet/call.c and fleet/serve.c.
 */
#include "fleet/credential.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fleet/munge.h"
#include "larder/cleanup.h"

/* What MUNGE carries; the node's name follows, without a NUL. */
struct bound {
	char magic[4];
	struct seal_key key;
	uint8_t request[SEAL_BYTES];
};
static const char magic[4] = {'L', 'R', 'F', '1'};

int credential_make(const char *munge_socket, const char *node, uid_t to, const void *request,
		    size_t len, char **credential, struct seal_key *key, struct larder_error *err)
{
	uint8_t payload[sizeof(struct bound) + CREDENTIAL_NODE_MAX];
	size_t name = strlen(node);
	struct bound bound;

	*credential = NULL;
	if (name > CREDENTIAL_NODE_MAX)
		return larder_error_set(err, ENAMETOOLONG, "node name of over %d bytes",
					CREDENTIAL_NODE_MAX);
	memcpy(bound.magic, magic, sizeof(magic));
	seal_key_make(&bound.key);
	seal_hash(request, len, bound.request);
	memcpy(payload, &bound, sizeof(bound));
	memcpy(payload + sizeof(bound), node, name);
	*key = bound.key;
	return munge_make(munge_socket, payload, sizeof(bound) + name, to, credential, err);
}

static int bound_check(const uint8_t *payload, size_t payload_len, const char *node,
		       const void *request, size_t len, struct fleet_peer *peer,
		       struct larder_error *err)
{
	uint8_t hash[SEAL_BYTES];
	struct bound bound;
	size_t name = strlen(node);

	if (payload_len < sizeof(bound) || memcmp(payload, magic, sizeof(magic)) != 0)
		return larder_error_set(err, EBADMSG, "this credential is not one of larder's");
	memcpy(&bound, payload, sizeof(bound));
	if (payload_len - sizeof(bound) != name || memcmp(payload + sizeof(bound), node, name) != 0)
		return larder_error_set(err, EACCES, "this credential is for another node than %s",
					node);
	seal_hash(request, len, hash);
	if (!seal_same(hash, bound.request))
		return larder_error_set(err, EACCES, "this credential is for another request");
	peer->key = bound.key;
	peer->connection = -1;
	return 0;
}

int credential_check(const char *munge_socket, const char *node, const char *credential,
		     const void *request, size_t len, struct fleet_peer *peer,
		     struct larder_error *err)
{
	auto_free void *payload = NULL;
	size_t payload_len = 0;
	int rc = munge_open(munge_socket, credential, &payload, &payload_len, &peer->uid,
			    &peer->gid, err);

	if (rc)
		return rc;
	return bound_check(payload, payload_len, node, request, len, peer, err);
}
