/*
 * Owns the choice of one tree by what a person typed. Shows nobody what that user may not see.
 * Used by the verbs that work on one dataset.
 */
#include "server/pick.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "larder/spec.h"
#include "server/visible.h"

struct pick {
	struct larder_spec spec;
	char *text;
	pick_fn fn;
	void *arg;
	uid_t uid;
	struct inv_tree best; /* a copy: what is done with it may write, which a walk may not */
};

static void pick_free(void *arg)
{
	struct pick *pick = arg;

	larder_spec_fini(&pick->spec);
	free(pick->text);
	free(pick->arg);
	free(pick);
}

static bool fits(const struct larder_spec *spec, const struct inv_tree *tree)
{
	return (!spec->version[0] || !strcmp(spec->version, tree->version)) &&
	       !strncmp(spec->digest, tree->digest, strlen(spec->digest));
}

static bool better(const struct inv_tree *a, const struct inv_tree *b, uid_t uid)
{
	if ((a->owner == uid) != (b->owner == uid))
		return a->owner == uid;
	return a->last_seq > b->last_seq || (a->last_seq == b->last_seq && a->id > b->id);
}

static int choose(const struct inv_tree *tree, void *arg)
{
	struct pick *pick = arg;

	if (fits(&pick->spec, tree) && (!pick->best.id || better(tree, &pick->best, pick->uid)))
		pick->best = *tree;
	return 0;
}

static void picked(struct session *session, const struct visible *visible, void *arg)
{
	struct pick *pick = arg;

	pick->uid = session_uid(session);
	visible_each(visible, choose, pick);
	if (pick->best.id)
		pick->fn(session, &pick->best, pick->arg);
	else
		session_refuse(session, ENOENT, "%s is not on this node (larder ls shows what is)",
			       pick->text);
}

void pick_tree(struct session *session, const char *spec, pick_fn fn, void *arg)
{
	struct pick *pick = calloc(1, sizeof(*pick));
	struct larder_error err = {0};

	if (!pick || !arg || !(pick->text = strdup(spec))) {
		free(pick);
		free(arg);
		session_refuse(session, ENOMEM, "out of memory");
		return;
	}
	pick->fn = fn;
	pick->arg = arg;
	if (larder_spec_parse(spec, &pick->spec, &err)) {
		pick->spec = (struct larder_spec){0};
		pick_free(pick);
		session_fail(session, &err);
		return;
	}
	visible_look(session, pick->spec.name, picked, pick, pick_free);
}
