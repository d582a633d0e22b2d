/*
 * Owns checks as the daemon sees them: a child each, its deadline, and the doubt about its answer.
 * Must not block, read a catalog or an origin, or believe what a user's process says.
 * Called by access.c, on the control thread.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "server/check.h"
#include "server/check_message.h"
#include "server/check_own.h"
#include "server/child.h"
#include "server/own_remote.h"

#define PACKETS_MAX 2 /* found or secret, and done; who says more is not ours any more */

struct check {
	struct child *child; /* NULL: dead */
	sd_event_source *io, *timer;
	int sock;
	check_fn fn;
	void *arg;
	bool found, done;
	unsigned int packets;
	struct check_own own; /* own.used: a user's own dataset */
	char *name;	      /* of the dataset, owned */
	char *remote;	      /* own_remote_settings' text, of an own URL; owned; NULL */
	char digest[LARDER_DIGEST_HEX + 1];
	int64_t started_ms, timeout_ms;
	struct check_result result;
};

static void check_free(struct check *check)
{
	sd_event_source_disable_unref(check->io);
	sd_event_source_disable_unref(check->timer);
	child_abandon(check->child);
	if (check->sock >= 0)
		close(check->sock);
	check_own_fini(&check->own);
	larder_manifest_head_fini(&check->result.head);
	if (check->result.manifest_fd >= 0)
		close(check->result.manifest_fd);
	own_remote_unref(check->result.remote);
	free(check->remote);
	free(check->name);
	free(check);
}

/* The answer leaves last: the callback may do anything, a new check included. */
static void answer(struct check *check, int rc)
{
	struct check_result result = check->result;
	check_fn fn = check->fn;
	void *arg = check->arg;

	result.rc = rc;
	result.took_ms = clock_mono_ms() - check->started_ms;
	check->result.manifest_fd = -1;
	check->result.remote = NULL;
	check->result.head = (struct larder_manifest_head){0};
	if (rc) {
		larder_manifest_head_fini(&result.head);
		result.head = (struct larder_manifest_head){0};
		if (result.manifest_fd >= 0)
			close(result.manifest_fd);
		result.manifest_fd = -1;
	}
	check_free(check);
	fn(&result, arg);
	larder_manifest_head_fini(&result.head);
	own_remote_unref(result.remote);
	if (result.manifest_fd >= 0)
		close(result.manifest_fd);
}

static void answer_nonsense(struct check *check, const char *what)
{
	answer(check, larder_error_set(&check->result.err, EPROTO,
				       "the check of dataset \"%s\" answered nonsense (%s)",
				       check->name, what));
}

/* Head and publisher come from root's code in the child, but from a file that anybody may have
 * written. */
static int take_found(struct check *check, struct check_packet *packet)
{
	struct check_result *r = &check->result;
	struct larder_error *err = &r->err;
	uint64_t publisher;
	int flags;

	if (check->own.used || check->found || packet->fd < 0)
		return -EPROTO;
	check->found = true;
	r->manifest_fd = take_fd(&packet->fd);
	flags = fcntl(r->manifest_fd, F_GETFL);
	if (flags < 0 || (flags & O_ACCMODE) != O_RDONLY || (flags & O_PATH))
		return -EPROTO;
	if (larder_u64_parse(packet->fields[1], &publisher, NULL) || publisher > UINT32_MAX)
		return -EPROTO;
	if (larder_manifest_head_parse(packet->fields[2], strlen(packet->fields[2]), &r->head, err))
		return -EPROTO;
	r->head.publisher = (uid_t)publisher;
	if (strcmp(r->head.name, check->name) != 0 ||
	    strncmp(r->head.digest, check->digest, strlen(check->digest)) != 0)
		return -EPROTO;
	return 0;
}

/* A user's own files: they open nothing that is not this user's already. */
static int take_secret(struct check *check, struct check_packet *packet)
{
	const char *logins = packet->fields[1], *profiles = packet->fields[2];
	int rc = -EPROTO;

	if (check->remote && !check->result.remote && packet->fd < 0 &&
	    strlen(logins) <= 2 * OWN_CREDENTIALS_MAX &&
	    strlen(profiles) <= 3 * OWN_CREDENTIALS_MAX) {
		check->result.remote = own_remote_create(check->remote, logins, profiles);
		rc = check->result.remote ? 0 : -EPROTO;
	}
	explicit_bzero(packet->bytes, sizeof(packet->bytes));
	packet->fields[0] = "secret";
	return rc;
}

