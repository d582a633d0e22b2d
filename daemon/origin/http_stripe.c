/*
 * Owns: one large shard over several connections: parts are asked for ahead, and put in order.
 * Must not: hold more than the parts that were asked for ahead, each of PART_BYTES.
 * Called by: http.c.
 *
 * The part in front goes straight to put(); those ahead of it wait in memory. More connections cost
 * copies and processor time, so one is added only while the thread mostly waits for the server: on
 * a fast network, or beside other large shards, a shard has one connection and long parts.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "larder/clock.h"
#include "origin/http.h"

#define PART_BYTES	((int64_t)4 * 1024 * 1024)
#define LONG_PART_BYTES ((uint64_t)64 * 1024 * 1024) /* up to this while it is alone */
#define PARTS_MAX	16u
#define LOOK_NS                                                                                    \
	((int64_t)100 * 1000000) /* how often it is decided whether another connection helps */

struct part {
	struct stripe *stripe;
	struct http_fetch fetch;
	unsigned char *ahead; /* bytes from its start on that are not put yet; NULL: it is in front
			       */
	bool busy, complete;
};

struct stripe {
	struct http_source *source;
	struct http_loop *loop;
	const struct shard *shard;
	uint64_t asked; /* up to here somebody fetches */
	uint64_t done;	/* put up to here */
	int (*put)(const void *data, size_t len, void *arg);
	void *arg;
	int rc;
	bool whole; /* the server sends no parts: the rest comes in one answer */
	struct larder_error why;
	struct part parts[PARTS_MAX];
	unsigned int busy, width;
	uint64_t length; /* of the next part in front; doubles while it is alone */
	int64_t began_ms, looked_ns;
	int64_t put_ns;		/* spent in put() since the last look */
	int64_t looked_cpu_ns;	/* of the thread */
	int64_t looked_held_ns; /* of the loop */
	char etag[256];		/* what the first answer said of the version */
	int64_t modified_s;
};

static int64_t thread_cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* --- bytes */

static int timed_put(struct stripe *stripe, const void *data, size_t len)
{
	int64_t began_ns = clock_mono_ns();
	int rc = stripe->put(data, len, stripe->arg);

	stripe->put_ns += clock_mono_ns() - began_ns;
	return rc;
}

/* The first answer says of which version all parts must be. */
static void note_version(struct stripe *stripe, const struct http_fetch *fetch)
{
	if (!*stripe->etag)
		strcpy(stripe->etag, fetch->etag);
	if (stripe->modified_s < 0)
		stripe->modified_s = fetch->modified_s;
}

static int part_put(const void *data, size_t len, void *arg)
{
	struct part *part = arg;
	struct stripe *stripe = part->stripe;
	int rc;

	if (len)
		note_version(stripe, &part->fetch);
	if (!len || !part->ahead) {
		rc = timed_put(stripe, data, len);
		if (!rc)
			stripe->done += len;
		return rc;
	}
	memcpy(part->ahead + (part->fetch.reached - part->fetch.start), data, len);
	return 0;
}

static void ahead_free(struct part *part)
{
	if (part->ahead)
		atomic_fetch_add(part->stripe->source->spare, PART_BYTES);
	free(part->ahead);
	part->ahead = NULL;
}

static void part_free(struct part *part)
{
	struct stripe *stripe = part->stripe;

	ahead_free(part);
	stripe->busy--;
	atomic_fetch_sub(&stripe->source->large, 1);
	part->busy = false;
}

/* Two parts may have been asked for before either was answered. */
static int same_version(struct stripe *stripe, const struct http_fetch *fetch)
{
	note_version(stripe, fetch);
	if ((!*fetch->etag || strcmp(fetch->etag, stripe->etag) == 0) &&
	    (fetch->modified_s < 0 || fetch->modified_s == stripe->modified_s))
		return 0;
	return larder_error_set(&stripe->why, ESTALE,
				"changed at the origin while it was read (ETag or "
				"Last-Modified differ); publish a new version");
}

