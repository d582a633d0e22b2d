/*
 * Owns the answers to larder(1): the frames in, rows and an end out, for each request.
 * Must not show what visible.c does not let through, nor keep the lock while it waits.
 * Called by fleet/serve.c, on a thread for each connection.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hostlist.h"
#include "larder/cleanup.h"
#include "larder/clock.h"
#include "larder/spec.h"
#include "sched/explain.h"
#include "fleet/frames.h"
#include "sched/nodeset.h"
#include "sched/view.h"

/* One request and where its rows go. */
struct reply {
	struct sched *sched;
	struct viewer viewer;
	struct frames *out;
	uint32_t seq;
};

static int row(struct reply *reply, unsigned int type, const void *msg, struct larder_error *err)
{
	return frames_add(reply->out, type, reply->seq, msg, err);
}

/* --- who does not answer */

struct silent {
	char *node, *why;
	int64_t since_s;
};

static size_t collect_silent(struct sched *sched, struct silent **out)
{
	struct silent *all;
	size_t n = 0;

	sched_lock(sched);
	all = calloc(HASH_COUNT(sched->model.nodes) + 1, sizeof(*all));
	for (struct node *node = sched->model.nodes; all && node; node = node->hh.next) {
		if (!node->address || (node->here && !node->problem))
			continue;
		all[n++] = (struct silent){
			.node = strdup(node->name),
			.why = strdup(node->problem ? node->problem : "not asked yet"),
			.since_s = node->seen_s};
	}
	sched_unlock(sched);
	*out = all;
	return n;
}

static int say_silent(struct reply *reply, struct larder_error *err)
{
	struct silent *all;
	size_t n = collect_silent(reply->sched, &all);
	int rc = all ? 0 : larder_error_set(err, ENOMEM, "out of memory");

	for (size_t i = 0; i < n; i++) {
		const struct larder_msg_SILENT silent = {
			.node = all[i].node, .since_s = all[i].since_s, .why = all[i].why};

		if (!rc)
			rc = row(reply, LARDER_MSG_SILENT, &silent, err);
		free(all[i].node);
		free(all[i].why);
	}
	free(all);
	return rc;
}

/* --- FLEET_LIST */

static int say_set(struct reply *reply, const struct view_set *set, struct larder_error *err)
{
	auto_free char *nodes = fleet_view_nodes(set, false);
	const struct larder_msg_FLEET_TREE tree = {.name = set->name,
						   .version = set->version_text,
						   .digest = set->digest,
						   .owner = set->owner,
						   .access = set->access,
						   .bytes = set->bytes,
						   .nodes = set->n,
						   .ready = set->ready,
						   .copies_bytes = set->copies_bytes,
						   .leases = set->leases,
						   .node_list = nodes};

	return nodes ? row(reply, LARDER_MSG_FLEET_TREE, &tree, err)
		     : larder_error_set(err, ENOMEM, "out of memory");
}

static int list(struct reply *reply, const struct larder_msg_FLEET_LIST *m,
		struct larder_error *err)
{
	struct view view;
	int rc = fleet_view_make(reply->sched, &reply->viewer, m->pattern, &view);
	bool none;

	if (rc)
		return larder_error_set(err, rc, "out of memory");
	none = !view.sets;
	for (struct view_set *set = view.sets; set && !rc; set = set->hh.next)
		rc = say_set(reply, set, err);
	fleet_view_fini(&view);
	if (!rc)
		rc = say_silent(reply, err);
	if (!rc && none && *m->pattern)
		rc = larder_error_set(err, ENOENT, "no node that answers holds %s", m->pattern);
	return rc;
}

/* --- FLEET_EXPLAIN */

static int say_text(const char *text, void *reply, struct larder_error *err)
{
	const struct larder_msg_TEXT msg = {.text = text};

	return row(reply, LARDER_MSG_TEXT, &msg, err);
}

/* The name, and the version if one was named: `latest` is the catalog's word, not the nodes'. */
static int explain_named(struct reply *reply, const struct larder_spec *spec,
			 struct larder_error *err)
{
	char pattern[LARDER_NAME_MAX + LARDER_VERSION_MAX + 3];
	struct view view;
	bool some = false;
	int rc;