static int take_done(struct check *check, const struct check_packet *packet, int *rc)
{
	struct larder_error *err = &check->result.err;
	uint64_t code;

	if (larder_u64_parse(packet->fields[1], &code, NULL) || code > 4095)
		return -EPROTO;
	if (!code && !check->own.used && !check->found)
		return -EPROTO;
	*rc = 0;
	*err = (struct larder_error){0};
	if (code)
		*rc = larder_error_set(err, (int)code, "%s", packet->fields[2]);
	larder_text_printable(err->text);
	check->done = true;
	return 0;
}

/* Returns false when the check is answered and gone. */
static bool take_packet(struct check *check, struct check_packet *packet)
{
	int rc = -EPROTO, verdict = 0;

	if (++check->packets > PACKETS_MAX || check->done)
		rc = -EPROTO;
	else if (check_packet_is(packet, "found", 3))
		rc = take_found(check, packet);
	else if (check_packet_is(packet, "secret", 3))
		rc = take_secret(check, packet);
	else if (check_packet_is(packet, "done", 3) && packet->fd < 0)
		rc = take_done(check, packet, &verdict);
	if (packet->fd >= 0)
		close(packet->fd);
	if (rc) {
		answer_nonsense(check, packet->fields[0][0] == 'f' ? "about the manifest"
								   : "in its last word");
		return false;
	}
	if (!check->done || (check->own.used && !verdict))
		return true; /* an own manifest is looked at when its writer is dead */
	answer(check, verdict);
	return false;
}

static bool drain(struct check *check)
{
	auto_free struct check_packet *packet = malloc(sizeof(*packet));
	int rc;

	if (!packet) {
		answer(check, larder_error_set(&check->result.err, ENOMEM, "out of memory"));
		return false;
	}
	while ((rc = check_packet_receive(check->sock, packet)) == 1)
		if (!take_packet(check, packet))
			return false;
	if (rc == -EPROTO) {
		answer_nonsense(check, "no packet of ours");
		return false;
	}
	if (rc != -EAGAIN)
		sd_event_source_set_enabled(check->io,
					    SD_EVENT_OFF); /* closed: its exit tells the rest */
	return true;
}

static int on_packet(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	(void)source;
	(void)fd;
	(void)revents;
	drain(arg);
	return 0;
}

static void on_dead(int status, void *arg)
{
	struct check *check = arg;
	char how[64];

	check->child = NULL;
	if (!drain(check)) /* what it said before it died */
		return;
	if (check->remote && check->done && !check->result.remote) {
		answer_nonsense(check, "without the origin's credentials");
		return;
	}
	if (check->own.used && check->done) {
		answer(check, check_own_take(&check->own, &check->result.head,
					     &check->result.manifest_fd, &check->result.err));
		return;
	}
	answer(check, larder_error_set(&check->result.err, EIO,
				       "the check of dataset \"%s\" %s before it answered",
				       check->name, child_status_format(status, how, sizeof(how))));
}

static int on_deadline(sd_event_source *source, uint64_t now, void *arg)
{
	struct check *check = arg;
	char limit[32];

	(void)source;
	(void)now;
	larder_duration_format(check->timeout_ms, limit, sizeof(limit));
	answer(check,
	       larder_error_set(
		       &check->result.err, ETIMEDOUT,
		       "%s of dataset \"%s\" did not answer within %s: whether you may use it "
		       "cannot be told now; try again later",
		       check->own.used ? "the origin" : "catalog or origin", check->name, limit));
	return 0;
}

