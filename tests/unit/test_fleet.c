/*
 * What lies between machines, against a real munged with a key of its own: who may ask, what a
 * credential is bound to, and how an answer proves where it comes from.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fleet/address.h"
#include "fleet/call.h"
#include "fleet/credential.h"
#include "fleet/munge.h"
#include "fleet/serve.h"
#include "larder/cleanup.h"
#include "munged.h"
#include "scratch.h"

struct world {
	char *dir;
	char socket[MUNGED_SOCKET_BYTES];
	pid_t munged;
	struct fleet_server *server;
	char address[64];
	_Atomic unsigned int asked, refused;
	_Atomic uid_t uid;
	size_t answer_len; /* 0: what was asked */
	_Atomic int hold_ms;
};

static int echo(const struct fleet_peer *peer, const uint8_t *request, size_t len, uint8_t **out,
		size_t *out_len, struct larder_error *err, void *arg)
{
	struct world *w = arg;

	w->asked++;
	w->uid = peer->uid;
	if (len == 4 && memcmp(request, "fail", 4) == 0)
		return larder_error_set(err, EIO, "it fails");
	poll(NULL, 0, w->hold_ms);
	*out_len = w->answer_len ? w->answer_len : len;
	*out = calloc(1, *out_len + 1);
	memcpy(*out, request, len < *out_len ? len : *out_len);
	return 0;
}

static void count_refused(const char *address, const struct larder_error *err, void *arg)
{
	struct world *w = arg;

	(void)address;
	assert_true(err->text[0]);
	w->refused++;
}

static void serve(struct world *w, const char *node)
{
	struct fleet_serve_params params = {.address = "127.0.0.1:0",
					    .node = node,
					    .munge_socket = w->socket,
					    .connections = 64,
					    .of_one = 64,
					    .timeout_s = 60,
					    .answer = echo,
					    .refused = count_refused,
					    .arg = w};
	struct larder_error err = {0};

	if (fleet_serve_start(&params, &w->server, &err))
		fail_msg("%s", err.text);
	snprintf(w->address, sizeof(w->address), "127.0.0.1:%u", fleet_serve_port(w->server));
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->dir = scratch_create();
	w->munged = munged_start(w->dir, w->socket);
	serve(w, "n1");
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	fleet_serve_stop(w->server);
	munged_stop(w->munged);
	scratch_destroy(w->dir);
	free(w);
	return 0;
}

static struct fleet_call call_of(const struct world *w, const char *request)
{
	return (struct fleet_call){.address = w->address,
				   .node = "n1",
				   .to = 0,
				   .request = request,
				   .len = strlen(request),
				   .timeout_ms = 60000};
}

static void ask(struct world *w, struct fleet_call *calls, size_t n, unsigned int at_once,
		const _Atomic int *stop)
{
	struct fleet_caller *caller;
	struct larder_error err;

	assert_int_equal(fleet_caller_create(w->socket, at_once, 64, &caller, &err), 0);
	fleet_call_all(caller, calls, n, NULL, stop);
	fleet_caller_destroy(caller);
}

static void a_request_is_answered_and_its_asker_known(void **state)
{
	struct world *w = *state;
	struct fleet_call call = call_of(w, "hello");

	w->uid = 77;
	ask(w, &call, 1, 1, NULL);
	if (call.rc)
		fail_msg("%s", call.err.text);
	assert_int_equal(call.answer_len, 5);
	assert_memory_equal(call.answer, "hello", 5);
	assert_int_equal(w->uid, getuid());
	free(call.answer);
}

static void large_answers_come_whole(void **state)
{
	struct world *w = *state;
	struct fleet_call call = call_of(w, "hello");

	w->answer_len = 9 << 20;
	ask(w, &call, 1, 1, NULL);
	assert_int_equal(call.rc, 0);
	assert_int_equal(call.answer_len, 9 << 20);
	free(call.answer);
}

static void many_are_asked_over_few_lines(void **state)
{
	struct world *w = *state;
	struct fleet_call calls[100];
	char text[100][16];

	for (unsigned int i = 0; i < 100; i++) {
		snprintf(text[i], sizeof(text[i]), "question %u", i);
		calls[i] = call_of(w, text[i]);
	}
	ask(w, calls, 100, 8, NULL);
	for (unsigned int i = 0; i < 100; i++) {
		assert_int_equal(calls[i].rc, 0);
		assert_int_equal(calls[i].answer_len, strlen(text[i]));
		assert_memory_equal(calls[i].answer, text[i], strlen(text[i]));
		free(calls[i].answer);
	}
	assert_int_equal(w->asked, 100);
}

