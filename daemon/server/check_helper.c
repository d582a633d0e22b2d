/*
 * Owns `larderd --check-helper`: one question about one user, one answer, then it ends. It may
 * hang: its parent has a deadline. Must not touch the daemon's state; as the user it does nothing
 * that the user could not do. Called by main.c, started by check.c.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "larder/catalog.h"
#include "larder/cleanup.h"
#include "server/check.h"
#include "server/check_helper.h"
#include "server/check_message.h"

/* What a dataset reads like that is not there, where the catalog is closed to the user. */
static int unknown(const struct check_job *job, struct larder_error *err)
{
	return larder_error_set(err, ENOENT,
				"unknown dataset \"%s\" (larder catalog lists what there is)",
				job->spec.name);
}

/*
 * As the user, so that names and versions in a sentence are those the user may see; as root where
 * the catalog's directory is closed to users, without any of them.
 */
static int find(const struct check_job *job, struct larder_catalog_entry *entry, bool *closed,
		struct larder_error *err)
{
	struct larder_spec any = job->spec;
	int rc = check_look_as_user(job->uid, job->gid, err);

	*closed = false;
	if (rc)
		return rc;
	rc = larder_catalog_find(job->catalog, &job->spec, job->uid, job->gid, entry, err);
	if (rc != -EACCES || job->uid == 0)
		return rc;
	*closed = true;
	rc = check_look_as_root(err);
	if (rc)
		return rc;
	any.digest[0] = '\0'; /* compared when it is known that the user may know */
	rc = larder_catalog_find(job->catalog, &any, job->uid, job->gid, entry, err);
	return rc == -ENOENT ? unknown(job, err) : rc;
}

/* What was found is opened once, and what is told is what that descriptor says. */
static int open_manifest(const struct larder_catalog_entry *entry,
			 struct larder_manifest_head *head, int *out, struct larder_error *err)
{
	auto_fd int fd =
		open(entry->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	int rc;

	if (fd < 0)
		return larder_error_set(err, errno == EACCES ? ENOENT : errno, "open %s: %m",
					entry->path);
	rc = larder_manifest_head_read(fd, head, err);
	if (rc)
		return rc;
	if (strcmp(head->digest, entry->head.digest) != 0)
		return larder_error_set(err, EAGAIN, "%s was replaced while it was read; try again",
					entry->path);
	*out = take_fd(&fd);
	return 0;
}

/* Still root: after this the process may be the user's, and its word counts for less. */
static int tell_found(const struct larder_manifest_head *head, int fd, struct larder_error *err)
{
	auto_free char *text = calloc(1, LARDER_MANIFEST_HEAD_MAX + 1);
	char publisher[16];
	ssize_t n;
	int rc;

	if (!text || head->body_offset > LARDER_MANIFEST_HEAD_MAX)
		return larder_error_set(err, ENOMEM, "out of memory");
	n = pread(fd, text, head->body_offset, 0);
	if (n < 0 || (size_t)n != head->body_offset)
		return larder_error_set(err, EIO, "read the manifest's head again: %m");
	snprintf(publisher, sizeof(publisher), "%u", head->publisher);
	rc = check_packet_send(CHECK_FD_SOCKET, (const char *const[]){"found", publisher, text}, 3,
			       fd);
	if (rc)
		return larder_error_set(err, rc, "answer: %s", strerror(-rc));
	return 0;
}

static int judge(const struct check_job *job, const struct larder_manifest_head *head, int fd,
		 bool closed, struct larder_error *err)
{
	int rc = check_become_user(job->uid, job->gid, err);

	if (rc)
		return rc;
	if (head->access.kind == LARDER_ACCESS_ORIGIN && job->uid != 0) {
		rc = check_probe_origins(head, fd, err);
		if (rc == -ENOENT || (rc && closed))
			return rc == -ENOENT || rc == -EACCES ? unknown(job, err) : rc;
		if (rc)
			return rc;
	}
	if (strncmp(head->digest, job->spec.digest, strlen(job->spec.digest)) != 0)
		return larder_error_set(
			err, ESTALE,
			"%s:%s has the digest %.16s now, not %s; name the version without a digest to "
			"take what is there",
			head->name, head->version, head->digest, job->spec.digest);
	return 0;
}

static int run_catalog(const struct check_job *job, struct larder_error *err)
{
	struct larder_catalog_entry entry = {0};
	struct larder_manifest_head head = {0};
	auto_fd int fd = -1;
	bool closed;
	int rc = find(job, &entry, &closed, err);

	/* Where root found it, NSS decides about users= and groups= in larder_catalog_find all the
	 * same. */
	if (!rc)
		rc = open_manifest(&entry, &head, &fd, err);
	if (!rc && strncmp(head.digest, job->spec.digest, strlen(job->spec.digest)) == 0)
		rc = tell_found(&head, fd, err);
	if (!rc)
		rc = judge(job, &head, fd, closed, err);
	larder_manifest_head_fini(&head);
	larder_catalog_entry_fini(&entry);
	return rc;
}

static int parse_id(const char *text, unsigned int *id)
{
	uint64_t value;

	/* The last one means "no change" to setresuid. */
	if (larder_u64_parse(text, &value, NULL) || value >= UINT32_MAX)
		return -EINVAL;
	*id = (unsigned int)value;
	return 0;
}

static int parse_job(const struct check_packet *packet, struct check_job *job,
		     struct larder_error *err)
{
	const char *const *f = packet->fields;
	uint64_t timeout;
	int rc;