/* The child's side gets the request before it runs: the packet waits in the socket. */
static int send_request(int sock, const struct check_request *request, struct larder_error *err)
{
	auto_free char *spec = larder_spec_format(request->spec);
	char uid[16], gid[16], timeout[24];
	int rc;

	if (!spec)
		return larder_error_set(err, ENOMEM, "out of memory");
	snprintf(uid, sizeof(uid), "%u", request->uid);
	snprintf(gid, sizeof(gid), "%u", request->gid);
	snprintf(timeout, sizeof(timeout), "%lld", (long long)request->timeout_ms);
	rc = check_packet_send(sock,
			       (const char *const[]){
				       "check",
				       request->spec->kind == LARDER_SPEC_OWN ? "own" : "catalog",
				       uid,
				       gid,
				       timeout,
				       request->earlier_manifest_fd >= 0 ? "1" : "0",
				       spec,
				       request->catalog ? request->catalog : "",
				       request->remote ? request->remote : "",
			       },
			       9, -1);
	if (rc)
		return larder_error_set(err, rc, "ask the check of dataset \"%s\": %s",
					request->spec->name, strerror(-rc));
	return 0;
}

static int start_child(sd_event *event, struct check *check, const struct check_request *request,
		       int theirs, struct larder_error *err)
{
	static char name[] = "larderd", helper[] = "--check-helper", path[] = "PATH=/usr/bin:/bin",
		    lang[] = "LANG=C.UTF-8", leaks[] = "ASAN_OPTIONS=detect_leaks=0";
	char *const argv[] = {name, helper, NULL};
	/* The last one is read by builds with the address sanitizer only: it cannot trace a dropped
	 * uid. */
	char *const envp[] = {path, lang, leaks, NULL};
	struct child_params params = {
		.path = "/proc/self/exe", /* the very program that runs, also after an upgrade */
		.argv = argv,
		.envp = envp,
		.fds = {theirs, -1, STDERR_FILENO, check->own.write_fd,
			request->earlier_manifest_fd},
		.n_fds = CHECK_N_FDS,
	};
	int rc = child_start(event, &params, on_dead, check, &check->child, err);

	check_own_hand_over(&check->own);
	return rc;
}

static int watch(sd_event *event, struct check *check, struct larder_error *err)
{
	uint64_t deadline = (uint64_t)(check->started_ms + check->timeout_ms) * 1000;
	int rc = sd_event_add_io(event, &check->io, check->sock, EPOLLIN, on_packet, check);

	if (rc >= 0)
		rc = sd_event_add_time(event, &check->timer, CLOCK_MONOTONIC, deadline, 1000,
				       on_deadline, check);
	if (rc < 0)
		return larder_error_set(err, rc, "watch a check: %s", strerror(-rc));
	return 0;
}

static int check_begin(sd_event *event, struct check *check, const struct check_request *request,
		       struct larder_error *err)
{
	int pair[2], rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return larder_error_set(err, errno, "socketpair: %m");
	check->sock = pair[0];
	auto_fd int theirs = pair[1];

	rc = fcntl(check->sock, F_SETFL, O_NONBLOCK);
	if (rc < 0)
		return larder_error_set(err, errno, "socketpair: %m");
	if (request->spec->kind == LARDER_SPEC_OWN)
		rc = check_own_init(&check->own, request, err);
	if (!rc)
		rc = send_request(check->sock, request, err);
	if (!rc)
		rc = watch(event, check, err);
	if (!rc)
		rc = start_child(event, check, request, theirs, err);
	return rc;
}

int check_start(sd_event *event, const struct check_request *request, check_fn fn, void *arg,
		struct check **out, struct larder_error *err)
{
	struct check *check = calloc(1, sizeof(*check));
	int rc;

	if (!check)
		return larder_error_set(err, ENOMEM, "out of memory");
	check->fn = fn;
	check->arg = arg;
	check->sock = check->result.manifest_fd = -1;
	check_own_clear(&check->own);
	check->started_ms = clock_mono_ms();
	check->timeout_ms = request->timeout_ms > 0 ? request->timeout_ms : 1;
	snprintf(check->digest, sizeof(check->digest), "%s", request->spec->digest);
	check->name = strdup(request->spec->name);
	if (request->remote)
		check->remote = strdup(request->remote);
	rc = check->name && !check->remote == !request->remote
		     ? check_begin(event, check, request, err)
		     : larder_error_set(err, ENOMEM, "out of memory");
	if (rc) {
		check_free(check);
		return rc;
	}
	*out = check;
	return 0;
}

void check_cancel(struct check *check)
{
	if (check)
		check_free(check);
}
