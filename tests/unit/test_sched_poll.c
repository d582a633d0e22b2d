/*
 * larder-sched without Slurm: nodes (their protocol, in this process) are polled over a real
 * munged, and people are answered from what they said.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "log/log.h"
#include "munged.h"
#include "sched/control.h"
#include "sched/visible.h"
#include "scratch.h"

#define NODES  3
#define TRIES  1200 /* of 25 ms */
#define ALICE  4242 /* nobody's number here */
#define DIGEST "00112233445566778899aabbccddeeff"

/* A node: a server and what it says. */
struct fake {
	struct world *world;
	struct fleet_server *server;
	unsigned int index;
	_Atomic uint64_t seq; /* what it is at; 1: two trees, 2: one more, one gone */
	_Atomic unsigned int asked, full, idle, ordered, may;
};

struct world {
	char *dir;
	char socket[MUNGED_SOCKET_BYTES];
	pid_t munged;
	struct fake fakes[NODES];
	struct sched sched;
};

/* --- the nodes' side */

static void held(struct frames *out, uint64_t id, const char *name, const char *access,
		 const char *owner)
{
	const struct larder_msg_HELD row = {.id = id,
					    .name = name,
					    .version = "v1",
					    .digest = DIGEST,
					    .state = LARDER_TREE_READY,
					    .owner = owner,
					    .access = access,
					    .bytes = 1000,
					    .present_bytes = 1000,
					    .leases = 1};

	frames_add(out, LARDER_MSG_HELD, 0, &row, NULL);
}

/* All have "common"; one more of its own by index. */
static void inventory(struct fake *fake, const struct larder_msg_INVENTORY *m, struct frames *out)
{
	static const char *const own[NODES] = {"first", "second", "third"};
	uint64_t seq = fake->seq;
	bool full = m->incarnation != 7 || m->since == 0;
	struct larder_msg_STAND stand = {.incarnation = 7,
					 .seq = seq,
					 .full = full,
					 .node = "",
					 .version = "1",
					 .drained = "",
					 .capacity = 1 << 20};
	const struct larder_msg_GONE gone = {.id = 2};

	fake->full += full;
	fake->idle += !full && m->since == seq;
	if (full)
		held(out, 1, "common", "public", "");
	if (full && seq == 1)
		held(out, 2, own[fake->index], "origin", fake->index == 2 ? "4243" : "");
	if (seq == 2 && m->since < 2) {
		held(out, 3, "late", "public", "");
		frames_add(out, LARDER_MSG_GONE, 0, &gone, NULL);
	}
	frames_add(out, LARDER_MSG_STAND, 0, &stand, NULL);
}

/* Only `first` is for everybody. */
static void answer_one(struct fake *fake, unsigned int type, const union frames_row *m,
		       struct frames *out)
{
	const struct larder_msg_DONE done = {.note = ""};
	const struct larder_msg_ERROR no = {.code = EACCES, .text = "no"};
	bool refuse = false;

	if (type == LARDER_MSG_INVENTORY) {
		inventory(fake, &m->INVENTORY, out);
		fake->asked++;
	} else if (type == LARDER_MSG_MAY) {
		fake->may++;
		refuse = m->MAY.uid != ALICE || strcmp(m->MAY.name, "first") != 0;
	} else {
		fake->ordered++;
	}
	if (refuse)
		frames_add(out, LARDER_MSG_ERROR, 0, &no, NULL);
	else
		frames_add(out, LARDER_MSG_DONE, 0, &done, NULL);
}

static int answer(const struct fleet_peer *peer, const uint8_t *request, size_t len, uint8_t **out,
		  size_t *out_len, struct larder_error *err, void *arg)
{
	auto_free uint8_t *copy = malloc(len + 1);
	uint8_t *at = copy;
	struct frames frames = {0};
	union frames_row m;
	struct larder_head head;

	(void)peer;
	memcpy(copy, request, len);
	while (frames_next(&at, &len, &head, &m, err) > 0)
		answer_one(arg, head.type, &m, &frames);
	*out = frames.bytes;
	*out_len = frames.len;
	return 0;
}

