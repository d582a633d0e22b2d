/*
 * Owns a few threads that do one piece of work after the other.
 * Knows nothing of what the work is; never touches the server's state itself.
 * Given work by the control thread, which gets it back through the mailbox.
 */
#include "server/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct worker_pool {
	struct mailbox *mailbox;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct work *first, **last;
	bool closing;
	unsigned int n_threads;
	pthread_t threads[];
};

static struct work *worker_next(struct worker_pool *pool)
{
	struct work *work;

	pthread_mutex_lock(&pool->lock);
	while (!pool->first && !pool->closing)
		pthread_cond_wait(&pool->more, &pool->lock);
	work = pool->first;
	if (work) {
		pool->first = work->next;
		if (!pool->first)
			pool->last = &pool->first;
	}
	pthread_mutex_unlock(&pool->lock);
	return work;
}

static void work_is_done(void *arg)
{
	struct work *work = arg;

	work->done(work);
}

static void *worker_main(void *arg)
{
	struct worker_pool *pool = arg;
	struct work *work;

	while ((work = worker_next(pool))) {
		work->run(work);
		work->letter = (struct letter){.fn = work_is_done, .arg = work};
		mailbox_post(pool->mailbox, &work->letter);
	}
	return NULL;
}

int worker_pool_create(struct mailbox *mailbox, unsigned int threads, struct worker_pool **out,
		       struct larder_error *err)
{
	struct worker_pool *pool = calloc(1, sizeof(*pool) + threads * sizeof(pthread_t));
	int rc = 0;

	if (!pool)
		return larder_error_set(err, ENOMEM, "out of memory");
	pool->mailbox = mailbox;
	pool->last = &pool->first;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->more, NULL);
	while (pool->n_threads < threads && !rc) {
		rc = pthread_create(&pool->threads[pool->n_threads], NULL, worker_main, pool);
		if (!rc)
			pool->n_threads++;
	}
	if (rc) {
		worker_pool_destroy(pool);
		return larder_error_set(err, rc, "worker thread: %s", strerror(rc));
	}
	*out = pool;
	return 0;
}

void worker_pool_destroy(struct worker_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->closing = true;
	pthread_cond_broadcast(&pool->more);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned int i = 0; i < pool->n_threads; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->more);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

void worker_run(struct worker_pool *pool, struct work *work)
{
	if (!pool) { /* the daemon is ending, and its threads are gone */
		work->run(work);
		work->done(work);
		return;
	}
	work->next = NULL;
	work->pool = pool;
	pthread_mutex_lock(&pool->lock);
	*pool->last = work;
	pool->last = &work->next;
	pthread_cond_signal(&pool->more);
	pthread_mutex_unlock(&pool->lock);
}
