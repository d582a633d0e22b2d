/*
 * Owns: looking at many paths of an origin with several threads.
 * Must not: read files.
 * Called by: scan.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "larder/cleanup.h"
#include "larder/text.h"
#include "scan/paths.h"

#define LOOKERS_MAX 64u

struct looking {
	struct source *source;
	const struct scan_paths *paths;
	int (*found)(const struct source_entry *entry, const struct scan_path *listed, void *arg);
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

static int look_at(struct looking *looking, const struct scan_path *listed,
		   struct larder_error *err)
{
	auto_free char *shown = larder_path_encode(listed->path);
	struct source_entry entry;
	int rc = looking->source->ops->look(looking->source, listed->path, &entry, err);

	if (rc)
		return rc;
	if (listed->size != SCAN_SIZE_UNKNOWN && listed->size != entry.size)
		return larder_error_set(err, ESTALE,
					"%s has %" PRIu64 " bytes, and the list says %" PRIu64,
					shown ? shown : "?", entry.size, listed->size);
	rc = looking->found(&entry, listed, looking->arg);
	if (rc)
		larder_error_set(err, rc, "%s: %s", shown ? shown : "?", strerror(-rc));
	return rc;
}

static void *look_thread(void *arg)
{
	struct looking *looking = arg;

	while (!looking->over) {
		struct larder_error err = {0};
		size_t at = looking->next++;
		int rc;

		if (at >= looking->paths->count)
			break;
		rc = look_at(looking, looking->paths->items[at], &err);
		if (rc)
			fail(looking, rc, &err);
	}
	return NULL;
}

int scan_paths_look(struct source *source, const struct scan_paths *paths, unsigned int threads,
		    int (*found)(const struct source_entry *entry, const struct scan_path *listed,
				 void *arg),
		    void *arg, struct larder_error *err)
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
