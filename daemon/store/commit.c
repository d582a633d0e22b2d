/*
 * The thread of a tier that makes finished files durable in batches: data synced, then named, then
 * the names synced with the next batch's data. The only caller of syncfs. Must not know trees or
 * jobs. Started by committer.c.
 *
 * An I/O error is reported once, to whoever syncs next. So a failed sync ends an epoch: whatever
 * was begun in it and has no name yet never gets one, also what is still being written, because its
 * pages may be among those that the kernel dropped and now shows as clean.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "larder/clock.h"
#include "larder/cond.h"
#include "store/commit.h"

#define TELL_MAX 4096 /* indices a durable() call */

/* --- failure: the first error of a client stays --- */

void commit_fail(struct commit_client *client, const struct larder_error *why)
{
	if (client->failed.code == 0)
		client->failed = *why;
}

static void fail(struct committer *c, struct commit_client *client, const struct larder_error *why)
{
	pthread_mutex_lock(&c->lock);
	commit_fail(client, why);
	pthread_mutex_unlock(&c->lock);
}

int commit_failed(const struct commit_client *client, struct larder_error *err)
{
	if (client->failed.code == 0)
		return 0;
	return larder_error_set(err, client->failed.code, "%s", client->failed.text);
}

void commit_old_epoch(const struct committer *c, struct larder_error *why)
{
	larder_error_set(
		why, EIO,
		"tier %s: an I/O error was reported while this was being written; it was thrown away, because what is on the disk cannot be known",
		c->tier->path);
}

/* --- lists --- */

void commit_file_drop(struct commit_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
	free(file->path);
	file->path = NULL;
}

int commit_named_push(struct named_list *list, const struct named *item)
{
	if (list->n == list->cap) {
		size_t cap = list->cap ? 2 * list->cap : 256;
		struct named *items = reallocarray(list->items, cap, sizeof(*items));

		if (!items)
			return -ENOMEM;
		list->items = items;
		list->cap = cap;
	}
	list->items[list->n++] = *item;
	return 0;
}

void commit_batch_clear(struct batch *batch)
{
	size_t i;

	for (i = 0; i < batch->n_files; i++)
		commit_file_drop(&batch->files[i]);
	batch->n_files = 0;
	batch->bytes = 0;
	batch->names.n = 0;
}

/* Keeps the order of the rest. */
void commit_named_leave(struct named_list *list, const struct commit_client *client)
{
	size_t kept = 0;
	size_t i;

	for (i = 0; i < list->n; i++)
		if (list->items[i].client != client)
			list->items[kept++] = list->items[i];
	list->n = kept;
}

void commit_batch_leave(struct batch *batch, const struct commit_client *client)
{
	size_t kept = 0;
	size_t i;

	for (i = 0; i < batch->n_files; i++) {
		if (batch->files[i].client != client) {
			batch->files[kept++] = batch->files[i];
			continue;
		}
		batch->bytes -= batch->files[i].size;
		commit_file_drop(&batch->files[i]);
	}
	batch->n_files = kept;
	commit_named_leave(&batch->names, client);
}

/* --- the thread --- */

static int by_client(const struct commit_client *a, const struct commit_client *b)
{
	return ((uintptr_t)a > (uintptr_t)b) - ((uintptr_t)a < (uintptr_t)b);
}

