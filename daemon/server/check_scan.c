/*
 * Owns the scan of a user's own dataset: as the user, with the user's credentials, by the site's
 * rules.
 * Must not believe a text of the user's; the daemon looks at what comes of it again.
 * Called by check_helper.c, in the child.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "larder/cleanup.h"
#include "scan/list.h"
#include "scan/scan.h"
#include "server/check_helper.h"
#include "server/check_message.h"
#include "server/own_remote.h"

/* What the scan of one dataset needs. */
struct own_scan {
	const struct check_job *job;
	enum larder_origin_form form;
	char *root; /* what paths are relative to */
	char *logins, *profiles;
	struct own_remote *remote; /* NULL: a path */
	struct scan_paths paths;
};

static void own_scan_fini(struct own_scan *own)
{
	own_credentials_free(own->logins);
	own_credentials_free(own->profiles);
	own_remote_unref(own->remote);
	scan_paths_fini(&own->paths);
	free(own->root);
}

static int find_root(struct own_scan *own, struct larder_error *err)
{
	const char *origin = own->job->spec.origin;
	size_t root;
	int rc = larder_origin_form(origin, &own->form, &root, err);

	if (rc)
		return rc;
	own->root = strndup(origin, root);
	return own->root ? 0 : larder_error_set(err, ENOMEM, "out of memory");
}

/* A home that NSS does not know is none: public data needs no credentials. */
static int take_credentials(struct own_scan *own, struct larder_error *err)
{
	const char *origin = own->job->spec.origin;
	auto_free char *home = NULL;
	int rc = check_user_home(own->job->uid, &home);

	if (rc)
		return larder_error_set(err, rc, "the user database does not tell about uid %u: %s",
					own->job->uid, strerror(-rc));
	rc = own_credentials_read(home ? home : "/nonexistent", strncmp(origin, "s3:", 3) == 0,
				  &own->logins, &own->profiles, err);
	if (rc)
		return rc;
	own->remote = own_remote_create(own->job->remote, own->logins, own->profiles);
	return own->remote ? 0 : larder_error_set(err, ENOMEM, "out of memory");
}

/* What the URL names: by braces, itself, or by a list that is there. */
static int find_paths(struct own_scan *own, struct larder_error *err)
{
	const char *origin = own->job->spec.origin;
	const struct scan_list list = {.where = origin, .origin = own->root};

	if (own->form == LARDER_ORIGIN_TREE)
		return 0;
	if (own->form == LARDER_ORIGIN_LIST)
		return scan_list_read(&list, &own->remote->options, &own->paths, err);
	return scan_paths_named(&own->paths, origin + strlen(own->root) + 1, err);
}

/* The transfer will ask with the same credentials. */
static int hand_over(const struct own_scan *own, struct larder_error *err)
{
	int rc = check_packet_send(CHECK_FD_SOCKET,
				   (const char *const[]){"secret", own->logins, own->profiles}, 3,
				   -1);

	return rc ? larder_error_set(err, rc, "answer: %s", strerror(-rc)) : 0;
}

/* Digests are taken over from a scan of the same origin only: other places have files of the same
 * name, size and time. */
static int earlier_manifest(const struct own_scan *own)
{
	struct larder_manifest_head head;
	bool same;

	if (!own->job->earlier || larder_manifest_head_read(CHECK_FD_EARLIER, &head, NULL))
		return -1;
	same = strcmp(head.origins[0], own->root) == 0;
	larder_manifest_head_fini(&head);
	return same ? CHECK_FD_EARLIER : -1;
}

static int scan(const struct own_scan *own, struct larder_error *err)
{
	const struct check_job *job = own->job;
	struct larder_manifest_head head = {.access.kind = LARDER_ACCESS_USERS}, done = {0};
	struct scan_params params = {
		.origin = own->root,
		.paths = own->paths.count ? &own->paths : NULL,
		.options = own->remote ? &own->remote->options : NULL,
		.head = &head,
		.earlier_manifest_fd = earlier_manifest(own),
	};
	int rc;

	snprintf(head.name, sizeof(head.name), "%s", job->spec.name);
	snprintf(head.version, sizeof(head.version), "%s", LARDER_OWN_VERSION);
	snprintf(head.access.who, sizeof(head.access.who), "%u", job->uid);
	head.origins[0] = own->root;
	head.n_origins = 1;
	head.created_s = time(NULL);
	rc = scan_run(&params, CHECK_FD_OUT, &done, err);
	if (!rc)
		larder_manifest_head_fini(&done);
	return rc;
}

int check_run_own(const struct check_job *job, struct larder_error *err)
{
	struct own_scan own = {.job = job};
	bool remote = *job->spec.origin != '/';
	int rc = check_look_as_user(job->uid, job->gid, err);

	if (!rc)
		rc = check_become_user(job->uid, job->gid, err);
	if (!rc)
		rc = find_root(&own, err);
	if (!rc && remote)
		rc = take_credentials(&own, err);
	if (!rc)
		rc = find_paths(&own, err);
	if (!rc)
		rc = scan(&own, err);
	if (!rc && remote)
		rc = hand_over(&own, err);
	own_scan_fini(&own);
	return rc;
}
