/*
 * Owns the ways to many nodes: sockets of this host, or the network, with addresses from
 * larder-sched when there is one. Finds out together who does not answer. Asks nothing but PING.
 * Called by fleet.c.
 */
#include "ctl/fleet_lines.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/fleet.h"
#include "ctl/network.h"
#include "core/hostlist.h"

#define AT_ONCE 256
#define STACK	262144

struct fleet_lines {
	const struct ctl *ctl;
	struct network_settings settings;
	char **addresses; /* of ctl's nodes; NULL: name and port */
	size_t begun;	  /* lines up to here were brought about */
	struct fleet_line batch[AT_ONCE];
};

/* --- where they are */

static int take_address(struct larder_row *row, void *arg, struct larder_error *err)
{
	struct fleet_lines *lines = arg;
	const struct larder_msg_NODE_ADDRESS *found = row->msg;

	(void)err;
	for (size_t i = 0; row->type == LARDER_MSG_NODE_ADDRESS && i < lines->ctl->n_nodes; i++)
		if (!lines->addresses[i] && strcmp(lines->ctl->nodes[i], found->node) == 0)
			lines->addresses[i] = strdup(found->address);
	return 0;
}

/* Without it nodes are asked at their names. */
static void ask_sched(struct fleet_lines *lines)
{
	const struct larder_msg_NODES msg = {.node_list = lines->ctl->options.nodes};
	struct larder_client *client = NULL;
	struct larder_error err = {0};
	int rc = network_open_sched(&lines->settings, &client, &err);

	if (!rc)
		rc = larder_client_call(client, LARDER_MSG_NODES, &msg, FLEET_CONNECT_MS,
					take_address, lines, NULL, &err);
	if (rc)
		ctl_complain("larder-sched does not say where nodes are: %s", err.text);
	larder_client_close(client);
}

static int open_remote(struct fleet_lines *lines, size_t node, struct fleet_line *line)
{
	const char *name = lines->ctl->nodes[node];
	char address[HOSTLIST_NAME_MAX + 16];

	snprintf(address, sizeof(address), "%s:%u", name, lines->settings.port);
	return network_open(&(struct network_peer){.address = lines->addresses[node]
								      ? lines->addresses[node]
								      : address,
						   .node = name,
						   .munge = lines->settings.munge},
			    &line->client, &line->err);
}

/* --- bringing them about */

struct knock {
	const struct ctl *ctl;
	const char *node;
	struct fleet_line *line;
	pthread_t thread;
	bool running;
};

/* A daemon that hangs is found out here, before a request that may rightly take long. */
static void *knock(void *arg)
{
	const struct knock *k = arg;
	const struct larder_msg_PING ping = {};
	struct fleet_line *line = k->line;

	if (!line->client)
		line->rc = larder_client_open(k->ctl->options.socket, k->node, FLEET_CONNECT_MS,
					      &line->client, &line->err);
	if (line->rc == 0)
		line->rc = larder_client_call(line->client, LARDER_MSG_PING, &ping,
					      FLEET_CONNECT_MS, NULL, NULL, NULL, &line->err);
	if (line->rc != 0) {
		larder_client_close(line->client);
		line->client = NULL;
	}
	return NULL;
}

static void knock_all(struct knock *knocks, size_t n)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	for (size_t i = 0; i < n; i++) {
		if (knocks[i].line->rc != 0)
			continue;
		knocks[i].running =
			n > 1 && pthread_create(&knocks[i].thread, &attr, knock, &knocks[i]) == 0;
		if (!knocks[i].running)
			knock(&knocks[i]);
	}
	for (size_t i = 0; i < n; i++)
		if (knocks[i].running)
			pthread_join(knocks[i].thread, NULL);
	pthread_attr_destroy(&attr);
}

static void bring_about(struct fleet_lines *lines)
{
	const struct ctl *ctl = lines->ctl;
	struct knock knocks[AT_ONCE] = {0};
	size_t n = 0;

	memset(lines->batch, 0, sizeof(lines->batch));
	for (; n < AT_ONCE && lines->begun < ctl->n_nodes; n++, lines->begun++) {
		const char *node = ctl->nodes[lines->begun];
		struct fleet_line *line = &lines->batch[n];

		knocks[n] = (struct knock){.ctl = ctl, .node = node, .line = line};
		if (!ctl_node_is_here(ctl, node))
			line->rc = open_remote(lines, lines->begun, line);
	}
	knock_all(knocks, n);
}

struct fleet_line *fleet_line(struct fleet_lines *lines, size_t node)
{
	if (node >= lines->begun)
		bring_about(lines);
	return &lines->batch[node % AT_ONCE];
}

int fleet_lines_create(const struct ctl *ctl, struct fleet_lines **out, struct larder_error *err)
{
	struct fleet_lines *lines = calloc(1, sizeof(*lines));

	if (lines)
		lines->addresses = calloc(ctl->n_nodes + 1, sizeof(*lines->addresses));
	if (!lines || !lines->addresses) {
		free(lines);
		return larder_error_set(err, ENOMEM, "out of memory");
	}
	lines->ctl = ctl;
	if (ctl->remote) {
		network_settings_read(&lines->settings);
		if (lines->settings.sched[0])
			ask_sched(lines);
	}
	*out = lines;
	return 0;
}

void fleet_lines_destroy(struct fleet_lines *lines)
{
	for (size_t i = 0; i < lines->ctl->n_nodes; i++)
		free(lines->addresses[i]);
	free(lines->addresses);
	free(lines);
}