static void fake_start(struct world *w, unsigned int i, unsigned int port)
{
	char name[16], address[64];
	struct fleet_serve_params params = {.address = address,
					    .node = name,
					    .munge_socket = w->socket,
					    .connections = 64,
					    .of_one = 64,
					    .timeout_s = 60,
					    .answer = answer,
					    .arg = &w->fakes[i]};
	struct larder_error err = {0};

	snprintf(name, sizeof(name), "n%u", i + 1);
	snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	if (fleet_serve_start(&params, &w->fakes[i].server, &err))
		fail_msg("%s", err.text);
}

/* --- larder-sched's side */

static void configure(struct world *w)
{
	const char *path = scratch_path(w->dir, "conf");
	struct larder_error err = {0};
	FILE *nodes = fopen(scratch_path(w->dir, "nodes"), "w"), *conf = fopen(path, "w");

	assert_non_null(nodes);
	assert_non_null(conf);
	fprintf(nodes, "# the nodes\n");
	for (unsigned int i = 0; i < NODES; i++)
		fprintf(nodes, "n%u 127.0.0.1:%u\n", i + 1, fleet_serve_port(w->fakes[i].server));
	fclose(nodes);
	fprintf(conf,
		"munge_socket = \"%s\"\nnodes_file = \"%s/nodes\"\nask_slurm = false\n"
		"poll_every = \"100ms\"\nnode_timeout = \"20s\"\nsilent_after = \"1s\"\n",
		w->socket, w->dir);
	fclose(conf);
	if (sched_config_load(path, &w->sched.config, &err) || nodes_file_read(&w->sched, &err))
		fail_msg("%s", err.text);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct larder_error err = {0};

	log_set_level(LOG_LEVEL_ERR);
	w->dir = scratch_create();
	w->munged = munged_start(w->dir, w->socket);
	pthread_mutex_init(&w->sched.lock, NULL);
	for (unsigned int i = 0; i < NODES; i++) {
		w->fakes[i].world = w;
		w->fakes[i].index = i;
		w->fakes[i].seq = 1;
		fake_start(w, i, 0);
	}
	configure(w);
	w->sched.visible = visible_cache_create();
	if (poller_start(&w->sched, &w->sched.poller, &err))
		fail_msg("%s", err.text);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	poller_stop(w->sched.poller);
	for (unsigned int i = 0; i < NODES; i++)
		fleet_serve_stop(w->fakes[i].server);
	model_fini(&w->sched.model);
	visible_cache_destroy(w->sched.visible);
	sched_config_fini(&w->sched.config);
	pthread_mutex_destroy(&w->sched.lock);
	munged_stop(w->munged);
	scratch_destroy(w->dir);
	free(w);
	return 0;
}

static bool all_asked(struct world *w)
{
	unsigned int rounds;

	sched_lock(&w->sched);
	rounds = w->sched.rounds;
	sched_unlock(&w->sched);
	return rounds > 0;
}

static bool all_idle(struct world *w)
{
	for (unsigned int i = 0; i < NODES; i++)
		if (w->fakes[i].idle < 2)
			return false;
	return true;
}

static bool has_late(struct world *w)
{
	struct node *node;
	bool late;

	sched_lock(&w->sched);
	node = model_find(&w->sched.model, "n2");
	late = node->seq == 2 && node->n == 2 && node->held[1].id == 3;
	sched_unlock(&w->sched);
	return late;
}

static bool is_silent(struct world *w)
{
	bool silent;

	sched_lock(&w->sched);
	silent = model_find(&w->sched.model, "n2")->problem != NULL;
	sched_unlock(&w->sched);
	return silent;
}

static bool answers_again(struct world *w)
{
	return !is_silent(w);
}

static void await(struct world *w, bool (*is)(struct world *))
{
	for (int i = 0; !is(w); i++) {
		assert_true(i < TRIES);
		poll(NULL, 0, 25);
	}
}

/* --- what larder(1) would be told: rows in short, sorted as they came */

