/*
 * The directories in which a sink's threads name things, kept open between one shard and the next.
 * Names nothing itself. Called by sink.c, on transfer threads and the committer's.
 */
#include <pthread.h>

#include "store/inside.h"

void cursors_init(struct cursors *cs, int tree, int base)
{
	int i;

	*cs = (struct cursors){0};
	pthread_mutex_init(&cs->lock, NULL);
	pthread_cond_init(&cs->free_cursor, NULL);
	for (i = 0; i < STORE_CURSORS; i++) {
		place_init(&cs->all[i].tree, tree);
		place_init(&cs->all[i].base, base);
	}
}

void cursors_fini(struct cursors *cs)
{
	int i;

	for (i = 0; i < STORE_CURSORS; i++) {
		place_fini(&cs->all[i].tree);
		place_fini(&cs->all[i].base);
	}
	pthread_cond_destroy(&cs->free_cursor);
	pthread_mutex_destroy(&cs->lock);
}

static struct cursor *cursor_pick(struct cursors *cs, const char *path)
{
	struct cursor *oldest = NULL;
	int i;

	for (i = 0; i < STORE_CURSORS; i++) {
		struct cursor *cursor = &cs->all[i];

		if (cursor->busy)
			continue;
		if (place_holds(&cursor->tree, path))
			return cursor;
		if (!oldest || cursor->used < oldest->used)
			oldest = cursor;
	}
	return oldest;
}

struct cursor *cursor_take(struct cursors *cs, const char *path)
{
	struct cursor *cursor;

	pthread_mutex_lock(&cs->lock);
	while (!(cursor = cursor_pick(cs, path)))
		pthread_cond_wait(&cs->free_cursor, &cs->lock);
	cursor->busy = true;
	cursor->used = ++cs->uses;
	pthread_mutex_unlock(&cs->lock);
	return cursor;
}

void cursor_give(struct cursors *cs, struct cursor *cursor)
{
	pthread_mutex_lock(&cs->lock);
	cursor->busy = false;
	pthread_cond_signal(&cs->free_cursor);
	pthread_mutex_unlock(&cs->lock);
}
