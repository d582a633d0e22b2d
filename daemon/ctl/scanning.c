/*
 * Runs a scan on a thread of its own while this one shows progress and waits for signals.
 * It must not know the catalog.
 * Called by publish.c.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "ctl/progress.h"
#include "ctl/scanning.h"
#include "larder/clock.h"

#define TICK_NS 200000000L

struct scanning {
	struct scan_params params;
	_Atomic bool stop;
	int out_fd, rc;
	struct larder_manifest_head *done;
	struct larder_error *err;
};

static void *scan_thread(void *arg)
{
	struct scanning *scanning = arg;

	scanning->rc = scan_run(&scanning->params, scanning->out_fd, scanning->done, scanning->err);
	return NULL;
}

static void show(struct scanning *scanning, struct progress *progress, const char *what,
		 int64_t started_ms)
{
	struct scan_progress *p = scanning->params.progress;
	bool walked = p->walked;
	struct progress_now now = {
		.what = what,
		.phase = walked ? "" : "listing",
		.done_bytes = p->done_bytes,
		.need_bytes = p->found_bytes,
		.done_shards = p->done_shards,
		.need_shards = p->found_shards,
		.eta_ms = -1,
	};
	int64_t ms = clock_mono_ms() - started_ms;

	/* Lines that count in tenths make sense only once the whole is known. */
	if (!walked && !progress->terminal)
		return;
	if (ms > 0)
		now.bytes_per_s = now.done_bytes / (uint64_t)ms * 1000;
	if (walked && now.bytes_per_s > 0 && now.need_bytes >= now.done_bytes)
		now.eta_ms = (int64_t)((now.need_bytes - now.done_bytes) / now.bytes_per_s * 1000);
	progress_show(progress, &now);
}

static void wait_for(pthread_t thread, struct scanning *scanning, const char *what, bool quiet,
		     const sigset_t *signals)
{
	int64_t started_ms = clock_mono_ms();
	struct progress progress;
	struct timespec until;

	progress_init(&progress, quiet);
	for (;;) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += TICK_NS;
		if (until.tv_nsec >= 1000000000L) {
			until.tv_nsec -= 1000000000L;
			until.tv_sec++;
		}
		if (pthread_timedjoin_np(thread, NULL, &until) == 0)
			break;
		if (sigtimedwait(signals, NULL, &(struct timespec){0}) > 0)
			scanning->stop = true;
		show(scanning, &progress, what, started_ms);
	}
	show(scanning, &progress, what, started_ms);
	progress_end(&progress);
}

int scanning_run(const struct scan_params *params, const char *what, bool quiet, int out_fd,
		 struct larder_manifest_head *done, struct larder_error *err)
{
	struct scanning scanning = {
		.params = *params, .out_fd = out_fd, .done = done, .err = err, .rc = -EIO};
	sigset_t signals, before;
	pthread_t thread;
	int rc;

	scanning.params.stop = &scanning.stop;
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	/* Blocked here so that every thread has them blocked, and wait_for sees them. */
	pthread_sigmask(SIG_BLOCK, &signals, &before);
	rc = pthread_create(&thread, NULL, scan_thread, &scanning);
	if (rc == 0)
		wait_for(thread, &scanning, what, quiet, &signals);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return larder_error_set(err, rc, "start a thread: %s", strerror(rc));
	if (scanning.rc != 0 && scanning.stop)
		return larder_error_set(err, ECANCELED, "interrupted; nothing was published");
	return scanning.rc;
}