static void put_row(FILE *out, unsigned int type, const union frames_row *m)
{
	if (type == LARDER_MSG_FLEET_TREE)
		fprintf(out, "%s:%s %u/%u %s\n", m->FLEET_TREE.name, m->FLEET_TREE.version,
			m->FLEET_TREE.ready, m->FLEET_TREE.nodes, m->FLEET_TREE.node_list);
	else if (type == LARDER_MSG_FLEET_NODE)
		fprintf(out, "%s %s %u\n", m->FLEET_NODE.node, m->FLEET_NODE.state,
			m->FLEET_NODE.trees);
	else if (type == LARDER_MSG_SILENT)
		fprintf(out, "silent %s\n", m->SILENT.node);
	else if (type == LARDER_MSG_NODE_ADDRESS)
		fprintf(out, "%s\n", m->NODE_ADDRESS.node);
	else if (type == LARDER_MSG_TEXT)
		fprintf(out, "%s\n", m->TEXT.text);
	else if (type == LARDER_MSG_ERROR)
		fprintf(out, "error %u\n", m->ERROR.code);
}

static char *ask(struct world *w, uid_t uid, unsigned int type, const void *msg)
{
	struct fleet_peer peer = {.uid = uid, .gid = uid};
	struct frames request = {0};
	struct larder_error err = {0};
	union frames_row m;
	struct larder_head head;
	uint8_t *answer = NULL, *at;
	char *text = NULL;
	size_t len = 0, room;
	FILE *out = open_memstream(&text, &room);

	assert_int_equal(frames_add(&request, type, 1, msg, &err), 0);
	assert_int_equal(
		serve_answer(&peer, request.bytes, request.len, &answer, &len, &err, &w->sched), 0);
	at = answer;
	while (frames_next(&at, &len, &head, &m, &err) > 0) {
		assert_int_equal(head.seq, 1);
		put_row(out, head.type, &m);
	}
	assert_int_equal(len, 0);
	fclose(out);
	free(answer);
	frames_fini(&request);
	return text;
}

static void told(struct world *w, uid_t uid, unsigned int type, const void *msg, const char *wanted)
{
	char *text = ask(w, uid, type, msg);

	assert_string_equal(text, wanted);
	free(text);
}

/* --- tests */

static void nodes_are_asked_once_for_all_and_then_for_what_changed(void **state)
{
	struct world *w = *state;

	await(w, all_idle);
	for (unsigned int i = 0; i < NODES; i++)
		assert_int_equal(w->fakes[i].full, 1);
	w->fakes[1].seq = 2;
	await(w, has_late);
	assert_int_equal(w->fakes[1].full, 1);
}

static void a_node_that_is_gone_is_named_and_found_again(void **state)
{
	const struct larder_msg_FLEET_LIST list = {.pattern = "common"};
	struct world *w = *state;
	unsigned int port = fleet_serve_port(w->fakes[1].server);

	await(w, all_asked);
	fleet_serve_stop(w->fakes[1].server);
	w->fakes[1].server = NULL;
	await(w, is_silent);
	told(w, 0, LARDER_MSG_FLEET_LIST, &list, "common:v1 3/3 n[1-3]\nsilent n2\n");
	fake_start(w, 1, port);
	await(w, answers_again);
	told(w, 0, LARDER_MSG_FLEET_LIST, &list, "common:v1 3/3 n[1-3]\n");
}

static void a_user_sees_what_that_user_may(void **state)
{
	const struct larder_msg_FLEET_LIST all = {.pattern = ""}, second = {.pattern = "second"};
	struct world *w = *state;

	await(w, all_asked);
	told(w, 0, LARDER_MSG_FLEET_LIST, &all,
	     "common:v1 3/3 n[1-3]\nfirst:v1 1/1 n1\nsecond:v1 1/1 n2\nthird:v1 1/1 n3\n");
	told(w, ALICE, LARDER_MSG_FLEET_LIST, &all, "common:v1 3/3 n[1-3]\nfirst:v1 1/1 n1\n");
	assert_int_equal(w->fakes[0].may, 1);
	/* remembered, the yes and the no */
	told(w, ALICE, LARDER_MSG_FLEET_LIST, &all, "common:v1 3/3 n[1-3]\nfirst:v1 1/1 n1\n");
	told(w, ALICE, LARDER_MSG_FLEET_LIST, &second, "error 2\n");
	assert_int_equal(w->fakes[0].may, 1);
	assert_int_equal(w->fakes[1].may, 1);
	/* of another user nothing is known; what is that user's own needs no asking */
	told(w, ALICE + 1, LARDER_MSG_FLEET_LIST, &all, "common:v1 3/3 n[1-3]\nthird:v1 1/1 n3\n");
	assert_int_equal(w->fakes[2].may, 0);
}

