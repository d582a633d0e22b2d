/*
 * Owns: the limits of remote origins: rules, buckets and gates, shared by all threads.
 * Must not: make requests or sleep: it says how long others must.
 * Called by: http_loop.c, http_request.c; server/ sets the rules.
 *
 * An entry lives as long as the limits do, for a request may be inside its gate; an entry whose
 * rule was taken back limits nothing.
 */
#include "origin/limits.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/bucket.h"
#include "larder/clock.h"
#include "origin/gate.h"

struct origin_limit {
	struct origin_limit *next;
	char *match;
	bool live; /* (limits' lock) a rule speaks of it */
	struct gate connections;
	pthread_mutex_t lock;
	struct bucket bytes, requests; /* (lock) */
};

struct origin_limits {
	pthread_mutex_t lock;
	struct origin_limit *entries; /* (lock) only ever more of them */
};

static int64_t ns_to_ms(int64_t ns)
{
	return (ns + 999999) / 1000000;
}

/* --- what matches */

int origin_rule_check(const char *match, struct larder_error *err)
{
	const char *host = strstr(match, "://");

	host = host ? host + 3 : match;
	if (*host && !strpbrk(match, " @?#\t\n") && (host != match || !strchr(host, '/')))
		return 0;
	return larder_error_set(err, EINVAL,
				"origin \"%s\": a host (\"h\", \"h:8080\") or how an origin begins "
				"(\"https://h/dir\", \"s3://bucket\") is wanted",
				match);
}

static bool begins(const char *text, const char *with)
{
	size_t len = strlen(with);

	return strncmp(text, with, len) == 0 &&
	       (text[len] == '\0' || text[len] == '/' || with[len - 1] == '/');
}

/* "https://h:8080/x": with "h" or "h:8080". */
static bool is_host(const char *url, const char *host)
{
	const char *at = strstr(url, "://");
	size_t len = strlen(host), whole, name;

	if (!at)
		return false;
	at += 3;
	whole = strcspn(at, "/");
	name = at[0] == '[' ? strcspn(at, "]") + 1 : strcspn(at, ":/");
	return (len == whole || len == name) && strncasecmp(at, host, len) == 0;
}

static bool matches(const char *match, const char *origin, const char *url)
{
	if (strstr(match, "://"))
		return begins(origin, match) || begins(url, match);
	return is_host(url, match);
}

struct origin_limit *origin_limit_of(struct origin_limits *limits, const char *origin,
				     const char *url)
{
	struct origin_limit *best = NULL;

	if (!limits)
		return NULL;
	pthread_mutex_lock(&limits->lock);
	for (struct origin_limit *e = limits->entries; e; e = e->next) {
		if (!e->live || !matches(e->match, origin, url))
			continue;
		if (!best || strlen(e->match) > strlen(best->match))
			best = e;
	}
	pthread_mutex_unlock(&limits->lock);
	return best;
}

/* --- rules */

struct origin_limits *origin_limits_create(void)
{
	struct origin_limits *limits = calloc(1, sizeof(*limits));

	if (limits)
		pthread_mutex_init(&limits->lock, NULL);
	return limits;
}

void origin_limits_destroy(struct origin_limits *limits)
{
	if (!limits)
		return;
	while (limits->entries) {
		struct origin_limit *e = limits->entries;

		limits->entries = e->next;
		gate_fini(&e->connections);
		pthread_mutex_destroy(&e->lock);
		free(e->match);
		free(e);
	}
	pthread_mutex_destroy(&limits->lock);
	free(limits);
}

static struct origin_limit *find(struct origin_limits *limits, const char *match)
{
	struct origin_limit *e = limits->entries;

	while (e && strcmp(e->match, match) != 0)
		e = e->next;
	return e;
}

static int add(struct origin_limits *limits, const char *match)
{
	struct origin_limit *e = calloc(1, sizeof(*e));

	if (e)
		e->match = strdup(match);
	if (!e || !e->match) {
		free(e);
		return -ENOMEM;
	}
	gate_init(&e->connections, 0);
	pthread_mutex_init(&e->lock, NULL);
	e->next = limits->entries;
	limits->entries = e;
	return 0;
}

/* A burst of a tenth of a second: short enough for the server, long enough for a timer. */
static uint64_t burst_of(uint64_t per_s, uint64_t least)
{
	return per_s / 10 > least ? per_s / 10 : least;
}

static void apply(struct origin_limit *e, const struct origin_rule *rule)
{
	int64_t now_ns = clock_mono_ns();

	e->live = rule != NULL;
	gate_resize(&e->connections, rule ? rule->connections : 0);
	pthread_mutex_lock(&e->lock);
	bucket_set(&e->bytes, rule ? rule->bytes_per_s : 0,
		   rule ? burst_of(rule->bytes_per_s, 16384) : 0, now_ns);
	bucket_set(&e->requests, rule ? rule->requests_per_s : 0,
		   rule ? burst_of(rule->requests_per_s, 1) : 0, now_ns);
	pthread_mutex_unlock(&e->lock);
}

static const struct origin_rule *rule_of(const struct origin_limit *e,
					 const struct origin_rule *rules, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (strcmp(rules[i].match, e->match) == 0)
			return &rules[i];
	return NULL;
}

int origin_limits_set(struct origin_limits *limits, const struct origin_rule *rules, unsigned int n,
		      struct larder_error *err)
{
	int rc = 0;

	pthread_mutex_lock(&limits->lock);
	for (unsigned int i = 0; i < n && !rc; i++)
		if (!find(limits, rules[i].match))
			rc = add(limits, rules[i].match);
	for (struct origin_limit *e = limits->entries; e && !rc; e = e->next)
		apply(e, rule_of(e, rules, n));
	pthread_mutex_unlock(&limits->lock);
	return rc ? larder_error_set(err, rc, "no memory for the limits of origins") : 0;
}

/* --- keeping to them */

bool origin_limit_enter(struct origin_limit *limit, struct gate_place *place)
{
	return gate_enter(&limit->connections, place);
}

void origin_limit_leave(struct origin_limit *limit, struct gate_place *place)
{
	gate_leave(&limit->connections, place);
}

int64_t origin_limit_request_ms(struct origin_limit *limit)
{
	int64_t now_ns = clock_mono_ns(), wait_ns;

	pthread_mutex_lock(&limit->lock);
	wait_ns = bucket_wait_ns(&limit->requests, 1, now_ns);
	if (!wait_ns)
		bucket_spend(&limit->requests, 1, now_ns);
	pthread_mutex_unlock(&limit->lock);
	return ns_to_ms(wait_ns);
}

int64_t origin_limit_read_ms(struct origin_limit *limit)
{
	int64_t wait_ns;

	pthread_mutex_lock(&limit->lock);
	wait_ns = bucket_wait_ns(&limit->bytes, 0, clock_mono_ns());
	pthread_mutex_unlock(&limit->lock);
	return ns_to_ms(wait_ns);
}

void origin_limit_spend(struct origin_limit *limit, uint64_t bytes)
{
	pthread_mutex_lock(&limit->lock);
	bucket_spend(&limit->bytes, bytes, clock_mono_ns());
	pthread_mutex_unlock(&limit->lock);
}
