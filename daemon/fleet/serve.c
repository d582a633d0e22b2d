/*
 * Owns the listening side between machines: who is let in, what a request must look like, how the
 * answer is sealed. Knows nothing of what is asked. Has a thread of its own for each connection, so
 * that neither a slow munged nor a slow client is in anybody's way. Called by larderd and
 * larder-sched.
 */
#include "fleet/serve.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fleet/address.h"
#include "larder/cleanup.h"
#include "larder/clock.h"

#define SCHEME "MUNGE "

struct fleet_server {
	struct fleet_serve_params params;
	char *node, *munge_socket;
	struct MHD_Daemon *http;
};

/* One request on its way in. */
struct incoming {
	time_t begun;
	size_t len, room;
	uint8_t *bytes;
};

static time_t mono_s(void)
{
	return (time_t)(clock_mono_ms() / 1000);
}

static enum MHD_Result reply(struct MHD_Connection *connection, unsigned int status, void *bytes,
			     size_t len, const char *seal)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(len, bytes, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result ok;

	if (!response) {
		free(bytes);
		return MHD_NO;
	}
	if (seal)
		MHD_add_response_header(response, FLEET_SEAL_HEADER, seal);
	if (status == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "MUNGE");
	ok = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return ok;
}

static enum MHD_Result refuse(struct fleet_server *server, struct MHD_Connection *connection,
			      unsigned int status, const struct larder_error *err)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	char host[64] = "?", *text = strdup(err->text);

	if (info && info->client_addr)
		fleet_address_host(info->client_addr, host, sizeof(host));
	if (server->params.refused)
		server->params.refused(host, err, server->params.arg);
	return text ? reply(connection, status, text, strlen(text), NULL) : MHD_NO;
}

static unsigned int status_of(int rc)
{
	switch (-rc) {
	case ENOTCONN:
	case ENOMEM: return MHD_HTTP_SERVICE_UNAVAILABLE;
	default: return MHD_HTTP_UNAUTHORIZED;
	}
}

/* All of the request is there. */
static enum MHD_Result answer(struct fleet_server *server, struct MHD_Connection *connection,
			      const struct incoming *in)
{
	const char *credential = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
							     MHD_HTTP_HEADER_AUTHORIZATION);
	struct larder_error err = {0};
	char seal[SEAL_HEX_BYTES];
	struct fleet_peer peer;
	uint8_t *out = NULL;
	size_t len = 0;
	int rc;

	if (!credential || strncmp(credential, SCHEME, strlen(SCHEME)) != 0) {
		larder_error_set(&err, EACCES, "a MUNGE credential is needed");
		return refuse(server, connection, MHD_HTTP_UNAUTHORIZED, &err);
	}
	rc = credential_check(server->munge_socket, server->node, credential + strlen(SCHEME),
			      in->bytes, in->len, &peer, &err);
	if (rc)
		return refuse(server, connection, status_of(rc), &err);
	peer.connection =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	rc = server->params.answer(&peer, in->bytes, in->len, &out, &len, &err, server->params.arg);
	if (rc)
		return refuse(server, connection, MHD_HTTP_INTERNAL_SERVER_ERROR, &err);
	seal_make(&peer.key, out, len, seal);
	return reply(connection, MHD_HTTP_OK, out, len, seal);
}

static int take(struct fleet_server *server, struct incoming *in, const char *data, size_t len,
		struct larder_error *err)
{
	size_t need = in->len + len;

	if (need > FLEET_REQUEST_MAX)
		return larder_error_set(err, EMSGSIZE, "a request of over %u bytes",
					FLEET_REQUEST_MAX);
	if (mono_s() - in->begun > (time_t)server->params.timeout_s)
		return larder_error_set(err, ETIMEDOUT, "the request took longer than %u s",
					server->params.timeout_s);
	if (need > in->room) {
		size_t room = need < 4096 ? 4096 : 2 * need;
		uint8_t *more = realloc(in->bytes, room);

		if (!more)
			return larder_error_set(err, ENOMEM, "out of memory");
		in->bytes = more;
		in->room = room;
	}
	memcpy(in->bytes + in->len, data, len);
	in->len = need;
	return 0;
}