static void a_dead_machine_delays_nobody_but_its_own_call(void **state)
{
	struct world *w = *state;
	auto_fd int hung = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_storage addr;
	struct fleet_call calls[3];
	struct larder_error err;
	char address[32];
	socklen_t len;

	/* listens, but nobody accepts: the request is never read */
	assert_int_equal(fleet_address_parse("127.0.0.1:0", &addr, &len, &err), 0);
	assert_int_equal(bind(hung, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(hung, 8), 0);
	assert_int_equal(getsockname(hung, (struct sockaddr *)&addr, &len), 0);
	snprintf(address, sizeof(address), "127.0.0.1:%u",
		 ntohs(((struct sockaddr_in *)(void *)&addr)->sin_port));
	for (int i = 0; i < 3; i++)
		calls[i] = call_of(w, "x");
	calls[0].address = address;
	calls[0].timeout_ms = 500;
	calls[1].address = "127.0.0.1:1"; /* nobody listens */
	ask(w, calls, 3, 3, NULL);
	assert_int_equal(calls[0].rc, -ETIMEDOUT);
	assert_int_equal(calls[1].rc, -ECONNREFUSED);
	assert_int_equal(calls[2].rc, 0);
	assert_null(calls[0].answer);
	free(calls[2].answer);
}

static void a_credential_for_another_node_is_refused(void **state)
{
	struct world *w = *state;
	struct fleet_call call = call_of(w, "hello");

	call.node = "n2";
	ask(w, &call, 1, 1, NULL);
	assert_int_equal(call.rc, -EACCES);
	assert_non_null(strstr(call.err.text, "another node than n1"));
	assert_int_equal(w->asked, 0);
	assert_int_equal(w->refused, 1);
}

static void a_failure_is_told_with_its_sentence(void **state)
{
	struct world *w = *state;
	struct fleet_call call = call_of(w, "fail");

	ask(w, &call, 1, 1, NULL);
	assert_int_equal(call.rc, -EIO);
	assert_non_null(strstr(call.err.text, "it fails"));
	assert_null(call.answer);
}

static void a_stop_ends_what_is_left(void **state)
{
	struct world *w = *state;
	struct fleet_call calls[4];
	_Atomic int stop = 1;

	for (int i = 0; i < 4; i++)
		calls[i] = call_of(w, "x");
	ask(w, calls, 4, 2, &stop);
	for (int i = 0; i < 4; i++)
		assert_int_equal(calls[i].rc, -ECANCELED);
}

static void too_much_is_not_taken(void **state)
{
	struct world *w = *state;
	struct fleet_call call = call_of(w, "");
	auto_free char *much = calloc(1, FLEET_REQUEST_MAX + 1);

	call.request = much;
	call.len = FLEET_REQUEST_MAX + 1;
	ask(w, &call, 1, 1, NULL);
	assert_true(call.rc < 0);
	assert_int_equal(w->asked, 0);
	call.len = FLEET_REQUEST_MAX;
	ask(w, &call, 1, 1, NULL);
	assert_int_equal(call.rc, 0);
	free(call.answer);
}

/* Sends text as it is and gives back the status, 0 when the connection was closed. */
static int raw(const struct world *w, const char *text)
{
	struct sockaddr_storage addr;
	struct larder_error err;
	char answer[4096] = "";
	auto_fd int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len;
	ssize_t n;

	assert_int_equal(fleet_address_parse(w->address, &addr, &len, &err), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	n = recv(fd, answer, sizeof(answer) - 1, 0);
	return n > 12 ? atoi(answer + strlen("HTTP/1.1 ")) : 0;
}

static void who_has_no_credential_is_refused(void **state)
{
	struct world *w = *state;

	assert_int_equal(raw(w, "POST /larder/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"),
			 401);
	assert_int_equal(raw(w, "POST /larder/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
				"Authorization: MUNGE MUNGE:AwQ=:\r\n\r\nx"),
			 401);
	assert_int_equal(raw(w, "POST /larder/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
				"Authorization: Basic eA==\r\n\r\nx"),
			 401);
	assert_int_equal(raw(w, "GET /larder/1 HTTP/1.1\r\nHost: a\r\n\r\n"), 405);
	assert_int_equal(raw(w, "POST /../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
	assert_int_equal(w->asked, 0);
	assert_int_equal(w->refused, 5);
}

static void a_credential_is_bound_and_used_once(void **state)
{
	struct world *w = *state;
	auto_free char *one = NULL, *two = NULL, *three = NULL;
	struct larder_error err = {0};
	struct fleet_peer peer;
	struct seal_key key;

	assert_int_equal(credential_make(w->socket, "n1", 0, "abc", 3, &one, &key, &err), 0);
	assert_int_equal(credential_check(w->socket, "n1", one, "abc", 3, &peer, &err), 0);
	assert_memory_equal(&peer.key, &key, sizeof(key));
	assert_int_equal(credential_check(w->socket, "n1", one, "abc", 3, &peer, &err), -EALREADY);
	assert_int_equal(credential_make(w->socket, "n1", 0, "abc", 3, &two, &key, &err), 0);
	assert_int_equal(credential_check(w->socket, "n1", two, "abd", 3, &peer, &err), -EACCES);
	assert_int_equal(credential_make(w->socket, "n1", 12345, "abc", 3, &three, &key, &err), 0);
	three[strlen(three) / 2] ^= 1;
	assert_int_equal(credential_check(w->socket, "n1", three, "abc", 3, &peer, &err), -EBADMSG);
}

static void a_credential_for_another_purpose_is_none(void **state)
{
	struct world *w = *state;
	auto_free char *foreign = NULL;
	struct larder_error err = {0};
	struct fleet_peer peer;

	assert_int_equal(munge_make(w->socket, "job 5", 5, 0, &foreign, &err), 0);
	assert_int_equal(credential_check(w->socket, "n1", foreign, "abc", 3, &peer, &err),
			 -EBADMSG);
	assert_non_null(strstr(err.text, "not one of larder's"));
}

static void without_munged_nobody_is_let_in(void **state)
{
	struct world *w = *state;
	auto_free char *credential = NULL;
	struct larder_error err = {0};
	struct seal_key key;

	assert_int_equal(credential_make(scratch_path(w->dir, "nobody"), "n1", 0, "abc", 3,
					 &credential, &key, &err),
			 -ENOTCONN);
	assert_null(credential);
}

static void a_seal_fits_its_bytes_and_its_key_alone(void **state)
{
	struct seal_key key, other;
	char hex[SEAL_HEX_BYTES];

	(void)state;
	seal_key_make(&key);
	seal_key_make(&other);
	assert_memory_not_equal(&key, &other, sizeof(key));
	seal_make(&key, "abc", 3, hex);
	assert_true(seal_fits(&key, "abc", 3, hex));
	assert_false(seal_fits(&key, "abd", 3, hex));
	assert_false(seal_fits(&key, "ab", 2, hex));
	assert_false(seal_fits(&other, "abc", 3, hex));
	assert_false(seal_fits(&key, "abc", 3, ""));
	hex[5] = hex[5] == 'a' ? 'b' : 'a';
	assert_false(seal_fits(&key, "abc", 3, hex));
}

static void addresses_are_numbers_with_a_port(void **state)
{
	static const char *const good[] = {"127.0.0.1:6820", "0.0.0.0:0", "[::1]:6820", "[::]:1"};
	static const char *const bad[] = {
		"",	    "6820",	      ":6820",	      "127.0.0.1", "127.0.0.1:",
		"::1:6820", "[::1]",	      "localhost:1",  "1.2.3.4:x", "1.2.3.4:-1",
		"[1.2:3",   "1.2.3.4:123456", "1.2.3.4:6820 "};
	struct sockaddr_storage addr;
	struct larder_error err;
	socklen_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (fleet_address_parse(good[i], &addr, &len, &err))
			fail_msg("%s", err.text);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (fleet_address_parse(bad[i], &addr, &len, &err) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
}

int main(void)
{
#define with_munged(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		with_munged(a_request_is_answered_and_its_asker_known),
		with_munged(large_answers_come_whole),
		with_munged(many_are_asked_over_few_lines),
		with_munged(a_dead_machine_delays_nobody_but_its_own_call),
		with_munged(a_credential_for_another_node_is_refused),
		with_munged(a_failure_is_told_with_its_sentence),
		with_munged(a_stop_ends_what_is_left),
		with_munged(too_much_is_not_taken),
		with_munged(who_has_no_credential_is_refused),
		with_munged(a_credential_is_bound_and_used_once),
		with_munged(a_credential_for_another_purpose_is_none),
		with_munged(without_munged_nobody_is_let_in),
		cmocka_unit_test(a_seal_fits_its_bytes_and_its_key_alone),
		cmocka_unit_test(addresses_are_numbers_with_a_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
