/*
 * Owns the fleet's nodes, dataset versions and labels in memory, each text once.
 * Must not ask anybody or decide anything. Called with the lock of sched.h held.
 */
#include "sched/model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/text.h"

int model_set_text(char **slot, const char *text)
{
	char *copy;

	if (*slot && strcmp(*slot, text) == 0)
		return 0;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(*slot);
	*slot = copy;
	return 0;
}

struct node *model_find(const struct model *model, const char *name)
{
	struct node *node;

	HASH_FIND_STR(model->nodes, name, node);
	return node;
}

struct node *model_node(struct model *model, const char *name)
{
	struct node *node = model_find(model, name);

	if (node)
		return node;
	node = calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	node->name = strdup(name);
	if (!node->name) {
		free(node);
		return NULL;
	}
	node->number = HASH_COUNT(model->nodes);
	HASH_ADD_KEYPTR(hh, model->nodes, node->name, strlen(node->name), node);
	return node;
}

static struct label *label_get(struct model *model, const char *name, const char *version)
{
	size_t n = strlen(name) + 1, v = strlen(version) + 1;
	char key[LARDER_NAME_MAX + LARDER_VERSION_MAX + 2];
	struct label *label;

	/* a feature and a line of a file are made of them: nodes are not believed */
	if (larder_name_check(name, NULL) || larder_version_check(version, NULL))
		return NULL;
	memcpy(key, name, n);
	key[n - 1] = ':';
	memcpy(key + n, version, v);
	HASH_FIND_STR(model->labels, key, label);
	if (label)
		return label;
	label = calloc(1, sizeof(*label) + n + v + n + v);
	if (!label)
		return NULL;
	memcpy(label->key, key, n + v);
	label->name = memcpy(label->key + n + v, name, n);
	label->version = memcpy(label->key + n + v + n, version, v);
	HASH_ADD_STR(model->labels, key, label);
	return label;
}

struct label *label_ref(struct label *label)
{
	label->refs++;
	return label;
}

void model_label_unref(struct model *model, struct label *label)
{
	if (--label->refs)
		return;
	HASH_DEL(model->labels, label);
	free(label->hidden);
	free(label->holders);
	free(label);
}

const struct version *label_best(const struct label *label)
{
	const struct version *best = NULL;

	for (const struct version *v = label->versions; v; v = v->sibling)
		if (!best || v->ready > best->ready ||
		    (v->ready == best->ready && strcmp(v->digest, best->digest) > 0))
			best = v;
	return best;
}

/* key: owner, name, version, digest, access, each with its NUL. */
static struct version *version_make(struct model *model, const char *key, size_t len)
{
	struct version *version = calloc(1, sizeof(*version) + len);

	if (!version)
		return NULL;
	memcpy(version->key, key, len);
	version->owner = version->key;
	version->name = version->owner + strlen(version->owner) + 1;
	version->version = version->name + strlen(version->name) + 1;
	version->digest = version->version + strlen(version->version) + 1;
	version->access = version->digest + strlen(version->digest) + 1;
	if (!*version->owner) {
		version->label = label_get(model, version->name, version->version);
		if (!version->label) {
			free(version);
			return NULL;
		}
		label_ref(version->label);
		version->sibling = version->label->versions;
		version->label->versions = version;
	}
	HASH_ADD(hh, model->versions, key, len, version);
	return version;
}

static void version_unref(struct model *model, struct version *version)
{
	if (--version->refs)
		return;
	if (version->label) {
		struct version **at = &version->label->versions;

		while (*at != version)
			at = &(*at)->sibling;
		*at = version->sibling;
		model_label_unref(model, version->label);
	}
	HASH_DEL(model->versions, version);
	free(version);
}

static struct version *version_get(struct model *model, const struct larder_msg_HELD *row)
{
	char key[2048];
	int len = snprintf(key, sizeof(key), "%s%c%s%c%s%c%s%c%s", row->owner, 0, row->name, 0,
			   row->version, 0, row->digest, 0, row->access);
	struct version *version;

	if (len < 0 || (size_t)len >= sizeof(key))
		return NULL;
	HASH_FIND(hh, model->versions, key, (size_t)len + 1, version);
	if (!version)
		version = version_make(model, key, (size_t)len + 1);
	if (!version)
		return NULL;
	version->shards = row->shards;
	version->bytes = row->bytes;
	version->refs++;
	return version;
}

static void count(struct held *held, bool here)
{
	bool ready = here && held->state == LARDER_TREE_READY;

	if (ready && !held->counted)
		held->version->ready++;
	else if (!ready && held->counted)
		held->version->ready--;
	held->counted = ready;
}

void model_node_here(struct node *node, bool here)
{
	if (node->here == here)
		return;
	node->here = here;
	node->changed = true;
	for (unsigned int i = 0; i < node->n; i++)
		count(&node->held[i], here);
}