static void nodes_and_sentences(void **state)
{
	const struct larder_msg_FLEET_STATUS status = {};
	const struct larder_msg_NODES some = {.node_list = "n[1-2]"}, all = {.node_list = ""},
				      bad = {.node_list = "n[1"}, unknown = {.node_list = "n9"};
	const struct larder_msg_FLEET_EXPLAIN common = {.spec = "common"},
					      none = {.spec = "none-such"},
					      hidden = {.spec = "second:v1"};
	const struct larder_msg_LIST other = {.pattern = ""};
	struct world *w = *state;
	char *text;

	await(w, all_asked);
	told(w, ALICE, LARDER_MSG_FLEET_STATUS, &status, "n1 up 2\nn2 up 2\nn3 up 2\n");
	told(w, ALICE, LARDER_MSG_NODES, &some, "n1\nn2\n");
	told(w, ALICE, LARDER_MSG_NODES, &all, "n1\nn2\nn3\n");
	told(w, ALICE, LARDER_MSG_NODES, &bad, "error 22\n");
	told(w, ALICE, LARDER_MSG_NODES, &unknown, "error 2\n");
	told(w, ALICE, LARDER_MSG_FLEET_EXPLAIN, &none, "error 2\n");
	told(w, ALICE, LARDER_MSG_FLEET_EXPLAIN, &hidden, "error 2\n");
	told(w, ALICE, LARDER_MSG_LIST, &other, "error 95\n");
	text = ask(w, ALICE, LARDER_MSG_FLEET_EXPLAIN, &common);
	assert_non_null(strstr(text, "common:v1 (1000 B) is ready on 3 nodes: n[1-3]\n"));
	free(text);
}

static bool ordered(struct world *w)
{
	return w->fakes[0].ordered > 0;
}

/* Far sooner than the next round would be. */
static void orders_go_out_when_poked(void **state)
{
	const struct larder_msg_FORGET forget = {.job_id = 5};
	struct world *w = *state;

	await(w, all_asked);
	sched_lock(&w->sched);
	assert_int_equal(frames_add(&model_find(&w->sched.model, "n1")->orders, LARDER_MSG_FORGET,
				    1, &forget, NULL),
			 0);
	sched_unlock(&w->sched);
	poller_poke(w->sched.poller);
	await(w, ordered);
	assert_int_equal(w->fakes[0].ordered, 1);
	assert_int_equal(w->fakes[1].ordered, 0);
}

static void rubbish_is_refused(void **state)
{
	struct fleet_peer peer = {.uid = 0};
	struct larder_error err = {0};
	struct world *w = *state;
	uint8_t *out = NULL, noise[100];
	size_t len = 0;

	memset(noise, 'x', sizeof(noise));
	assert_true(serve_answer(&peer, noise, sizeof(noise), &out, &len, &err, &w->sched) < 0);
	assert_true(serve_answer(&peer, noise, 5, &out, &len, &err, &w->sched) < 0);
}

static void back_off(void **state)
{
	(void)state;
	assert_true(poller_backoff_ms(1000, 1) < 1000); /* the next round */
	assert_in_range(poller_backoff_ms(1000, 2), 2001, 2999);
	assert_in_range(poller_backoff_ms(1000, 3), 5001, 5999);
	assert_in_range(poller_backoff_ms(1000, 1000), 5001, 5999);
}

#define fleet_test(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		fleet_test(nodes_are_asked_once_for_all_and_then_for_what_changed),
		fleet_test(a_node_that_is_gone_is_named_and_found_again),
		fleet_test(a_user_sees_what_that_user_may),
		fleet_test(nodes_and_sentences),
		fleet_test(orders_go_out_when_poked),
		fleet_test(rubbish_is_refused),
		cmocka_unit_test(back_off),
	};

	return cmocka_run_group_tests_name("sched_poll", tests, NULL, NULL);
}
