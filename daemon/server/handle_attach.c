/*
 * Answers the plugin's task hook: ATTACH gives the trees a job holds as detached read-only mounts,
 * and its environment. Takes no lease and starts nothing. Called by dispatch, for root alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "larder/cleanup.h"
#include "log/log.h"
#include "server/dataset.h"
#include "server/dispatch.h"
#include "server/request.h"

/* A detached mount of the tree's data/, read-only, nosuid, nodev. -ENOSYS on kernels before 5.12.
 */
static int clone_tree(int data_fd, struct larder_error *err)
{
	struct mount_attr attr = {.attr_set =
					  MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
	auto_fd int fd = (int)syscall(SYS_open_tree, data_fd, "",
				      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);

	if (fd < 0)
		return larder_error_set(err, errno, "open_tree: %s", strerror(errno));
	if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)))
		return larder_error_set(err, errno, "mount_setattr: %s", strerror(errno));
	return take_fd(&fd);
}

static int send_view(struct session *session, const struct want *want, struct larder_error *err)
{
	struct larderd *d = want->request->d;
	struct inv_tree tree;
	struct node_tier *tier;
	struct tree_key key;
	auto_free char *path = NULL;
	auto_fd int data = -1;
	int fd;

	if (inventory_tree_get(d->inv, want->tree.id, &tree, err))
		return -err->code;
	tier = dataset_tier(d, tree.tier);
	key = dataset_key(&tree);
	if (!tier)
		return larder_error_set(err, EIO, "%s: tier %s cannot be used", tree.name,
					tree.tier);
	if (tree_open_data(tier->tier, &key, &data, err))
		return -err->code;
	fd = clone_tree(data, err);
	if (fd < 0 && err->code != ENOSYS)
		return fd;
	path = tree_data_path(tier->tier, &key);
	session_row_fd(session, LARDER_MSG_VIEW,
		       &(struct larder_msg_VIEW){.view_root = d->config.view_root,
						 .name = tree.name,
						 .version = tree.version,
						 .path = path},
		       fd);
	return 0;
}

static void send_env(struct session *session, const char *key, const char *value)
{
	session_row(session, LARDER_MSG_ENV, &(struct larder_msg_ENV){.key = key, .value = value});
}

/* DATASET_<NAME>_<what>=value */
static void send_dataset_env(struct session *session, const struct want *want, const char *what,
			     const char *value)
{
	char name[LARDER_NAME_MAX + 1], key[LARDER_NAME_MAX + 32];

	larder_spec_env_name(want->spec.name, name);
	snprintf(key, sizeof(key), "DATASET_%s_%s", name, what);
	send_env(session, key, value);
}

static int manifest_path(const struct want *want, char *buf, size_t len)
{
	struct larder_error ignored;
	struct larderd *d = want->request->d;
	struct inv_tree tree;

	if (want->state == WANT_BYPASS ||
	    inventory_tree_get(d->inv, want->tree.id, &tree, &ignored) ||
	    tree.owner != INV_OWNER_SITE)
		return -ENOENT;
	snprintf(buf, len, "%s/%s/%s.manifest", d->config.catalog, tree.name, tree.version);
	return 0;
}

static void send_dataset(struct session *session, const struct want *want)
{
	const struct larderd *d = want->request->d;
	struct inv_tree tree = want->tree;
	struct larder_error ignored;
	char text[8192];

	inventory_tree_get(d->inv, want->tree.id, &tree, &ignored);
	if (want->state == WANT_BYPASS)
		snprintf(text, sizeof(text), "%s",
			 want->described ? want->tree.origin : want->spec.origin);
	else
		snprintf(text, sizeof(text), "%s/%s/%s", d->config.view_root, tree.name,
			 tree.version);
	send_dataset_env(session, want, "DIR", text);
	send_dataset_env(session, want, "VERSION", tree.version);
	send_dataset_env(session, want, "DIGEST", tree.digest);
	send_dataset_env(session, want, "STATE", want_word(want));
	snprintf(text, sizeof(text), "%.1f",
		 want->state == WANT_BYPASS || !tree.bytes
			 ? (want->state == WANT_READY ? 100.0 : 0.0)
			 : 100.0 * (double)tree.present_bytes / (double)tree.bytes);
	send_dataset_env(session, want, "COVERAGE", text);
	if (!manifest_path(want, text, sizeof(text)))
		send_dataset_env(session, want, "MANIFEST", text);
}

