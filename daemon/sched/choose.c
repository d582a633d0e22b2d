/*
 * Owns the choice of features for a node, and of what it is told about copies. Pure: the fleet in
 * memory in, texts out. Called by the control thread with the lock held.
 */
#include "sched/choose.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder/cleanup.h"

#define STAY_NUM 5 /* what is published is worth 5/4 of its score */
#define STAY_DEN 4

bool choose_feature(struct label *label, const struct choose_params *params,
		    char text[FEATURE_MAX + 1])
{
	const struct version *best = label_best(label);
	char hex[SEAL_HEX_BYTES];

	if (!best)
		return false;
	if (strcmp(best->access, "public") == 0) {
		snprintf(text, FEATURE_MAX + 1, "ds:%s", label->key);
		return true;
	}
	if (params->omit_hidden)
		return false;
	if (!label->hidden) {
		seal_make(params->key, label->key, strlen(label->key), hex);
		label->hidden = strndup(hex, FEATURE_HASH_HEX);
	}
	if (!label->hidden)
		return false;
	snprintf(text, FEATURE_MAX + 1, "ds:h:%s", label->hidden);
	return true;
}

static uint64_t worth(const struct held *held)
{
	uint64_t score = held->score_milli;

	return held->chosen && score < UINT64_MAX / STAY_NUM ? score * STAY_NUM / STAY_DEN : score;
}

static int by_worth(const void *left, const void *right)
{
	const struct held *a = *(const struct held *const *)left;
	const struct held *b = *(const struct held *const *)right;

	if (a->needed != b->needed)
		return a->needed ? -1 : 1;
	if (worth(a) != worth(b))
		return worth(a) > worth(b) ? -1 : 1;
	if (a->last_use_s != b->last_use_s)
		return a->last_use_s > b->last_use_s ? -1 : 1;
	return strcmp(a->version->label->key, b->version->label->key);
}

static bool needed(struct label *label, const struct choose_params *params)
{
	char text[FEATURE_MAX + 1];

	return params->bound && choose_feature(label, params, text) &&
	       bound_needs(params->bound, text);
}

/* The trees that may be published, the most valuable first. */
static size_t candidates(const struct node *node, const struct choose_params *params,
			 struct held **found)
{
	size_t n = 0;

	for (unsigned int i = 0; i < node->n; i++) {
		struct held *held = &node->held[i];

		if (held->state == LARDER_TREE_READY && held->version->label &&
		    label_best(held->version->label) == held->version) {
			held->needed = needed(held->version->label, params);
			found[n++] = held;
		}
	}
	qsort(found, n, sizeof(*found), by_worth);
	return n;
}

static bool has(const struct node *node, const struct label *label)
{
	for (unsigned int i = 0; i < node->n_chosen; i++)
		if (node->chosen[i] == label)
			return true;
	return false;
}

static void let_go(struct model *model, struct node *node)
{
	for (unsigned int i = 0; i < node->n_chosen; i++)
		model_label_unref(model, node->chosen[i]);
	node->n_chosen = 0;
	for (unsigned int i = 0; i < node->n; i++)
		node->held[i].chosen = false;
}

static void take(struct node *node, struct held **found, size_t n,
		 const struct choose_params *params, FILE *out)
{
	char text[FEATURE_MAX + 1];

	for (size_t i = 0; i < n && node->n_chosen < params->per_node; i++) {
		struct label *label = found[i]->version->label;

		if (has(node, label) || !choose_feature(label, params, text))
			continue;
		fprintf(out, "%s%s", node->n_chosen ? "," : "", text);
		node->chosen[node->n_chosen++] = label_ref(label);
	}
}

int choose_features(struct model *model, struct node *node, const struct choose_params *params)
{
	auto_free struct held **found = calloc(node->n + 1, sizeof(struct held *));
	auto_free char *want = NULL;
	size_t n, room;
	FILE *out;

	if (!node->chosen)
		node->chosen = calloc(params->per_node, sizeof(struct label *));
	out = found && node->chosen ? open_memstream(&want, &room) : NULL;
	if (!out)
		return -ENOMEM;
	n = node->here ? candidates(node, params, found) : 0;
	let_go(model, node);
	take(node, found, n, params, out);
	for (size_t i = 0; i < n; i++)
		found[i]->chosen = has(node, found[i]->version->label);
	if (fclose(out) || features_sort(want))
		return -ENOMEM;
	free(node->want);
	node->want = take_ptr(&want);
	return 0;
}

/* 1: the last copy; 2: there are many; 0: neither. */
static int class_of(uint32_t copies, unsigned int many)
{
	return copies == 1 ? 1 : copies >= many ? 2 : 0;
}

uint32_t choose_advice(const struct held *held, unsigned int many, int64_t now_ms, int64_t ttl_ms)
{
	uint32_t copies = held->version->ready;
	int now = class_of(copies, many), told = class_of(held->advised, many);

	if (!held->counted)
		return 0;
	if (now != told)
		return copies;
	return now && now_ms - held->advised_ms > ttl_ms / 2 ? copies : 0;
}
