/*
 * Simulated nodes for larder-sched: the protocol of larderd's INVENTORY, each at a port of its own,
 * with trees that do not change. It must not do anything else. Called by fleet.sh as:
 *
 *   fleet_nodes NODES TREES MUNGE-SOCKET      prints "NAME HOST:PORT" for each, then serves until
 * it is ended
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fleet/serve.h"
#include "larder/cleanup.h"
#include "larder/text.h"
#include "larder/wire.h"
#include "fleet/frames.h"

#define DATASETS 2000 /* in the whole fleet */

struct sim {
	unsigned int index, trees;
	struct frames all; /* made once: here a thousand nodes share the processors that one has */
};

static void put_tree(struct frames *out, const struct sim *sim, unsigned int tree)
{
	unsigned int which = (sim->index * 7 + tree * 13) % DATASETS;
	char name[32], digest[LARDER_DIGEST_HEX + 1];
	const struct larder_msg_HELD held = {.id = tree + 1,
					     .name = name,
					     .version = "v1",
					     .digest = digest,
					     .state = LARDER_TREE_READY,
					     .owner = "",
					     .access = "public",
					     .shards = 1000,
					     .bytes = UINT64_C(1) << 36,
					     .present_bytes = UINT64_C(1) << 36,
					     .uses_milli = 1000,
					     .score_milli = which};

	snprintf(name, sizeof(name), "dataset-%u", which);
	snprintf(digest, sizeof(digest), "%032x", which);
	frames_add(out, LARDER_MSG_HELD, 0, &held, NULL);
}

static void inventory(const struct sim *sim, const struct larder_msg_INVENTORY *m,
		      struct frames *out)
{
	bool full = m->incarnation != 1 || !m->since;
	const struct larder_msg_STAND stand = {.incarnation = 1,
					       .seq = 1,
					       .full = full,
					       .node = "",
					       .version = "bench",
					       .drained = "",
					       .capacity = UINT64_C(1) << 42};

	if (full)
		frames_append(out, &sim->all);
	frames_add(out, LARDER_MSG_STAND, 0, &stand, NULL);
}

/* Whatever else it is told, it says yes to. */
static int answer(const struct fleet_peer *peer, const uint8_t *request, size_t len, uint8_t **out,
		  size_t *out_len, struct larder_error *err, void *arg)
{
	const struct larder_msg_DONE done = {.note = ""};
	auto_free uint8_t *copy = malloc(len + 1);
	struct frames frames = {0};
	union frames_row m;
	struct larder_head head;
	uint8_t *at = copy;

	(void)peer;
	if (!copy)
		return larder_error_set(err, ENOMEM, "out of memory");
	memcpy(copy, request, len);
	while (frames_next(&at, &len, &head, &m, err) > 0) {
		if (head.type == LARDER_MSG_INVENTORY)
			inventory(arg, &m.INVENTORY, &frames);
		frames_add(&frames, LARDER_MSG_DONE, head.seq, &done, NULL);
	}
	*out = frames.bytes;
	*out_len = frames.len;
	return 0;
}

static int start(struct sim *sim, const char *munge_socket, struct larder_error *err)
{
	char name[32];
	const struct fleet_serve_params params = {.address = "127.0.0.1:0",
						  .node = name,
						  .munge_socket = munge_socket,
						  .connections = 8,
						  .of_one = 8,
						  .timeout_s = 600,
						  .answer = answer,
						  .arg = sim};
	struct fleet_server *server;

	snprintf(name, sizeof(name), "s%u", sim->index);
	if (fleet_serve_start(&params, &server, err))
		return -err->code;
	printf("%s 127.0.0.1:%u\n", name, fleet_serve_port(server));
	return 0;
}

int main(int argc, char **argv)
{
	const struct rlimit files = {65536, 65536};
	struct larder_error err = {0};
	unsigned int n = argc == 4 ? (unsigned int)atoi(argv[1]) : 0;
	struct sim *sims = calloc(n + 1, sizeof(*sims));

	if (!n || !sims) {
		fprintf(stderr, "usage: fleet_nodes NODES TREES MUNGE-SOCKET\n");
		return 2;
	}
	setrlimit(RLIMIT_NOFILE, &files); /* fails where the limit is lower: then fewer fit */
	for (unsigned int i = 0; i < n; i++) {
		sims[i] = (struct sim){.index = i, .trees = (unsigned int)atoi(argv[2])};
		for (unsigned int tree = 0; tree < sims[i].trees; tree++)
			put_tree(&sims[i].all, &sims[i], tree);
		if (start(&sims[i], argv[3], &err)) {
			fprintf(stderr, "fleet_nodes: %s\n", err.text);
			return 1;
		}
	}
	fflush(stdout);
	pause();
	return 0;
}
