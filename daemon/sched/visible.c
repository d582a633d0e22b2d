/*
 * Owns the question what a user may be shown, and the memory of answers that nodes gave.
 * Must not show what it cannot tell. Called by serve.c, on the thread of a connection.
 */
#include "sched/visible.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet/call.h"
#include "larder/cleanup.h"
#include "larder/clock.h"
#include "larder/manifest.h"
#include "larder/text.h"
#include "fleet/frames.h"
#include "sched/hash.h"

#define MAY_TIMEOUT_MS 5000
#define MAY_AT_ONCE    16
#define MAY_OF_A_NODE  256u   /* questions in one request */
#define CACHE_MAX      100000 /* answers; more than that, and it begins anew */
#define GROUPS_MAX     65536

struct verdict {
	UT_hash_handle hh;
	int64_t until_ms;
	bool visible;
	char key[];
};

struct visible_cache {
	pthread_mutex_t lock;
	struct verdict *verdicts;
};

struct visible_cache *visible_cache_create(void)
{
	struct visible_cache *cache = calloc(1, sizeof(*cache));

	if (cache)
		pthread_mutex_init(&cache->lock, NULL);
	return cache;
}

static void forget_all(struct visible_cache *cache)
{
	struct verdict *verdict, *tmp;

	HASH_ITER(hh, cache->verdicts, verdict, tmp)
	{
		HASH_DEL(cache->verdicts, verdict);
		free(verdict);
	}
}

