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

static void choose(struct session *session, const struct visible *visible, void *arg)
{
	struct pick *pick = arg;
	const struct inv_tree *best = NULL;

	for (size_t i = 0; i < visible->n; i++)
		if (fits(&pick->spec, &visible->trees[i]) &&
		    (!best || better(&visible->trees[i], best, session_uid(session))))
			best = &visible->trees[i];
	if (best)
		pick->fn(session, best, pick->arg);
	else
		session_refuse(session, ENOENT, "%s is not on this node (larder ls shows what is)", pick->text);
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
	visible_collect(session, pick->spec.name, choose, pick, pick_free);
}
