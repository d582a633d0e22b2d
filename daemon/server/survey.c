/*
 * Owns the comparison of trees on disk with rows in the inventory. Reads disks only on a worker,
 * and changes rows only on the control thread, tree by tree. Started when the inventory is new, and
 * by gc.
 */
#include "server/survey.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "log/log.h"
#include "server/dataset.h"
#include "server/evictor.h"
#include "server/space.h"
#include "server/stage.h"

/* A tree found on disk. */
struct found {
	struct found *prev, *next;
	struct inv_tree tree; /* as far as the disk tells */
	uint8_t *bits;	      /* adopt: which shards are there */
	bool sound;	      /* its manifest's head can be read */
};

struct survey {
	struct work work;
	struct larderd *d;
	unsigned int n_tiers; /* d's configuration is the control thread's: it may be read again
				 meanwhile */
	enum survey_mode mode;
	struct session *session; /* NULL: nobody, or gone */
	struct found *found;
	struct node_tier *tier; /* the worker's: the one being walked */
	struct larder_error err;
};

/* --- on the worker */

static void describe_found(struct found *f, const struct tree_key *key,
			   const struct larder_manifest_head *head)
{
	struct inv_tree *tree = &f->tree;

	snprintf(tree->domain, sizeof(tree->domain), "%s", key->domain);
	snprintf(tree->name, sizeof(tree->name), "%s", key->name);
	snprintf(tree->version, sizeof(tree->version), "%s", key->version);
	snprintf(tree->digest, sizeof(tree->digest), "%s", key->digest);
	if (!head)
		return;
	f->sound = true;
	tree->shards = head->shards;
	tree->bytes = head->bytes;
	tree->first_use = head->first_use;
	snprintf(tree->origin, sizeof(tree->origin), "%s", head->n_origins ? head->origins[0] : "");
	larder_access_format(&head->access, tree->access, sizeof(tree->access));
	tree->owner = key->domain[0] == 'u' ? (uint32_t)strtoul(key->domain + 1, NULL, 10)
					    : INV_OWNER_SITE;
	tree->publisher = (uint32_t)strtoul(key->domain + 1, NULL, 10);
}

static int on_tree(const struct tree_key *key, const struct larder_manifest_head *head, void *arg)
{
	struct survey *survey = arg;
	struct found *f = calloc(1, sizeof(*f));
	struct larder_error ignored;
	uint64_t shards, bytes;

	if (!f)
		return -ENOMEM;
	describe_found(f, key, head);
	snprintf(f->tree.tier, sizeof(f->tree.tier), "%s", survey->tier->config->name);
	if (f->sound && survey->mode == SURVEY_ADOPT &&
	    !tree_survey(survey->tier->tier, key, &f->bits, &shards, &bytes, &ignored)) {
		f->tree.present_shards = shards;
		f->tree.present_bytes = bytes;
	}
	DL_APPEND(survey->found, f);
	return 0;
}

static void survey_run(struct work *work)
{
	struct survey *survey = (struct survey *)work;

	for (unsigned int i = 0; i < survey->n_tiers; i++) {
		survey->tier = &survey->d->tiers[i];
		if (survey->tier->tier &&
		    tier_each_tree(survey->tier->tier, on_tree, survey, &survey->err))
			return;
	}
}

/* --- on the control thread */

static bool row_exists(struct larderd *d, const struct inv_tree *tree)
{
	struct larder_error ignored;
	struct inv_tree row;

	return !inventory_tree_find(d->inv, tree->domain, tree->name, tree->version, tree->digest,
				    &row, &ignored);
}