void visible_cache_destroy(struct visible_cache *cache)
{
	if (!cache)
		return;
	forget_all(cache);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

static void key_of(char key[256], uid_t uid, const struct sight *sight)
{
	snprintf(key, 256, "%u %s:%s", uid, sight->name, sight->version);
}

/* 1 or 0 as remembered, -1: not known. */
static int recall(struct visible_cache *cache, uid_t uid, const struct sight *sight)
{
	struct verdict *verdict;
	char key[256];
	int known = -1;

	key_of(key, uid, sight);
	pthread_mutex_lock(&cache->lock);
	HASH_FIND_STR(cache->verdicts, key, verdict);
	if (verdict && verdict->until_ms > clock_mono_ms())
		known = verdict->visible;
	pthread_mutex_unlock(&cache->lock);
	return known;
}

static void remember(struct visible_cache *cache, uid_t uid, const struct sight *sight,
		     int64_t ttl_ms)
{
	struct verdict *verdict;
	char key[256];

	key_of(key, uid, sight);
	pthread_mutex_lock(&cache->lock);
	HASH_FIND_STR(cache->verdicts, key, verdict);
	if (!verdict) {
		if (HASH_COUNT(cache->verdicts) >= CACHE_MAX)
			forget_all(cache);
		verdict = calloc(1, sizeof(*verdict) + strlen(key) + 1);
		if (verdict) {
			strcpy(verdict->key, key);
			HASH_ADD_STR(cache->verdicts, key, verdict);
		}
	}
	if (verdict) {
		verdict->visible = sight->visible;
		verdict->until_ms = clock_mono_ms() + ttl_ms;
	}
	pthread_mutex_unlock(&cache->lock);
}

/* --- who is it */

static bool in_admin_groups(const struct config_list *names, const gid_t *groups, int n)
{
	char buf[16384];
	struct group group, *found = NULL;

	for (unsigned int i = 0; i < names->count; i++) {
		if (getgrnam_r(names->items[i], &group, buf, sizeof(buf), &found) || !found)
			continue;
		for (int g = 0; g < n; g++)
			if (groups[g] == group.gr_gid)
				return true;
	}
	return false;
}

void viewer_look_up(const struct sched *sched, const struct fleet_peer *peer, struct viewer *viewer)
{
	char buf[16384];
	struct passwd pw, *found = NULL;
	auto_free gid_t *groups = calloc(GROUPS_MAX, sizeof(*groups));
	int n = GROUPS_MAX;

	*viewer = (struct viewer){.uid = peer->uid, .gid = peer->gid, .admin = peer->uid == 0};
	if (viewer->admin || !groups || getpwuid_r(peer->uid, &pw, buf, sizeof(buf), &found) ||
	    !found)
		return;
	if (getgrouplist(pw.pw_name, peer->gid, groups, &n) >= 0)
		viewer->admin = in_admin_groups(&sched->config.admin_groups, groups, n);
}

/* --- access=origin: ask a node */

/* All questions to one node. */
struct errand {
	UT_hash_handle hh;
	const char *node, *address;
	struct frames request;
	struct sight *sights[MAY_OF_A_NODE];
	unsigned int n;
	bool heard[MAY_OF_A_NODE];
};

static struct errand *errand_for(struct errand **all, const struct sight *sight)
{
	struct errand *errand;

	HASH_FIND_STR(*all, sight->node, errand);
	if (errand)
		return errand;
	errand = calloc(1, sizeof(*errand));
	if (!errand)
		return NULL;
	errand->node = sight->node;
	errand->address = sight->address;
	HASH_ADD_KEYPTR(hh, *all, errand->node, strlen(errand->node), errand);
	return errand;
}

static void ask_about(struct errand **all, const struct viewer *viewer, struct sight *sight)
{
	const struct larder_msg_MAY may = {.uid = viewer->uid,
					   .gid = viewer->gid,
					   .name = sight->name,
					   .version = sight->version};
	struct errand *errand = sight->node ? errand_for(all, sight) : NULL;

	if (!errand || errand->n == MAY_OF_A_NODE ||
	    frames_add(&errand->request, LARDER_MSG_MAY, errand->n, &may, NULL))
		return;
	errand->sights[errand->n++] = sight;
}

/* One DONE or ERROR for each question, in order. */
static void take_answers(struct errand *errand, struct fleet_call *call)
{
	uint8_t *at = call->answer;
	size_t len = call->answer_len;
	union frames_row row;
	struct larder_head head;
	struct larder_error err = {0};

	for (unsigned int i = 0; i < errand->n && frames_next(&at, &len, &head, &row, &err) > 0;) {
		if (head.type != LARDER_MSG_DONE && head.type != LARDER_MSG_ERROR)
			continue;
		errand->sights[i]->visible = head.type == LARDER_MSG_DONE;
		/* What it could not tell now it may know later. */
		errand->heard[i] = head.type == LARDER_MSG_DONE || row.ERROR.code == EACCES ||
				   row.ERROR.code == ENOENT;
		i++;
	}
}

static void ask_all(struct sched *sched, struct errand *all)
{
	unsigned int n = HASH_COUNT(all), i = 0;
	auto_free struct fleet_call *calls = calloc(n + 1, sizeof(*calls));
	struct fleet_caller *caller = NULL;
	struct larder_error err = {0};

	if (!calls ||
	    fleet_caller_create(sched->config.munge_socket, MAY_AT_ONCE, 0, &caller, &err))
		return;
	for (struct errand *errand = all; errand; errand = errand->hh.next)
		calls[i++] = (struct fleet_call){.address = errand->address,
						 .node = errand->node,
						 .request = errand->request.bytes,
						 .len = errand->request.len,
						 .timeout_ms = MAY_TIMEOUT_MS,
						 .arg = errand};
	fleet_call_all(caller, calls, n, NULL, NULL);
	for (i = 0; i < n; i++) {
		if (!calls[i].rc)
			take_answers(calls[i].arg, &calls[i]);
		free(calls[i].answer);
	}
	fleet_caller_destroy(caller);
}

static void ask_nodes(struct sched *sched, const struct viewer *viewer, struct errand *all)
{
	struct errand *errand, *tmp;

	if (all)
		ask_all(sched, all);
	HASH_ITER(hh, all, errand, tmp)
	{
		for (unsigned int i = 0; i < errand->n; i++)
			if (errand->heard[i])
				remember(sched->visible, viewer->uid, errand->sights[i],
					 sched->config.access_ttl);
		HASH_DEL(all, errand);
		frames_fini(&errand->request);
		free(errand);
	}
}

/* --- all together */

/* A user's own: nodes name the owner by number. */
static bool owns(const struct viewer *viewer, const struct sight *sight)
{
	uint64_t uid;

	return larder_u64_parse(sight->owner, &uid, NULL) == 0 && uid == viewer->uid;
}

/* 1, 0, or -1: a node is to be asked. */
static int without_asking(struct sched *sched, const struct viewer *viewer,
			  const struct sight *sight)
{
	struct larder_access access;

	if (viewer->admin)
		return 1;
	if (*sight->owner)
		return owns(viewer, sight);
	if (larder_access_parse(sight->access, &access, NULL))
		return 0;
	if (access.kind != LARDER_ACCESS_ORIGIN)
		return larder_access_allows(&access, viewer->uid, viewer->gid);
	return recall(sched->visible, viewer->uid, sight);
}

void sights_look(struct sched *sched, const struct viewer *viewer, struct sight *sights, size_t n)
{
	struct errand *all = NULL;

	for (size_t i = 0; i < n; i++) {
		int known = without_asking(sched, viewer, &sights[i]);

		sights[i].visible = known > 0;
		if (known < 0)
			ask_about(&all, viewer, &sights[i]);
	}
	ask_nodes(sched, viewer, all);
}
