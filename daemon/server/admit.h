/* The middle of a request: what is known and allowed gets its tree, its lease, its stage. */
#ifndef SERVER_ADMIT_H
#define SERVER_ADMIT_H

#include "server/request.h"

/* All checks of the request have answered. Leases of all its datasets are taken in one transaction.
 */
void request_admit(struct request *request);

/* request.c's */
/* What submission fixed narrows what the user wrote: same name, and no word of the two may differ.
 */
int request_apply_fixed(struct larder_spec_list *list, const char *fixed, struct larder_error *err);
void request_check(struct request *request, bool fresh);
void request_update(struct request *request);
void want_failed(struct want *want, int rc, const struct larder_error *err);

/* Grants a request whose datasets were all seen to be here, without a transaction; false: it takes
 * one. admit_grant.c */
bool admit_grant(struct request *request);

/* Joins or starts the stage of a want that is WANT_STAGING. */
void admit_join(struct want *want);

/* A tree that was about to go, and does not. */
int admit_revive(struct larderd *d, struct inv_tree *tree, struct larder_error *err);

/*
 * Finds the described tree on this node or makes its row (STAGING). 1: it is READY; 0: it must be
 * staged. A tree that was about to be evicted is kept. Inside the caller's transaction.
 */
int admit_tree(struct larderd *d, struct inv_tree *tree, struct larder_error *err);

/* -EBADMSG and the sentence when the tree, or the shard of this subset (NULL: any), is in
 * quarantine. */
int admit_quarantine(struct larderd *d, const struct inv_tree *tree, const char *subset,
		     struct larder_error *err);

/* Who ends a quarantine and how, for sentences: "an admin of this node says: larder stage d:v1". */
void admit_cure(const struct inv_tree *tree, char *text, size_t room);

#endif
