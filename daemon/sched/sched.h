/*
 * larder-sched as a whole: who has what.
 *
 * Three kinds of threads. The control thread (the main one) asks slurmctld, decides, publishes.
 * The poller's threads ask nodes and put their answers into the model. A thread for each connection
 * of larder(1) reads the model. One lock guards the model and what stands below it; nobody holds it
 * while waiting for anything.
 */
#ifndef SCHED_SCHED_H
#define SCHED_SCHED_H

#include <pthread.h>
#include <stdatomic.h>

#include "fleet/seal.h"
#include "fleet/serve.h"
#include "sched/config.h"
#include "sched/model.h"

#define SCHED_NODE_NAME "larder-sched" /* whom credentials for us are bound to */

struct visible_cache;
struct poller;

struct sched {
	struct sched_config config; /* does not change */
	struct seal_key hide_key;   /* neither */
	pthread_mutex_t lock;
	struct model model;  /* under the lock */
	unsigned int rounds; /* that polled all nodes; under the lock */
	bool ctld_answers;   /* at the last time that it was asked; under the lock */
	int64_t started_mono_ms;
	struct poller *poller;
	struct visible_cache *visible; /* has a lock of its own */
	struct fleet_server *server;
};

static inline void sched_lock(struct sched *sched)
{
	pthread_mutex_lock(&sched->lock);
}
static inline void sched_unlock(struct sched *sched)
{
	pthread_mutex_unlock(&sched->lock);
}

/* --- poller.c --- */

/* Starts the thread that polls. 0 or -errno. */
int poller_start(struct sched *sched, struct poller **poller, struct larder_error *err);
/* There are orders: they go out now and not with the next round. */
void poller_poke(struct poller *poller);
/* Calls under way end with -ECANCELED. */
void poller_stop(struct poller *poller);
/* The time of the next try after so many failures. Pure. */
int64_t poller_backoff_ms(int64_t poll_every_ms, unsigned int failures);

/* --- control.c --- */

/* Until SIGTERM or SIGINT. The exit status. */
int control_run(struct sched *sched);

/* --- features_file.c --- */

/* Writes it when it would differ, or when it is `fresh_s` old. Called with the lock held; 0,
 * -errno. */
struct features_file;
struct features_file *features_file_create(void);
void features_file_destroy(struct features_file *file);
/* The text but for its head and its end. To free; NULL without memory. With the lock held. */
char *features_file_text(struct sched *sched);
/* Without the lock. */
int features_file_write(struct features_file *file, const struct sched_config *config,
			const char *text, int64_t now_s, struct larder_error *err);

/* --- serve.c --- */

/* Answers larder(1). For fleet_serve_params. */
int serve_answer(const struct fleet_peer *peer, const uint8_t *request, size_t len, uint8_t **out,
		 size_t *out_len, struct larder_error *err, void *sched);

#endif