/* The first with an id that is not less. */
static unsigned int place(const struct node *node, uint64_t id)
{
	unsigned int low = 0, high = node->n;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;

		if (node->held[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void drop(struct model *model, struct node *node, unsigned int at)
{
	count(&node->held[at], false);
	version_unref(model, node->held[at].version);
	node->n--;
	memmove(&node->held[at], &node->held[at + 1], (node->n - at) * sizeof(*node->held));
	node->changed = true;
}

static struct held *insert(struct node *node, unsigned int at)
{
	if (node->n == node->room) {
		unsigned int room = node->room ? node->room + node->room / 2 : 16;
		struct held *held = reallocarray(node->held, room, sizeof(*held));

		if (!held)
			return NULL;
		node->held = held;
		node->room = room;
	}
	memmove(&node->held[at + 1], &node->held[at], (node->n - at) * sizeof(*node->held));
	node->n++;
	node->held[at] = (struct held){0};
	return &node->held[at];
}

static int take_held(struct model *model, struct node *node, const struct larder_msg_HELD *row)
{
	unsigned int at = place(node, row->id);
	bool old = at < node->n && node->held[at].id == row->id;
	struct version *version = version_get(model, row);
	struct held *held;

	if (!version)
		return -ENOMEM;
	held = old ? &node->held[at] : insert(node, at);
	if (!held) {
		version_unref(model, version);
		return -ENOMEM;
	}
	if (old) {
		count(held, false);
		version_unref(model, held->version);
		if (held->version != version)
			held->advised = 0;
	}
	held->id = row->id;
	held->version = version;
	held->present_bytes = row->present_bytes;
	held->score_milli = row->score_milli;
	held->last_use_s = row->last_use_s;
	held->stage_ms = row->stage_ms;
	held->leases = row->leases;
	held->pins = row->pins;
	held->state = (uint8_t)(row->state <= UINT8_MAX ? row->state : UINT8_MAX);
	held->seen = true;
	count(held, node->here);
	node->changed = true;
	return 0;
}

static void drop_unseen(struct model *model, struct node *node)
{
	for (unsigned int i = node->n; i > 0; i--)
		if (!node->held[i - 1].seen)
			drop(model, node, i - 1);
}

static int take_stand(struct model *model, struct node *node, const struct larder_msg_STAND *stand)
{
	if (stand->full)
		drop_unseen(model, node);
	for (unsigned int i = 0; stand->incarnation != node->incarnation && i < node->n; i++)
		node->held[i].advised = 0; /* it does not remember */
	node->incarnation = stand->incarnation;
	node->seq = stand->seq;
	node->stand = *stand;
	if (model_set_text(&node->release, stand->version) ||
	    model_set_text(&node->drained, stand->drained))
		return -ENOMEM;
	return 0;
}

static int take_row(struct model *model, struct node *node, unsigned int type,
		    const union frames_row *row)
{
	unsigned int at;

	if (type == LARDER_MSG_HELD)
		return take_held(model, node, &row->HELD);
	if (type == LARDER_MSG_GONE) {
		at = place(node, row->GONE.id);
		if (at < node->n && node->held[at].id == row->GONE.id)
			drop(model, node, at);
		return 0;
	}
	return type == LARDER_MSG_STAND ? take_stand(model, node, &row->STAND) : -EPROTO;
}

int model_take_inventory(struct model *model, struct node *node, uint8_t *frames, size_t len,
			 size_t *took, struct larder_error *err)
{
	size_t whole = len;
	union frames_row row;
	struct larder_head head;
	bool stood = false;
	int rc;

	for (unsigned int i = 0; i < node->n; i++)
		node->held[i].seen = false;
	while ((rc = frames_next(&frames, &len, &head, &row, err)) > 0) {
		if (head.type == LARDER_MSG_ERROR)
			return larder_error_set(err, row.ERROR.code ? (int)row.ERROR.code : EIO,
						"%s", row.ERROR.text);
		if (head.type == LARDER_MSG_DONE)
			break;
		rc = take_row(model, node, head.type, &row);
		if (rc)
			return larder_error_set(err, rc, "%s: a row that is not to be used",
						larder_msg_name(head.type));
		stood = head.type == LARDER_MSG_STAND;
	}
	if (rc < 0)
		return rc;
	*took = whole - len;
	return stood ? 0 : larder_error_set(err, EPROTO, "an inventory without an end");
}

static void node_free(struct model *model, struct node *node)
{
	while (node->n)
		drop(model, node, node->n - 1);
	for (unsigned int i = 0; i < node->n_chosen; i++)
		model_label_unref(model, node->chosen[i]);
	free(node->chosen);
	free(node->held);
	free(node->name);
	free(node->address);
	free(node->release);
	free(node->drained);
	free(node->problem);
	free(node->orders.bytes);
	free(node->have);
	free(node->want);
	free(node);
}

void model_fini(struct model *model)
{
	struct node *node, *tmp;

	HASH_ITER(hh, model->nodes, node, tmp)
	{
		HASH_DEL(model->nodes, node);
		node_free(model, node);
	}
}
