/*
 * Owns the question what a user may be shown. Decides no right itself: access.h's memory and checks
 * do. Never shows what it cannot tell. Used by every listing.
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
	struct visible *look;
	struct access_ask *ask;
};

struct visible {
	struct session *session;
	struct larderd *d;
	const char *name;
	visible_fn fn;
	void *arg;
	void (*arg_free)(void *);
	struct look_check checks[VISIBLE_CHECKS_MAX];
	unsigned int n_checks, open;
};

static void look_free(void *arg)
{
	struct visible *look = arg;

	for (unsigned int i = 0; i < look->n_checks; i++)
		access_cancel(look->checks[i].ask);
	if (look->arg_free)
		look->arg_free(look->arg);
	free(look);
}

static int known(const struct visible *look, const struct inv_tree *tree)
{
	return access_known(look->d, tree, session_uid(look->session),
			    session_admin(look->session));
}

static void look_done(struct visible *look)
{
	session_park(look->session, NULL, NULL);
	look->fn(look->session, look, look->arg);
	look_free(look);
}

/* --- the walk */

struct visible_walk {
	const struct visible *visible;
	inventory_tree_fn fn;
	void *arg;
};

static int pass_on(const struct inv_tree *tree, void *arg)
{
	struct visible_walk *walk = arg;

	return known(walk->visible, tree) == 1 ? walk->fn(tree, walk->arg) : 0;
}

int visible_each(const struct visible *visible, inventory_tree_fn fn, void *arg)
{
	struct visible_walk walk = {visible, fn, arg};
	struct larder_error ignored;

	return inventory_tree_each(visible->d->inv, visible->name, pass_on, &walk, &ignored);
}

/* --- looking into rights */

static void on_right(const struct access_answer *answer, void *arg)
{
	struct look_check *check = arg;
	struct visible *look = check->look;

	(void)answer; /* a yes is in the memory now */
	check->ask = NULL;
	if (--look->open == 0)
		look_done(look);
}

static int look_into(const struct inv_tree *tree, void *arg)
{
	struct visible *look = arg;
	struct look_check *check = &look->checks[look->n_checks];
	struct larder_spec spec = {.kind = LARDER_SPEC_CATALOG};
	struct larder_error ignored;

	if (known(look, tree) >= 0)
		return 0;
	if (look->n_checks == VISIBLE_CHECKS_MAX)
		return 1;
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
	return 0;
}

void visible_look(struct session *session, const char *name, visible_fn fn, void *arg,
		  void (*arg_free)(void *))
{
	struct larderd *d = session_daemon(session);
	struct visible *look = calloc(1, sizeof(*look));
	struct larder_error err = {0};

	if (!look) {
		if (arg_free)
			arg_free(arg);
		session_refuse(session, ENOMEM, "out of memory");
		return;
	}
	*look = (struct visible){.session = session,
				 .d = d,
				 .name = name,
				 .fn = fn,
				 .arg = arg,
				 .arg_free = arg_free};
	look->open = 1; /* answers from memory come at once: none of them is the last */
	if (!session_admin(session) &&
	    inventory_tree_each(d->inv, name, look_into, look, &err) < 0) {
		look_free(look);
		session_fail(session, &err);
		return;
	}
	if (--look->open == 0)
		look_done(look);
	else
		session_park(session, look_free, look);
}