static void part_over(struct http_fetch *fetch, int rc)
{
	struct part *part = fetch->arg;
	struct stripe *stripe = part->stripe;

	if (!rc)
		rc = same_version(stripe, fetch);
	else if (rc != -ENOTSUP)
		stripe->why = fetch->why;
	if (fetch->end > stripe->asked)
		stripe->asked = fetch->end; /* it sent the whole file */
	part->complete = true;
	if (rc == -ENOTSUP)
		stripe->whole = true;
	else if (rc && !stripe->rc)
		stripe->rc = rc;
}

/* --- parts */

/* The one that has the next byte, or will have it. */
static struct part *front_of(struct stripe *stripe)
{
	for (unsigned int i = 0; i < PARTS_MAX; i++) {
		struct part *part = &stripe->parts[i];

		if (part->busy && part->fetch.start <= stripe->done &&
		    stripe->done < part->fetch.end)
			return part;
	}
	return NULL;
}

static void free_done(struct stripe *stripe)
{
	for (unsigned int i = 0; i < PARTS_MAX; i++) {
		struct part *part = &stripe->parts[i];

		if (part->busy && part->complete && part->fetch.end <= stripe->done)
			part_free(part);
	}
}

/* What came ahead and is in front now goes where it belongs. */
static void drain(struct stripe *stripe)
{
	struct part *part;

	while ((part = front_of(stripe)) && part->ahead) {
		uint64_t len = part->fetch.reached - stripe->done;

		if (len)
			stripe->rc = timed_put(stripe, part->ahead, (size_t)len);
		if (stripe->rc) {
			larder_error_set(&stripe->why, stripe->rc, "it is not wanted any more");
			return;
		}
		stripe->done += len;
		ahead_free(part); /* what comes from now on is put at once */
	}
	free_done(stripe);
}

static struct part *idle_part(struct stripe *stripe)
{
	for (unsigned int i = 0; i < PARTS_MAX; i++)
		if (!stripe->parts[i].busy)
			return &stripe->parts[i];
	return NULL;
}

/* Memory for a part ahead, from what all sources share. */
static unsigned char *ahead_take(struct http_source *source)
{
	unsigned char *ahead;

	if (atomic_fetch_sub(source->spare, PART_BYTES) < PART_BYTES) {
		atomic_fetch_add(source->spare, PART_BYTES);
		return NULL;
	}
	ahead = malloc(PART_BYTES);
	if (!ahead)
		atomic_fetch_add(source->spare, PART_BYTES);
	return ahead;
}

static void part_begin(struct stripe *stripe, struct part *part, uint64_t len)
{
	uint64_t left = stripe->shard->size - stripe->asked;
	struct http_fetch *fetch = &part->fetch;

	http_fetch_init(fetch, stripe->source, stripe->shard, stripe->asked);
	fetch->put = part_put;
	fetch->over = part_over;
	fetch->arg = part;
	fetch->begun_ms = stripe->began_ms;
	fetch->only_part = !stripe->whole;
	fetch->end = stripe->asked + (len < left ? len : left);
	/* The first answer decides: later ones are asked for with its tag (If-Range, If-Match). */
	strcpy(fetch->etag, stripe->etag);
	if (stripe->modified_s >= 0)
		fetch->modified_s = stripe->modified_s;
	part->stripe = stripe;
	part->busy = true;
	part->complete = false;
	stripe->busy++;
	atomic_fetch_add(&stripe->source->large, 1);
	stripe->asked = fetch->end;
	http_loop_add(stripe->loop, fetch);
}

static uint64_t front_length(struct stripe *stripe)
{
	if (stripe->whole || atomic_load(&stripe->source->whole))
		return UINT64_MAX;
	if (stripe->width > 1 || !stripe->length)
		stripe->length = PART_BYTES;
	else if (stripe->length < LONG_PART_BYTES)
		stripe->length *= 2;
	return stripe->length;
}

static void look_from_now(struct stripe *stripe)
{
	stripe->looked_ns = clock_mono_ns();
	stripe->looked_cpu_ns = thread_cpu_ns();
	stripe->looked_held_ns = stripe->loop->held_ns;
	stripe->put_ns = 0;
}