/* A step may name what its job holds, or less of it; anything else is refused. */
static int step_allows(const struct request *request, const struct larder_spec *step,
		       const struct want **found, struct larder_error *err)
{
	for (unsigned int i = 0; i < request->n_wants; i++) {
		const struct want *want = &request->wants[i];
		const char *origin = want->described ? want->tree.origin : want->spec.origin;
		bool own_differs = step->kind == LARDER_SPEC_OWN &&
				   (!origin || strcmp(step->origin, origin) != 0);

		if (strcmp(want->spec.name, step->name) != 0)
			continue;
		if (own_differs ||
		    strncmp(want->tree.digest, step->digest, strlen(step->digest)) != 0 ||
		    (step->kind == LARDER_SPEC_CATALOG && step->version[0] &&
		     strcmp(step->version, want->tree.version) != 0 &&
		     strcmp(step->version, want->spec.version) != 0))
			return larder_error_set(
				err, EINVAL,
				"this job holds %s:%s, and the step names another %s; name it when the job is submitted",
				want->spec.name, want->tree.version, step->name);
		if (!larder_subset_covers(want->spec.subset, step->subset))
			return larder_error_set(
				err, EINVAL, "this job holds only %s of %s; the step asks for more",
				want->spec.subset ? want->spec.subset : "all", want->spec.name);
		*found = want;
		return 0;
	}
	return larder_error_set(
		err, EINVAL,
		"this job does not hold %s: a step can use what its job named, so name it at sbatch, salloc or the job's srun",
		step->name);
}

/* Which wants this step gets: all, or those that it names. */
static int step_choose(const struct request *request, const char *text, bool *chosen,
		       struct larder_error *err)
{
	struct larder_spec_list list = {0};
	int rc = 0;

	for (unsigned int i = 0; i < request->n_wants; i++)
		chosen[i] = !text[0];
	if (!text[0])
		return 0;
	rc = larder_spec_list_parse(text, &list, err);
	for (size_t i = 0; i < list.count && !rc; i++) {
		const struct want *want = NULL;

		rc = step_allows(request, &list.items[i], &want, err);
		if (!rc)
			chosen[want - request->wants] = true;
	}
	larder_spec_list_fini(&list);
	return rc;
}

static int attach_all(struct session *session, struct request *request, const bool *chosen,
		      struct larder_error *err)
{
	char line[LARDER_ERROR_MAX + 8192];

	send_env(session, "DATASET_ROOT", request->d->config.view_root);
	send_env(session, "DATASET_SPECS", request->specs);
	for (unsigned int i = 0; i < request->n_wants; i++) {
		const struct want *want = &request->wants[i];

		if (!chosen[i])
			continue;
		if (want->state != WANT_BYPASS && send_view(session, want, err))
			return -err->code;
		send_dataset(session, want);
		want_line(want, line, sizeof(line));
		session_row(session, LARDER_MSG_LINE, &(struct larder_msg_LINE){.text = line});
	}
	return 0;
}

static int attach_check(const struct request *request, const struct larder_msg_ATTACH *m,
			struct larder_error *err)
{
	if (request->uid != m->uid)
		return larder_error_set(err, EPERM, "job %u is another user's", m->job_id);
	if (request->outcome == LARDER_OUTCOME_FAILED ||
	    request->outcome == LARDER_OUTCOME_CANCELLED)
		return larder_error_set(err, EIO, "%s", request->text);
	if (request->outcome == LARDER_OUTCOME_PENDING)
		return larder_error_set(
			err, ETIMEDOUT,
			"the datasets of this job are still being staged (larder explain %u)",
			m->job_id);
	return 0;
}

void handle_ATTACH(struct session *session, const void *msg)
{
	const struct larder_msg_ATTACH *m = msg;
	struct request *request = request_latest(session_daemon(session), m->job_id);
	bool chosen[LARDER_SPECS_MAX] = {false};
	struct larder_error err = {0};
	int rc;

	if (!request) {
		session_refuse(
			session, ENOENT,
			m->step_specs[0]
				? "this job asked for no dataset when it was submitted: a step cannot bring one of its own; name it at sbatch, salloc or the job's srun"
				: "job %u has no lease on this node: its prolog did not ask (PrologFlags=Contain or Alloc is needed)",
			m->job_id);
		return;
	}
	rc = attach_check(request, m, &err);
	if (!rc)
		rc = step_choose(request, m->step_specs, chosen, &err);
	if (!rc)
		rc = attach_all(session, request, chosen, &err);
	session_end(session, rc, &err);
}
