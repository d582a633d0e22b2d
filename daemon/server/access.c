/*
 * Owns the memory of who may read what, and the checks that are under way.
 * Decides no right itself: the child does, with the user's own ids. Never blocks.
 * Asked at ACQUIRE, by the CLI's verbs and before anything is listed to an ordinary user.
 */
#include "server/access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <utlist.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "server/check.h"
#include "server/dataset.h"
#include "server/hash.h"
#include "server/own_remote.h"

struct access_ask {
	struct access_ask *prev, *next;
	struct access_check *check;
	access_fn fn;
	void *arg;
};

/* A check under way, by the same key as the memory. */
struct access_check {
	UT_hash_handle hh;
	struct larderd *d;
	struct check *child;
	struct access_ask *asks;
	bool own;
	uid_t uid;
	char key[];
};

struct access_memory {
	UT_hash_handle hh;
	struct larder_manifest_head head;
	int64_t until_ms;
	char key[];
};

struct access_cache {
	struct access_memory *memory;
	struct access_check *checks;
};

#define ACCESS_MEMORY_MAX 65536u /* entries; the oldest goes first */

/* "1001 imagenet:v3@digest": the subset does not change who may read. */
static char *access_key(const struct larder_spec *spec, uid_t uid)
{
	struct larder_spec whole = *spec;
	auto_free char *text = NULL;
	char *key = NULL;

	whole.subset = NULL;
	text = larder_spec_format(&whole);
	if (!text || asprintf(&key, "%u %s", uid, text) < 0)
		return NULL;
	return key;
}

static void memory_forget(struct access_cache *cache, struct access_memory *entry)
{
	HASH_DEL(cache->memory, entry);
	larder_manifest_head_fini(&entry->head);
	free(entry);
}

static struct access_memory *memory_get(struct access_cache *cache, const char *key)
{
	struct access_memory *entry;

	/* what has expired is freed by the next put: an answer under way may still point into it */
	HASH_FIND_STR(cache->memory, key, entry);
	return entry && entry->until_ms >= clock_mono_ms() ? entry : NULL;
}

/* Takes the head when there is memory for it; NULL otherwise. */
static struct access_memory *memory_put(struct access_cache *cache, const char *key,
					struct larder_manifest_head *head, int64_t ttl_ms)
{
	struct access_memory *entry;

	HASH_FIND_STR(cache->memory, key, entry);
	if (entry)
		memory_forget(cache, entry);
	while (cache->memory &&
	       (cache->memory->until_ms <
			clock_mono_ms() || /* uthash keeps the order of insertion */
		HASH_COUNT(cache->memory) >= ACCESS_MEMORY_MAX))
		memory_forget(cache, cache->memory);
	entry = calloc(1, sizeof(*entry) + strlen(key) + 1);
	if (!entry)
		return NULL; /* it will be asked again */
	strcpy(entry->key, key);
	entry->head = *head;
	*head = (struct larder_manifest_head){0};
	entry->until_ms = clock_mono_ms() + ttl_ms;
	HASH_ADD_STR(cache->memory, key, entry);
	return entry;
}

static struct access_cache *cache_of(struct larderd *d)
{
	if (!d->access)
		d->access = calloc(1, sizeof(*d->access));
	return d->access;
}

static void check_destroy(struct access_check *check)
{
	HASH_DEL(check->d->access->checks, check);
	check_cancel(check->child);
	free(check);
}

/*
 * Under the exact version and digest, whatever was asked for: ls and steps ask so. Before anybody
 * is answered, for who is answered may look into the memory. Returns where the head is now.
 */
static const struct larder_manifest_head *remember(struct access_check *check,
						   struct check_result *result)
{
	struct access_memory *entry = NULL;
	struct larder_spec exact = {.kind = LARDER_SPEC_CATALOG};
	auto_free char *key = NULL;

	if (check->own || result->rc)
		return &result->head;
	snprintf(exact.name, sizeof(exact.name), "%s", result->head.name);
	snprintf(exact.version, sizeof(exact.version), "%s", result->head.version);
	snprintf(exact.digest, sizeof(exact.digest), "%s", result->head.digest);
	key = access_key(&exact, check->uid);
	if (key)
		entry = memory_put(check->d->access, key, &result->head,
				   check->d->config.access_ttl);
	return entry ? &entry->head : &result->head;
}

static void on_checked(struct check_result *result, void *arg)
{
	struct access_check *check = arg;
	struct access_answer answer = {
		.rc = result->rc,
		.err = &result->err,
		.head = result->rc ? NULL : remember(check, result),
		.manifest_fd = result->rc ? -1 : result->manifest_fd,
		.remote = result->remote,
	};

	check->child = NULL;
	HASH_DEL(check->d->access->checks, check);
	while (check->asks) { /* an answer may cancel others: take one at a time */
		struct access_ask *ask = check->asks;

		DL_DELETE(check->asks, ask);
		ask->check = NULL;
		ask->fn(&answer, ask->arg);
		free(ask);
	}
	free(check);
}