static int named_order(const void *a, const void *b)
{
	const struct named *x = a;
	const struct named *y = b;
	int order = by_client(x->client, y->client);

	return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* A manifest is sorted so that a directory's files stand together: so is its index. */
static int file_order(const void *a, const void *b)
{
	const struct commit_file *x = a;
	const struct commit_file *y = b;
	int order = by_client(x->client, y->client);

	return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* One call a client and TELL_MAX, never under the lock. */
static void tell_durable(struct named_list *list)
{
	uint64_t indices[TELL_MAX];
	size_t i = 0;

	if (list->n > 1)
		qsort(list->items, list->n, sizeof(*list->items), named_order);
	while (i < list->n) {
		struct commit_client *client = list->items[i].client;
		uint64_t bytes = 0;
		size_t n = 0;

		for (; i < list->n && n < TELL_MAX && list->items[i].client == client; i++) {
			indices[n++] = list->items[i].index;
			bytes += list->items[i].bytes;
		}
		client->durable(indices, n, bytes, client->arg);
	}
	list->n = 0;
}

/* What came in an epoch that is over is not told, and its client has failed. */
static void sift_epoch(struct committer *c, struct named_list *list)
{
	uint32_t epoch = committer_epoch(c);
	struct larder_error why = {0};
	size_t kept = 0;
	size_t i;

	commit_old_epoch(c, &why);
	for (i = 0; i < list->n; i++) {
		if (list->items[i].epoch == epoch)
			list->items[kept++] = list->items[i];
		else
			fail(c, list->items[i].client, &why);
	}
	list->n = kept;
}

static void name_file(struct committer *c, const struct commit_file *file)
{
	struct named done = {file->client, file->index, file->size, file->epoch};
	struct larder_error why = {0};

	if (committer_check(c, file->client, NULL))
		return;
	if (file->epoch != committer_epoch(c))
		commit_old_epoch(c, &why);
	else if (file->client->name(file->client, file->path, file->fd, file->size, file->mode,
				    &why) == 0 &&
		 commit_named_push(&c->linked, &done) < 0)
		larder_error_set(&why, ENOMEM, "out of memory while naming %s", file->path);
	if (why.code)
		fail(c, file->client, &why);
}

static void name_files(struct committer *c, struct batch *batch)
{
	size_t i;

	if (batch->n_files > 1)
		qsort(batch->files, batch->n_files, sizeof(*batch->files), file_order);
	for (i = 0; i < batch->n_files; i++) {
		name_file(c, &batch->files[i]);
		commit_file_drop(&batch->files[i]);
	}
	commit_batch_clear(batch);
}

static void sync_failed(struct committer *c, int code)
{
	struct larder_error why = {0};
	size_t i;

	atomic_fetch_add(&c->epoch, 1);
	larder_error_set(
		&why, EIO,
		"tier %s: writing to the disk failed (%s); what was not yet safe was thrown away. See the kernel's log, and check the device",
		c->tier->path, strerror(code));
	pthread_mutex_lock(&c->lock);
	for (i = 0; i < c->linked.n; i++)
		commit_fail(c->linked.items[i].client, &why);
	for (i = 0; i < c->now->names.n; i++)
		commit_fail(c->now->names.items[i].client, &why);
	for (i = 0; i < c->now->n_files; i++)
		commit_fail(c->now->files[i].client, &why);
	pthread_mutex_unlock(&c->lock);
	c->linked.n = 0;
	commit_batch_clear(c->now);
}

/*
 * The order that keeps the first promise. Before: the bytes of now->files are written and match the
 * manifest; linked and now->names have names. (1) One sync: if it fails nothing is named. (2) What
 * had its name before the sync is durable: tell. (3) Name the files, for the next sync to cover.
 */
static void run_batch(struct committer *c)
{
	if (c->now->n_files == 0 && c->now->names.n == 0 && c->linked.n == 0)
		return;
	if (syncfs(c->tier->fd) < 0) {
		sync_failed(c, errno);
		return;
	}
	tell_durable(&c->linked);
	sift_epoch(c, &c->now->names);
	tell_durable(&c->now->names);
	name_files(c, c->now);
}

bool commit_due(const struct committer *c)
{
	const struct batch *filling = c->filling;

	return c->want_gen > c->durable_gen || filling->n_files >= c->batch_files / COMMIT_START ||
	       filling->bytes >= COMMIT_BYTES || filling->names.n >= COMMIT_NAMES / 2 ||
	       (c->due_ms && clock_mono_ms() >= c->due_ms);
}

static void wait_for_work(struct committer *c)
{
	while (!c->stop && (c->leaving || !commit_due(c))) {
		if (c->due_ms && !c->leaving)
			cond_wait_until(&c->work, &c->lock, c->due_ms);
		else
			pthread_cond_wait(&c->work, &c->lock);
	}
}

static void batch_take(struct committer *c)
{
	struct batch *full = c->filling;

	c->filling = c->now;
	c->now = full;
	c->filling_gen++;
	c->due_ms = 0;
	c->working = true;
	pthread_cond_broadcast(&c->done); /* there is room again */
}

void *commit_main(void *arg)
{
	struct committer *c = arg;

	pthread_mutex_lock(&c->lock);
	for (;;) {
		wait_for_work(c);
		if (c->stop)
			break;
		batch_take(c);
		pthread_mutex_unlock(&c->lock);
		run_batch(c);
		pthread_mutex_lock(&c->lock);
		c->working = false;
		/* names of this batch wait for the next sync */
		c->durable_gen = c->filling_gen - 1 - (c->linked.n ? 1 : 0);
		if (c->linked.n && !c->due_ms)
			c->due_ms = clock_mono_ms() + COMMIT_AGE_MS;
		pthread_cond_broadcast(&c->done);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}
