/*
 * Owns the question what a user may be shown. Decides no right itself: access.h's memory and checks do.
 * Never shows what it cannot tell. Used by every listing.
 */
#include "server/visible.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/access.h"
#include "server/larderd.h"

#define VISIBLE_CHECKS_MAX 64 /* rights looked into for one listing; the next listing goes on */
#define VISIBLE_BOUND_MS   2000

struct look_check {
	struct look *look;
	struct access_ask *ask;
};

struct look {
	struct session *session;
	struct larderd *d;
	struct visible found;
	size_t room;
	visible_fn fn;
	void *arg;
	void (*arg_free)(void *);
	struct look_check checks[VISIBLE_CHECKS_MAX];
	unsigned int n_checks, open;
};

static void look_free(void *arg)
{
	struct look *look = arg;

	for (unsigned int i = 0; i < look->n_checks; i++)
		access_cancel(look->checks[i].ask);
	if (look->arg_free)
		look->arg_free(look->arg);
	free(look->found.trees);
	free(look);
}

static int known(const struct look *look, const struct inv_tree *tree)
{
	return access_known(look->d, tree, session_uid(look->session), session_admin(look->session));
}

/* All that is known to be allowed; what could not be told is not shown. */
static void look_done(struct look *look)
{
	size_t kept = 0;

	for (size_t i = 0; i < look->found.n; i++)
		if (known(look, &look->found.trees[i]) == 1)
			look->found.trees[kept++] = look->found.trees[i];
	look->found.n = kept;
	session_park(look->session, NULL, NULL);
	look->fn(look->session, &look->found, look->arg);
	look_free(look);
}

static int collect(const struct inv_tree *tree, void *arg)
{
	struct look *look = arg;
	struct visible *found = &look->found;

	if (known(look, tree) == 0)
		return 0;
	if (found->n == look->room) {
		size_t room = look->room ? look->room * 2 : 64;
		struct inv_tree *more = reallocarray(found->trees, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		found->trees = more;
		look->room = room;
	}
	found->trees[found->n++] = *tree;
	return 0;
}

static void on_right(const struct access_answer *answer, void *arg)
{
	struct look_check *check = arg;
	struct look *look = check->look;

	(void)answer; /* a yes is in the memory now */
	check->ask = NULL;
	if (--look->open == 0)
		look_done(look);
}

static void look_into(struct look *look, const struct inv_tree *tree)
{
	struct look_check *check = &look->checks[look->n_checks];
	struct larder_spec spec = {.kind = LARDER_SPEC_CATALOG};
	struct larder_error ignored;

	if (look->n_checks == VISIBLE_CHECKS_MAX)
		return;
	snprintf(spec.name, sizeof(spec.name), "%s", tree->name);
	snprintf(spec.version, sizeof(spec.version), "%s", tree->version);
	snprintf(spec.digest, sizeof(spec.digest), "%s", tree->digest);
	check->look = look;
	look->n_checks++;
	look->open++;
	if (access_ask(look->d,
		       &(struct access_question){.spec = &spec,
						 .uid = session_uid(look->session),
						 .gid = session_gid(look->session),
						 .timeout_ms = VISIBLE_BOUND_MS},
		       on_right, check, &check->ask, &ignored))
		look->open--;
}

void visible_collect(struct session *session, const char *name, visible_fn fn, void *arg, void (*arg_free)(void *))
{
	struct larderd *d = session_daemon(session);
	struct look *look = calloc(1, sizeof(*look));
	struct larder_error err = {0};

	if (!look) {
		if (arg_free)
			arg_free(arg);
		session_refuse(session, ENOMEM, "out of memory");
		return;
	}
	*look = (struct look){.session = session, .d = d, .fn = fn, .arg = arg, .arg_free = arg_free};
	if (inventory_tree_each(d->inv, name, collect, look, &err)) {
		look_free(look);
		session_refuse(session, err.code ? err.code : ENOMEM, "%s", err.text[0] ? err.text : "out of memory");
		return;
	}
	look->open = 1; /* answers from memory come at once: none of them is the last */
	for (size_t i = 0; i < look->found.n; i++)
		if (known(look, &look->found.trees[i]) < 0)
			look_into(look, &look->found.trees[i]);
	if (--look->open == 0)
		look_done(look);
	else
		session_park(session, look_free, look);
}