	if (!check_packet_is(packet, "check", 9) || parse_id(f[2], &job->uid) ||
	    parse_id(f[3], &job->gid) || larder_u64_parse(f[4], &timeout, NULL) ||
	    timeout > INT32_MAX)
		return larder_error_set(err, EPROTO, "the request of the check cannot be read");
	job->own = strcmp(f[1], "own") == 0;
	job->timeout_ms = (int64_t)timeout;
	job->earlier = strcmp(f[5], "1") == 0;
	rc = larder_spec_parse(f[6], &job->spec, err);
	if (rc)
		return rc;
	if ((job->spec.kind == LARDER_SPEC_OWN) != job->own) {
		larder_spec_fini(&job->spec);
		return larder_error_set(err, EPROTO, "the request of the check cannot be read");
	}
	job->catalog = strdup(f[7]);
	job->remote = strdup(f[8]);
	if (!job->catalog || !job->remote) {
		larder_spec_fini(&job->spec);
		return larder_error_set(err, ENOMEM, "out of memory");
	}
	return 0;
}

static int receive_job(struct check_job *job, struct larder_error *err)
{
	auto_free struct check_packet *packet = malloc(sizeof(*packet));
	int rc;

	if (!packet)
		return larder_error_set(err, ENOMEM, "out of memory");
	rc = check_packet_receive(CHECK_FD_SOCKET, packet);
	if (rc != 1)
		return larder_error_set(err, EPROTO,
					"no request came (--check-helper is for larderd itself)");
	if (packet->fd >= 0)
		close(packet->fd);
	return parse_job(packet, job, err);
}

static int run(struct larder_error *err)
{
	struct check_job job = {0};
	int rc;

	/* Whatever came through in spite of close-on-exec. */
	syscall(SYS_close_range, CHECK_N_FDS, ~0u, 0);
	rc = receive_job(&job, err);
	if (rc)
		return rc;
	rc = check_confine(&job, err);
	if (!rc)
		rc = job.own ? check_run_own(&job, err) : run_catalog(&job, err);
	larder_spec_fini(&job.spec);
	free(job.catalog);
	free(job.remote);
	return rc;
}

int check_helper_main(void)
{
	struct larder_error err = {0};
	char code[16];
	int rc = run(&err);

	snprintf(code, sizeof(code), "%d", -rc);
	if (check_packet_send(CHECK_FD_SOCKET, (const char *const[]){"done", code, err.text}, 3,
			      -1))
		return 1;
	return rc ? 1 : 0;
}