/* Inserted as STAGING, then what was found: names are only made after verification. */
static int adopt_row(struct larderd *d, struct found *f, struct larder_error *err)
{
	struct inv_tree tree = f->tree;
	bool whole = tree.present_shards == tree.shards;
	int rc = inventory_begin(d->inv, err);

	if (rc)
		return rc;
	tree.state = LARDER_TREE_STAGING;
	tree.admitted_s = clock_s();
	rc = inventory_tree_insert(d->inv, &tree, err);
	if (!rc && !whole)
		rc = inventory_bitmap_store(d->inv, tree.id, f->bits, tree.shards, err);
	if (!rc)
		rc = inventory_tree_present(d->inv, tree.id, f->tree.present_shards,
					    f->tree.present_bytes, err);
	if (!rc)
		rc = inventory_tree_state(d->inv, tree.id,
					  whole ? LARDER_TREE_READY : LARDER_TREE_PARTIAL, NULL,
					  err);
	if (!rc)
		rc = inventory_commit(d->inv, err);
	if (rc)
		inventory_rollback(d->inv);
	return rc;
}

static void adopt(struct larderd *d, struct found *f)
{
	struct larder_error err = {0};

	if (!f->sound || !f->bits || row_exists(d, &f->tree))
		return; /* gc takes what is not sound */
	if (adopt_row(d, f, &err))
		log_event(LOG_LEVEL_ERR, "adopt", "dataset=%s:%s error=\"%s\"", f->tree.name,
			  f->tree.version, err.text);
	else
		log_event(LOG_LEVEL_INFO, "adopt", "dataset=%s:%s shards=%llu of=%llu",
			  f->tree.name, f->tree.version, (unsigned long long)f->tree.present_shards,
			  (unsigned long long)f->tree.shards);
}

static void throw_away(struct survey *survey, struct found *f)
{
	struct larderd *d = survey->d;
	struct node_tier *tier = dataset_tier(d, f->tree.tier);
	struct tree_key key = dataset_key(&f->tree);
	char label[DATASET_LABEL_MAX];
	struct larder_error err = {0};

	if (!tier || row_exists(d, &f->tree))
		return;
	if (survey->session)
		session_row(survey->session, LARDER_MSG_FREED,
			    &(struct larder_msg_FREED){.dataset = dataset_label(&f->tree, label),
						       .why = "no row knows it"});
	if (survey->mode == SURVEY_GC && tree_trash(tier->tier, &key, &err))
		log_event(LOG_LEVEL_ERR, "gc", "dataset=%s error=\"%s\"", label, err.text);
}

static void survey_end(struct survey *survey)
{
	struct larderd *d = survey->d;

	if (!survey->err.code && survey->mode == SURVEY_ADOPT)
		inventory_set_recovered(d->inv, &survey->err);
	if (survey->err.code)
		log_event(LOG_LEVEL_ERR, "survey", "error=\"%s\"", survey->err.text);
	for (unsigned int i = 0; i < d->config.n_tiers && survey->mode == SURVEY_GC; i++)
		if (d->tiers[i].tier)
			evictor_empty_trash(d, &d->tiers[i], true);
	if (survey->session)
		session_end(survey->session, survey->err.code ? -survey->err.code : 0,
			    &survey->err);
	space_watch(d);
	free(survey);
}

static void survey_done(struct work *work)
{
	struct survey *survey = (struct survey *)work;
	struct found *f, *tmp;

	DL_FOREACH_SAFE(survey->found, f, tmp)
	{
		if (survey->mode == SURVEY_ADOPT)
			adopt(survey->d, f);
		else
			throw_away(survey, f);
		DL_DELETE(survey->found, f);
		free(f->bits);
		free(f);
	}
	survey_end(survey);
}

static void survey_left(void *arg)
{
	struct survey *survey = arg;

	survey->session = NULL;
}

int survey_start(struct larderd *d, enum survey_mode mode, struct session *session,
		 struct larder_error *err)
{
	struct survey *survey = calloc(1, sizeof(*survey));

	if (!survey)
		return larder_error_set(err, ENOMEM, "out of memory");
	*survey = (struct survey){.d = d,
				  .n_tiers = d->config.n_tiers,
				  .mode = mode,
				  .session = session,
				  .work = {.run = survey_run, .done = survey_done}};
	if (session)
		session_park(session, survey_left, survey);
	worker_run(d->slow, &survey->work);
	return 0;
}
