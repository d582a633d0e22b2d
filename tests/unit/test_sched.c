/*
 * larder-sched's decisions: lists of features, the token of a job, what is published, what is
 * staged ahead, what nodes are told of copies, and the fleet in memory.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "larder/cleanup.h"
#include "sched/ahead.h"
#include "sched/choose.h"
#include "sched/explain.h"
#include "sched/feature.h"
#include "sched/nodeset.h"
#include "sched/token.h"
#include "sched/wishes.h"

/* --- features */

static void test_form(void **state)
{
	static const char *const good[] = {"ds:imagenet:v3", "ds:a.b_c-d:V1.0_x-y",
					   "ds:h:0123456789abcdef", "ds:h:v1"};
	static const char *const bad[] = {
		"gpu",	     "ds:",	"ds:a",	  "ds:a:",	 "ds::v1",    "DS:a:v1",
		"ds:a:v1:x", "ds:A:v1", "ds:a:*", "ds:a:v1|gpu", "ds:a&b:v1", "xds:a:v1"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!feature_is_ours(good[i], strlen(good[i])))
			fail_msg("%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (feature_is_ours(bad[i], strlen(bad[i])))
			fail_msg("%s", bad[i]);
	assert_true(feature_is_ours("ds:a:v1,gpu", 7));
	assert_false(feature_is_ours("ds:a:v1,gpu", 11));
}

static void same_text(char *text, const char *wanted)
{
	assert_non_null(text);
	assert_string_equal(text, wanted);
	free(text);
}

static void test_merge(void **state)
{
	(void)state;
	same_text(features_ours("gpu,ds:b:1,big,ds:a:2,ds:b:1"), "ds:a:2,ds:b:1");
	same_text(features_ours(""), "");
	same_text(features_ours(NULL), "");
	same_text(features_merge("gpu,ds:old:1,big", "ds:a:1,ds:b:1"), "gpu,big,ds:a:1,ds:b:1");
	same_text(features_merge("ds:old:1", ""), "");
	same_text(features_merge(NULL, "ds:a:1"), "ds:a:1");
	/* malformed ones of ours go, too; what only looks like ours stays */
	same_text(features_merge("ds:,ads:a:1,xds:b:2", ""), "ads:a:1,xds:b:2");
}

static void test_constraint(void **state)
{
	static const char *const none[] = {
		"",	      "gpu",	      "gpu&ib",	  "ds:a",
		"ds:a:1|gpu", "[ds:a:1&gpu]", "ds:a:1*2", "gpu&(ib|ds:a:1)"};
	static const char *const split[][3] = {
		{"ds:a:1", "ds:a:1", ""},
		{"gpu&ds:b:1&ds:a:1", "ds:a:1,ds:b:1", "gpu"},
		{"gpu&ib&ds:h:0123456789abcdef", "ds:h:0123456789abcdef", "gpu&ib"},
		{"ds:a:1&gpu", "ds:a:1", "gpu"}, /* whoever wrote it so */
	};
	char *ours, *theirs;

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_int_equal(constraint_split(none[i], &ours, &theirs), -ENOENT);
	for (size_t i = 0; i < sizeof(split) / sizeof(split[0]); i++) {
		assert_int_equal(constraint_split(split[i][0], &ours, &theirs), 0);
		same_text(ours, split[i][1]);
		same_text(theirs, split[i][2]);
	}
	assert_true(features_have("gpu,ds:a:1,ds:b:1", "ds:b:1,ds:a:1"));
	assert_true(features_have("", ""));
	assert_false(features_have("ds:a:10,xds:a:1", "ds:a:1"));
}

static struct wishes *wish(const char *nodes, const char *features, int wanted)
{
	struct wishes *wishes = wishes_create();
	struct larder_error err = {0};
	char n[400], f[400];

	snprintf(n, sizeof(n), "%s", nodes);
	snprintf(f, sizeof(f), "%s", features);
	assert_int_equal(wishes_add(wishes, n, f, &err), wanted);
	return wishes;
}

static void test_publisher_takes_ours_alone(void **state)
{
	static const char *const bad[][2] = {
		{"n1", "gpu"},	      {"n1", "ds:a:v1,gpu"}, {"n1", "ds:a"},
		{"n1;n2", "ds:a:v1"}, {"", "ds:a:v1"},	     {"n1,", "ds:a:v1"},
		{"-n", "ds:a:v1"},    {"n[1-2]", "ds:a:v1"}, {"n1", "ds:a:v1 "}};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		wishes_destroy(wish(bad[i][0], bad[i][1], -EINVAL));
}

static void test_publisher_merges(void **state)
{
	struct wishes *wishes = wish("n1,n2,n3,n4", "ds:b:1,ds:a:1", 0);
	struct larder_error err = {0};
	const struct wish_group *groups;
	size_t n;

	(void)state;
	assert_int_equal(wishes_have(wishes, "n1", "gpu,big", "gpu", &err), 0);
	assert_int_equal(wishes_have(wishes, "n2", "gpu,big,ds:old:1", "gpu,ds:old:1", &err), 0);
	/* has them already, in another order */
	assert_int_equal(wishes_have(wishes, "n3", "ds:b:1,x,ds:a:1", "ds:a:1,ds:b:1", &err), 0);
	/* available, but not active */
	assert_int_equal(wishes_have(wishes, "n4", "ds:b:1,ds:a:1", "", &err), 0);
	assert_int_equal(wishes_have(wishes, "n9", "ds:b:1", "", &err), 0); /* nobody's wish */
	groups = wishes_groups(wishes, &n);
	assert_int_equal(n, 2);
	assert_string_equal(groups[0].features, "gpu,big,ds:a:1,ds:b:1");
	assert_string_equal(groups[0].active, "gpu,ds:a:1,ds:b:1");
	assert_int_equal(groups[0].n, 2); /* one request for n1 and n2 */
	assert_string_equal(groups[1].features, "ds:a:1,ds:b:1");
	assert_string_equal(groups[1].nodes[0], "n4");
	wishes_destroy(wishes);
}

/* --- node lists */

static void fold(const char *list, const char *wanted)
{
	char text[400], *rest = text;
	const char *names[64];
	size_t n = 0;

	snprintf(text, sizeof(text), "%s", list);
	for (char *name; (name = strsep(&rest, ","));)
		names[n++] = name;
	same_text(nodeset_fold(names, n), wanted);
}

static void test_fold(void **state)
{
	(void)state;
	fold("n1", "n1");
	fold("n3,n1,n2,n10", "n[1-3,10]");
	fold("n9,n10,n11", "n[9-11]");
	fold("n09,n10,n11", "n[09-11]");
	fold("n01,n1,n2", "n01,n[1-2]");
	fold("gpu,n2,n1,rack1-n1,rack1-n2", "gpu,n[1-2],rack1-n[1-2]");
	fold("a1b,a2b", "a1b,a2b");
	fold("x12345678901,x12345678902", "x12345678901,x12345678902");
	same_text(nodeset_fold(NULL, 0), "");
}

/* --- the token */

static void test_token(void **state)
{
	(void)state;
	same_text(token_specs("larder=imagenet:v3;"), "imagenet:v3");
	same_text(token_specs("ticket 42; larder=a:1@0011,b/sub;rest"), "a:1@0011,b/sub");
	same_text(token_specs("larder=x=/data/a%252Cb%20c;"), "x=/data/a%2Cb c");
	assert_null(token_specs(NULL));
	assert_null(token_specs(""));
	assert_null(token_specs("larder=;"));
	assert_null(token_specs("larder=a:1"));	  /* cut short */
	assert_null(token_specs("xlarder=a:1;")); /* somebody else's */
	assert_null(token_specs("larder=a%2;"));  /* an escape that ends too early */
	assert_null(token_specs("larder=a%00b;"));
	assert_null(token_specs("larder=a b;"));
}

/* --- the fleet in memory */

struct tree {
	uint64_t id;
	const char *name, *version, *access;
	uint32_t state;
	uint64_t score_milli;
};

static void add_tree(struct frames *frames, const struct tree *tree)
{
	const struct larder_msg_HELD held = {.id = tree->id,
					     .name = tree->name,
					     .version = tree->version,
					     .digest = "00112233445566778899aabbccddeeff",
					     .state = tree->state,
					     .owner = "",
					     .access = tree->access ? tree->access : "public",
					     .bytes = 1000,
					     .present_bytes = 500,
					     .score_milli = tree->score_milli};

	assert_int_equal(frames_add(frames, LARDER_MSG_HELD, 0, &held, NULL), 0);
}

static void end_inventory(struct frames *frames, uint64_t seq, bool full)
{
	const struct larder_msg_STAND stand = {.incarnation = 7,
					       .seq = seq,
					       .full = full,
					       .node = "",
					       .version = "1",
					       .drained = ""};
	const struct larder_msg_DONE done = {.note = ""};

	assert_int_equal(frames_add(frames, LARDER_MSG_STAND, 0, &stand, NULL), 0);
	assert_int_equal(frames_add(frames, LARDER_MSG_DONE, 0, &done, NULL), 0);
}

static int take(struct model *model, struct node *node, struct frames *frames)
{
	struct larder_error err = {0};
	size_t took = 0;
	int rc = model_take_inventory(model, node, frames->bytes, frames->len, &took, &err);

	if (!rc)
		assert_int_equal(took, frames->len);
	frames_fini(frames);
	return rc;
}

/* A node that answers, with these trees. */
static struct node *node_with(struct model *model, const char *name, const struct tree *trees,
			      size_t n)
{
	struct node *node = model_node(model, name);
	struct frames frames = {0};

	for (size_t i = 0; i < n; i++)
		add_tree(&frames, &trees[i]);
	end_inventory(&frames, 1, true);
	model_node_here(node, true);
	assert_int_equal(take(model, node, &frames), 0);
	return node;
}

static void test_inventory(void **state)
{
	const struct tree trees[] = {{3, "a", "1", NULL, LARDER_TREE_READY, 0},
				     {1, "b", "1", NULL, LARDER_TREE_READY, 0},
				     {2, "b", "2", NULL, LARDER_TREE_PARTIAL, 0}};
	const struct tree news = {2, "b", "2", NULL, LARDER_TREE_READY, 0};
	const struct larder_msg_GONE gone = {.id = 1};
	struct frames frames = {0};
	struct model model = {0};
	struct node *node = node_with(&model, "n1", trees, 3), *other;

	(void)state;
	assert_int_equal(node->n, 3);
	assert_int_equal(node->held[0].id, 1);
	assert_int_equal(HASH_COUNT(model.versions), 3);
	other = node_with(&model, "n2", trees, 2);
	assert_int_equal(HASH_COUNT(model.versions), 3);
	assert_int_equal(node->held[2].version->ready, 2); /* a:1 on both */

	add_tree(&frames, &news);
	assert_int_equal(frames_add(&frames, LARDER_MSG_GONE, 0, &gone, NULL), 0);
	end_inventory(&frames, 2, false);
	assert_int_equal(take(&model, node, &frames), 0);
	assert_int_equal(node->n, 2);
	assert_int_equal(node->seq, 2);
	assert_int_equal(node->held[0].version->ready, 1);

	/* all of it, without what went */
	add_tree(&frames, &trees[0]);
	end_inventory(&frames, 3, true);
	assert_int_equal(take(&model, node, &frames), 0);
	assert_int_equal(node->n, 1);

	/* a node that is gone holds no copies */
	model_node_here(other, false);
	assert_int_equal(node->held[0].version->ready, 1);
	model_fini(&model);
	assert_null(model.versions);
	assert_null(model.labels);
}

static void test_inventory_broken(void **state)
{
	const struct tree bad = {1, "Bad Name", "1", NULL, LARDER_TREE_READY, 0};
	struct frames frames = {0};
	struct model model = {0};
	struct node *node = model_node(&model, "n1");

	(void)state;
	add_tree(&frames, &bad);
	end_inventory(&frames, 1, true);
	assert_true(take(&model, node, &frames) < 0);
	assert_int_equal(node->n, 0);
	add_tree(&frames, &(struct tree){1, "a", "1", NULL, LARDER_TREE_READY, 0});
	assert_int_equal(take(&model, node, &frames), -EPROTO); /* no end */
	model_fini(&model);
}

/* --- what is published */

static struct choose_params params(unsigned int per_node, bool omit)
{
	static const struct seal_key key = {.bytes = {1, 2, 3}};

	return (struct choose_params){.per_node = per_node, .omit_hidden = omit, .key = &key};
}

static void test_choose(void **state)
{
	const struct tree trees[] = {{1, "a", "1", NULL, LARDER_TREE_READY, 10},
				     {2, "b", "1", NULL, LARDER_TREE_READY, 100},
				     {3, "c", "1", NULL, LARDER_TREE_PARTIAL, 1000},
				     {4, "d", "1", "users=alice", LARDER_TREE_READY, 50}};
	struct model model = {0};
	struct node *node = node_with(&model, "n1", trees, 4);
	struct choose_params all = params(10, false), few = params(1, false),
			     open = params(10, true);
	char *hidden;

	(void)state;
	assert_int_equal(choose_features(&model, node, &open), 0);
	assert_string_equal(node->want, "ds:a:1,ds:b:1");
	assert_int_equal(choose_features(&model, node, &all), 0);
	hidden = strstr(node->want, ",ds:h:");
	assert_non_null(hidden);
	assert_null(strstr(node->want, ":d:"));
	assert_int_equal(strlen(hidden), strlen(",ds:h:") + FEATURE_HASH_HEX);
	assert_true(feature_is_ours(hidden + 1, strlen(hidden + 1)));
	assert_int_equal(node->n_chosen, 3);
	model_node_here(node, false);
	assert_int_equal(choose_features(&model, node, &all), 0);
	assert_string_equal(node->want, "");
	(void)few;
	model_fini(&model);
}

static void score(struct node *node, unsigned int i, uint64_t score_milli)
{
	node->held[i].score_milli = score_milli;
}

static void test_choose_is_steady(void **state)
{
	const struct tree trees[] = {{1, "a", "1", NULL, LARDER_TREE_READY, 100},
				     {2, "b", "1", NULL, LARDER_TREE_READY, 90}};
	struct choose_params one = params(1, false);
	struct model model = {0};
	struct node *node = node_with(&model, "n1", trees, 2);

	(void)state;
	assert_int_equal(choose_features(&model, node, &one), 0);
	assert_string_equal(node->want, "ds:a:1");
	score(node, 1, 110); /* a little more is not enough */
	assert_int_equal(choose_features(&model, node, &one), 0);
	assert_string_equal(node->want, "ds:a:1");
	score(node, 1, 130);
	assert_int_equal(choose_features(&model, node, &one), 0);
	assert_string_equal(node->want, "ds:b:1");
	model_fini(&model);
}

/* --- jobs that are bound to features */

struct freed_jobs {
	char text[512];
};

static void note_freed(uint32_t id, const char *why, void *arg)
{
	struct freed_jobs *freed = arg;
	size_t used = strlen(freed->text);

	snprintf(freed->text + used, sizeof(freed->text) - used, "%u: %s\n", id, why);
}

/* Who is let go at that time. */
static const char *stuck(struct bound *bound, const struct model *model, int64_t now_ms,
			 bool settled)
{
	static struct freed_jobs freed;
	const struct bound_params all = {.now_ms = now_ms, .silent_ms = 1000, .settled = settled};

	freed.text[0] = '\0';
	bound_stuck(bound, model, &all, note_freed, &freed);
	return freed.text;
}

static struct node *holder(struct model *model, const char *name, const char *features)
{
	struct node *node = model_node(model, name);

	assert_non_null(node);
	node->in_slurm = node->usable = true;
	assert_int_equal(model_set_text(&node->have, features), 0);
	return node;
}

static void test_bound(void **state)
{
	struct bound_job jobs[] = {{.id = 1, .nodes = 1, .ours = "ds:a:1"},
				   {.id = 2, .nodes = 2, .ours = "ds:a:1"},
				   {.id = 3, .nodes = 1, .ours = "ds:a:1,ds:b:1"}};
	struct bound *bound = bound_create();
	struct model model = {0};
	struct node *one = holder(&model, "n1", "ds:a:1,ds:b:1,ds:c:1");
	struct node *two = holder(&model, "n2", "ds:a:1");

	(void)state;
	assert_string_equal(stuck(bound, &model, 1, true), "");
	assert_false(bound_some(bound));
	assert_int_equal(bound_update(bound, jobs, 3, 1), 0);
	assert_true(bound_some(bound));
	assert_string_equal(stuck(bound, &model, 1, true), "");
	assert_true(bound_needs(bound, "ds:b:1"));
	assert_false(bound_needs(bound, "ds:c:1"));
	/* what a node is to have counts, not what it has still */
	assert_int_equal(model_set_text(&two->want, ""), 0);
	assert_string_equal(stuck(bound, &model, 1, true), "2: too few nodes hold it\n");
	assert_int_equal(model_set_text(&one->want, "ds:b:1"), 0);
	assert_string_equal(stuck(bound, &model, 1, false), "");  /* others may hold it */
	assert_int_equal(bound_update(bound, &jobs[2], 1, 2), 0); /* 1 and 2 have gone */
	assert_string_equal(stuck(bound, &model, 2, true), "3: too few nodes hold it\n");
	assert_false(bound_needs(bound, "ds:c:1"));
	/* nor does one that Slurm knows no more */
	assert_int_equal(model_set_text(&one->want, "ds:a:1,ds:b:1"), 0);
	assert_string_equal(stuck(bound, &model, 2, true), "");
	one->in_slurm = false;
	assert_string_equal(stuck(bound, &model, 2, true), "3: too few nodes hold it\n");
	bound_destroy(bound);
	model_fini(&model);
}

static void test_bound_waits_a_while(void **state)
{
	struct bound_job job = {.id = 1, .nodes = 1, .ours = "ds:a:1"};
	struct bound *bound = bound_create();
	struct model model = {0};
	struct node *node = holder(&model, "n1", "ds:a:1");

	(void)state;
	assert_int_equal(bound_update(bound, &job, 1, 1), 0);
	node->usable = false;
	assert_string_equal(stuck(bound, &model, 1000, true), "");
	assert_string_equal(stuck(bound, &model, 2000, true), "");
	node->usable = true; /* it was away for a moment only */
	assert_string_equal(stuck(bound, &model, 2001, true), "");
	node->usable = false;
	assert_string_equal(stuck(bound, &model, 2500, true), "");
	assert_string_equal(stuck(bound, &model, 3501, true),
			    "1: the nodes that hold it take no jobs\n");
	node->usable = true;
	job.refused = true;
	assert_int_equal(bound_update(bound, &job, 1, 5000), 0);
	assert_int_equal(bound_update(bound, &job, 1, 60000), 0);
	assert_string_equal(stuck(bound, &model, 65000, true), "");
	assert_string_equal(stuck(bound, &model, 65001, true),
			    "1: it cannot start on the nodes that hold it\n");
	job.refused = false; /* slurmctld looked again */
	assert_int_equal(bound_update(bound, &job, 1, 70000), 0);
	assert_string_equal(stuck(bound, &model, 90000, true), "");
	bound_destroy(bound);
	model_fini(&model);
}

static void test_choose_what_jobs_wait_for(void **state)
{
	const struct tree trees[] = {{1, "a", "1", NULL, LARDER_TREE_READY, 100},
				     {2, "b", "1", NULL, LARDER_TREE_READY, 1}};
	const struct bound_job job = {.id = 1, .nodes = 1, .ours = "ds:b:1"};
	struct choose_params one = params(1, false);
	struct bound *bound = bound_create();
	struct model model = {0};
	struct node *node = node_with(&model, "n1", trees, 2);

	(void)state;
	one.bound = bound;
	assert_int_equal(choose_features(&model, node, &one), 0);
	assert_string_equal(node->want, "ds:a:1");
	assert_int_equal(bound_update(bound, &job, 1, 1), 0);
	assert_int_equal(choose_features(&model, node, &one), 0);
	assert_string_equal(node->want, "ds:b:1");
	bound_destroy(bound);
	model_fini(&model);
}

static void test_advice(void **state)
{
	const struct tree tree = {1, "a", "1", NULL, LARDER_TREE_READY, 0};
	struct model model = {0};
	struct node *node = node_with(&model, "n1", &tree, 1);
	struct held *held = &node->held[0];
	char name[8];

	(void)state;
	assert_int_equal(choose_advice(held, 3, 1000, 600), 1); /* the last copy */
	held->advised = 1;
	held->advised_ms = 1000;
	assert_int_equal(choose_advice(held, 3, 1200, 600), 0); /* it knows */
	assert_int_equal(choose_advice(held, 3, 1301, 600), 1); /* and is told again */
	node_with(&model, "n2", &tree, 1);
	assert_int_equal(choose_advice(held, 3, 1200, 600), 2); /* it is the last no more */
	held->advised = 2;
	assert_int_equal(choose_advice(held, 3, 9000, 600), 0); /* neither last nor many */
	for (int i = 3; i < 6; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		node_with(&model, name, &tree, 1);
	}
	assert_int_equal(choose_advice(held, 3, 1200, 600), 5); /* many */
	model_fini(&model);
}

/* --- staging ahead */

struct said {
	char text[1000];
};

static void note(const struct ahead_order *order, void *arg)
{
	struct said *said = arg;
	size_t at = strlen(said->text);

	snprintf(said->text + at, sizeof(said->text) - at, "%s%u@%s ", order->forget ? "-" : "+",
		 order->job_id, order->node);
}

static const char *update(struct ahead *ahead, const struct ahead_job *jobs, size_t n,
			  struct said *said)
{
	said->text[0] = '\0';
	assert_int_equal(ahead_update(ahead, jobs, n, 1000, note, said), 0);
	return said->text;
}

static const char *due(struct ahead *ahead, int64_t now_ms, struct said *said)
{
	said->text[0] = '\0';
	ahead_due(ahead, now_ms, note, said);
	return said->text;
}

static void test_ahead(void **state)
{
	const struct ahead_params limits = {.max = 3, .horizon_s = 600, .ttl_ms = 300};
	struct ahead_job jobs[] = {{1, 5, 5, true, 1500, "n1", "a:1"},
				   {2, 5, 5, true, 1200, "n1,n2", "a:1,b:1"},
				   {3, 5, 5, true, 9000, "n3", "far:1"},
				   {4, 5, 5, true, 0, "", "unplanned:1"},
				   {5, 5, 5, true, 1550, "n4", "too-many:1"},
				   {6, 5, 5, false, 900, "n1", "runs:1"}};
	struct ahead *ahead = ahead_create(&limits);
	struct said said;

	(void)state;
	assert_string_equal(update(ahead, jobs, 6, &said), "");
	assert_string_equal(due(ahead, 10, &said), "+2@n1 +2@n2 +1@n1 ");
	assert_string_equal(due(ahead, 50, &said), "");
	assert_string_equal(due(ahead, 110, &said), "+2@n1 +2@n2 +1@n1 "); /* renewed */
	ahead_again(ahead, "n2");
	assert_string_equal(due(ahead, 120, &said), "+2@n2 ");

	/* 2 starts where it was planned: its own request takes over. 1 moves to n3. */
	jobs[1].pending = false;
	jobs[0].nodes = "n3";
	assert_string_equal(update(ahead, jobs, 6, &said), "-1@n1 ");
	assert_string_equal(due(ahead, 130, &said), "+1@n3 +5@n4 ");

	/* 5 starts elsewhere, 1 is gone */
	jobs[4].pending = false;
	jobs[4].nodes = "n44,n5";
	assert_string_equal(update(ahead, jobs + 1, 5, &said), "-1@n3 -5@n4 ");
	assert_int_equal(ahead_count(ahead), 0);

	/* another dataset for the same job: said at once */
	jobs[0].nodes = "n1";
	update(ahead, jobs, 1, &said);
	assert_string_equal(due(ahead, 140, &said), "+1@n1 ");
	jobs[0].specs = "b:1";
	update(ahead, jobs, 1, &said);
	assert_string_equal(due(ahead, 141, &said), "+1@n1 ");
	ahead_destroy(ahead);
}

static void test_ahead_between_plans(void **state)
{
	const struct ahead_params limits = {.max = 3, .horizon_s = 600, .ttl_ms = 60000};
	struct ahead_job jobs[] = {{1, 5, 5, true, 1500, "n1", "a:1"},
				   {2, 5, 5, true, 1500, "n2", "a:1"}};
	struct ahead *ahead = ahead_create(&limits);
	struct said said;

	(void)state;
	update(ahead, jobs, 2, &said);
	assert_string_equal(due(ahead, 10, &said), "+1@n1 +2@n2 ");
	for (int i = 0; i < 2; i++) { /* backfill has just begun again */
		jobs[i].nodes = "";
		jobs[i].start_s = 0;
	}
	assert_string_equal(update(ahead, jobs, 2, &said), "");
	jobs[0].nodes = "n1";
	jobs[0].start_s = 1500;
	assert_string_equal(update(ahead, jobs, 2, &said), "");
	assert_string_equal(due(ahead, 20, &said), ""); /* nor is it said anew */
	assert_int_equal(ahead_update(ahead, jobs, 2, 1000 + 59, note, &said), 0);
	assert_int_equal(ahead_count(ahead), 2);
	said.text[0] = '\0';
	assert_int_equal(ahead_update(ahead, jobs, 2, 1000 + 60, note, &said), 0);
	assert_string_equal(said.text, "-2@n2 "); /* 1 has a plan */
	jobs[0].nodes = "";
	said.text[0] = '\0';
	assert_int_equal(ahead_update(ahead, jobs + 1, 1, 1061, note, &said), 0);
	assert_string_equal(said.text, "-1@n1 "); /* it is gone */
	ahead_destroy(ahead);
}

/* --- sentences */

static int append_line(const char *text, void *arg, struct larder_error *err)
{
	struct said *said = arg;
	size_t at = strlen(said->text);

	(void)err;
	snprintf(said->text + at, sizeof(said->text) - at, "%s\n", text);
	return 0;
}

static void test_explain(void **state)
{
	char label[] = "a:1";
	struct view_copy copies[] = {
		{.name = "n1",
		 .state = LARDER_TREE_READY,
		 .stage_ms = 60000,
		 .usable = true,
		 .idle = true},
		{.name = "n2", .state = LARDER_TREE_READY, .stage_ms = 90000, .usable = true},
		{.name = "n3", .state = LARDER_TREE_READY, .usable = false},
		{.name = "n4", .state = LARDER_TREE_STAGING, .present_bytes = 512}};
	const struct view_set set = {
		.label = label, .bytes = 1024, .ready = 3, .copies = copies, .n = 4};
	struct larder_error err = {0};
	struct said said = {""};

	(void)state;
	assert_int_equal(explain_set(&set, append_line, &said, &err), 0);
	assert_string_equal(
		said.text,
		"a:1 (1 KiB) is ready on 3 nodes: n[1-3]\n"
		"n4 has 50 % of it (staging)\n"
		"a job would start at once, without staging, on: n1\n"
		"these have it, but run jobs now: n2\n"
		"these have it, but take no jobs (down or drained): n3\n"
		"elsewhere it must be staged first: 1 KiB, which took 1 min 30 s (the median "
		"of 2)\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_constraint),
		cmocka_unit_test(test_publisher_takes_ours_alone),
		cmocka_unit_test(test_publisher_merges),
		cmocka_unit_test(test_fold),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_inventory),
		cmocka_unit_test(test_inventory_broken),
		cmocka_unit_test(test_choose),
		cmocka_unit_test(test_choose_is_steady),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_bound_waits_a_while),
		cmocka_unit_test(test_choose_what_jobs_wait_for),
		cmocka_unit_test(test_advice),
		cmocka_unit_test(test_ahead),
		cmocka_unit_test(test_ahead_between_plans),
		cmocka_unit_test(test_explain),
	};

	return cmocka_run_group_tests_name("sched", tests, NULL, NULL);
}