	snprintf(pattern, sizeof(pattern), "%s%s%s", spec->name, *spec->version ? ":" : "",
		 spec->version);
	rc = fleet_view_make(reply->sched, &reply->viewer, pattern, &view);
	if (rc)
		return larder_error_set(err, rc, "out of memory");
	for (struct view_set *set = view.sets; set && !rc; set = set->hh.next) {
		if (*spec->digest && strncmp(set->digest, spec->digest, strlen(spec->digest)) != 0)
			continue;
		rc = explain_set(set, say_text, reply, err);
		some = true;
	}
	fleet_view_fini(&view);
	if (!rc && !some)
		rc = larder_error_set(
			err, ENOENT,
			"no node that answers holds %s: the first job with it waits for "
			"its staging",
			pattern);
	return rc;
}

static int explain(struct reply *reply, const struct larder_msg_FLEET_EXPLAIN *m,
		   struct larder_error *err)
{
	struct larder_spec spec = {0};
	int rc = larder_spec_parse(m->spec, &spec, err);

	if (!rc)
		rc = say_silent(reply, err);
	if (!rc)
		rc = explain_named(reply, &spec, err);
	larder_spec_fini(&spec);
	return rc;
}

/* --- FLEET_STATUS, NODES */

static const char *state_of(const struct node *node)
{
	if (!node->here)
		return node->known ? "gone" : "unknown";
	if (node->problem)
		return "silent";
	return node->drained && *node->drained ? "drained" : "up";
}

static int say_node(struct reply *reply, const struct node *node, struct larder_error *err)
{
	const struct larder_msg_STAND *stand = &node->stand;
	const char *drained = node->drained ? node->drained : "";
	const struct larder_msg_FLEET_NODE msg = {.node = node->name,
						  .address = node->address,
						  .state = state_of(node),
						  .seen_s = node->seen_s,
						  .trees = node->n,
						  .capacity = stand->capacity,
						  .used = stand->used,
						  .leased = stand->leased,
						  .pinned = stand->pinned,
						  .free = stand->free,
						  .leases = stand->leases,
						  .jobs = stand->jobs,
						  .transfers = stand->transfers,
						  .version = node->release ? node->release : "",
						  .problem =
							  node->problem ? node->problem : drained};

	return row(reply, LARDER_MSG_FLEET_NODE, &msg, err);
}

static int by_name(const void *a, const void *b)
{
	return strverscmp((*(const struct node *const *)a)->name,
			  (*(const struct node *const *)b)->name);
}

/* Nodes that can be asked, in the order of their numbers. With the lock held; to free. */
static const struct node **sorted(const struct sched *sched, size_t *n)
{
	const struct node **nodes =
		calloc(HASH_COUNT(sched->model.nodes) + 1, sizeof(const struct node *));

	*n = 0;
	for (struct node *node = sched->model.nodes; nodes && node; node = node->hh.next)
		if (node->address)
			nodes[(*n)++] = node;
	if (nodes)
		qsort(nodes, *n, sizeof(const struct node *), by_name);
	return nodes;
}

static int status(struct reply *reply, struct larder_error *err)
{
	auto_free const struct node **nodes = NULL;
	size_t n;
	int rc;

	sched_lock(reply->sched);
	nodes = sorted(reply->sched, &n);
	rc = nodes ? 0 : larder_error_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n && !rc; i++)
		rc = say_node(reply, nodes[i], err);
	sched_unlock(reply->sched);
	return rc;
}

