/*
 * Owns the listening socket and the list of clients: who is let in, how many, who is dropped
 * because neither side stirs. Reads no frame. Driven by the event loop; the gateway brings those
 * that come from other machines.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <utlist.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "server/admins.h"
#include "server/session_inside.h"

static unsigned int sessions_of(const struct session_list *list, uid_t uid)
{
	const struct session *s;
	unsigned int n = 0;

	DL_FOREACH(list->all, s)
	n += s->uid == uid;
	return n;
}

static bool session_admitted(const struct larderd *d, uid_t uid)
{
	if (uid == 0)
		return true; /* the plugin must get through when users flood the socket */
	return d->sessions->n < d->config.max_sessions &&
	       sessions_of(d->sessions, uid) < d->config.max_sessions_per_user;
}

static bool peer_admin(const struct larderd *d, int fd, const struct session_peer *peer)
{
	if (peer->remote)
		return admins_remote(&d->admins, peer->uid, peer->gid, peer->groups,
				     peer->n_groups);
	return admins_peer(&d->admins, fd, peer->uid, peer->gid);
}

static void session_start(struct larderd *d, int fd, const struct session_peer *peer)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s) {
		close(fd);
		return;
	}
	*s = (struct session){.d = d,
			      .fd = fd,
			      .uid = peer->uid,
			      .gid = peer->gid,
			      .remote = peer->remote,
			      .admin = peer_admin(d, fd, peer),
			      .stirred_ms = clock_mono_ms(),
			      .events = EPOLLIN | EPOLLRDHUP};
	if (sd_event_add_io(d->event, &s->source, fd, s->events, session_on_io, s) < 0) {
		close(fd);
		free(s);
		return;
	}
	DL_APPEND(d->sessions->all, s);
	d->sessions->n++;
}

void session_enter(struct larderd *d, int fd, const struct session_peer *peer)
{
	if (d->sessions && session_admitted(d, peer->uid))
		session_start(d, fd, peer);
	else /* too many, or we are being stopped */
		close(fd);
}

static int on_accept(sd_event_source *source, int listening, uint32_t revents, void *arg)
{
	struct larderd *d = arg;
	int fd;

	(void)source;
	(void)revents;
	while ((fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		struct ucred peer;
		socklen_t len = sizeof(peer);

		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
			close(fd);
		else
			session_enter(d, fd,
				      &(struct session_peer){.uid = peer.uid, .gid = peer.gid});
	}
	return 0;
}

/* A client that owes us a frame, or does not take what we send, is dropped after a while. One whose
 * answer is still being made is ours to keep. */
static int on_sweep(sd_event_source *source, uint64_t usec, void *arg)
{
	struct larderd *d = arg;
	int64_t now = clock_mono_ms();
	struct session *s, *tmp;

	(void)usec;
	DL_FOREACH_SAFE(d->sessions->all, s, tmp)
	if (s->broken || ((!s->busy || s->out) && now - s->stirred_ms > d->config.session_timeout))
		session_drop(s);
	sd_event_source_set_time_relative(source, 1000000);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int listen_at(const char *path, struct larder_error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return larder_error_set(err, errno, "socket: %s", strerror(errno));
	if (strlen(path) >= sizeof(addr.sun_path))
		return larder_error_set(err, ENAMETOOLONG,
					"socket %s: longer than %zu bytes; name a shorter path",
					path, sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return larder_error_set(err, EADDRINUSE, "socket %s: another larderd answers there",
					path);
	if (unlink(path) && errno != ENOENT)
		return larder_error_set(err, errno, "socket %s: %s", path, strerror(errno));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || chmod(path, 0666) ||
	    listen(fd, 4096))
		return larder_error_set(err, errno, "socket %s: %s", path, strerror(errno));
	return take_fd(&fd);
}

/* The socket's directory, and jobs/ beside it for the plugin's markers. */
static int make_run_dir(const char *socket_path, struct larder_error *err)
{
	auto_free char *dir = strdup(socket_path);
	char *slash = dir ? strrchr(dir, '/') : NULL;

	if (!slash || slash == dir)
		return larder_error_set(err, EINVAL, "socket %s: not in a directory", socket_path);
	*slash = '\0';
	if (mkdir(dir, 0755) && errno != EEXIST)
		return larder_error_set(err, errno, "mkdir %s: %s", dir, strerror(errno));
	return 0;
}

int sessions_open(struct larderd *d, struct larder_error *err)
{
	struct session_list *list;
	int fd, rc;

	if (make_run_dir(d->config.socket, err))
		return -err->code;
	fd = listen_at(d->config.socket, err);
	if (fd < 0)
		return fd;
	list = calloc(1, sizeof(*list));
	if (!list) {
		close(fd);
		return larder_error_set(err, ENOMEM, "out of memory");
	}
	list->fd = fd;
	d->sessions = list;
	rc = sd_event_add_io(d->event, &list->source, fd, EPOLLIN, on_accept, d);
	if (rc >= 0)
		rc = sd_event_add_time_relative(d->event, &list->sweep, CLOCK_MONOTONIC, 1000000, 0,
						on_sweep, d);
	return rc < 0 ? larder_error_set(err, rc, "event loop: %s", strerror(-rc)) : 0;
}

void sessions_close(struct larderd *d)
{
	struct session *s, *tmp;

	if (!d->sessions)
		return;
	DL_FOREACH_SAFE(d->sessions->all, s, tmp)
	session_drop(s);
	sd_event_source_unref(d->sessions->source);
	sd_event_source_unref(d->sessions->sweep);
	unlink(d->config.socket);
	close(d->sessions->fd);
	free(d->sessions);
	d->sessions = NULL;
}
