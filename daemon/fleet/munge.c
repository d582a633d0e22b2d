/*
 * Owns the talk with munged: the only file that knows libmunge.
 * Must not be called where waiting matters: munged may hang. Called by fleet/credential.c.
 */
#include "fleet/munge.h"

#include <errno.h>
#include <munge.h>
#include <stdlib.h>

#include "larder/cleanup.h"

static void context_free(munge_ctx_t *ctx)
{
	if (*ctx)
		munge_ctx_destroy(*ctx);
}

#define auto_munge __attribute__((cleanup(context_free)))

static munge_ctx_t context_make(const char *socket)
{
	munge_ctx_t ctx = munge_ctx_create();

	if (ctx && *socket && munge_ctx_set(ctx, MUNGE_OPT_SOCKET, socket) != EMUNGE_SUCCESS) {
		munge_ctx_destroy(ctx);
		return NULL;
	}
	return ctx;
}

int munge_make(const char *socket, const void *payload, size_t len, uid_t to, char **credential,
	       struct larder_error *err)
{
	auto_munge munge_ctx_t ctx = context_make(socket);
	munge_err_t rc;

	*credential = NULL;
	if (!ctx || munge_ctx_set(ctx, MUNGE_OPT_UID_RESTRICTION, to) != EMUNGE_SUCCESS)
		return larder_error_set(err, ENOMEM, "out of memory");
	rc = munge_encode(credential, ctx, payload, (int)len);
	if (rc == EMUNGE_SUCCESS)
		return 0;
	return larder_error_set(err, ENOTCONN,
				"munged gives no credential: %s (is munged running?)",
				munge_ctx_strerror(ctx));
}

static int refused(munge_ctx_t ctx, munge_err_t rc, struct larder_error *err)
{
	const char *why = munge_ctx_strerror(ctx);

	if (rc == EMUNGE_CRED_REPLAYED)
		return larder_error_set(err, EALREADY, "this credential was used before");
	if (rc == EMUNGE_CRED_EXPIRED || rc == EMUNGE_CRED_REWOUND)
		return larder_error_set(err, ETIME, "%s: do the two machines' clocks differ?", why);
	if (rc == EMUNGE_CRED_UNAUTHORIZED)
		return larder_error_set(err, EACCES,
					"this credential is for another user than ours");
	if (rc == EMUNGE_SOCKET || rc == EMUNGE_TIMEOUT)
		return larder_error_set(err, ENOTCONN, "munged does not answer: %s", why);
	return larder_error_set(err, EBADMSG, "no credential of this MUNGE realm: %s", why);
}

int munge_open(const char *socket, const char *credential, void **payload, size_t *len, uid_t *uid,
	       gid_t *gid, struct larder_error *err)
{
	auto_munge munge_ctx_t ctx = context_make(socket);
	int got = 0;
	munge_err_t rc;

	*payload = NULL;
	if (!ctx)
		return larder_error_set(err, ENOMEM, "out of memory");
	rc = munge_decode(credential, ctx, payload, &got, uid, gid);
	if (rc != EMUNGE_SUCCESS) {
		/* libmunge gives the payload of an expired or replayed one, too */
		free(*payload);
		*payload = NULL;
		return refused(ctx, rc, err);
	}
	*len = got < 0 ? 0 : (size_t)got;
	return 0;
}