/*
 * Another connection helps where the thread mostly waited since the last look: for the server, or
 * for a processor. Time in put() is the disk's, and time that a limit of the site took is the
 * site's: a faster server would not shorten them.
 */
static void look(struct stripe *stripe)
{
	int64_t passed_ns = clock_mono_ns() - stripe->looked_ns, busy_ns;

	if (passed_ns < LOOK_NS)
		return;
	busy_ns = stripe->put_ns + thread_cpu_ns() - stripe->looked_cpu_ns + stripe->loop->held_ns -
		  stripe->looked_held_ns;
	if (busy_ns * 10 < passed_ns * 4 && stripe->width < stripe->source->options.ranges &&
	    stripe->width < PARTS_MAX)
		stripe->width++;
	else if (busy_ns * 10 > passed_ns * 8 && stripe->width > 1)
		stripe->width--;
	look_from_now(stripe);
}

/* Is a part ahead allowed, beside what all of the source's large shards have? */
static bool may_widen(const struct stripe *stripe)
{
	return stripe->busy < stripe->width && !stripe->whole &&
	       !atomic_load(&stripe->source->whole) &&
	       atomic_load(&stripe->source->large) < stripe->source->options.ranges;
}

static void start_parts(struct stripe *stripe)
{
	struct part *part;

	if (stripe->asked < stripe->shard->size && !stripe->busy)
		part_begin(stripe, idle_part(stripe), front_length(stripe));
	look(stripe);
	while (stripe->asked < stripe->shard->size && may_widen(stripe) &&
	       (part = idle_part(stripe))) {
		unsigned char *ahead = ahead_take(stripe->source);

		if (!ahead)
			return;
		part->ahead = ahead;
		part_begin(stripe, part, PART_BYTES);
	}
}

static void part_drop(struct part *part)
{
	if (!part->busy)
		return;
	http_loop_drop(part->stripe->loop, &part->fetch);
	part_free(part);
}

/* A 200 where a part was asked for: the rest comes whole, from the byte that was reached. */
static void begin_whole(struct stripe *stripe)
{
	struct part *front = front_of(stripe);
	bool kept = front && !front->complete && front->fetch.end == stripe->shard->size;

	for (unsigned int i = 0; i < PARTS_MAX; i++)
		if (!kept || &stripe->parts[i] != front)
			part_drop(&stripe->parts[i]);
	atomic_store(&stripe->source->whole, true);
	stripe->asked = kept ? stripe->shard->size : stripe->done;
}

static int run(struct stripe *stripe)
{
	bool whole = false;

	while (!stripe->rc && stripe->done < stripe->shard->size) {
		start_parts(stripe);
		http_loop_turn(stripe->loop);
		if (stripe->whole && !whole && !stripe->rc) {
			whole = true;
			begin_whole(stripe);
		}
		if (!stripe->rc)
			drain(stripe);
	}
	for (unsigned int i = 0; i < PARTS_MAX; i++)
		part_drop(&stripe->parts[i]);
	return stripe->rc;
}

int http_stripe(struct http_source *source, const struct shard *shard, uint64_t offset,
		int (*put)(const void *data, size_t len, void *arg), void *arg,
		struct larder_error *err)
{
	struct stripe *stripe = calloc(1, sizeof(*stripe));
	int rc = larder_error_set(err, ENOMEM, "no memory for a connection");

	if (!stripe)
		return rc;
	*stripe = (struct stripe){.source = source,
				  .shard = shard,
				  .asked = offset,
				  .done = offset,
				  .put = put,
				  .arg = arg,
				  .width = 1,
				  .modified_s = -1,
				  .began_ms = clock_mono_ms()};
	stripe->loop = http_loop_take(source);
	if (stripe->loop) {
		look_from_now(stripe);
		rc = run(stripe);
		http_loop_give(source, stripe->loop);
		if (rc && err)
			*err = stripe->why;
	}
	free(stripe);
	return rc;
}