static enum MHD_Result begin(struct fleet_server *server, struct MHD_Connection *connection,
			     const char *url, const char *method, void **state)
{
	struct larder_error err = {0};
	struct incoming *in;

	if (strcmp(url, FLEET_PATH) != 0) {
		larder_error_set(&err, ENOENT, "there is only %s here", FLEET_PATH);
		return refuse(server, connection, MHD_HTTP_NOT_FOUND, &err);
	}
	if (strcmp(method, MHD_HTTP_METHOD_POST) != 0) {
		larder_error_set(&err, EINVAL, "%s takes POST alone", FLEET_PATH);
		return refuse(server, connection, MHD_HTTP_METHOD_NOT_ALLOWED, &err);
	}
	in = calloc(1, sizeof(*in));
	if (!in)
		return MHD_NO;
	in->begun = mono_s();
	*state = in;
	return MHD_YES;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *len, void **state)
{
	struct fleet_server *server = arg;
	struct larder_error err = {0};

	(void)version;
	if (!*state)
		return begin(server, connection, url, method, state);
	if (*len == 0)
		return answer(server, connection, *state);
	if (take(server, *state, data, *len, &err)) {
		if (server->params.refused)
			server->params.refused("a client", &err, server->params.arg);
		return MHD_NO; /* the rest of it is not waited for */
	}
	*len = 0;
	return MHD_YES;
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode how)
{
	struct incoming *in = *state;

	(void)arg;
	(void)connection;
	(void)how;
	if (in)
		free(in->bytes);
	free(in);
	*state = NULL;
}

static int listen_at(const struct fleet_serve_params *params, struct larder_error *err)
{
	struct sockaddr_storage address;
	auto_fd int fd = -1;
	socklen_t len;
	int one = 1;

	if (fleet_address_parse(params->address, &address, &len, err))
		return -err->code;
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&address, len) || listen(fd, 1024))
		return larder_error_set(err, errno, "listen at %s: %s", params->address,
					strerror(errno));
	return take_fd(&fd);
}

static int http_start(struct fleet_server *server, int fd, struct larder_error *err)
{
	const struct fleet_serve_params *p = &server->params;

	server->http = MHD_start_daemon(
		MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
			MHD_USE_ITC,
		0, NULL, NULL, on_request, server, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, p->connections, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		p->of_one, MHD_OPTION_CONNECTION_TIMEOUT, p->timeout_s,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)65536, MHD_OPTION_THREAD_STACK_SIZE,
		(size_t)262144, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
	return server->http ? 0 : larder_error_set(err, EIO, "the HTTP service does not start");
}

int fleet_serve_start(const struct fleet_serve_params *params, struct fleet_server **out,
		      struct larder_error *err)
{
	struct fleet_server *server = calloc(1, sizeof(*server));
	int fd;

	*out = NULL;
	if (!server)
		return larder_error_set(err, ENOMEM, "out of memory");
	server->params = *params;
	server->node = strdup(params->node);
	server->munge_socket = strdup(params->munge_socket);
	fd = listen_at(params, err);
	if (fd < 0 || http_start(server, fd, err)) {
		if (fd >= 0)
			close(fd);
		fleet_serve_stop(server);
		return -err->code;
	}
	*out = server;
	return 0;
}

unsigned int fleet_serve_port(const struct fleet_server *server)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(server->http, MHD_DAEMON_INFO_BIND_PORT);

	return info ? info->port : 0;
}

void fleet_serve_stop(struct fleet_server *server)
{
	if (!server)
		return;
	if (server->http)
		MHD_stop_daemon(server->http);
	free(server->node);
	free(server->munge_socket);
	free(server);
}