static bool wanted(char **names, const char *name)
{
	for (size_t i = 0; names && names[i]; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return !names;
}

static int say_address(struct reply *reply, const struct node *node, struct larder_error *err)
{
	const struct larder_msg_NODE_ADDRESS msg = {.node = node->name, .address = node->address};
	const struct larder_msg_SILENT silent = {
		.node = node->name, .since_s = node->seen_s, .why = node->problem};
	int rc = row(reply, LARDER_MSG_NODE_ADDRESS, &msg, err);

	return rc || !node->problem ? rc : row(reply, LARDER_MSG_SILENT, &silent, err);
}

/* The first of these that nobody knows; NULL: all are known. With the lock held. */
static const char *unknown(const struct sched *sched, char **names)
{
	for (size_t i = 0; names && names[i]; i++) {
		const struct node *node = model_find(&sched->model, names[i]);

		if (!node || !node->address)
			return names[i];
	}
	return NULL;
}

static int say_addresses(struct reply *reply, char **names, struct larder_error *err)
{
	auto_free const struct node **nodes = NULL;
	const char *stranger;
	size_t n;
	int rc;

	sched_lock(reply->sched);
	nodes = sorted(reply->sched, &n);
	rc = nodes ? 0 : larder_error_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n && !rc; i++)
		if (wanted(names, nodes[i]->name))
			rc = say_address(reply, nodes[i], err);
	stranger = unknown(reply->sched, names);
	if (!rc && stranger)
		rc = larder_error_set(err, ENOENT, "no node of this cluster is called %s",
				      stranger);
	sched_unlock(reply->sched);
	return rc;
}

static int addresses(struct reply *reply, const struct larder_msg_NODES *m,
		     struct larder_error *err)
{
	char **names = NULL;
	size_t n;
	int rc = *m->node_list ? hostlist_expand(m->node_list, &names, &n, err) : 0;

	if (!rc)
		rc = say_addresses(reply, names, err);
	hostlist_free(names);
	return rc;
}

/* --- all requests */

static int answer(struct reply *reply, unsigned int type, const union frames_row *m,
		  struct larder_error *err)
{
	switch (type) {
	case LARDER_MSG_PING: return 0;
	case LARDER_MSG_FLEET_LIST: return list(reply, &m->FLEET_LIST, err);
	case LARDER_MSG_FLEET_STATUS: return status(reply, err);
	case LARDER_MSG_FLEET_EXPLAIN: return explain(reply, &m->FLEET_EXPLAIN, err);
	case LARDER_MSG_NODES: return addresses(reply, &m->NODES, err);
	default:
		return larder_error_set(err, EOPNOTSUPP,
					"larder-sched does not answer %s: ask a node's larderd",
					larder_msg_name(type));
	}
}

static int end(struct reply *reply, int rc, const struct larder_error *why,
	       struct larder_error *err)
{
	const struct larder_msg_DONE done = {.note = ""};
	const struct larder_msg_ERROR error = {.code = (uint32_t)why->code, .text = why->text};

	return rc ? row(reply, LARDER_MSG_ERROR, &error, err)
		  : row(reply, LARDER_MSG_DONE, &done, err);
}

static int answer_all(struct reply *reply, uint8_t *request, size_t len, struct larder_error *err)
{
	union frames_row m;
	struct larder_head head;
	int rc;

	while ((rc = frames_next(&request, &len, &head, &m, err)) > 0) {
		struct larder_error why = {0};
		size_t before = reply->out->len;
		int failed;

		reply->seq = head.seq;
		failed = answer(reply, head.type, &m, &why);
		if (reply->out->len > FLEET_ANSWER_MAX - LARDER_BODY_MAX) {
			reply->out->len = before;
			failed = larder_error_set(&why, EMSGSIZE,
						  "the answer is too long: name fewer datasets");
		}
		rc = end(reply, failed, &why, err);
		if (rc)
			break;
	}
	return rc;
}

int serve_answer(const struct fleet_peer *peer, const uint8_t *request, size_t len, uint8_t **out,
		 size_t *out_len, struct larder_error *err, void *arg)
{
	auto_free uint8_t *copy = malloc(len + 1); /* decoding moves strings */
	struct frames frames = {0};
	struct reply reply = {.sched = arg, .out = &frames};
	int rc;

	if (!copy)
		return larder_error_set(err, ENOMEM, "out of memory");
	memcpy(copy, request, len);
	viewer_look_up(reply.sched, peer, &reply.viewer);
	rc = answer_all(&reply, copy, len, err);
	if (rc) {
		frames_fini(&frames);
		return rc;
	}
	*out = frames.bytes;
	*out_len = frames.len;
	return 0;
}
