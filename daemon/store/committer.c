/*
 * What transfer threads ask of a tier's committer: take this file, wait until it is durable. Blocks
 * the callers when too much waits. Must not sync or name: commit.c's thread does. Called by sink.c.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "larder/cleanup.h"
#include "larder/clock.h"
#include "larder/cond.h"
#include "store/commit.h"

#define BATCH_FILES_MAX 1024
#define BATCH_FILES_MIN 64

uint32_t committer_epoch(const struct committer *committer)
{
	return atomic_load(&committer->epoch);
}

int committer_check(struct committer *c, struct commit_client *client, struct larder_error *err)
{
	int rc;

	pthread_mutex_lock(&c->lock);
	rc = commit_failed(client, err);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

/* --- what transfer threads call --- */

int committer_note(struct committer *c, int fd, struct larder_error *err)
{
	size_t want = (size_t)fd + 1;
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	if (want > c->n_fd_epoch) {
		size_t n = want < 256 ? 256 : 2 * want;
		uint32_t *table = reallocarray(c->fd_epoch, n, sizeof(*table));

		if (table) {
			memset(table + c->n_fd_epoch, 0, (n - c->n_fd_epoch) * sizeof(*table));
			c->fd_epoch = table;
			c->n_fd_epoch = n;
		} else {
			rc = larder_error_set(err, ENOMEM, "out of memory");
		}
	}
	if (rc == 0)
		c->fd_epoch[fd] = committer_epoch(c);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

uint32_t committer_forget(struct committer *c, int fd)
{
	uint32_t epoch = 0;

	pthread_mutex_lock(&c->lock);
	if (fd >= 0 && (size_t)fd < c->n_fd_epoch) {
		epoch = c->fd_epoch[fd];
		c->fd_epoch[fd] = 0;
	}
	pthread_mutex_unlock(&c->lock);
	return epoch;
}

static bool has_room(const struct committer *c, uint64_t bytes)
{
	const struct batch *filling = c->filling;

	return filling->n_files == 0 ||
	       (filling->n_files < c->batch_files && filling->bytes + bytes <= COMMIT_WAITING);
}

static void added(struct committer *c, struct commit_client *client)
{
	client->last_gen = c->filling_gen;
	if (!c->due_ms) {
		c->due_ms = clock_mono_ms() + COMMIT_AGE_MS;
		pthread_cond_signal(&c->work); /* it must learn the time */
	} else if (commit_due(c)) {
		pthread_cond_signal(&c->work);
	}
}

int committer_add_file(struct committer *c, const struct commit_file *file,
		       struct larder_error *err)
{
	struct commit_file own = *file;
	int rc;

	pthread_mutex_lock(&c->lock);
	rc = commit_failed(own.client, err);
	while (rc == 0 && !has_room(c, own.size)) {
		pthread_cond_wait(&c->done, &c->lock);
		rc = commit_failed(own.client, err);
	}
	if (rc == 0 && own.epoch != committer_epoch(c)) {
		struct larder_error why = {0};

		commit_old_epoch(c, &why);
		commit_fail(own.client, &why);
		rc = commit_failed(own.client, err);
	}
	if (rc == 0) {
		c->filling->files[c->filling->n_files++] = own;
		c->filling->bytes += own.size;
		added(c, own.client);
	}
	pthread_mutex_unlock(&c->lock);
	if (rc)
		commit_file_drop(&own);
	return rc;
}

int committer_add_name(struct committer *c, struct commit_client *client, uint64_t index,
		       uint64_t bytes, uint32_t epoch, struct larder_error *err)
{
	struct named item = {client, index, bytes, epoch};
	int rc;

	pthread_mutex_lock(&c->lock);
	rc = commit_failed(client, err);
	while (rc == 0 && c->filling->names.n >= COMMIT_NAMES) {
		pthread_cond_wait(&c->done, &c->lock);
		rc = commit_failed(client, err);
	}
	if (rc == 0 && commit_named_push(&c->filling->names, &item) < 0)
		rc = larder_error_set(err, ENOMEM, "out of memory");
	if (rc == 0)
		added(c, client);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

int committer_flush(struct committer *c, struct commit_client *client, struct larder_error *err)
{
	uint64_t gen;
	int rc;

	pthread_mutex_lock(&c->lock);
	gen = client->last_gen;
	if (c->want_gen < gen)
		c->want_gen = gen;
	while (c->durable_gen < gen) {
		pthread_cond_signal(&c->work);
		pthread_cond_wait(&c->done, &c->lock);
	}
	rc = commit_failed(client, err);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

void committer_leave(struct committer *c, struct commit_client *client)
{
	pthread_mutex_lock(&c->lock);
	/* so that what is left of a running batch is not named any more */
	commit_fail(client, &(struct larder_error){.code = ECANCELED, .text = "cancelled"});
	c->leaving++;
	while (c->working)
		pthread_cond_wait(&c->done, &c->lock);
	c->leaving--;
	commit_batch_leave(c->filling, client);
	commit_named_leave(&c->linked, client);
	pthread_cond_signal(&c->work);
	pthread_cond_broadcast(&c->done);
	pthread_mutex_unlock(&c->lock);
}

/* --- start and stop --- */

/* Two batches of descriptors for each tier must leave most of the process's to others. */
static size_t files_a_batch(void)
{
	struct rlimit limit = {.rlim_cur = 1024};
	size_t n;

	getrlimit(RLIMIT_NOFILE, &limit);
	n = limit.rlim_cur / 8;
	return n < BATCH_FILES_MIN ? BATCH_FILES_MIN : n > BATCH_FILES_MAX ? BATCH_FILES_MAX : n;
}

static int init_sync(struct committer *c)
{
	int rc = -pthread_mutex_init(&c->lock, NULL);

	if (rc == 0)
		rc = cond_init(&c->work);
	if (rc == 0)
		rc = cond_init(&c->done);
	return rc;
}

static int start_thread(struct committer *c)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the control thread's */
	rc = pthread_create(&c->thread, NULL, commit_main, c);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		return -rc;
	pthread_setname_np(c->thread, "larder-commit");
	c->started = true;
	return 0;
}

int committer_start(struct tier *tier, struct committer **out, struct larder_error *err)
{
	struct committer *c = calloc(1, sizeof(*c));
	int rc = -ENOMEM;

	if (c) {
		c->tier = tier;
		c->filling_gen = 1;
		atomic_init(&c->epoch, 1);
		c->filling = &c->both[0];
		c->now = &c->both[1];
		c->batch_files = files_a_batch();
		c->both[0].files = calloc(c->batch_files, sizeof(struct commit_file));
		c->both[1].files = calloc(c->batch_files, sizeof(struct commit_file));
		rc = init_sync(c);
	}
	if (rc == 0 && c && (!c->both[0].files || !c->both[1].files))
		rc = -ENOMEM;
	if (rc == 0 && c)
		rc = start_thread(c);
	if (rc) {
		committer_stop(c);
		return larder_error_set(err, rc, "start the committer of tier %s: %s", tier->path,
					strerror(-rc));
	}
	*out = c;
	return 0;
}

void committer_stop(struct committer *c)
{
	int i;

	if (!c)
		return;
	if (c->started) {
		pthread_mutex_lock(&c->lock);
		c->stop = true;
		pthread_cond_signal(&c->work);
		pthread_mutex_unlock(&c->lock);
		pthread_join(c->thread, NULL);
	}
	for (i = 0; i < 2; i++) {
		if (c->both[i].files)
			commit_batch_clear(&c->both[i]);
		free(c->both[i].files);
		free(c->both[i].names.items);
	}
	free(c->linked.items);
	free(c->fd_epoch);
	free(c);
}
