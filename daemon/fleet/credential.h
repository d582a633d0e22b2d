/*
 * What makes a request between machines authentic: a MUNGE credential that is bound to the one
 * who is asked, to every byte of the request, and to a fresh key; and an answer that is sealed with
 * that key, which only the one who was asked can have taken out of the credential. So nobody who
 * sits on a node's port while its larderd is down can answer in its name, and nobody can send a
 * credential on to another node.
 */
#ifndef FLEET_CREDENTIAL_H
#define FLEET_CREDENTIAL_H

#include "fleet/seal.h"
#include "larder/error.h"

#include <sys/types.h>

#define CREDENTIAL_NODE_MAX 255 /* bytes of the name of who is asked */

struct fleet_peer {
	uid_t uid;
	gid_t gid;
	struct seal_key key; /* for the answer */
	int connection;	     /* of the server's: to see its end by poll, not to be read or closed */
};

/*
 * For a request to `node`, which runs as uid `to`. *credential to free; *key: what the answer will
 * be sealed with. Blocks on munged; -errno as munge_make.
 */
int credential_make(const char *munge_socket, const char *node, uid_t to, const void *request,
		    size_t len, char **credential, struct seal_key *key, struct larder_error *err);
/*
 * Who sent this request to us, who are `node`? -EACCES: it is bound to another node, or other
 * bytes; else as munge_open. Blocks on munged.
 */
int credential_check(const char *munge_socket, const char *node, const char *credential,
		     const void *request, size_t len, struct fleet_peer *peer,
		     struct larder_error *err);

#endif