/* The manifest of this user's last scan, so that only what changed is digested again. */
static int earlier_manifest(struct larderd *d, const struct larder_spec *spec, uid_t uid)
{
	struct larder_error ignored;
	struct inv_tree tree;
	char domain[INV_DOMAIN_MAX + 1];
	struct node_tier *tier;
	struct tree_key key;
	int fd = -1;

	snprintf(domain, sizeof(domain), "u%u", uid);
	if (inventory_tree_find(d->inv, domain, spec->name, LARDER_OWN_VERSION, "", &tree,
				&ignored))
		return -1;
	tier = dataset_tier(d, tree.tier);
	key = dataset_key(&tree);
	if (!tier || tree_open_manifest(tier->tier, &key, &fd, &ignored))
		return -1;
	return fd;
}

static int check_begin(struct larderd *d, const struct access_question *q, const char *key,
		       struct access_check **out, struct larder_error *err)
{
	struct access_check *check = calloc(1, sizeof(*check) + strlen(key) + 1);
	auto_free char *remote = NULL;
	auto_fd int earlier = -1;
	int rc;

	if (!check)
		return larder_error_set(err, ENOMEM, "out of memory");
	strcpy(check->key, key);
	check->d = d;
	check->uid = q->uid;
	check->own = q->spec->kind == LARDER_SPEC_OWN;
	if (check->own)
		earlier = earlier_manifest(d, q->spec, q->uid);
	if (check->own && *q->spec->origin != '/')
		remote = own_remote_settings(&d->config);
	rc = check_start(d->event,
			 &(struct check_request){
				 .spec = q->spec,
				 .uid = q->uid,
				 .gid = q->gid,
				 .catalog = d->config.catalog,
				 .tmp_dir = d->config.state_dir,
				 .earlier_manifest_fd = earlier,
				 .remote = remote,
				 .timeout_ms = q->timeout_ms,
			 },
			 on_checked, check, &check->child, err);
	if (rc) {
		free(check);
		return rc;
	}
	HASH_ADD_STR(d->access->checks, key, check);
	*out = check;
	return 0;
}

/* What the site lets users name. */
static int own_allowed(const struct larderd *d, const struct larder_spec *spec,
		       struct larder_error *err)
{
	if (d->config.own_datasets && (d->config.own_urls || *spec->origin == '/'))
		return 0;
	return larder_error_set(
		err, EPERM,
		"%s=%.200s: users name no %s of their own here (%s in larder.conf); ask "
		"for it to be published",
		spec->name, spec->origin, d->config.own_datasets ? "URLs" : "datasets",
		d->config.own_datasets ? "own_urls" : "own_datasets");
}

int access_ask(struct larderd *d, const struct access_question *q, access_fn fn, void *arg,
	       struct access_ask **out, struct larder_error *err)
{
	struct access_cache *cache = cache_of(d);
	auto_free char *key = cache ? access_key(q->spec, q->uid) : NULL;
	struct access_memory *known;
	struct access_check *check;
	struct access_ask *ask;
	int rc;

	*out = NULL;
	if (q->spec->kind == LARDER_SPEC_OWN) {
		rc = own_allowed(d, q->spec, err);
		if (rc)
			return rc;
	}
	if (!key)
		return larder_error_set(err, ENOMEM, "out of memory");
	known = q->fresh ? NULL : memory_get(cache, key);
	if (known) {
		fn(&(struct access_answer){.head = &known->head, .manifest_fd = -1}, arg);
		return 0;
	}
	HASH_FIND_STR(cache->checks, key, check);
	if (!check && (rc = check_begin(d, q, key, &check, err)))
		return rc;
	ask = calloc(1, sizeof(*ask));
	if (!ask)
		return larder_error_set(err, ENOMEM, "out of memory");
	*ask = (struct access_ask){.check = check, .fn = fn, .arg = arg};
	DL_APPEND(check->asks, ask);
	*out = ask;
	return 0;
}

void access_cancel(struct access_ask *ask)
{
	struct access_check *check = ask ? ask->check : NULL;

	if (!check)
		return;
	DL_DELETE(check->asks, ask);
	free(ask);
	if (!check->asks && check->child) /* no child: it is answering just now */
		check_destroy(check);
}

int access_known(struct larderd *d, const struct inv_tree *tree, uid_t uid, bool admin)
{
	struct larder_spec spec = {.kind = LARDER_SPEC_CATALOG};
	auto_free char *key = NULL;

	if (admin || tree->owner == uid)
		return 1;
	if (tree->owner != INV_OWNER_SITE)
		return 0;
	if (!strcmp(tree->access, "public"))
		return 1;
	snprintf(spec.name, sizeof(spec.name), "%s", tree->name);
	snprintf(spec.version, sizeof(spec.version), "%s", tree->version);
	snprintf(spec.digest, sizeof(spec.digest), "%s", tree->digest);
	key = cache_of(d) ? access_key(&spec, uid) : NULL;
	return key && memory_get(d->access, key) ? 1 : -1;
}

void access_fini(struct larderd *d)
{
	struct access_memory *entry, *tmp;

	if (!d->access)
		return;
	while (d->access->checks)
		check_destroy(d->access->checks);
	HASH_ITER(hh, d->access->memory, entry, tmp)
	memory_forget(d->access, entry);
	free(d->access);
	d->access = NULL;
}
