/*
 * Owns: looking at many paths of an origin with several threads.
 * Must not: read files.
 * Called by: scan.c.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "scan/paths.h"

#define LOOKERS_MAX 64u

struct looking {
	struct source *source;
	const struct scan_paths *paths;
	int (*found)(const struct source_entry *entry, void *arg);
	void *arg;
	_Atomic size_t next;
	_Atomic bool over; /* something failed */
	pthread_mutex_t lock;
	int rc; /* (lock) the first failure */
	struct larder_error err;
};

static void fail(struct looking *looking, int rc, const struct larder_error *err)
{
	pthread_mutex_lock(&looking->lock);
	if (!looking->rc) {
		looking->rc = rc;
		looking->err = *err;
	}
	pthread_mutex_unlock(&looking->lock);
	looking->over = true;
}

static void *look_thread(void *arg)
{
	struct looking *looking = arg;

	while (!looking->over) {
		struct larder_error err = {0};
		struct source_entry entry;
		size_t at = looking->next++;
		int rc;

		if (at >= looking->paths->count)
			break;
		rc = looking->source->ops->look(looking->source, looking->paths->items[at], &entry,
						&err);
		if (!rc) {
			rc = looking->found(&entry, looking->arg);
			if (rc)
				larder_error_set(&err, rc, "%s: %s", looking->paths->items[at],
						 strerror(-rc));
		}
		if (rc)
			fail(looking, rc, &err);
	}
	return NULL;
}

int scan_paths_look(struct source *source, const struct scan_paths *paths, unsigned int threads,
		    int (*found)(const struct source_entry *entry, void *arg), void *arg,
		    struct larder_error *err)
{
	struct looking looking = {
		.source = source,
		.paths = paths,
		.found = found,
		.arg = arg,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	pthread_t ids[LOOKERS_MAX];
	unsigned int n = 0;
	int rc = 0;

	for (; n < threads && n < LOOKERS_MAX && n < paths->count; n++) {
		rc = pthread_create(&ids[n], NULL, look_thread, &looking);
		if (rc)
			break;
	}
	if (!n && paths->count)
		return larder_error_set(err, rc, "start a thread: %s", strerror(rc));
	for (unsigned int i = 0; i < n; i++)
		pthread_join(ids[i], NULL);
	pthread_mutex_destroy(&looking.lock);
	if (looking.rc && err)
		*err = looking.err;
	return looking.rc;
}
